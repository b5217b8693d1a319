//! Five requests to a vendor, and their interpretation.

use jiff::civil::Date;
use market_data::{
    DateRange, Symbol, calendar,
    source::{
        fetch::last_final,
        vendor::{Clock, Refusal, Vendor, VendorError, massive::Massive},
    },
};

use super::checks::Check;

/// Clock error above which finished sessions are misjudged.
const MOST_SKEW_S: i64 = 60;

/// Probes Massive for the rights of the key: the time, a past session, today, an index, options.
pub(super) fn massive(massive: &Massive<'_>, clock: &dyn Clock, calls_per_minute: u32) -> Vec<Check> {
    let mut checks = match massive.server_time() {
        // The local clock is read after the response: the request may have waited for its turn.
        Ok(server_ms) => vec![Check::yes("massive answers", "the key is accepted"), skew(server_ms - clock.now_ms())],
        // Without a valid key or a connection, the other requests fail in the same way.
        Err(error) => return vec![Check::no("massive answers", error.to_string())],
    };
    let now_ms = clock.now_ms();
    let today = calendar::exchange_date(now_ms.saturating_mul(1_000_000));
    let Some(past) = past_session(now_ms) else { return checks };
    let bars = |ticker: &str, date| massive.probe(ticker, DateRange { first: date, last: date });
    checks.push(told(
        "stocks: SPY minutes of a past session",
        bars("SPY", past).map(|rows| format!("{rows} bars on {past}")),
    ));
    checks.push(match calendar::session(today) {
        Some(_) => told_today(bars("SPY", today), calls_per_minute),
        None => Check::fact("stocks: SPY minutes of today", "no session today"),
    });
    checks.push(told("indices: I:SPX minutes", bars("I:SPX", past).map(|rows| format!("{rows} bars on {past}"))));
    checks.push(match Symbol::new("SPY") {
        Ok(spy) => {
            let listed = massive.contracts(&spy, past, 1.0, 10_000.0);
            told("options: contracts on SPY", listed.map(|rows| format!("{} expired on {past}", rows.len())))
        }
        Err(error) => Check::no("options: contracts on SPY", error.to_string()),
    });
    checks
}

/// Requests a past session of SPY from any vendor.
pub(super) fn bars(vendor: &dyn Vendor, clock: &dyn Clock) -> Vec<Check> {
    let (Some(past), Ok(spy)) = (past_session(clock.now_ms()), Symbol::new("SPY")) else { return Vec::new() };
    let mut rows = 0;
    let asked = vendor.minute_bars(&spy, DateRange { first: past, last: past }, &mut |page| {
        rows += page.rows.len();
        Ok(())
    });
    vec![told(
        &format!("{}: SPY minutes of a past session", vendor.name()),
        asked.map(|()| format!("{rows} bars on {past}")),
    )]
}

/// Returns the third-last finished session, which every plan includes.
fn past_session(now_ms: i64) -> Option<Date> {
    let last = last_final(now_ms)?;
    let sessions = calendar::sessions(last.saturating_sub(jiff::Span::new().days(14)), last);
    sessions.iter().rev().nth(2).map(|session| session.date)
}

fn skew(ms: i64) -> Check {
    let seconds = (ms as f64 / 1000.0).round() as i64;
    let text = match seconds {
        0 => "as the vendor's".to_owned(),
        s if s > 0 => format!("{s} s behind the vendor's"),
        s => format!("{} s ahead of the vendor's", -s),
    };
    if seconds.abs() <= MOST_SKEW_S { Check::yes("clock", text) } else { Check::no("clock", text + "; set it") }
}

fn told(name: &str, answer: Result<String, VendorError>) -> Check {
    match answer {
        Ok(text) => Check::yes(name, text),
        Err(error) => Check::no(name, error.to_string()),
    }
}

fn told_today(answer: Result<usize, VendorError>, calls_per_minute: u32) -> Check {
    let name = "stocks: SPY minutes of today";
    match answer {
        Ok(rows) if calls_per_minute > 0 => Check::yes(
            name,
            format!("{rows} bars: a paid plan; --set data.massive.calls_per_minute=0 fetches without waiting"),
        ),
        Ok(rows) => Check::yes(name, format!("{rows} bars")),
        Err(error) if error.refusal() == Some(Refusal::Today) => {
            Check::no(name, "the plan has no data before the day is over; past days are not affected")
        }
        Err(error) => Check::no(name, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_with_its_direction() {
        let line = |ms| super::super::checks::table(&[skew(ms)]);
        assert_eq!(line(300), "clock  yes  as the vendor's");
        assert_eq!(line(90_000), "clock  no   90 s behind the vendor's; set it");
        assert_eq!(line(-2_000), "clock  yes  2 s ahead of the vendor's");
    }
}
