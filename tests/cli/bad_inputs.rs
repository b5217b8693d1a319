//! Bad inputs of every kind, as a table (`bad_inputs.toml`): each ends in one clear sentence, and changes nothing in the folder.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{smoke, text, train::csv_folder};

/// Least number of kinds.
const LEAST: usize = 150;
/// Most characters of a line: quoted texts are cut.
const LONGEST: usize = 1_500;

#[derive(Deserialize)]
struct Table {
    config: Vec<String>,
    set: Vec<String>,
    train: Vec<String>,
    zerodte: Vec<String>,
    bars_cells: Vec<(usize, usize, String)>,
    bars: Vec<String>,
    trades_cells: Vec<(String, String)>,
    report: Vec<(String, String)>,
    sidecar: Vec<(String, String)>,
    special: Vec<(String, String)>,
}

/// One bad input: what is put into an empty folder, and the command that meets it.
struct Case {
    name: String,
    put: Box<dyn Fn(&Path) + Send + Sync>,
    binary: &'static str,
    args: String,
}

const TRAIN: &str = "--config configs/smoke.toml --symbols SPY --timesteps 2000 --out-dir out";
const CONFIG: &str = "--config configs/smoke.toml --config c.toml";
const FILES: &str =
    "--symbols SPY --data-source files --data-dir bars --intraday-days 0 --timesteps 2000 --out-dir out";

fn case(name: &str, binary: &'static str, args: &str, put: impl Fn(&Path) + Send + Sync + 'static) -> Case {
    Case { name: name.to_owned(), put: Box::new(put), binary, args: args.to_owned() }
}

/// Writes a file that needs its folder.
fn write(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A folder `good` with a model, bars, and trades and report of a backtest.
fn good() -> TempDir {
    let folder = TempDir::new().unwrap();
    smoke(folder.path(), &["--symbols", "SPY"]);
    let bars = csv_folder(|_| ());
    fs::create_dir(folder.path().join("bars")).unwrap();
    fs::copy(bars.path().join("SPY_1m.csv"), folder.path().join("bars/SPY_1m.csv")).unwrap();
    let args = "backtest --model models/smoke --start-date 2024-12-05 --json report.json --trades trades.csv";
    let done = program("zerodte").current_dir(folder.path()).args(args.split(' ')).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    folder
}

fn program(binary: &str) -> Command {
    Command::new(match binary {
        "zerodte" => env!("CARGO_BIN_EXE_zerodte"),
        _ => env!("CARGO_BIN_EXE_train_historical_model"),
    })
}

/// Returns names and contents of everything below a folder; what is no regular file stands for itself.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(content(&path));
        }
        let bytes = if kind.is_file() && entry.metadata().unwrap().len() < 1 << 30 {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        found.insert(path, bytes);
    }
    found
}

fn of_texts(table: Table) -> Vec<Case> {
    let mut cases = Vec::new();
    for config in table.config {
        let text = config.clone();
        cases.push(case(&format!("config {config:?}"), "train", CONFIG, move |folder| {
            write(folder.join("c.toml"), &text);
        }));
    }
    for set in table.set {
        cases.push(case(&format!("set {set}"), "train", &format!("{TRAIN} --set {set}"), |_| ()));
    }
    for flags in table.train {
        cases.push(case(&format!("train {flags}"), "train", &format!("{TRAIN} {flags}"), |_| ()));
    }
    for args in table.zerodte.into_iter().filter(|args| !args.contains('\0')) {
        cases.push(case(&args.clone(), "zerodte", &args, |_| ()));
    }
    for text in table.bars {
        cases.push(case(&format!("bars {text:?}"), "train", FILES, move |folder| {
            write(folder.join("bars/SPY_1m.csv"), &text);
        }));
    }
    cases
}

/// Cases that change a cell or a value of a good file in `good`.
fn of_edits(table: &Table, good: &Path) -> Vec<Case> {
    let lines = |name: &str| -> Vec<Vec<String>> {
        let text = fs::read_to_string(good.join(name)).unwrap();
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let joined = |rows: &[Vec<String>]| rows.iter().map(|row| row.join(",") + "\n").collect::<String>();
    let (bars, trades) = (lines("bars/SPY_1m.csv"), lines("trades.csv"));
    let mut cases = Vec::new();
    for (row, column, text) in &table.bars_cells {
        let mut rows = bars.clone();
        rows[*row][*column].clone_from(text);
        let file = joined(&rows);
        cases.push(case(&format!("bars row {row} column {column} {text:?}"), "train", FILES, move |folder| {
            write(folder.join("bars/SPY_1m.csv"), &file);
        }));
    }
    for (column, text) in &table.trades_cells {
        let mut rows = trades.clone();
        let at = rows[0].iter().position(|name| name == column).unwrap();
        rows[1][at].clone_from(text);
        let file = joined(&rows);
        cases.push(case(
            &format!("trades {column} {text:?}"),
            "zerodte",
            "audit --trades x.csv --model good/models/smoke",
            move |folder| write(folder.join("x.csv"), &file),
        ));
    }
    let json = |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(good.join(name)).unwrap()).unwrap() };
    let edited = |value: &Value, pointer: &str, text: &str| {
        let mut value = value.clone();
        *value.pointer_mut(pointer).unwrap() = serde_json::from_str(text).unwrap();
        value.to_string()
    };
    let (report, sidecar) = (json("report.json"), json("models/smoke.json"));
    for (pointer, text) in &table.report {
        let file = edited(&report, pointer, text);
        let args = "audit --trades good/trades.csv --report r.json --model good/models/smoke";
        cases.push(case(&format!("report {pointer} {text}"), "zerodte", args, move |folder| {
            write(folder.join("r.json"), &file);
        }));
    }
    let weights = fs::read(good.join("models/smoke.safetensors")).unwrap();
    for (pointer, text) in &table.sidecar {
        let (file, weights) = (edited(&sidecar, pointer, text), weights.clone());
        cases.push(case(&format!("sidecar {pointer} {text}"), "zerodte", "backtest --model m", move |folder| {
            write(folder.join("m.json"), &file);
            write(folder.join("m.safetensors"), &weights);
        }));
    }
    cases
}

/// Weights that lie about their size, are cut, or hold something else.
fn of_weights(good: &Path) -> Vec<Case> {
    let weights = fs::read(good.join("models/smoke.safetensors")).unwrap();
    let sidecar = fs::read(good.join("models/smoke.json")).unwrap();
    let with_header = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 64]].concat();
    let petabytes = r#"{"w":{"dtype":"F32","shape":[1125899906842624],"data_offsets":[0,4503599627370496]}}"#;
    let overflow = r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,64]}}"#;
    let backwards = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#;
    let mut flipped = weights.clone();
    let last = flipped.len() - 2;
    flipped[last] ^= 1;
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("eight bytes of 255", vec![255; 8]),
        ("a header of petabytes", with_header(petabytes)),
        ("a shape that overflows", with_header(overflow)),
        ("offsets backwards", with_header(backwards)),
        ("a header that is no JSON", with_header("nonsense")),
        ("a header of control characters", with_header("\u{1b}[2J")),
        ("cut", weights[..weights.len() / 2].to_vec()),
        ("one bit changed", flipped),
        ("a zip", b"PK\x03\x04 of Stable-Baselines3".to_vec()),
        ("text", b"not a model".to_vec()),
    ];
    let mut cases = Vec::new();
    for (name, bytes) in files {
        for command in ["backtest --model m", "--resume"] {
            let (bytes, sidecar) = (bytes.clone(), sidecar.clone());
            let put = move |folder: &Path| {
                write(folder.join("m.safetensors"), &bytes);
                write(folder.join("m.json"), &sidecar);
            };
            cases.push(match command {
                "--resume" => case(&format!("checkpoint, {name}"), "train", &format!("{TRAIN} --load-model m"), put),
                _ => case(&format!("weights, {name}"), "zerodte", command, put),
            });
        }
    }
    cases
}

/// Parquet files that are none, or lie about their size.
fn of_parquet() -> Vec<Case> {
    let footer = |length: u32| [b"PAR1".as_slice(), &[0; 32], &length.to_le_bytes(), b"PAR1"].concat();
    let files = [
        ("empty", Vec::new()),
        ("the mark alone", b"PAR1".to_vec()),
        ("a footer of 4 GB", footer(u32::MAX)),
        ("a footer of zeros", footer(16)),
        ("zeros", vec![0; 4096]),
        ("text", b"timestamp,open\n".to_vec()),
    ];
    let bars = files.clone().into_iter().map(|(name, bytes)| {
        case(&format!("bars in Parquet, {name}"), "train", FILES, move |folder| {
            write(folder.join("bars/SPY_1m.parquet"), &bytes);
        })
    });
    let trades = files.into_iter().map(|(name, bytes)| {
        case(&format!("trades in Parquet, {name}"), "zerodte", "audit --trades x.parquet", move |folder| {
            write(folder.join("x.parquet"), &bytes);
        })
    });
    bars.chain(trades).collect()
}

/// Inputs that are huge.
fn of_size() -> Vec<Case> {
    let columns = |count: usize| (0..count).map(|n| format!("column{n}")).collect::<Vec<_>>().join(",") + "\n1\n";
    let wide = format!(
        "timestamp,open,high,low,close,volume{}\n2024-10-01T13:30:00Z,1,1,1,1,1{}\n",
        ",c".repeat(100_000),
        ",1".repeat(100_000)
    );
    let keys = |count: usize| (0..count).map(|n| format!("k{n} = 1\n")).collect::<String>();
    let cell = |size: usize| format!("timestamp,open,high,low,close,volume\n{},1,1,1,1,1\n", "x".repeat(size));
    let sparse = |name: &'static str| {
        move |folder: &Path| fs::File::create(folder.join(name)).unwrap().set_len(1 << 42).unwrap()
    };
    let bars = |text: String| move |folder: &Path| write(folder.join("bars/SPY_1m.csv"), &text);
    let config = |text: String| move |folder: &Path| write(folder.join("c.toml"), &text);
    let with_config = CONFIG;
    vec![
        case("100,000 columns", "train", FILES, bars(columns(100_000))),
        case("100,006 columns, those of bars among them", "train", FILES, bars(wide)),
        case("60,000 unknown keys", "train", with_config, config(keys(60_000))),
        case("a cell of 10 MB", "train", FILES, bars(cell(10_000_000))),
        case("a heading of 10 MB", "train", FILES, bars("y".repeat(10_000_000))),
        case("300,000 unknown keys", "train", with_config, config(keys(300_000))),
        case(
            "a value of 10 MB",
            "train",
            with_config,
            config(format!("[run]\ntimesteps = \"{}\"", "z".repeat(10_000_000))),
        ),
        case("a key of 1 MB", "train", with_config, config(format!("{} = 1", "k".repeat(1_000_000)))),
        case("brackets 100,000 deep", "train", with_config, config(format!("a = {}", "[".repeat(100_000)))),
        case("a config of 4 TiB", "train", with_config, sparse("c.toml")),
        case("a report of 4 TiB", "zerodte", "audit --trades good/trades.csv --report r.json", sparse("r.json")),
        case("trades of 4 TiB", "zerodte", "audit --trades t.parquet", sparse("t.parquet")),
        case("weights of 4 TiB", "zerodte", "backtest --model m", sparse("m.safetensors")),
        case(
            "a rollout of 4 billion samples",
            "train",
            &format!("{TRAIN} --set ppo.n_envs=1000000 --set ppo.n_steps=4000"),
            |_| (),
        ),
    ]
}

/// Every path as a named pipe, a folder, a device and a dangling link.
fn of_special(table: &Table) -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, command) in &table.special {
        for kind in ["pipe", "folder", "device", "dangling link"] {
            // A folder of bars is a series.
            if kind == "folder" && path.starts_with("bars/") && !path.ends_with(".csv") {
                continue;
            }
            let file = path.clone();
            let put = move |folder: &Path| {
                let place = folder.join(&file);
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                match kind {
                    "pipe" => assert!(Command::new("mkfifo").arg(&place).status().unwrap().success()),
                    "folder" => fs::create_dir(&place).unwrap(),
                    "device" => symlink("/dev/zero", &place).unwrap(),
                    _ => symlink("nowhere", &place).unwrap(),
                }
            };
            let (binary, args) = match command.as_str() {
                "--train--" => ("train", FILES.to_owned()),
                "--config--" => ("train", CONFIG.to_owned()),
                "--moves--" => ("train", format!("{TRAIN} --replay-moves moves.jsonl")),
                other => ("zerodte", other.to_owned()),
            };
            cases.push(case(&format!("{path} is a {kind}"), binary, &args, put));
        }
    }
    cases
}

/// Runs a case in a folder of its own; returns what is wrong with its end.
fn fault(case: &Case, good: &Path) -> Option<String> {
    let folder = TempDir::new().unwrap();
    symlink(good, folder.path().join("good")).unwrap();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs"), folder.path().join("configs")).unwrap();
    (case.put)(folder.path());
    let before = content(folder.path());
    let args = case.args.split(' ').filter(|arg| !arg.is_empty());
    let mut limited = Command::new("timeout");
    let output = limited.arg("20").arg(program(case.binary).get_program()).args(args).current_dir(folder.path());
    let output = output.output().unwrap();
    if std::env::var_os("ZERODTE_SHOW_BAD_INPUTS").is_some() {
        eprintln!("{}\n    {}", case.name, text(&output.stderr).chars().take(300).collect::<String>());
    }
    let wrong =
        wrong(&output).or_else(|| (content(folder.path()) != before).then(|| "the folder has changed".to_owned()));
    wrong.map(|wrong| format!("{}: {wrong}", case.name))
}

/// Returns what is wrong with the end of a command that met a bad input.
fn wrong(output: &Output) -> Option<String> {
    let stderr = String::from_utf8(output.stderr.clone()).ok()?;
    let shown = stderr.chars().take(400).collect::<String>();
    let disagreement = text(&output.stdout).contains("disagreements");
    let lines: Vec<&str> = stderr.lines().collect();
    // Several faults stand below a heading; clap adds a hint and its usage.
    let is_one = |line: &&str| line.starts_with("error: ");
    let sound = |line: &&str| line.chars().count() <= LONGEST && !line.contains(|c: char| c.is_control());
    match output.status.code() {
        Some(0) => Some("it was accepted".to_owned()),
        Some(1 | 2) => {
            let sentences = lines.iter().filter(|line| is_one(line)).count();
            let clear = sentences == 1 && lines.iter().all(sound) && !stderr.contains("panicked");
            let short = lines.len() <= 30 || disagreement;
            (!(clear && short)).then(|| format!("{} lines: {shown}", lines.len()))
        }
        code => Some(format!("exit {code:?}: {shown}")),
    }
}

#[test]
fn bad_inputs_end_in_one_sentence_and_change_nothing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/bad_inputs.toml");
    let table: Table = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let good = good();
    let mut cases = of_edits(&table, good.path());
    cases.extend(of_weights(good.path()));
    cases.extend(of_parquet().into_iter().chain(of_size()).chain(of_special(&table)));
    cases.extend(of_texts(table));
    assert!(cases.len() >= LEAST, "{} kinds", cases.len());
    let before = content(good.path());
    let faults: Vec<String> = cases.par_iter().filter_map(|case| fault(case, good.path())).collect();
    assert!(faults.is_empty(), "{} of {} kinds:\n{}", faults.len(), cases.len(), faults.join("\n"));
    assert!(content(good.path()) == before, "the good files were changed");
}
