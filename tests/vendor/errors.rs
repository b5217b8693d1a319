//! Error messages of failed calls; and the key, which no message, file or address contains.

use std::time::Duration;

use market_data::{
    DateRange,
    source::vendor::{Pace, Vendor as _, VendorError, massive::Massive},
};

use crate::vendor::{
    fake_vendor::{FakeVendor, Fault, Rules, TEST_KEY},
    fetch_fixture::{FetchFixture, RecordingProgress, dates},
};

const WEEK: (&str, &str) = ("2025-06-02", "2025-06-13");

pub(crate) fn week() -> DateRange {
    dates(WEEK.0, WEEK.1)
}

/// Asserts that an error contains no part of the key.
fn assert_no_key(error: &VendorError) {
    for text in [error.to_string(), format!("{error:?}"), format!("{error:#?}")] {
        assert!(!text.contains(&TEST_KEY[..8]), "the key is visible: {text}");
    }
}

/// Returns the same fault for every call.
pub(crate) fn always(fault: &Fault) -> Vec<(usize, Fault)> {
    (0..40).map(|at| (at, fault.clone())).collect()
}

/// Fetches one symbol, and returns the error and the number of calls.
pub(crate) fn failed(name: &str, range: DateRange, change: impl FnOnce(&mut Rules)) -> (String, usize) {
    let fixture = FetchFixture::new(change);
    let progress = RecordingProgress::default();
    let error = fixture.fetch(&[name], range, &progress).unwrap_err();
    assert_no_key(&error);
    fixture.assert_key_not_leaked();
    assert_eq!(progress.calls(), fixture.requested().len(), "every call is reported: {error}");
    (error.to_string(), progress.calls())
}

#[test]
fn an_error_names_the_request_and_a_remedy() {
    let error_of = |status: u16, text: &str| {
        let fault = Fault::Body(status, text.to_owned());
        failed("SPY", week(), |rules| rules.faults = always(&fault))
    };
    let what = "minute bars of SPY from 2025-06-02";
    let malformed = "sent a malformed response to the request for minute bars of SPY from 2025-06-02";
    let cases = [
        (
            error_of(401, r#"{"status":"ERROR","error":"Unknown API Key"}"#),
            1,
            ["the key in MASSIVE_API_KEY (Unknown API Key)", "copy it again"],
        ),
        (
            error_of(401, r#"{"message":"Invalid API key"}"#),
            1,
            ["the key in MASSIVE_API_KEY (Invalid API key)", "copy it again"],
        ),
        (error_of(403, r#"{"status":"ERROR","message":"Forbidden."}"#), 1, [what, "leave it out or change the plan"]),
        (
            error_of(200, r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled"}"#),
            1,
            [what, "leave it out or change the plan"],
        ),
        (
            error_of(404, r#"{"status":"NOT_FOUND","message":"Ticker not found."}"#),
            1,
            [what, "Ticker not found.; check the name"],
        ),
        (
            error_of(400, r#"{"status":"ERROR","error":"Could not parse"}"#),
            1,
            [what, "(status 400): Could not parse; the service may have changed"],
        ),
        (
            error_of(200, r#"{"status":"ERROR","error":"Oops"}"#),
            3,
            [malformed, "2025-06-13: status ERROR: Oops; try again later"],
        ),
        (error_of(200, "<html>"), 3, [malformed, "; try again later"]),
        (
            error_of(429, r#"{"error":"You've exceeded the maximum requests per minute"}"#),
            10,
            [what, "in 10 attempts: too many calls"],
        ),
        (error_of(429, ""), 10, [what, "an empty response; try again later"]),
        (error_of(500, r#"{"status":"ERROR"}"#), 6, [what, "in 6 attempts: status 500"]),
    ];
    for ((text, calls), expected, parts) in cases {
        assert_eq!(calls, expected, "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text} lacks one of {parts:?}");
    }
    let (text, _) = failed("SPY", week(), |rules| rules.faults = always(&Fault::Html504));
    assert!(text.contains("status 504: a web page, \"504 Gateway Time-out\"; try again later"), "{text}");
}

#[test]
fn a_plan_refuses_for_three_reasons() {
    let (text, calls) = failed("SPX", week(), |rules| rules.indices = false);
    assert!(calls == 1 && text.contains("I:SPX") && text.contains("leave it out or change the plan"), "{text}");
    let (text, calls) = failed("SPY", week(), |rules| rules.history_days = Some(100));
    assert!(calls <= 4 && text.contains("older or more recent than the plan"), "{calls}: {text}");
    // The plan delivers today only tomorrow, which is a note.
    let (fixture, today) = (FetchFixture::new(|rules| rules.end_of_day = true), dates("2026-11-20", "2026-11-20"));
    let progress = RecordingProgress::default();
    assert_eq!(fixture.fetch(&["SPY"], today, &progress).unwrap().sessions, 0);
    assert!(progress.notes().contains("choose earlier days. Its message: Attempted"), "{}", progress.notes());
    let text = failed("SPY", dates("2026-11-18", "2026-11-20"), |rules| rules.key = "another".to_owned()).0;
    assert!(text.contains("rejects the key in MASSIVE_API_KEY"), "{text}");
}

#[test]
fn no_error_contains_a_key_that_the_vendor_repeats() {
    for status in [200, 301, 400, 401, 403, 404, 418, 429, 500, 503] {
        // At one of the lengths the truncation falls into the key.
        for length in [0, 170, 180, 185, 190, 195] {
            let text = format!(r#"{{"status":"ERROR","error":"{}{TEST_KEY} {TEST_KEY}"}}"#, "x".repeat(length));
            failed("SPY", week(), |rules| rules.faults = always(&Fault::Body(status, text.clone())));
        }
    }
    let bodies = [
        format!(r#"{{"results":[],"next_url":"http://{TEST_KEY}.example/v2/?apiKey={TEST_KEY}"}}"#),
        format!(r#"{{"results":[],"next_url":"/v3/{TEST_KEY}"}}"#),
        format!(r#"{{"results":[],"next_url":"http://[{TEST_KEY}"}}"#),
        format!(r#"{{"results":"{TEST_KEY}"}}"#),
        format!(r#"{{"ticker":"{TEST_KEY}"}}"#),
        format!("{}{TEST_KEY}", "y".repeat(190)),
    ];
    for body in bodies {
        failed("SPY", week(), |rules| rules.faults = always(&Fault::Body(200, body.clone())));
    }
}

#[test]
fn waits_follow_the_retry_after_header() {
    let waits = |fault: Fault| {
        let fixture = FetchFixture::new(|rules| rules.faults = vec![(0, fault)]);
        let progress = RecordingProgress::default();
        fixture.fetch(&["SPY"], week(), &progress).unwrap();
        fixture.assert_exact(&["SPY"], week());
        let waits = progress.waits.lock().unwrap();
        waits.iter().map(|(wait, _)| wait.as_secs_f64()).collect::<Vec<_>>()
    };
    assert_eq!(waits(Fault::Status(429)), [61.0], "a rolling minute");
    assert_eq!(waits(Fault::EmptyBody429), [61.0]);
    assert_eq!(waits(Fault::RetryAfter429(7)), [7.0]);
    assert_eq!(waits(Fault::RetryAfter429(0)), [1.0], "never at once");
    assert_eq!(waits(Fault::RetryAfter429(86_400)), [120.0], "never for hours");
    assert!(waits(Fault::Status(503)).iter().all(|wait| (0.8..=1.0).contains(wait)), "a second at first");
}

#[test]
fn retries_are_counted_per_reason() {
    let mut faults: Vec<(usize, Fault)> = (0..9).map(|at| (at, Fault::Status(429))).collect();
    faults.extend((9..14).map(|at| (at, Fault::Status(502))));
    faults.extend((14..16).map(|at| (at, Fault::GarbageJson)));
    let fixture = FetchFixture::new(|rules| rules.faults = faults);
    let progress = RecordingProgress::default();
    fixture.fetch(&["SPY"], week(), &progress).unwrap();
    assert_eq!(progress.calls(), 17);
    fixture.assert_exact(&["SPY"], week());
}

#[test]
fn a_failing_connection_is_retried_and_completed_pages_are_kept() {
    let slow = Fault::Slow(260);
    for fault in [Fault::CloseAtOnce, Fault::CutBody, slow] {
        let from =
            |first: usize, count: usize| (first..first + count).map(|at| (at, fault.clone())).collect::<Vec<_>>();
        let fixture = FetchFixture::new(|rules| (rules.page_limit, rules.faults) = (2_000, from(2, 6)));
        let fixture = FetchFixture { patience: Duration::from_millis(200), ..fixture };
        let progress = RecordingProgress::default();
        let error = fixture.fetch(&["SPY"], week(), &progress).unwrap_err();
        assert_no_key(&error);
        let text = error.to_string();
        assert!(
            text.contains("did not answer the request for minute bars of SPY") && text.contains("in 6 attempts"),
            "{text}"
        );
        assert_eq!((progress.calls(), progress.waits.lock().unwrap().len()), (8, 5), "{fault:?}");
        assert_eq!(fixture.complete("SPY", week()).len(), 5, "two pages hold five sessions: {fault:?}");
        fixture.assert_nothing_wrong("SPY", week());

        fixture.server.set_faults(from(1, 2));
        fixture.fetch(&["SPY"], week(), &RecordingProgress::default()).unwrap();
        fixture.assert_exact(&["SPY"], week());
    }
}

#[test]
fn an_unreachable_server_is_one_error() {
    let fixture = FetchFixture::new(|_| ());
    let (progress, base) = (RecordingProgress::default(), "http://127.0.0.1:1");
    let error =
        fixture.massive_at(base, &progress).minute_bars(&"SPY".parse().unwrap(), week(), &mut |_| Ok(())).unwrap_err();
    assert_no_key(&error);
    let text = error.to_string();
    assert!(text.contains("in 6 attempts") && text.contains("try again later, completed pages are cached"), "{text}");
    assert_eq!(progress.calls(), 6);
}

#[test]
fn without_a_key_no_request_is_made() {
    let fixture = FetchFixture::new(|_| ());
    let progress = RecordingProgress::default();
    let pace = Pace::new(5, &fixture.cache().calls("massive"));
    let massive = Massive::new(fixture.server.url().parse().unwrap(), None, pace, &fixture.clock, &progress);
    let text = massive.server_time().unwrap_err().to_string();
    assert!(text.contains("MASSIVE_API_KEY or POLYGON_API_KEY") && text.contains(".env"), "{text}");
    assert_eq!((progress.calls(), fixture.requested().len()), (0, 0));
}

#[test]
fn the_key_is_sent_to_no_other_host() {
    let other = FakeVendor::start(Rules::default());
    let port = other.url().rsplit(':').next().unwrap().to_owned();
    for fault in [
        Fault::RedirectElsewhere(format!("{}/v2/aggs/ticker/SPY/range/1/minute/2025-06-02/2025-06-13", other.url())),
        Fault::RedirectElsewhere(format!("//127.0.0.1:{port}/v2/")),
        Fault::NextUrlElsewhere(other.url()),
    ] {
        let (text, calls) = failed("SPY", week(), |rules| rules.faults = vec![(0, fault.clone())]);
        assert!(calls == 1 && text.contains(&format!("to 127.0.0.1:{port}; refused")), "{text}");
    }
    for (elsewhere, host) in [("https://elsewhere.example", "elsewhere.example;"), ("http://localhost:80", "localhost")]
    {
        let fault = Fault::NextUrlElsewhere(elsewhere.to_owned());
        let (text, _) = failed("SPY", week(), |rules| (rules.page_limit, rules.faults) = (2_000, vec![(1, fault)]));
        assert!(text.contains(host) && text.contains("no key was sent. Check MASSIVE_API_BASE_URL"), "{text}");
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_redirect_on_the_same_host_is_followed_without_the_key_in_the_address() {
    let path =
        format!("/v2/aggs/ticker/SPY/range/1/minute/{}/{}?sort=asc&limit=50000&apiKey={TEST_KEY}", WEEK.0, WEEK.1);
    let fixture = FetchFixture::new(|rules| rules.faults = vec![(0, Fault::RedirectElsewhere(path))]);
    fixture.fetch(&["SPY"], week(), &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], week());
    assert!(fixture.server.requests().iter().all(|request| request.authorised), "the header is sent again");
    fixture.assert_key_not_leaked();
    let (text, calls) = failed("SPY", week(), |rules| rules.faults = always(&Fault::RedirectElsewhere("/".to_owned())));
    assert!(calls == 4 && text.contains("the redirects form a loop"), "{calls}: {text}");
}

#[test]
fn loops_of_pages_are_refused_and_keys_are_removed_from_their_addresses() {
    for at in [0, 1, 2] {
        let page_loop = vec![(at, Fault::NextUrlLoop)];
        let (text, calls) = failed("SPY", week(), |rules| (rules.page_limit, rules.faults) = (2_000, page_loop));
        assert!(calls == at + 1 && text.contains("its pages form a loop"), "{calls}: {text}");
    }
    let fixture = FetchFixture::new(|rules| (rules.page_limit, rules.faults) = (2_000, always(&Fault::NextUrlWithKey)));
    let error = fixture.fetch(&["SPY"], week(), &RecordingProgress::default());
    // The last page has a next page as well, which does not exist.
    assert!(error.is_err() || fixture.complete("SPY", week()).len() == 10);
    assert!(fixture.requested().len() > 3);
    fixture.assert_key_not_leaked();
    fixture.server.set_faults(vec![(0, Fault::NextUrlWithKey)]);
    fixture.fetch(&["SPY"], week(), &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], week());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about the time after which a vendor is given up")]
fn a_vendor_that_is_silent_drips_or_stays_busy_is_given_up_in_a_stated_time() {
    let patient = |patience: u64, fault: &Fault| {
        let mut fixture = FetchFixture::new(|rules| rules.faults = always(fault));
        fixture.patience = Duration::from_millis(patience);
        let (began, progress) = (std::time::Instant::now(), RecordingProgress::default());
        let error = fixture.fetch(&["SPY"], week(), &progress).unwrap_err().to_string();
        let waits: Duration = progress.waits.lock().unwrap().iter().map(|(wait, _)| *wait).sum();
        (error, progress.calls(), began.elapsed(), waits)
    };
    // Six attempts of at most twice the patience each; the waits between them pass on the simulated clock.
    for fault in [Fault::Slow(60_000), Fault::Drip(20)] {
        let (error, calls, real, waits) = patient(150, &fault);
        assert!(error.contains("in 6 attempts"), "{fault:?}: {error}");
        assert!(calls == 6 && real < Duration::from_secs(6) && waits < Duration::from_secs(60), "{real:?}, {waits:?}");
    }
    for (fault, calls) in [(Fault::RetryAfter429(100_000), 8), (Fault::EmptyBody429, 10)] {
        let (error, found, _, waits) = patient(10_000, &fault);
        assert!(error.contains("too many calls"), "{error}");
        assert!(found == calls && waits <= Duration::from_secs(900), "{found} calls, {waits:?}");
    }
}

#[test]
fn without_a_key_nothing_is_created() {
    let fixture = FetchFixture::new(|_| ());
    let (progress, cache) = (RecordingProgress::default(), fixture.cache());
    let pace = Pace::new(0, &cache.calls("massive"));
    let massive = Massive::new(fixture.server.url().parse().unwrap(), None, pace, &fixture.clock, &progress);
    let symbols = crate::util::symbols(&["SPY"]);
    let options = market_data::source::fetch::FetchOptions::default();
    let fetched = fixture.fetcher(&massive, &cache, &progress).fetch(&symbols, week(), options, &mut |_| ());
    assert!(matches!(fetched, Err(VendorError::NoKey { .. })), "{fetched:?}");
    assert_eq!(std::fs::read_dir(fixture.folder.path()).unwrap().count(), 0, "neither a lock nor a folder");
}
