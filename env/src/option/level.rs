//! The level of a session's option prices, corrected by the errors of earlier sessions.
//!
//! Most of the model's error is a wrong level for a whole session: a factor on volatility that all its options share. Where
//! prints of earlier sessions are on file, their errors correct the level of a session before its first print.

use jiff::civil::Date;
use market_data::{OptionSession, Right, SessionBars};
use statistics::quantile;

use crate::{PricingConfig, SessionPricer};

/// Sessions before a session whose errors its level follows.
const LEVEL_SESSIONS: usize = 30;
/// Prints of a session below which its level is unknown.
pub const LEVEL_PRINTS: usize = 20;
/// Smallest premium of a print, in dollars; below it a tick is a large part of the price.
const LEAST_PREMIUM: f64 = 0.20;
/// Standard deviations from the money within which a print shows the level.
pub const LEVEL_REACH: f64 = 0.5;
/// First minute of a session whose prints count: at the open they come from auctions, and VIX1D is not yet published.
const FIRST_SLOT: usize = 2;

/// Returns the error of a session's level: the median log of the volatility that prints near the money imply over the
/// model's. `None` with too few prints. Known after the session's close.
pub fn level_error(model: &SessionPricer<'_>, bars: &SessionBars, rows: &OptionSession) -> Option<f64> {
    let traded = rows.trades.iter().map(|row| (usize::from(row.slot), row.strike, row.right, row.close));
    let middle = |(bid, ask)| f64::midpoint(bid, ask);
    let quoted =
        rows.quotes.iter().filter_map(|row| Some((usize::from(row.slot), row.strike, row.right, middle(row.sides()?))));
    let mut errors: Vec<f64> = traded.chain(quoted).filter_map(|print| print_error(model, bars, print)).collect();
    (errors.len() >= LEVEL_PRINTS).then(|| quantile(&mut errors, 0.5))
}

/// Returns the log of implied over modelled volatility of one price near the money.
fn print_error(
    model: &SessionPricer<'_>,
    bars: &SessionBars,
    (slot, strike, right, premium): (usize, f64, Right, f64),
) -> Option<f64> {
    let usable = slot >= FIRST_SLOT && slot + 1 < bars.close.len() && !bars.filled[slot] && premium >= LEAST_PREMIUM;
    if !usable {
        return None;
    }
    let inputs = model.at_close(slot, strike);
    let deviation = model.at_close(slot, inputs.spot).vol * inputs.years.sqrt();
    if (strike / inputs.spot).ln().abs() >= LEVEL_REACH * deviation {
        return None;
    }
    Some((inputs.implied_vol(right, premium)? / inputs.vol).ln())
}

/// Errors of the level, session by session.
#[derive(Debug, Clone, Default)]
pub struct LevelHistory {
    /// Every session with bars, ascending by date, with its error where prints show it.
    sessions: Vec<(Date, Option<f64>)>,
}

impl FromIterator<(Date, Option<f64>)> for LevelHistory {
    fn from_iter<T: IntoIterator<Item = (Date, Option<f64>)>>(sessions: T) -> Self {
        Self { sessions: sessions.into_iter().collect() }
    }
}

impl LevelHistory {
    /// Returns the correction of a session's log volatility by the errors of earlier sessions alone: their mean, in which a session
    /// counts half with every `market.pricing.level_half_life` sessions between, shrunk towards zero. The last 30 sessions with
    /// bars count, so that the first date asked for changes nothing where bars reach back.
    pub fn before(&self, date: Date, pricing: &PricingConfig) -> f64 {
        if pricing.level_half_life == 0.0 {
            return 0.0;
        }
        let end = self.sessions.partition_point(|(session, _)| *session < date);
        let keep = 0.5_f64.powf(1.0 / pricing.level_half_life);
        let (mut weight, mut sum, mut weights) = (1.0, 0.0, pricing.level_shrinkage);
        for (_, error) in self.sessions[end.saturating_sub(LEVEL_SESSIONS)..end].iter().rev() {
            if let Some(error) = error {
                sum += weight * error;
                weights += weight;
            }
            weight *= keep;
        }
        if weights > 0.0 { sum / weights } else { 0.0 }
    }

    /// Returns the error of a session, if prints show it.
    pub fn on(&self, date: Date) -> Option<f64> {
        let at = self.sessions.binary_search_by_key(&date, |(session, _)| *session).ok()?;
        self.sessions[at].1
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn pricing(half_life: f64, shrinkage: f64) -> PricingConfig {
        PricingConfig { level_half_life: half_life, level_shrinkage: shrinkage, ..PricingConfig::default() }
    }

    #[test]
    fn the_level_is_a_fading_mean_of_earlier_errors_alone() {
        let day = |d| date(2025, 6, d);
        let history: LevelHistory =
            [(day(2), Some(0.1)), (day(3), None), (day(4), Some(0.4)), (day(5), Some(9.0))].into_iter().collect();
        // Weights 1 of the 4th, a quarter of the 2nd, two sessions earlier at a half-life of one.
        let expected = (0.4 + 0.25 * 0.1) / 1.25;
        assert!((history.before(day(5), &pricing(1.0, 0.0)) - expected).abs() < 1e-12);
        assert!((history.before(day(5), &pricing(1.0, 1.25)) - expected / 2.0).abs() < 1e-12);
        assert_eq!(history.before(day(2), &pricing(1.0, 0.0)), 0.0, "no earlier session");
        assert_eq!(history.before(day(5), &pricing(0.0, 0.5)), 0.0, "switched off");
        assert_eq!([3, 4].map(|d| history.on(day(d))), [None, Some(0.4)]);
    }

    #[test]
    fn sessions_long_past_change_nothing() {
        let dates: Vec<Date> = date(2025, 1, 1).series(jiff::Span::new().days(1)).take(50).collect();
        let all: LevelHistory = dates.iter().map(|&date| (date, Some(f64::from(date.day())))).collect();
        let late: LevelHistory = dates[10..].iter().map(|&date| (date, Some(f64::from(date.day())))).collect();
        assert_eq!(all.before(dates[49], &pricing(4.0, 0.5)), late.before(dates[49], &pricing(4.0, 0.5)));
    }
}
