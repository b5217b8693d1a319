//! The report page: its money to the cent, no request to any host, no console error in a browser, and refused requests.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text, walk_forward::walk};

/// Returns the JSON of a script element.
fn embedded(page: &str, id: &str) -> Value {
    let start = format!("<script type=\"application/json\" id=\"{id}\">");
    let rest = page.split_once(&start).unwrap_or_else(|| panic!("there is no {id}")).1;
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// Returns the net P&L of every packed trade, in cents.
fn packed_cents(data: &Value) -> Vec<i32> {
    let packed = STANDARD.decode(data["data"].as_str().unwrap()).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    let rows = data["rows"].as_u64().unwrap() as usize;
    assert_eq!(data["columns"].as_array().unwrap().last().unwrap()[0], "net");
    let net = &bytes[bytes.len() - 4 * rows..];
    net.chunks_exact(4).map(|cell| i32::from_le_bytes(cell.try_into().unwrap())).collect()
}

/// Returns the cents of all seeds and dates in an evaluation.
fn evaluated_cents(evaluation: &Value) -> i64 {
    let number = |path: &str| evaluation.pointer(path).unwrap().as_f64().unwrap();
    (number("/mean_per_date_usd/value") * number("/unit/dates") * number("/unit/seeds") * 100.0).round() as i64
}

/// Checks that a page asks no host for anything and has the marks of an accessible document.
fn assert_self_contained(page: &str) {
    for part in [" src=", "href=\"http", "url(", "@import", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(part), "the page holds {part}");
    }
    for part in ["<html lang=\"en\">", "<main>", "default-src 'none'", "name=\"color-scheme\""] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert_eq!(page.matches("<h1>").count(), 1);
    assert_eq!(page.matches("<h2 ").count(), 12, "twelve sections");
    let images = page.matches("role=\"img\"").count();
    assert!(images > 0 && images == page.matches("role=\"img\" aria-label=\"").count(), "every picture has a sentence");
}

fn walked(root: &Path) -> PathBuf {
    walk(root, "w", &[]);
    root.join("w")
}

#[test]
fn the_page_of_a_walk_forward_test_holds_its_cents_and_is_written_again_from_its_files() {
    let root = TempDir::new().unwrap();
    let folder = walked(root.path());
    let path = folder.join("report-SYNTHETIC.html");
    let page = fs::read_to_string(&path).unwrap();
    assert_self_contained(&page);
    assert!(page.contains("<title>Walk-forward of pnl, anti_collapse on SPY - SYNTHETIC DATA</title>"));
    let evaluation: Value = serde_json::from_str(&fs::read_to_string(folder.join("evaluation.json")).unwrap()).unwrap();
    let trades = embedded(&page, "trades-data");
    let cents: Vec<i32> = packed_cents(&trades);
    assert_eq!(cents.len() as u64, evaluation["unit"]["trades"].as_u64().unwrap());
    assert_eq!(cents.iter().map(|cents| i64::from(*cents)).sum::<i64>(), evaluated_cents(&evaluation));
    assert_eq!(trades["cents"], evaluated_cents(&evaluation));
    assert!(page.contains(&html_escaped(evaluation["verdict"]["sentence"].as_str().unwrap())));
    for part in ["Fixed trades", "VIX before the open", "Descriptive.", "validation (x)", "SHA-256 of the plan"] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(!page.contains("it needs the bars of the test"), "the costs of fixed trades are known");

    let again = root.path().join("again.html");
    let output = command("zerodte", &["report", folder.to_str().unwrap(), "--html", again.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read_to_string(&again).unwrap() == page, "the files give the same page");

    let browsed = browse(&again);
    if let Some(found) = browsed {
        assert_eq!(found["rows"], cents.len());
        assert_eq!((&found["cents"], &found["expected"]), (&trades["cents"], &trades["cents"]));
    }
    fs::remove_file(folder.join("folds/002/fold.json")).unwrap();
    let output = command("zerodte", &["report", folder.to_str().unwrap()]);
    refused(&output, 1, &["fold 2 is not finished; repeat the command with --resume"]);
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn a_training_and_a_backtest_write_a_page_of_themselves() {
    let root = TempDir::new().unwrap();
    let file = |name: &str| root.path().join(name).display().to_string();
    smoke(root.path(), &["--report", &file("train.html")]);
    let page = fs::read_to_string(file("train.html")).unwrap();
    assert_self_contained(&page);
    assert!(
        page.contains("SYNTHETIC DATA</title>")
            && page.contains("Shares of decisions of a flat account over the steps")
    );
    browse(Path::new(&file("train.html")));

    let run =
        ["backtest", "--model", &file("models/smoke"), "--report", &file("backtest.html"), "--json", &file("b.json")];
    let output = command("zerodte", &[&run[..], &["--cost-sensitivity"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = fs::read_to_string(file("backtest.html")).unwrap();
    assert_self_contained(&page);
    let report: Value = serde_json::from_str(&fs::read_to_string(file("b.json")).unwrap()).unwrap();
    let daily: f64 = report["daily_pnl_usd"].as_object().unwrap().values().map(|pnl| pnl.as_f64().unwrap()).sum();
    if page.contains("id=\"trades-data\"") {
        let data = embedded(&page, "trades-data");
        assert_eq!(data["cents"].as_i64().unwrap(), (daily * 100.0).round() as i64);
        assert_eq!(packed_cents(&data).len() as u64, report["trades"].as_u64().unwrap());
    }
    browse(Path::new(&file("backtest.html")));

    let hidden = ["--config", "configs/smoke.toml", "--final", "false", "--report", "x.html"];
    refused(
        &command("train_historical_model", &hidden),
        2,
        &["--report shows the test dates", "leave out one of them"],
    );
}

#[test]
fn a_training_without_a_test_has_a_page_of_the_dates_that_it_has() {
    let root = TempDir::new().unwrap();
    let (folder, file) = (root.path().to_str().unwrap(), root.path().join("page.html").display().to_string());
    let run = |more: &[&str]| {
        let always = ["--config", "configs/smoke.toml", "--out-dir", folder, "--symbols", "SPY", "--report", &file];
        command("train_historical_model", &[&always[..], more].concat())
    };
    let frozen = ["--set", "run.diagnostics_freq=2048", "--learning-rate", "1e-12", "--on-collapse", "stop"];
    refused(&run(&frozen), 4, &["training was stopped at step "]);
    let page = fs::read_to_string(&file).unwrap();
    assert_self_contained(&page);
    assert!(page.contains("training and validation dates") && page.contains("Verdict on the training at its end"));
    assert!(!page.contains("shorter than 0.0 years"), "one trial has no least length of a backtest");
    browse(Path::new(&file));

    let output = run(&["--all-dates", "--model-name", "all"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let screen = text(&output.stdout);
    for line in ["Test       none: data.split.all_dates", "Held out: none. All ", "session dates were for training"] {
        assert!(screen.contains(line), "{line} is missing in {screen}");
    }
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.contains("training and its own training dates") && page.contains("lie within training dates"));
    let backtest = command("zerodte", &["backtest", "--model", &format!("{folder}/models/all")]);
    assert!(text(&backtest.stdout).contains("IN SAMPLE"), "{}{}", text(&backtest.stdout), text(&backtest.stderr));
    let both = run(&["--all-dates", "--train-end", "2024-01-20"]);
    refused(&both, 2, &["--all-dates", "cannot be used with", "--train-end"]);
    let best = run(&["--all-dates", "--keep", "best"]);
    refused(&best, 2, &["--keep best: there are 0 validation dates"]);
}

/// Opens a page in a browser and returns its own check; it must have no console message and no error. `None` without a browser.
fn browse(page: &Path) -> Option<Value> {
    let address = format!("file://{}", page.display());
    let open = |more: &[&str]| {
        let profile = TempDir::new().unwrap();
        let profile = format!("--user-data-dir={}", profile.path().display());
        let fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"];
        Command::new("chromium").args(fixed).arg(profile).args(more).arg(&address).output()
    };
    let Ok(output) = open(&["--virtual-time-budget=20000", "--dump-dom"]) else {
        eprintln!("SKIPPED: no chromium here, so no browser opened {address}; CI installs it");
        return None;
    };
    let (dom, messages) = (text(&output.stdout), text(&output.stderr));
    let console: Vec<&str> = messages.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    let found = embedded(&dom, "selfcheck");
    assert_eq!(found["errors"], serde_json::json!([]), "{found}");
    assert!(found["charts"].as_u64().unwrap() >= 3, "{found}");
    let picture = |scheme: &str| {
        let path = page.with_extension(format!("{scheme}.png"));
        let more = [
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--screenshot={}", path.display()),
            "--window-size=1200,1600".to_owned(),
        ];
        open(&more.each_ref().map(String::as_str)).unwrap();
        fs::read(path).unwrap()
    };
    let (dark, light) = (picture("0"), picture("1"));
    assert!(dark.len() > 20_000 && light.len() > 20_000 && dark != light, "{} {}", dark.len(), light.len());
    Some(found)
}
