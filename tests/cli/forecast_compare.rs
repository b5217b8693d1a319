//! `zerodte forecast compare`: two small forecasters side by side, their archives, and refused requests.

use std::{
    fs,
    io::{Cursor, Read as _},
    path::Path,
};

use tempfile::TempDir;

use crate::cli::{command, refused, text};

/// Trains a tiny forecaster of a made-up market into a folder.
fn train(out: &Path, name: &str, more: &[&str]) {
    let args = [
        "forecast",
        "train",
        "--data-source",
        "synthetic",
        "--symbols",
        "SPY",
        "--intraday-days",
        "40",
        "--max-epochs",
        "2",
        "--hidden-size",
        "8",
        "--model-name",
        name,
        "--out-dir",
        out.to_str().unwrap(),
    ];
    let output = command("zerodte", &[&args, more].concat());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// Returns the names and bytes of an archive's files.
fn unpacked(path: &str) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(fs::read(path).unwrap())).unwrap();
    let all = 0..archive.len();
    let file = |i| {
        let mut file = archive.by_index(i).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (file.name().to_owned(), bytes)
    };
    all.map(file).collect()
}

#[test]
fn two_forecasters_are_compared_and_archived() {
    let out = TempDir::new().unwrap();
    train(out.path(), "plain", &[]);
    train(out.path(), "loud", &["--variance-term", "std", "--output-init", "0.5", "--seed", "1"]);
    let [plain, loud, zips, comparison] =
        ["runs/plain", "runs/loud", "zips", "comparison"].map(|name| path(&out, name));
    let compare = |more: &[&str]| command("zerodte", &[&["forecast", "compare", "--out", &comparison], more].concat());
    let output = compare(&[&plain, &loud, "--zip", &zips]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let screen = text(&output.stdout);
    let markdown = fs::read_to_string(path(&out, "comparison/comparison.md")).unwrap();
    for part in [
        "SYNTHETIC DATA in plain, loud",
        "## return_5\n",
        "## direction_5\n",
        "(best) | ",
        "| forecast.loss.variance_term | none | std |",
        "| run.seed | 0 | 1 |",
    ] {
        assert!(markdown.contains(part), "{part} is missing in\n{markdown}");
    }
    assert!(
        markdown
            .lines()
            .any(|line| line.starts_with("| loud | SYNTHETIC | ") && line.contains(" std x 0.5 | 0.5 | 1 | 2 "))
    );
    assert!(screen.contains("forecast.loss.variance_term") && screen.contains("zips/loud.zip (9 files)"), "{screen}");
    let svg = fs::read_to_string(path(&out, "comparison/comparison.svg")).unwrap();
    for part in [">\nplain\n<", ">\nloud\n<", "Validation R² of return_5", "least squares: slope", "realised"] {
        assert!(svg.contains(part), "{part} is missing in the picture");
    }
    for name in ["histogram.svg", "epochs.svg"] {
        let svg = fs::read_to_string(Path::new(&plain).join(name)).unwrap();
        assert!(svg.contains("plain - SYNTHETIC DATA"), "{name}");
    }

    let files = unpacked(&format!("{zips}/plain.zip"));
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted() && names.contains(&"plain/models/plain.safetensors"), "{names:?}");
    for (name, bytes) in &files {
        let inside = name.strip_prefix("plain/").unwrap();
        let folder = if inside.starts_with("models/") { out.path().to_owned() } else { out.path().join("runs/plain") };
        assert_eq!(*bytes, fs::read(folder.join(inside)).unwrap(), "{name}");
    }
    let archive = fs::read(format!("{zips}/plain.zip")).unwrap();
    fs::remove_file(path(&out, "models/loud.json")).unwrap();
    let again = text(&compare(&[&plain, &loud, "--zip", &zips]).stdout);
    assert_eq!(fs::read(format!("{zips}/plain.zip")).unwrap(), archive);
    assert!(again.contains("Note: the model of loud") && again.contains("loud.zip (7 files)"), "{again}");

    refused(&compare(&[&plain, &plain]), 2, &["another run has the same name"]);
    refused(&compare(&[&plain]), 2, &["two runs or more"]);
    refused(&compare(&[&plain, "nowhere"]), 2, &["nowhere: no such run folder"]);
    fs::write(format!("{loud}/predictions.parquet"), "torn").unwrap();
    refused(&compare(&[&plain, &loud]), 1, &["reading return_5 from", "loud/predictions.parquet"]);
    fs::write(format!("{loud}/metrics.json"), "{").unwrap();
    refused(&compare(&[&plain, &loud]), 1, &["loud/metrics.json cannot be used: EOF"]);
    fs::remove_file(format!("{loud}/manifest.json")).unwrap();
    refused(&compare(&[&plain, &loud]), 1, &["runs/loud lacks manifest.json: is it a finished run of a forecaster?"]);
}
