//! Option rows of a run, checked against its bars before anything is replayed.

use std::path::Path;

use anyhow::anyhow;
use jiff::{ToSpan as _, civil::Date};
use market_data::{
    DataError, Dataset, DateRange, OptionHistory, OptionSession, OptionStamp, Symbol, SymbolSessions, calendar,
    parity::{self, ParityReport},
    source::option_files,
};
use market_env::RealOptions;
use serde_json::{Value, json};

use crate::{
    config::RunConfig,
    output::table::{percent, thousands},
};

/// Option rows of all symbols.
#[derive(Debug)]
pub struct OptionRows {
    /// Those of the warm-up sessions included, where the level of prices follows them.
    histories: Vec<OptionHistory>,
    /// Put-call parity of the rows, one entry per symbol.
    parity: Vec<ParityReport>,
}

impl OptionRows {
    /// Loads the option minutes that a configuration names, if it names any. Adds their files to the data set, and drops
    /// its dates without options.
    ///
    /// # Errors
    /// When files are missing or faulty, hold no price near the money, or do not belong to the bars.
    pub fn load(config: &RunConfig, dataset: &mut Dataset) -> anyhow::Result<Option<Self>> {
        let Some(path) = config.run.options.as_deref() else { return Ok(None) };
        let (Some(&first), Some(&last)) = (dataset.dates.first(), dataset.dates.last()) else {
            anyhow::bail!("there is no session to replay")
        };
        let dates = DateRange { first, last };
        let load = |symbol: &SymbolSessions| {
            let options = load_options(path, &symbol.symbol, &dates, config.data.options_stamp)?;
            parity::check_near_money(symbol, &options, |date| config.market.expiry.among(&options, date))?;
            let report = parity::check(symbol, &options)?;
            Ok((options, report))
        };
        let loaded: anyhow::Result<Vec<(OptionHistory, ParityReport)>> = dataset.symbols.iter().map(load).collect();
        let (mut histories, parity): (Vec<OptionHistory>, Vec<ParityReport>) = loaded?.into_iter().unzip();
        for file in histories.iter().flat_map(|history| &history.files) {
            if !dataset.files.contains(file) {
                dataset.files.push(file.clone());
            }
        }
        let has_options = |date: &Date| histories.iter().any(|history| !history.on(*date).is_empty());
        dataset.dates.retain(has_options);
        if config.market.pricing.level_half_life > 0.0 {
            for (symbol, history) in dataset.symbols.iter().zip(&mut histories) {
                let earlier = earlier_sessions(path, symbol, first, config.data.options_stamp)?;
                history.sessions.splice(0..0, earlier);
            }
        }
        Ok(Some(Self { histories, parity }))
    }

    /// Returns the rows, one entry per symbol.
    pub fn histories(&self) -> &[OptionHistory] {
        &self.histories
    }

    /// Returns the manifest's entry: rows left out while reading, and parity with the bars, by symbol.
    pub fn record(&self) -> Value {
        let of_symbol = |(history, report): (&OptionHistory, &ParityReport)| json!({ "symbol": history.symbol, "left_out": history.left_out, "parity": report.fits });
        self.histories.iter().zip(&self.parity).map(of_symbol).collect()
    }

    /// Returns lines on the quotes of real options: their sources, the minutes without fills, the rows left out, and their
    /// parity with the bars.
    pub fn lines(&self, real: &RealOptions) -> Vec<String> {
        let mut lines = quote_lines(real);
        lines.extend(self.left_out(real));
        lines.push(self.parity_line());
        lines
    }

    /// Returns the basis of the prices and the rows left out, for the short header.
    pub fn short_lines(&self, real: &RealOptions) -> Vec<String> {
        let origin = &real.origin;
        let share = |count: u64| percent(Some(count as f64 / origin.total().max(1) as f64));
        let prices = format!(
            "Prices     real options on {} sessions: own quotes {}, surface of prints {}",
            real.sessions,
            share(origin.quoted),
            share(origin.surface)
        );
        [prices].into_iter().chain(self.left_out(real)).chain([self.parity_line()]).collect()
    }

    fn left_out(&self, real: &RealOptions) -> Option<String> {
        let sum = |of: fn(&OptionHistory) -> usize| self.histories.iter().map(of).sum::<usize>() as u64;
        let reasons = [
            (sum(|history| history.left_out.outside_hours), "outside trading hours"),
            (sum(|history| history.left_out.no_print), "without a trade (price or volume 0)"),
            (real.unused.far, "too far from the money or too cheap"),
            (real.unused.other_expiries, "of other expiries"),
            (real.unused.settle_at_open, "settled at the open (AM)"),
        ];
        let held = reasons.iter().filter(|(count, _)| *count > 0);
        let text: Vec<String> = held.map(|(count, reason)| format!("{} {reason}", thousands(*count as i64))).collect();
        (!text.is_empty()).then(|| format!("  Option rows left out: {}", text.join(", ")))
    }

    fn parity_line(&self) -> String {
        let of_symbol = |(history, report): (&OptionHistory, &ParityReport)| {
            let fits = report.fits.iter().map(|fit| {
                format!(
                    "{} {} {:.1} bp of spot on {} sessions",
                    history.symbol,
                    fit.kind.as_str(),
                    fit.median_bp,
                    fit.sessions
                )
            });
            fits.collect::<Vec<_>>()
        };
        let fits: Vec<String> = self.histories.iter().zip(&self.parity).flat_map(of_symbol).collect();
        if fits.is_empty() {
            return "  Put-call parity with the bars: not judged, too few calls and puts of one strike and minute"
                .to_owned();
        }
        format!("  Put-call parity with the bars, median: {}", fits.join(", "))
    }
}

/// Returns the option sessions of a symbol's warm-up before a date, which show the level of its prices; none where no file
/// reaches back.
///
/// # Errors
/// As for [`load_options`].
pub fn earlier_sessions(
    path: &Path,
    symbol: &SymbolSessions,
    before: Date,
    stamp: OptionStamp,
) -> anyhow::Result<Vec<OptionSession>> {
    let first = symbol.days.first().map_or(before, |day| day.session.date);
    let dates = DateRange { first, last: before.saturating_sub(1.day()) };
    if dates.first > dates.last {
        return Ok(Vec::new());
    }
    match option_files::load_options(path, &symbol.symbol, &dates, stamp) {
        Ok(history) => Ok(history.sessions),
        Err(DataError::NoOptions { .. } | DataError::OptionsOutsideHours { .. }) => Ok(Vec::new()),
        Err(error) => Err(anyhow!(error).context("reading option files of earlier sessions")),
    }
}

/// Loads the option minutes of one symbol.
///
/// # Errors
/// When the files are missing or faulty; the message calls them option files.
pub fn load_options(
    path: &Path,
    symbol: &Symbol,
    dates: &DateRange,
    stamp: OptionStamp,
) -> anyhow::Result<OptionHistory> {
    option_files::load_options(path, symbol, dates, stamp).map_err(|error| match error {
        DataError::Folder { path, source } => anyhow!(source).context(format!("cannot list the option files {path}")),
        // The whole calendar stands for no dates given.
        DataError::NoOptions { path, symbol, first: calendar::FIRST_DATE, last: calendar::LAST_DATE, available } => {
            let names = if available.is_empty() { "nothing".to_owned() } else { available.join(", ") };
            anyhow!("{path}: no option of {symbol} on any date; the files hold options of: {names}")
        }
        error => anyhow!(error).context("reading option files"),
    })
}

/// Returns lines on the sources of the quotes, and on sessions without any.
fn quote_lines(real: &RealOptions) -> Vec<String> {
    let origin = &real.origin;
    let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / origin.total().max(1) as f64);
    let mut lines = vec![format!(
        "  Real options on {} sessions; quotes by contract-minute: own quotes {}, surface of prints {}; no fills on stale \
         minutes {}, stale quotes {}, crossed quotes {}, and on the missing side of one-sided quotes {}",
        real.sessions,
        share(origin.quoted),
        share(origin.surface),
        share(origin.stale_surface),
        share(origin.stale_quote),
        share(origin.crossed),
        share(origin.one_sided),
    )];
    if let (Some(first), Some(last)) = (real.left_out.first(), real.left_out.last()) {
        lines.push(format!(
            "  {} sessions without option rows are left out, {} {} to {} {}",
            real.left_out.len(),
            first.0,
            first.1,
            last.0,
            last.1
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use market_data::{
        LeftOut,
        parity::{ParityFit, PriceKind},
    };
    use market_env::UnusedRows;

    use super::*;

    #[test]
    fn rows_left_out_are_counted_by_reason() {
        let history = |outside_hours, no_print| OptionHistory {
            symbol: "SPY".parse().unwrap(),
            sessions: Vec::new(),
            files: Vec::new(),
            left_out: LeftOut { outside_hours, no_print },
        };
        let fit = ParityFit { kind: PriceKind::Trades, sessions: 12, median_bp: 0.36 };
        let mut rows =
            OptionRows { histories: vec![history(1_200, 0)], parity: vec![ParityReport { fits: vec![fit] }] };
        let unused = UnusedRows { far: 0, other_expiries: 7, settle_at_open: 2 };
        let mut real = RealOptions { sessions: 1, unused, ..RealOptions::default() };
        let lines = rows.lines(&real);
        assert_eq!(
            lines[1..],
            [
                "  Option rows left out: 1,200 outside trading hours, 7 of other expiries, 2 settled at the open (AM)",
                "  Put-call parity with the bars, median: SPY trades 0.4 bp of spot on 12 sessions"
            ]
        );
        (rows.histories, rows.parity, real.unused) =
            (vec![history(0, 0)], vec![ParityReport::default()], UnusedRows::default());
        assert_eq!(rows.lines(&real).len(), 2, "nothing left out, and nothing judged");
    }
}
