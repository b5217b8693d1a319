//! Findings about the bars, in sentences.

use super::{Comparison, InspectReport, Outliers};
use crate::inputs::column_alarm::ColumnCheck;

/// Largest number of dates in one sentence.
const NAMED: usize = 8;
/// Fewest long wicks of one session for a sentence.
const CROWD: usize = 5;
/// Smallest share of bars without volume for a sentence.
const MANY_WITHOUT_VOLUME: f64 = 0.01;

/// Returns the findings, starting with a summary.
pub(super) fn of(report: &InspectReport) -> Vec<String> {
    let mut found = vec![summary(report)];
    found.extend(coverage(report));
    found.extend(half_days(report));
    found.extend(repeats(report));
    found.extend(prices(&report.outliers));
    found.extend(report.comparison.iter().flat_map(comparison));
    found.extend(report.columns.iter().flat_map(ColumnCheck::lines));
    found
}

/// Formats a number with its noun, in the plural unless the number is one.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", crate::output::table::thousands(n as i64), if n == 1 { "" } else { "s" })
}

/// Formats a share in percent, rounded down so that only a full share shows as 100.
pub(super) fn share(part: usize, of: usize) -> String {
    let hundredths = (part as u128 * 10_000) / (of.max(1) as u128);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

fn summary(report: &InspectReport) -> String {
    let (coverage, outliers) = (&report.coverage, &report.outliers);
    let made_up = if report.data.is_synthetic() { format!("{} ", report.data) } else { String::new() };
    let mut parts = vec![format!(
        "{made_up}{}: {} {}, {} of minutes",
        report.symbol,
        count(coverage.sessions, "session"),
        report.dates,
        share(coverage.present, coverage.expected)
    )];
    let counts = [
        (outliers.reversed.len(), "suspicious print"),
        (outliers.wicks.len(), "long wick"),
        (coverage.absent.len(), "absent session"),
        (report.stale.count + report.frozen.count, "run of repeated bars"),
    ];
    let counts = counts.into_iter().filter(|(n, _)| *n > 0);
    parts.extend(counts.map(|(n, noun)| match noun.split_once(' ') {
        Some(("run", of)) => format!("{} {of}", count(n, "run")),
        _ => count(n, noun),
    }));
    if parts.len() == 1 {
        parts.push("nothing suspicious".to_owned());
    }
    parts.join("; ")
}

/// Lists the first items and counts the rest.
fn listed<T: ToString>(items: impl ExactSizeIterator<Item = T>) -> String {
    let more = items.len().saturating_sub(NAMED);
    let named: Vec<String> = items.take(NAMED).map(|item| item.to_string()).collect();
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

fn coverage(report: &InspectReport) -> Vec<String> {
    let (coverage, gaps) = (&report.coverage, &report.gaps);
    let mut found = Vec::new();
    if !coverage.absent.is_empty() {
        found.push(format!("No bars on {}", listed(coverage.absent.iter())));
    }
    if let Some(longest) = gaps.longest.first() {
        let (all, missing) = (count(gaps.count, "gap"), count(gaps.minutes, "minute"));
        found.push(format!(
            "{all} inside sessions, {missing} in total; the longest: {} from {}",
            count(longest.minutes, "minute"),
            longest.start
        ));
    }
    let outside = &coverage.outside;
    if outside.no_session > 0 {
        found.push(format!("{} on weekends or holidays: is the time zone right?", count(outside.no_session, "bar")));
    }
    if outside.off_minute > 0 {
        found.push(format!("{} not on a whole minute: a run rejects such bars", count(outside.off_minute, "bar")));
    }
    found
}

fn half_days(report: &InspectReport) -> Option<String> {
    let on: Vec<_> = report.half_days.iter().filter(|half| half.goes_on).map(|half| half.date).collect();
    let dates = (!on.is_empty()).then(|| listed(on.iter()))?;
    Some(format!(
        "Bars continue after 13:00 as on a full day, on the half day of {dates}: generated bars or extended hours?"
    ))
}

fn repeats(report: &InspectReport) -> Vec<String> {
    let kinds = [
        (&report.stale, "of identical bars", "a repeating feed?"),
        (&report.frozen, "at a single price", "frozen prints or a halt?"),
    ];
    let with_any = kinds.into_iter().filter_map(|(runs, what, why)| Some((runs, runs.longest.first()?, what, why)));
    let sentence = with_any.map(|(runs, longest, what, why)| {
        let (all, length) = (count(runs.count, "run"), count(longest.minutes, "minute"));
        format!("{all} {what}, the longest {length} from {}: {why}", longest.start)
    });
    sentence.collect()
}

fn prices(outliers: &Outliers) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(crowded(outliers));
    if let Some(jump) = outliers.overnight.first() {
        let (to, ratio, all) = (jump.to, jump.ratio, count(outliers.overnight.len(), "jump"));
        found.push(format!(
            "{all} of a quarter or more overnight; {to} opens at {ratio:.4} times the previous close: a split, or a mix of raw \
             and adjusted prices?"
        ));
    }
    let without = outliers.zero_volume_share();
    if outliers.is_without_volume() {
        found.push("No bar has any volume, as with an index".to_owned());
    } else if without > MANY_WITHOUT_VOLUME {
        found.push(format!("{:.1} % of bars have no volume", without * 100.0));
    }
    found
}

/// Returns a sentence on the session with the most long wicks, if it has many.
fn crowded(outliers: &Outliers) -> Option<String> {
    let by_date = outliers.wicks.chunk_by(|a, b| a.at.date == b.at.date);
    let most = by_date.max_by_key(|wicks| wicks.len()).filter(|wicks| wicks.len() >= CROWD)?;
    let (n, all, date) = (most.len(), count(outliers.wicks.len(), "long wick"), most[0].at.date);
    Some(format!("{n} of {all} lie on {date}: late or bad prints in its highs and lows?"))
}

fn comparison(found: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    match found.returns.b_late_by() {
        Some(1) => sentences.push("B looks one minute late: are its bars stamped at their end?".to_owned()),
        Some(_) => sentences.push("B looks one minute early: are A's bars stamped at their end?".to_owned()),
        None => {}
    }
    if let Some(scaled) = &found.scaled {
        let (sessions, of) = (scaled.sessions, count(found.sessions, "session"));
        let (lowest, highest) = (scaled.lowest, scaled.highest);
        sentences.push(format!(
            "B is A times a constant of {lowest:.5} to {highest:.5} on {sessions} of {of}: adjusted prices in only one of them?"
        ));
    }
    if found.both == 0 {
        sentences.push("A and B have no minute in common".to_owned());
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_counts_read_as_sentences() {
        assert_eq!((count(1, "gap"), count(1_234, "gap")), ("1 gap".to_owned(), "1,234 gaps".to_owned()));
        assert_eq!(listed([1, 2].iter()), "1, 2");
        assert_eq!(listed((0..10).collect::<Vec<_>>().iter()), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
