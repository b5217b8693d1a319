//! `zerodte calibrate`: prices of the model itself show no error, scaled prices show exactly their scale, and the real option
//! files hold the expected number of prints.

use std::{fmt::Write as _, fs, path::Path};

use market_data::{DataConfig, Dataset, Symbol, Window, source::files};
use market_env::{ContractSpec, Premium, PricingConfig, SessionPricer, option::black_scholes::Right};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{command, text},
    util::{dataset, real_bars},
};

/// Writes made-up bars, and options whose trades are `factor` times the model's prices and whose quotes are the model's.
pub(crate) fn market(factor: f64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut bars = "timestamp,open,high,low,close,volume\n".to_owned();
    for day in &dataset(&["SPY"], 12, 5, 0.0).symbols[0].days {
        for t in 0..day.close.len() {
            let start = day.session.open_ns + t as i64 * 60_000_000_000;
            let (open, high, low, close) = (day.open[t], day.high[t], day.low[t], day.close[t]);
            writeln!(bars, "{start},{open},{high},{low},{close},{}", day.volume[t]).unwrap();
        }
    }
    fs::create_dir(folder.path().join("bars")).unwrap();
    fs::write(folder.path().join("bars/SPY_1m.csv"), bars).unwrap();
    fs::create_dir(folder.path().join("options")).unwrap();
    write_options(folder.path(), factor);
    folder
}

fn write_options(folder: &Path, factor: f64) {
    let symbol = Symbol::new("SPY").unwrap();
    let history = files::load(&folder.join("bars"), &[symbol]).unwrap();
    let dataset = Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap();
    let (spec, pricing) = (ContractSpec::known("SPY").unwrap(), PricingConfig::default());
    let mut trades = "timestamp,underlying,expiry,strike,right,open,high,low,close\n".to_owned();
    let mut quotes = "timestamp,underlying,expiry,strike,right,bid,ask\n".to_owned();
    let sessions = &dataset.symbols[0];
    for (day, vol) in sessions.days.iter().zip(&sessions.vol) {
        let pricer = SessionPricer::new(day, vol, &spec, &pricing);
        let minutes = day.close.len();
        for t in (0..minutes).step_by(7) {
            for (k, (right, letter)) in (-2..=2).flat_map(|k| [(k, (Right::Call, "C")), (k, (Right::Put, "P"))]) {
                let strike = day.close[t].round() + f64::from(k);
                let price = pricer.at_close(t, strike).price(right);
                let start = day.session.open_ns + t as i64 * 60_000_000_000;
                let contract = format!("{start},SPY,{},{strike},{letter}", day.session.date);
                let print = price * factor;
                writeln!(trades, "{contract},{print},{print},{print},{print}").unwrap();
                let inside = if right == Right::Call { day.close[t] - strike } else { strike - day.close[t] };
                let fair = Premium { premium: price, intrinsic: inside.max(0.0) };
                let quote = pricing.quote(&spec, fair, t + 1, minutes - t - 1);
                let ask = quote.ask.map(|ask| f64::from(ask.get()) / 100.0);
                writeln!(quotes, "{contract},{},{}", f64::from(quote.bid) / 100.0, ask.unwrap()).unwrap();
            }
        }
    }
    fs::write(folder.join("options/trades.csv"), trades).unwrap();
    fs::write(folder.join("options/quotes.csv"), quotes).unwrap();
}

/// Runs the command on a folder of `bars` and one of `options`; returns its output and its report.
fn calibrate(options: &Path, bars: &Path, more: &[&str]) -> (String, Value) {
    let out = TempDir::new().unwrap();
    let json = out.path().join("report.json");
    let paths = [options, bars, &json].map(|path| path.to_str().unwrap());
    let mut args = vec!["calibrate", "--options", paths[0], "--data-dir", paths[1], "--json", paths[2]];
    args.extend(more);
    let output = command("zerodte", &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    (text(&output.stdout), serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap())
}

#[test]
fn prices_of_the_model_itself_show_no_error() {
    let folder = market(1.0);
    let plots = folder.path().join("plots");
    let (said, report) =
        calibrate(&folder.path().join("options"), &folder.path().join("bars"), &["--plot", plots.to_str().unwrap()]);
    let near = &report["near_money"];
    assert!(near["count"].as_u64().unwrap() > 1_000, "{near}");
    for key in ["median_abs_pct", "p90_abs_pct", "bias_pct", "mean_bias_pct", "median_abs_usd", "p90_abs_usd"] {
        assert_eq!(report["fit_alone"]["near_money"][key], 0.0, "{key}");
        assert!(near[key].as_f64().unwrap().abs() < 1e-6, "{key}: the level follows rounding noise alone");
    }
    // Parity holds for the model's prices up to rounding, and for its quotes up to a tick.
    let parity = &report["parity"][0];
    assert!(parity["trades"]["p90_abs_usd"].as_f64().unwrap() < 1e-9, "{parity}");
    assert!(parity["quotes_near_money"]["p90_abs_usd"].as_f64().unwrap() < 0.02, "{parity}");
    assert!((report["spreads"][0]["all"]["ratio"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{}", report["spreads"]);
    assert_eq!(report["volatility"]["realised volatility"], report["sessions"]);
    for words in ["the model is within 0.0 % ($", "by half hour", "Widths of SPY"] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    for name in ["error_by_time", "error_by_moneyness", "typical_session", "spread_by_premium"] {
        let svg = fs::read_to_string(plots.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline"), "{name}");
    }
}

#[test]
fn prints_at_twice_the_model_show_a_bias_of_minus_half() {
    let folder = market(2.0);
    let fitted = ["--set", "market.pricing.fitted_from=2024-01-02", "--set", "market.pricing.fitted_to=2024-12-04"];
    let alone = [&fitted[..], &["--set", "market.pricing.level_half_life=0"]].concat();
    let (said, report) = calibrate(&folder.path().join("options"), &folder.path().join("bars"), &alone);
    let in_sample = report["in_sample_sessions"].as_u64().unwrap();
    assert_eq!(in_sample + 2, report["sessions"].as_u64().unwrap(), "the last sessions are 2024-12-05 and 06");
    assert!(said.contains(&format!("IN SAMPLE: {in_sample} of")), "{said}");
    for part in ["near_money", "all_strikes"] {
        for (key, expected) in [("bias_pct", -50.0), ("mean_bias_pct", -50.0), ("median_abs_pct", 50.0)] {
            let is = report[part][key].as_f64().unwrap();
            assert!((is - expected).abs() < 1e-9, "{part}.{key} is {is}");
        }
    }
    let biased = |bucket: &Value| (bucket["bias_pct"].as_f64().unwrap() + 50.0).abs() < 1e-9;
    for breakdown in ["by_half_hour", "by_two_hours", "by_right", "by_premium", "by_vix1d", "by_moneyness"] {
        let buckets = report[breakdown].as_array().unwrap();
        assert!(!buckets.is_empty() && buckets.iter().all(biased), "{breakdown}");
    }
    let count = |breakdown: &str| -> u64 {
        report[breakdown].as_array().unwrap().iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(count("by_half_hour"), report["near_money"]["count"].as_u64().unwrap());
}

/// The level of a session follows those before it, also those before the dates asked for; the fit alone stays beside it.
#[test]
fn the_level_of_earlier_sessions_is_measured_beside_the_fit() {
    let folder = market(2.0);
    let (options, bars) = (folder.path().join("options"), folder.path().join("bars"));
    // The quotes are the model's own; the level is to follow the trades alone.
    fs::remove_file(options.join("quotes.csv")).unwrap();
    let (said, all) = calibrate(&options, &bars, &[]);
    let bias = |report: &Value| report["at_the_money"]["bias_pct"].as_f64().unwrap();
    assert!((bias(&all["fit_alone"]) + 50.0).abs() < 1e-9, "{}", all["fit_alone"]);
    assert!(bias(&all).abs() < 12.0, "{}", all["at_the_money"]);
    let level = &all["level_noise"];
    let rms = level["fit_rms_pct"].as_f64().unwrap();
    assert!(rms > 60.0 && level["followed_rms_pct"].as_f64().unwrap() < 0.6 * rms, "{level}");
    assert_eq!(level["coverage_95"], 0.0, "twice the price lies outside every interval: {level}");
    assert!(said.contains("The same by the fit alone"), "{said}");
    let last = all["dates"]["last"].as_str().unwrap();
    let (_, alone) = calibrate(&options, &bars, &["--start-date", last]);
    assert_eq!(alone["sessions"], 1);
    assert!(bias(&alone).abs() < 8.0, "options before the first date show the level: {}", alone["at_the_money"]);
}

#[test]
fn missing_options_are_refused_by_name() {
    let folder = market(1.0);
    let paths = ["bars", "options"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let refused = |args: &[&str]| {
        let output = command("zerodte", &[&["calibrate", "--data-dir", &paths[0]], args].concat());
        assert!(!output.status.success());
        text(&output.stderr)
    };
    assert!(refused(&[]).contains("--options"));
    let told = refused(&["--options", &paths[0]]);
    assert!(told.contains("no option of SPY on any date; the files hold options of: nothing"), "{told}");
    let nowhere = refused(&["--options", "nowhere"]);
    assert!(nowhere.contains("cannot list the option files nowhere"), "{nowhere}");
    let made_up = refused(&["--options", &paths[1], "--data-source", "synthetic"]);
    assert!(made_up.contains("run.options: real options do not match synthetic bars"), "{made_up}");
    assert!(
        refused(&["--options", &paths[1], "--set", "market.pricing.rat=1"])
            .contains("did you mean market.pricing.rate?")
    );
}

/// Checks the number of prints in the months that judge the model; it does not depend on the model.
#[test]
fn the_real_option_files_hold_the_prints_of_the_calibration() {
    let Some(bars) = real_bars() else { return };
    let options = bars.with_file_name("options");
    let (said, report) = calibrate(&options, &bars, &["--start-date", "2024-09-01", "--end-date", "2025-06-30"]);
    assert_eq!(report["near_money"]["count"], 223_128);
    assert_eq!(report["sessions"], 206);
    assert_eq!(report["volatility"]["VIX1D by the minute"], 206);
    assert_eq!(report["dates"]["last"], "2025-06-30");
    assert!(report["near_money"]["median_abs_pct"].as_f64().unwrap() < 16.3, "worse than plain VIX1D:\n{said}");
    let counted: u64 =
        report["by_right"].as_array().unwrap().iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 223_128);
}
