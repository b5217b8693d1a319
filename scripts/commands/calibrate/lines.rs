//! The report as text: a summary in sentences, then the tables.

use market_data::parity::ParityStats;

use super::{
    errors::{Bucket, ErrorStats, SessionBias},
    report::{CalibrationReport, OptionFile, OptionFiles, Spreads},
    spread::{SpreadBucket, SpreadStats},
};
use crate::output::{
    synthetic::notice,
    table::{columns, thousands},
};

const ERROR_HEADINGS: [&str; 8] =
    ["", "prints", "median |error|", "90th pct", "bias", "mean bias", "median |error| $", "90th pct $"];
const SPREAD_HEADINGS: [&str; 6] = ["", "quotes", "median width $", "modelled $", "ratio", "% of midpoint"];

impl CalibrationReport {
    /// Returns the report as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.summary();
        let near = vec![
            named("at the money", &self.at_the_money),
            named("near the money", &self.near_money),
            named("all strikes", &self.all_strikes),
        ];
        let whole = near.into_iter().filter(|row| row.errors.count > 0).collect::<Vec<_>>();
        let alone = vec![
            named("at the money", &self.fit_alone.at_the_money),
            named("near the money", &self.fit_alone.near_money),
        ];
        let alone = alone.into_iter().filter(|row| row.errors.count > 0).collect::<Vec<_>>();
        let sections: [(&str, &[Bucket]); 11] = [
            ("Errors, model minus print, with the level of earlier sessions", &whole),
            ("The same by the fit alone", &alone),
            ("At the money, by month", &self.at_the_money_by_month),
            ("At the money, by month, by the fit alone", &self.fit_alone.at_the_money_by_month),
            ("Near the money, by underlying", if self.by_symbol.len() > 1 { &self.by_symbol } else { &[] }),
            ("Near the money, by minutes to the close", &self.by_two_hours),
            ("Near the money, by half hour (minutes to the close)", &self.by_half_hour),
            ("Near the money, by right", &self.by_right),
            ("Near the money, by VIX1D", &self.by_vix1d),
            ("Near the money, by premium", &self.by_premium),
            (
                "Out of the money, real or modelled price at least $0.20, by standardised moneyness (below zero: puts)",
                &self.by_moneyness,
            ),
        ];
        for (heading, buckets) in sections {
            if !buckets.is_empty() {
                lines.push(format!("\n{heading}:"));
                lines.push(columns(&ERROR_HEADINGS, &buckets.iter().map(error_cells).collect::<Vec<_>>()));
            }
        }
        if self.spreads.is_empty() {
            lines.push("\nNo quotes: the modelled spreads could not be compared.".to_owned());
        }
        lines.extend(self.spreads.iter().flat_map(Spreads::lines));
        lines
    }

    fn summary(&self) -> Vec<String> {
        let mut lines: Vec<String> = notice(self.data.is_synthetic()).into_iter().collect();
        let symbols = self.symbols.join(", ");
        let sessions = thousands(self.sessions as i64);
        match self.dates {
            Some(dates) => {
                lines.push(format!("Model compared with real options of {symbols}: {sessions} sessions, {dates}"))
            }
            None => lines.push(format!("Model compared with real options of {symbols}: no same-day prices to compare")),
        }
        lines.extend(self.options.iter().flat_map(OptionFiles::lines));
        if self.sessions > 0 {
            let of: Vec<_> = self.volatility.iter().map(|(name, count)| format!("{name} on {count}")).collect();
            lines.push(format!("Volatility of the model: {} sessions", of.join(", ")));
            lines.push(self.fitted_sentence());
        }
        lines.extend(self.at_the_money_sentence());
        lines.extend(self.fit_alone_sentence());
        lines.extend(self.level_noise.sentence());
        lines.extend(error_sentence("prints", &self.near_money));
        lines.extend(error_sentence("quote midpoints", &self.quoted_near_money));
        lines.extend(error_sentence("prices of the next session's options", &self.next_session_near_money));
        for parity in &self.parity {
            lines.extend(parity_sentence(&parity.symbol, "prints", &parity.trades_near_money));
            lines.extend(parity_sentence(&parity.symbol, "quote midpoints", &parity.quotes_near_money));
        }
        lines
    }

    fn at_the_money_sentence(&self) -> Option<String> {
        let errors = &self.at_the_money;
        let by_session = self.at_the_money_by_session.map_or(String::new(), |bias| {
            let SessionBias { sessions, mean_pct, low_pct, high_pct } = bias;
            format!("; by session {mean_pct:+.1} % in the mean of {sessions}, 95 % interval {low_pct:+.1} to {high_pct:+.1} %")
        });
        (errors.count > 0).then(|| {
            format!(
                "At the money (within 0.08 % of spot, where entries buy), {} prints: median error {:.1} %, 90th percentile {:.1} %, \
                 bias {:+.1} % in the median{by_session}.",
                thousands(errors.count as i64),
                errors.median_abs_pct,
                errors.p90_abs_pct,
                errors.bias_pct
            )
        })
    }

    fn fit_alone_sentence(&self) -> Option<String> {
        let errors = &self.fit_alone.at_the_money;
        (errors.count > 0).then(|| {
            format!(
                "The same by the fit alone, without the level of earlier sessions: median error {:.1} %, 90th percentile {:.1} %, bias \
                 {:+.1} % in the median.",
                errors.median_abs_pct, errors.p90_abs_pct, errors.bias_pct
            )
        })
    }

    fn fitted_sentence(&self) -> String {
        match (self.fitted_on, self.in_sample_sessions) {
            (None, _) => "The configuration does not state the fitting dates of the pricing parameters".to_owned(),
            (Some(dates), 0) => format!("Out of sample: the pricing parameters were fitted on {dates}"),
            (Some(dates), n) => format!(
                "IN SAMPLE: {n} of {} sessions lie within the fitting dates of the pricing parameters ({dates}); \
                 their errors are no evidence of accuracy",
                self.sessions
            ),
        }
    }
}

impl Spreads {
    fn lines(&self) -> Vec<String> {
        let Self { symbol, counts, .. } = self;
        let size = |size: Option<f64>| size.map_or("unknown".to_owned(), |size| format!("{size:.0}"));
        let mut lines = vec![format!(
            "\n{} quotes of {symbol}: {} one-sided, {} with a bid of zero, {} crossed, {} locked; median bid size \
             {}, ask size {}.",
            thousands(counts.quotes as i64),
            thousands(counts.one_sided as i64),
            thousands(counts.zero_bid as i64),
            counts.crossed,
            counts.locked,
            size(counts.median_bid_size),
            size(counts.median_ask_size),
        )];
        let all = [SpreadBucket { bucket: "all".to_owned(), spreads: self.all }];
        let sections = [
            ("nearest expiry within two sessions", &all[..]),
            ("by quote midpoint", &self.by_premium),
            ("by intrinsic value", &self.by_intrinsic),
            ("by time of day", &self.by_time),
            ("by sessions until expiry, all expiries", &self.by_expiry),
        ];
        for (heading, buckets) in sections.into_iter().filter(|section| section.1.iter().any(|b| b.spreads.count > 0)) {
            lines.push(format!("\nWidths of {symbol}, {heading}:"));
            lines.push(columns(&SPREAD_HEADINGS, &buckets.iter().map(spread_cells).collect::<Vec<_>>()));
        }
        lines
    }
}

impl OptionFiles {
    fn lines(&self) -> Vec<String> {
        let count = |n: usize| thousands(n as i64);
        let file = |file: &OptionFile| format!("  {}: {} rows; {}", file.path, count(file.rows), file.note);
        let mut lines: Vec<String> = self.files.iter().map(file).collect();
        let (trades, quotes) = (count(self.trades), count(self.quotes));
        lines.push(format!("  {}: {trades} traded and {quotes} quoted minutes", self.symbol));
        if self.outside > 0 {
            lines.push(format!("  {}: {} rows outside trading hours skipped", self.symbol, count(self.outside)));
        }
        if !self.without_bars.is_empty() {
            let dates = self.without_bars.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            lines.push(format!("  {}: no bars on {dates}, so prices were not compared", self.symbol));
        }
        lines
    }
}

fn error_sentence(what: &str, errors: &ErrorStats) -> Option<String> {
    let side = |bias: f64| if bias < 0.0 { "too cheap" } else { "too expensive" };
    let sentence = || {
        format!(
            "{} {what} of at least $0.20 within 0.5 % of the money: the model is within {:.1} % (${:.3}) on half of \
         them and within {:.1} % (${:.3}) on nine in ten; it is {:.1} % {} in the median, {:.1} % {} on average.",
            thousands(errors.count as i64),
            errors.median_abs_pct,
            errors.median_abs_usd,
            errors.p90_abs_pct,
            errors.p90_abs_usd,
            errors.bias_pct.abs(),
            side(errors.bias_pct),
            errors.mean_bias_pct.abs(),
            side(errors.mean_bias_pct),
        )
    };
    (errors.count > 0).then(sentence)
}

fn parity_sentence(symbol: &str, what: &str, parity: &ParityStats) -> Option<String> {
    let sentence = || {
        format!(
            "{} pairs of a call and a put of {symbol} near the money, {what}: C - P - (S - K e^(-rT)), which needs no model, is \
             off by ${:.3} ({:.2} bp of spot, {:.1} % of premium) in the median and by ${:.3} at the 90th percentile; its signed \
             median is ${:+.3}, zero when the rate is right. This is the noise in prices of the same minute.",
            thousands(parity.count as i64),
            parity.median_abs_usd,
            parity.median_abs_bp,
            parity.median_abs_pct,
            parity.p90_abs_usd,
            parity.median_usd,
        )
    };
    (parity.count > 0).then(sentence)
}

fn named(name: &str, errors: &ErrorStats) -> Bucket {
    Bucket { bucket: name.to_owned(), errors: *errors }
}

fn error_cells(bucket: &Bucket) -> Vec<String> {
    let errors = &bucket.errors;
    let mut cells = vec![bucket.bucket.clone(), thousands(errors.count as i64)];
    cells.extend([errors.median_abs_pct, errors.p90_abs_pct].map(|pct| format!("{pct:.1}%")));
    cells.extend([errors.bias_pct, errors.mean_bias_pct].map(|pct| format!("{pct:+.1}%")));
    cells.extend([errors.median_abs_usd, errors.p90_abs_usd].map(|usd| format!("{usd:.3}")));
    cells
}

fn spread_cells(bucket: &SpreadBucket) -> Vec<String> {
    let SpreadStats { count, median_real_usd, median_model_usd, ratio, median_real_pct, .. } = bucket.spreads;
    vec![
        bucket.bucket.clone(),
        thousands(count as i64),
        format!("{median_real_usd:.3}"),
        format!("{median_model_usd:.3}"),
        format!("{ratio:.2}"),
        format!("{median_real_pct:.1}%"),
    ]
}
