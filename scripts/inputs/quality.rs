//! Quality of a run's bars in one line, for its header.

use market_data::{Dataset, quality::OutlierCount};

use crate::output::table::thousands;

/// Returns the counts of suspicious prices and of filled minutes in all sessions of a run; `None` for made-up bars.
pub fn line(dataset: &Dataset) -> Option<String> {
    let (found, filled) = totals(dataset)?;
    let mut parts = vec![match found.first_suspicious {
        None => "no suspicious prints".to_owned(),
        Some(first) => format!("{} (first {first})", counted(found.suspicious_prints, "suspicious print")),
    }];
    parts.extend((found.overnight_jumps > 0).then(|| counted(found.overnight_jumps, "overnight jump")));
    parts.push(counted(found.long_wicks, "long wick"));
    parts.push(counted(found.lasting_jumps, "lasting jump"));
    parts.push(counted(filled, "filled minute"));
    let suspicious = dataset.symbols.iter().find(|symbol| is_suspicious(&symbol.outliers));
    let more = suspicious.map_or_else(String::new, |symbol| format!("; zerodte inspect {} lists them", symbol.symbol));
    Some(parts.join(", ") + &more)
}

/// Returns the same counts for a screen of 80 columns.
pub(super) fn short_line(dataset: &Dataset) -> Option<String> {
    let (found, filled) = totals(dataset)?;
    let prints = match found.suspicious_prints {
        0 => "no suspicious prints".to_owned(),
        count => counted(count, "suspicious print"),
    };
    let wicks = counted(found.long_wicks, "wick");
    let jumps = counted(found.lasting_jumps + found.overnight_jumps, "jump");
    Some(format!("{prints}, {wicks}, {jumps}, {}", counted(filled, "filled minute")))
}

fn totals(dataset: &Dataset) -> Option<(OutlierCount, usize)> {
    let symbols = &dataset.symbols;
    let found = symbols.iter().fold(OutlierCount::default(), |sum, symbol| sum.plus(symbol.outliers));
    let filled = symbols.iter().map(|symbol| symbol.report.filled_minutes).sum();
    (!dataset.synthetic).then_some((found, filled))
}

fn is_suspicious(found: &OutlierCount) -> bool {
    found.suspicious_prints > 0 || found.overnight_jumps > 0
}

/// Formats a number with its noun, in the plural unless the number is one.
fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number as i64), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use market_data::{DataConfig, History, Symbol, Window, quality::At, source::synthetic};

    use super::*;

    fn dataset() -> Dataset {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(9));
        let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
        let history = History { synthetic: false, ..history };
        Dataset::build(&history, &Window::default(), &config).unwrap()
    }

    #[test]
    fn one_line_says_how_good_the_bars_are() {
        let mut dataset = dataset();
        let (symbol, date) = (&mut dataset.symbols[0], jiff::civil::date(2025, 3, 19));
        symbol.outliers = OutlierCount { long_wicks: 1_234, lasting_jumps: 123, ..OutlierCount::default() };
        symbol.report.filled_minutes = 4_000;
        let good = line(&dataset).unwrap();
        assert_eq!(good, "no suspicious prints, 1,234 long wicks, 123 lasting jumps, 4,000 filled minutes");
        assert_eq!(short_line(&dataset).unwrap(), "no suspicious prints, 1,234 wicks, 123 jumps, 4,000 filled minutes");
        let symbol = &mut dataset.symbols[0];
        symbol.outliers.suspicious_prints = 1;
        symbol.outliers.first_suspicious = Some(At { date, minute: 90 });
        let bad = line(&dataset).unwrap();
        assert!(bad.starts_with("1 suspicious print (first 2025-03-19T11:00), 1,234 long wicks"), "{bad}");
        assert!(bad.ends_with("filled minutes; zerodte inspect SPY lists them"), "{bad}");
        assert!(short_line(&dataset).unwrap().starts_with("1 suspicious print, 1,234 wicks"));
        dataset.synthetic = true;
        assert_eq!(line(&dataset), None, "made-up bars were not read");
    }
}
