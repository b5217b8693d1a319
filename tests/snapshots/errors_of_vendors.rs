//! Errors of vendors and their keys.

use super::{Shell, blanked, check};
use crate::vendor::{
    errors::{always, failed, week},
    fake_vendor::{FakeVendor, Fault, Rules, TEST_KEY},
    fetch_fixture::dates,
};

#[test]
fn errors_of_keys_and_plans() {
    let (mut shell, server) = (Shell::new(), FakeVendor::start(Rules { indices: false, ..Rules::default() }));
    let massive = "train_historical_model --data-source massive --timesteps 5000";
    let dates = "--start-date 2025-06-02 --end-date 2025-06-30";
    shell.run(&format!("{massive} {dates}"));
    shell.run(&format!("{massive} --intraday-days 0"));
    shell.run("train_historical_model --data-source alpaca --symbols SPX --timesteps 5000 --intraday-days 30");
    let fetch = "zerodte fetch --start-date 2025-06-02 --end-date 2025-06-06 --calls-per-minute 0 --symbols";
    shell.run_all(&[
        "zerodte fetch --symbols SPY --intraday-days 0",
        "zerodte fetch --data-source files --symbols SPY --intraday-days 5",
        "zerodte fetch --symbols SPY --intraday-days 5 --what prices",
        "zerodte fetch --symbols SPY --intraday-days 5 --options bars",
    ]);
    shell.run(&format!("{fetch} SPY"));
    shell.note("a key of two words");
    shell.set("MASSIVE_API_KEY", "two words");
    shell.run(&format!("{fetch} SPY"));
    shell.note("an address without encryption");
    shell.set("MASSIVE_API_KEY", TEST_KEY);
    shell.set("MASSIVE_API_BASE_URL", "http://api.example.com");
    shell.run(&format!("{fetch} SPY"));
    shell.note("a key that the vendor does not have");
    shell.set("MASSIVE_API_BASE_URL", server.url());
    shell.set("MASSIVE_API_KEY", "wrong-key-9876");
    shell.run(&format!("{fetch} SPX"));
    shell.note("a plan without indices");
    shell.set("MASSIVE_API_KEY", TEST_KEY);
    shell.run(&format!("{fetch} SPX"));
    shell.check("errors_of_keys_and_plans");
}

#[test]
fn errors_of_answers() {
    let mut told = String::new();
    let mut case = |remark: String, (sentence, calls): (String, usize)| {
        told += &format!("# {remark}, {calls} calls\n{sentence}\n\n");
    };
    for (status, body) in [
        (401, r#"{"status":"ERROR","error":"Unknown API Key"}"#),
        (403, r#"{"status":"ERROR","message":"Forbidden."}"#),
        (200, r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled"}"#),
        (404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#),
        (400, r#"{"status":"ERROR","error":"Could not parse"}"#),
        (200, r#"{"status":"ERROR","error":"Oops"}"#),
        (200, "<html>"),
        (429, r#"{"error":"You've exceeded the maximum requests per minute"}"#),
        (429, ""),
        (500, r#"{"status":"ERROR"}"#),
    ] {
        let faults = always(&Fault::Body(status, body.to_owned()));
        case(format!("status {status}: {body}"), failed("SPY", week(), |rules| rules.faults = faults));
    }
    for fault in [
        Fault::Html504,
        Fault::GarbageJson,
        Fault::CloseAtOnce,
        Fault::CutBody,
        Fault::WrongTicker,
        Fault::MissingField,
        Fault::NextUrlLoop,
        Fault::RedirectElsewhere("https://elsewhere.example/v2".to_owned()),
        Fault::NextUrlElsewhere("https://elsewhere.example".to_owned()),
    ] {
        case(format!("{fault:?}"), failed("SPY", week(), |rules| rules.faults = always(&fault)));
    }
    case("no indices in the plan".to_owned(), failed("SPX", week(), |rules| rules.indices = false));
    case("100 days of history in the plan".to_owned(), failed("SPY", week(), |rules| rules.history_days = Some(100)));
    let late = dates("2026-11-18", "2026-11-20");
    case("another key".to_owned(), failed("SPY", late, |rules| rules.key = "another".to_owned()));
    check("errors_of_answers", &blanked(&told));
}
