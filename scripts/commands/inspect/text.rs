//! The report as text.

use jiff::civil::Date;
use market_data::quality::DEVIATIONS;

use super::{
    Comparison, InspectReport, Jump, Print, Runs, SessionCoverage, Wick,
    coverage::{FROZEN, LISTED, STALE},
    findings::{count, share},
};
use crate::output::table::{columns, thousands};

/// Width of a week in the calendar: five days and a blank.
const WEEK: usize = 6;
const LEGEND: &str = "█ complete  ▓ 95 % or more  ▒ half or more  ░ less  · absent  H half day  h half day with gaps";

impl InspectReport {
    /// Returns the report as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.findings.clone();
        lines.extend(self.files.iter().map(|file| format!("  {file}")));
        lines.extend(self.coverage_lines());
        let some = count(self.gaps.count, "gap");
        lines.extend(runs(&format!("Missing minutes inside sessions: {some}"), &self.gaps));
        lines.extend(runs(&format!("Identical bars, {STALE} or more in a row"), &self.stale));
        lines.extend(runs(&format!("One price for {FROZEN} minutes or more"), &self.frozen));
        lines.extend(self.outlier_lines());
        lines.extend(self.half_day_lines());
        lines.extend(self.comparison.iter().flat_map(comparison));
        lines
    }

    fn coverage_lines(&self) -> Vec<String> {
        let coverage = &self.coverage;
        let mut lines = vec![
            String::new(),
            format!(
                "Coverage: {} of {} minutes; {} of {} complete",
                thousands(coverage.present as i64),
                thousands(coverage.expected as i64),
                coverage.complete,
                count(coverage.sessions, "session")
            ),
        ];
        let outside = &coverage.outside;
        if outside.total() > 0 {
            lines.push(format!(
                "{} outside hours: {} before the open, {} after the close, {} on other days, {} off the minute",
                count(outside.total(), "bar"),
                thousands(outside.before_open as i64),
                thousands(outside.after_close as i64),
                outside.no_session,
                outside.off_minute
            ));
        }
        let outliers = &self.outliers;
        if outliers.zero_volume_bars > 0 {
            let bars = count(outliers.zero_volume_bars, "bar");
            lines.push(format!("{bars} without volume, {}", share(outliers.zero_volume_bars, outliers.bars)));
        }
        lines.push(LEGEND.to_owned());
        lines.extend(coverage.by_session.chunk_by(|a, b| month(a.date) == month(b.date)).map(month_row));
        lines.extend(worst(&coverage.worst));
        lines
    }

    fn outlier_lines(&self) -> Vec<String> {
        let outliers = &self.outliers;
        let mut lines = Vec::new();
        lines.extend(prints("Suspicious prints: reversed within two minutes", &outliers.reversed));
        lines.extend(prints("Lasting jumps, probably news", &outliers.lasting));
        lines.extend(wicks(&outliers.wicks));
        lines.extend(overnight(&outliers.overnight));
        lines
    }

    fn half_day_lines(&self) -> Vec<String> {
        if self.half_days.is_empty() {
            return Vec::new();
        }
        let row = |half: &super::HalfDay| {
            vec![
                half.date.to_string(),
                format!("{} of {}", half.present, half.expected),
                half.afternoon_bars.to_string(),
                if half.goes_on { "yes" } else { "no" }.to_owned(),
            ]
        };
        let rows: Vec<_> = self.half_days.iter().map(row).collect();
        table("Half days", &["session", "minutes", "bars 13:00 to 16:00", "continues as on a full day"], &rows)
    }
}

fn table(heading: &str, names: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    vec![String::new(), heading.to_owned(), columns(names, rows)]
}

fn month(date: Date) -> (i16, i8) {
    (date.year(), date.month())
}

/// Returns the sessions of a month as one row, one character each, grouped by week; days without a session are blank.
fn month_row(days: &[SessionCoverage]) -> String {
    let mut cells = [' '; 5 * WEEK];
    days.iter().for_each(|day| cells[place(day.date)] = character(day));
    let cells: String = cells.into_iter().collect();
    let (present, expected) = (days.iter().map(|day| day.present).sum(), days.iter().map(|day| day.expected).sum());
    let (year, month) = month(days[0].date);
    format!("{year}-{month:02}  {cells}  {:>11}  {:>8}", count(days.len(), "session"), share(present, expected))
}

/// Returns the column of a weekday in the row of its month, which has five weeks at most.
fn place(date: Date) -> usize {
    let monday_zero = |date: Date| date.weekday().to_monday_zero_offset() as usize;
    let first = monday_zero(date.first_of_month());
    let week = (date.day() as usize - 1 + first) / 7 - usize::from(first >= 5);
    week * WEEK + monday_zero(date)
}

fn character(day: &SessionCoverage) -> char {
    let half = day.expected < 300;
    match day.present {
        0 => '·',
        present if present == day.expected => {
            if half {
                'H'
            } else {
                '█'
            }
        }
        _ if half => 'h',
        present if present * 100 >= day.expected * 95 => '▓',
        present if present * 2 >= day.expected => '▒',
        _ => '░',
    }
}

fn worst(sessions: &[SessionCoverage]) -> Vec<String> {
    if sessions.is_empty() {
        return Vec::new();
    }
    let row = |day: &SessionCoverage| {
        let longest = day.longest_gap.map_or_else(String::new, |gap| format!("{} from {}", gap.minutes, gap.start));
        vec![day.date.to_string(), format!("{} of {}", day.present, day.expected), day.missing().to_string(), longest]
    };
    let rows: Vec<_> = sessions.iter().map(row).collect();
    table("Worst sessions", &["session", "minutes", "missing", "longest gap"], &rows)
}

fn runs(heading: &str, runs: &Runs) -> Vec<String> {
    if runs.count == 0 {
        return Vec::new();
    }
    let row = |run: &super::Run| vec![run.start.to_string(), run.minutes.to_string()];
    let rows: Vec<_> = runs.longest.iter().map(row).collect();
    let shown = if runs.count > rows.len() { format!("; the longest {}", rows.len()) } else { String::new() };
    let all = count(runs.minutes, "minute");
    table(&format!("{heading}: {all} in total{shown}"), &["start", "minutes"], &rows)
}

/// Returns the most extreme items by deviation.
fn extreme<T: Copy>(items: &[T], deviations: fn(&T) -> f64) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort_by(|a, b| deviations(b).total_cmp(&deviations(a)));
    items.truncate(LISTED);
    items
}

fn limit(all: usize, what: &str) -> String {
    let shown = if all > LISTED { format!(", the largest {LISTED} of {all}") } else { String::new() };
    format!("{what} (beyond {DEVIATIONS} robust deviations of the session{shown})")
}

fn prints(heading: &str, all: &[Print]) -> Vec<String> {
    if all.is_empty() {
        return Vec::new();
    }
    let row = |print: &Print| {
        vec![
            print.at.to_string(),
            format!("{:.2}", print.before),
            format!("{:.2}", print.close),
            format!("{:+.1}", print.return_bps),
            format!("{:.1}", print.deviations),
        ]
    };
    let rows: Vec<_> = extreme(all, |print| print.deviations).iter().map(row).collect();
    table(&limit(all.len(), heading), &["minute", "previous close", "close", "return bp", "deviations"], &rows)
}

fn wicks(all: &[Wick]) -> Vec<String> {
    if all.is_empty() {
        return Vec::new();
    }
    let row = |wick: &Wick| {
        vec![
            wick.at.to_string(),
            format!("{:.2}", wick.body),
            format!("{:.2}", wick.price),
            format!("{:.1}", wick.distance_bps),
            format!("{:.1}", wick.deviations),
        ]
    };
    let rows: Vec<_> = extreme(all, |wick| wick.deviations).iter().map(row).collect();
    table(&limit(all.len(), "Long wicks"), &["minute", "body", "high or low", "distance bp", "deviations"], &rows)
}

fn overnight(all: &[Jump]) -> Vec<String> {
    if all.is_empty() {
        return Vec::new();
    }
    let row = |jump: &Jump| vec![jump.from.to_string(), jump.to.to_string(), format!("{:.4}", jump.ratio)];
    let rows: Vec<_> = all.iter().take(LISTED).map(row).collect();
    let more = if all.len() > LISTED { format!(": the first {LISTED} of {}", all.len()) } else { String::new() };
    table(&format!("Overnight jumps{more}"), &["from", "to", "open over close"], &rows)
}

fn comparison(found: &Comparison) -> Vec<String> {
    let number =
        |value: Option<f64>, decimals: usize| value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"));
    let returns = &found.returns;
    let mut lines = vec![
        String::new(),
        format!("A {} compared with B {}: {}", found.a, found.b, found.dates),
        format!(
            "{} in both, {} only in A, {} only in B, {}",
            count(found.both, "minute"),
            thousands(found.only_a as i64),
            thousands(found.only_b as i64),
            count(found.sessions, "common session")
        ),
        format!(
            "closes differ by {} bp at the median, {} bp at the 99th percentile; {} % are equal to the cent",
            number(found.median_bps, 2),
            number(found.p99_bps, 2),
            number(found.equal_to_the_cent.map(|share| (share * 1e4).floor() / 1e2), 2)
        ),
        format!(
            "correlation of minute returns {}; with B's previous minute {}, with B's next minute {}",
            number(returns.same_minute, 4),
            number(returns.b_one_earlier, 4),
            number(returns.b_one_later, 4)
        ),
        format!("median ratio of B's volume to A's: {}", number(found.volume_ratio, 3)),
    ];
    let row = |difference: &super::Difference| {
        let (a, b) = (difference.a, difference.b);
        vec![difference.at.to_string(), format!("{a:.4}"), format!("{b:.4}"), format!("{:+.2}", difference.bps)]
    };
    if !found.largest.is_empty() {
        let rows: Vec<_> = found.largest.iter().map(row).collect();
        lines.extend(table("Largest differences", &["minute", "close of A", "close of B", "bp"], &rows));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(date: &str, expected: usize, present: usize) -> SessionCoverage {
        SessionCoverage { date: date.parse().unwrap(), expected, present, longest_gap: None }
    }

    #[test]
    fn a_month_is_a_row_of_weeks() {
        let days = [
            session("2025-07-01", 390, 390),
            session("2025-07-02", 390, 389),
            session("2025-07-03", 210, 210),
            session("2025-07-07", 390, 200),
            session("2025-07-08", 390, 20),
            session("2025-07-09", 390, 0),
        ];
        let row = month_row(&days);
        assert_eq!(row, format!("2025-07   █▓H  ▒░·{:21}   6 sessions   55.97 %", ""));
        let november = month_row(&[session("2025-11-03", 390, 390), session("2025-11-28", 210, 9)]);
        assert!(november.starts_with(&format!("2025-11  █{:21}h ", "")), "{november}");
        assert!(row.chars().count() <= 100 && LEGEND.chars().count() <= 100);
    }

    #[test]
    fn only_the_whole_is_a_hundred_per_cent() {
        assert_eq!([share(5, 5), share(99_999, 100_000), share(0, 0)], ["100.00 %", "99.99 %", "0.00 %"]);
    }
}
