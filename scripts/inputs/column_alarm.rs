//! Alarm by numbers on columns of the user: one that alone predicts the direction too well probably knows the future.
//!
//! Ranks of a column and of the move that follows are pooled over sessions, never averaged within them: a level within a day is
//! correlated with the rest of that day by chance. Volatility is not tested: a column may know the size of the next move.

use market_data::{DateRange, SessionBars, SymbolSessions};
use serde::Serialize;
use statistics::{correlation, ranks};

/// Sessions below which no column is judged.
pub const LEAST_DATES: usize = 60;
/// Minutes after the open at which the way to the close is measured: 10:00 to 14:30.
const TO_CLOSE: [usize; 6] = [30, 84, 138, 192, 246, 300];
/// Alarm of the way to the close, times the root of the number of dates.
const TO_CLOSE_ALARM: f64 = 3.5;

/// A move after a decision, with the rank correlations from which it is noted and alarming. Honest columns of real bars reach at
/// most 0.058 in 20 sessions, 0.048 in 60 and 0.030 in 250 at one minute.
struct Span {
    name: &'static str,
    bars: usize,
    /// Whether the move begins at the close of the decision instead of the next open.
    from_close: bool,
    note: f64,
    alarm: f64,
}

const SPANS: [Span; 4] = [
    Span { name: "the next minute", bars: 1, from_close: false, note: 0.03, alarm: 0.05 },
    Span { name: "the next minute with its gap", bars: 1, from_close: true, note: 0.036, alarm: 0.06 },
    Span { name: "the next 15 minutes", bars: 15, from_close: false, note: 0.07, alarm: 0.10 },
    Span { name: "the next hour", bars: 60, from_close: false, note: 0.10, alarm: 0.15 },
];

/// Weight of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Larger than an honest column's in most samples.
    Note,
    /// Larger than any honest column's.
    Alarm,
}

/// A column that predicts a move alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnFinding {
    /// Its name.
    pub column: String,
    /// The move.
    pub predicts: &'static str,
    /// Rank correlation of column and move, -1 to 1.
    pub rank_correlation: f64,
    /// Largest absolute value that is not suspicious.
    pub limit: f64,
    /// Weight.
    pub suspicion: Suspicion,
}

/// Result of the test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnCheck {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Session dates that were used.
    pub dates: usize,
    /// The most suspicious finding of each suspicious column; none for too few dates.
    pub findings: Vec<ColumnFinding>,
}

impl ColumnCheck {
    /// Tests the columns of the user on some dates; `None` without such columns.
    pub fn of(symbols: &[SymbolSessions], dates: &DateRange) -> Option<Self> {
        let columns = symbols.first().map(|symbol| symbol.added.names.clone()).filter(|names| !names.is_empty())?;
        let played = Played::of(symbols, dates);
        let count = played.dates();
        let judged = |column: usize| played.worst(column, &columns[column], count);
        let findings = if count < LEAST_DATES { Vec::new() } else { (0..columns.len()).filter_map(judged).collect() };
        Some(Self { columns, dates: count, findings })
    }

    /// Returns the number of columns and the findings as sentences.
    pub fn lines(&self) -> Vec<String> {
        let names = self.columns.join(", ");
        let mut lines = vec![format!("Columns    {} of your own: {names}", self.columns.len())];
        if self.dates < LEAST_DATES {
            lines.push(format!(
                "Note: {} session dates are too few to test your columns for knowledge of the future; {LEAST_DATES} are needed",
                self.dates
            ));
        }
        lines.extend(self.findings.iter().map(ColumnFinding::sentence));
        lines
    }
}

impl ColumnFinding {
    fn sentence(&self) -> String {
        let Self { column, predicts, rank_correlation, limit, suspicion } = self;
        let found = format!("{column} alone predicts {predicts}: rank correlation {rank_correlation:+.3}");
        match suspicion {
            Suspicion::Alarm => format!(
                "ALARM: {found}, beyond ±{limit:.3}, which no honest column of real bars passes. It probably knows the future: \
                 check the time at which each value was known; a leak dies with lag = 1"
            ),
            Suspicion::Note => {
                format!("Note: {found}, beyond ±{limit:.3}; check the time at which each value was known")
            }
        }
    }
}

/// Sessions on the tested dates, with their place among the symbol's.
struct Played<'a> {
    sessions: Vec<(&'a SymbolSessions, usize)>,
}

impl<'a> Played<'a> {
    fn of(symbols: &'a [SymbolSessions], dates: &DateRange) -> Self {
        let of_symbol = |symbol: &'a SymbolSessions| {
            let inside = move |&day: &usize| dates.contains(symbol.days[day].session.date);
            (symbol.warmup..symbol.days.len()).filter(inside).map(move |day| (symbol, day))
        };
        Self { sessions: symbols.iter().flat_map(of_symbol).collect() }
    }

    fn dates(&self) -> usize {
        let mut dates: Vec<_> = self.sessions.iter().map(|(symbol, day)| symbol.days[*day].session.date).collect();
        dates.sort_unstable();
        dates.dedup();
        dates.len()
    }

    /// Returns the finding of a column that exceeds its limit by the most.
    fn worst(&self, column: usize, name: &str, dates: usize) -> Option<ColumnFinding> {
        let spans = SPANS.iter().map(|span| (span.name, self.correlation(column, span), span.note, span.alarm));
        let to_close = TO_CLOSE_ALARM / (dates as f64).sqrt();
        let all = spans.chain([("the way to the close", self.to_close(column), to_close, to_close)]);
        let suspicious = all.filter_map(|(predicts, found, note, alarm)| {
            let rank_correlation = found?;
            let size = rank_correlation.abs();
            let suspicion = if size > alarm { Suspicion::Alarm } else { Suspicion::Note };
            let limit = if suspicion == Suspicion::Alarm { alarm } else { note };
            let finding = ColumnFinding { column: name.to_owned(), predicts, rank_correlation, limit, suspicion };
            (size > note).then_some((size / alarm, finding))
        });
        suspicious.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, finding)| finding)
    }

    /// Returns the rank correlation of a column with the move of a span, over all minutes.
    fn correlation(&self, column: usize, span: &Span) -> Option<f64> {
        let mut pairs = Pairs::default();
        for (symbol, day) in &self.sessions {
            let bars = &symbol.days[*day];
            for bar in 0..bars.close.len().saturating_sub(span.bars) {
                let from = if span.from_close { bars.close[bar] } else { bars.open[bar + 1] };
                pairs.push(symbol.added.row(*day, bar)[column], from, bars.close[bar + span.bars]);
            }
        }
        pairs.rank_correlation()
    }

    /// Returns the mean over six minutes of the day of the rank correlation, across sessions, with the way to the close.
    fn to_close(&self, column: usize) -> Option<f64> {
        let at = |minute: usize| {
            let mut pairs = Pairs::default();
            for (symbol, day) in &self.sessions {
                let bars: &SessionBars = &symbol.days[*day];
                if minute + 1 < bars.close.len() {
                    let (from, last) = (bars.open[minute + 1], bars.close[bars.close.len() - 1]);
                    pairs.push(symbol.added.row(*day, minute)[column], from, last);
                }
            }
            pairs.rank_correlation()
        };
        let found: Vec<f64> = TO_CLOSE.into_iter().filter_map(at).collect();
        (!found.is_empty()).then(|| statistics::mean(found))
    }
}

/// Values of a column and the moves after them.
#[derive(Default)]
struct Pairs {
    values: Vec<f32>,
    moves: Vec<f32>,
}

impl Pairs {
    fn push(&mut self, value: f32, from: f64, to: f64) {
        self.values.push(value);
        self.moves.push((to / from).ln() as f32);
    }

    fn rank_correlation(&self) -> Option<f64> {
        let pairs: Vec<(f64, f64)> = ranks(&self.values).into_iter().zip(ranks(&self.moves)).collect();
        correlation(&pairs)
    }
}

#[cfg(test)]
mod tests {
    use market_data::{
        DataConfig, Dataset, Window,
        columns::{KnownRow, KnownSeries, OwnColumn, Transform, Validity},
        source::synthetic,
    };

    use super::*;

    const MINUTE_NS: i64 = 60_000_000_000;

    /// Returns the findings on a column of made-up bars whose value at a bar is computed from all closes.
    fn check(sessions: i64, column: fn(&[f64], usize) -> f64) -> ColumnCheck {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(sessions));
        let mut history = synthetic::generate(&config.synthetic, &["SPY".parse().unwrap()]).unwrap();
        let bars = &history.bars[0];
        let row = |(at, &event_ns): (usize, &i64)| KnownRow {
            event_ns,
            known_ns: event_ns + MINUTE_NS,
            value: column(bars.close(), at),
        };
        let rows = bars.ts_ns().iter().enumerate().map(row).collect();
        let series = KnownSeries::new("x".into(), None, "test", Validity::Session, rows).unwrap();
        history.columns.series = vec![series];
        config.own_columns = vec![OwnColumn::new("x", Transform::Zscore)];
        let dataset = Dataset::build(&history, &Window::default(), &config).unwrap();
        let dates = DateRange { first: dataset.dates[0], last: *dataset.dates.last().unwrap() };
        ColumnCheck::of(&dataset.symbols, &dates).unwrap()
    }

    fn change(closes: &[f64], from: usize, to: usize) -> f64 {
        let last = closes.len() - 1;
        (closes[to.min(last)] / closes[from.min(last)]).ln()
    }

    #[test]
    fn honest_columns_raise_no_alarm() {
        for column in [
            (|closes, at| change(closes, at.saturating_sub(1), at)) as fn(&[f64], usize) -> f64,
            |closes, at| change(closes, at.saturating_sub(30), at),
            |closes, at| closes[at],
            |_, at| (at % 17) as f64,
        ] {
            let found = check(180, column);
            let alarms = found.findings.iter().filter(|finding| finding.suspicion == Suspicion::Alarm);
            assert_eq!((alarms.count(), found.dates > LEAST_DATES), (0, true), "{found:?}");
        }
    }

    #[test]
    fn planted_leaks_raise_it_and_die_with_a_lag() {
        type Leak = fn(&[f64], usize) -> f64;
        let leaks: [(Leak, &str); 3] = [
            (|closes, at| change(closes, at, at + 1), "the next minute"),
            (|closes, at| change(closes, at, at + 15), "the next 15 minutes"),
            (|closes, at| change(closes, at.saturating_sub(5), at + 5), "the next minute"),
        ];
        for (leak, predicts) in leaks {
            let found = check(180, leak);
            let finding = &found.findings[0];
            assert_eq!(finding.suspicion, Suspicion::Alarm, "{found:?}");
            assert!(finding.predicts.starts_with(predicts), "{found:?}");
            assert!(found.lines()[1].starts_with("ALARM: x.zscore alone predicts"), "{:?}", found.lines());
        }
        let late = check(180, |closes, at| change(closes, at.saturating_sub(1), at));
        assert!(late.findings.iter().all(|finding| finding.suspicion == Suspicion::Note), "{late:?}");
    }

    #[test]
    fn few_sessions_are_too_little_data_and_never_clean() {
        let found = check(40, |closes, at| change(closes, at, at + 1));
        assert!(
            found.findings.is_empty() && found.lines()[1].contains("are too few to test your columns"),
            "{found:?}"
        );
    }
}
