//! `zerodte reproduce-collapse`: the same numbers for any number of threads, the collapse into buying, and refused requests.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, text};

/// A made-up market of some thirty sessions.
const DATA: [&str; 2] = ["--config", "configs/smoke.toml"];

fn reproduce(out: &Path, more: &[&str]) -> (Value, String) {
    let out = out.to_str().unwrap();
    let output = command("zerodte", &[&["reproduce-collapse", "--out", out], &DATA[..], more].concat());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let report = fs::read_to_string(Path::new(out).join("collapse.json")).unwrap();
    (serde_json::from_str(&report).unwrap(), text(&output.stdout))
}

#[test]
fn the_report_is_the_same_for_any_number_of_threads() {
    let out = TempDir::new().unwrap();
    let args = ["--profiles", "before_fixes,always_buy", "--timesteps", "12000", "--seeds", "2"];
    let (report, screen) = reproduce(&out.path().join("two"), &[&args[..], &["--num-threads", "2"]].concat());
    let (alone, _) = reproduce(&out.path().join("one"), &[&args[..], &["--num-threads", "1"]].concat());
    assert_eq!(report, alone);
    let profiles = report["profiles"].as_array().unwrap();
    assert_eq!(
        profiles.iter().map(|p| p["profile"].as_str().unwrap()).collect::<Vec<_>>(),
        ["before_fixes", "always_buy"]
    );
    let steps = |profile: &Value| {
        profile["intervals"].as_array().unwrap().iter().map(|look| look["step"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(steps(&profiles[0]), [5_000, 10_000]);
    let first = &profiles[0]["intervals"][0];
    assert_eq!(first["interval"], first["cumulative"], "the first interval is all there is");
    let runs = profiles[0]["runs"].as_array().unwrap();
    assert_ne!(runs[0]["intervals"], runs[1]["intervals"], "seeds differ");
    assert_eq!((report["data"].as_str(), &profiles[1]["setup_threshold"]), (Some("SYNTHETIC"), &3.into()));
    assert!(screen.contains("SYNTHETIC DATA: 2 trainings of 12,000 steps per profile"), "{screen}");
    let read = |name: &str| fs::read_to_string(out.path().join("two").join(name)).unwrap();
    assert!(read("collapse.md").contains("| before_fixes | 10,000 | cumulative | "));
    assert!(read("collapse.svg").contains("SYNTHETIC DATA"));
}

#[test]
fn dominant_shaping_ends_in_always_buying_and_the_average_hides_it() {
    let out = TempDir::new().unwrap();
    // A larger learning rate than the default of the command, so that the collapse takes seconds.
    let fast = ["--timesteps", "60000", "--seeds", "1", "--set", "ppo.learning_rate=2e-4", "--set", "ppo.n_epochs=4"];
    let (report, _) = reproduce(out.path(), &[&["--profiles", "always_buy"][..], &fast].concat());
    let last = report["profiles"][0]["intervals"].as_array().unwrap().last().unwrap();
    let median = |window: &str, figure: &str| last[window][figure]["median"].as_f64().unwrap();
    assert!(median("interval", "strong_buy") > 0.95 && median("interval", "hold") < 0.1, "{last}");
    assert!(median("cumulative", "hold") > median("interval", "hold") + 0.05, "{last}");
    assert!(median("interval", "reward") > 0.0 && median("interval", "net_pnl_usd") < 0.0, "{last}");
}

#[test]
fn unknown_profiles_and_profiles_of_other_days_are_refused() {
    let out = TempDir::new().unwrap();
    let refuse = |more: &[&str], words: &[&str]| {
        let args = [&["reproduce-collapse", "--out", out.path().to_str().unwrap()], &DATA[..], more].concat();
        refused(&command("zerodte", &args), 2, words);
    };
    refuse(&["--profiles", "before_fix"], &["did you mean before_fixes?"]);
    refuse(&["--timesteps", "4000"], &["--timesteps 4000: the first interval takes 5000 steps"]);
    refuse(&["--seeds", "0"], &["--seeds"]);
    refuse(&["--profiles", "/nowhere/mine.toml"], &["cannot read the config file /nowhere/mine.toml"]);
    let other_days = ["reproduce-collapse", "--profiles", "tune2,configs/smoke.toml"];
    refused(&command("zerodte", &other_days), 2, &["smoke: it changes run.* or data.*"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing is written");
    let args = ["reproduce-collapse", "--print-config", "--profiles", "tune2,always_buy"];
    let printed = text(&command("zerodte", &args).stdout);
    assert!(printed.contains("# Profile tune2") && printed.contains("pnl_scale = 1.0"), "{printed}");
}
