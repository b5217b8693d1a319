//! The distribution of the model's level error, and draws from it.
//!
//! Most of the model's error is a wrong level for a whole session: a factor on volatility that all its options share. Without
//! prints it stays unknown; its measured spread is a part of the model.

use jiff::civil::Date;
use market_data::VolSource;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::normal_quantile;

/// Streams of the draws: lanes of training, which use the others, are fewer.
const OF_DATES: u64 = (u32::MAX as u64) << 32;
const OF_SYMBOLS: u64 = ((u32::MAX - 1) as u64) << 32;

/// Draws of the level in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LevelNoise {
    /// Every session is priced at the model's own level.
    #[default]
    Off,
    /// Every training session is priced at a level drawn from the distribution of the model's error.
    On,
}

/// Standard deviation of a session's level error in percent of volatility, by the source of volatility: walk-forward, on
/// sessions up to nine months after the prints of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelSd {
    /// On days with VIX1D by the minute, 0 to 100.
    pub vix1d: f64,
    /// On days with VIX by the minute, 0 to 100.
    pub vix: f64,
    /// On days with the VIX of the day before, 0 to 100.
    pub vix_daily: f64,
    /// On days with the underlying's own volatility alone, 0 to 100.
    pub realised: f64,
}

/// Levels of the volatility on the tapes of a market.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Levels {
    /// The model's own; with option files, corrected by the errors of earlier sessions.
    Model,
    /// One draw per session from the distribution of the model's error, a function of the seed and the date. Symbols of one
    /// date share the part of the volatility index; the part of an underlying is its own.
    Drawn {
        /// Seed of the draws.
        seed: u64,
    },
    /// The same number of standard deviations in every session.
    Shifted {
        /// Standard deviations, with their sign.
        deviations: f64,
    },
}

impl Levels {
    /// Returns the shift of a session's log volatility. `sd` holds the standard deviations of its two parts as fractions: of the
    /// volatility source and of the underlying.
    pub fn shift(self, date: Date, symbol: &str, [source, own]: [f64; 2]) -> f64 {
        match self {
            Self::Model => 0.0,
            Self::Drawn { seed } => {
                let named =
                    symbol.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
                source * normal(seed, OF_DATES, date) + own * normal(named, OF_SYMBOLS, date)
            }
            Self::Shifted { deviations } => deviations * source.hypot(own),
        }
    }
}

/// Returns the standard normal draw of a date.
fn normal(seed: u64, purpose: u64, date: Date) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let day = u64::from(date.year().unsigned_abs()) * 366 + u64::from(date.day_of_year().unsigned_abs());
    rng.set_stream(purpose | day);
    normal_quantile((f64::from(rng.random::<u32>()) + 0.5) / (f64::from(u32::MAX) + 1.0))
}

impl LevelSd {
    /// Returns the entry of a source.
    pub fn of(&self, source: VolSource) -> f64 {
        match source {
            VolSource::Vix1dMinute => self.vix1d,
            VolSource::VixMinute => self.vix,
            VolSource::VixDaily => self.vix_daily,
            VolSource::Realised => self.realised,
        }
    }

    /// Returns the entry of a source, to be changed.
    pub fn of_mut(&mut self, source: VolSource) -> &mut f64 {
        match source {
            VolSource::Vix1dMinute => &mut self.vix1d,
            VolSource::VixMinute => &mut self.vix,
            VolSource::VixDaily => &mut self.vix_daily,
            VolSource::Realised => &mut self.realised,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn draws_have_the_stated_spread_and_share_their_date() {
        let dates: Vec<Date> = date(2020, 1, 1).series(jiff::Span::new().days(1)).take(2_000).collect();
        let draws = |seed, symbol: &str, sd| -> Vec<f64> {
            dates.iter().map(|&date| Levels::Drawn { seed }.shift(date, symbol, sd)).collect()
        };
        let spy = draws(7, "SPY", [0.09, 0.0]);
        let sd = statistics::variance(&spy).sqrt();
        assert!((sd - 0.09).abs() < 0.005 && statistics::mean(&spy).abs() < 0.007, "{sd}");
        assert_eq!(spy, draws(7, "SPX", [0.09, 0.0]), "the part of the index is common");
        assert_ne!(spy, draws(8, "SPY", [0.09, 0.0]));
        let own: Vec<(f64, f64)> = draws(7, "QQQ", [0.0, 0.1]).into_iter().zip(draws(7, "IWM", [0.0, 0.1])).collect();
        assert!(statistics::correlation(&own).unwrap().abs() < 0.1, "the part of the underlying is its own");
        assert_eq!(Levels::Model.shift(dates[0], "SPY", [0.09, 0.0]), 0.0);
        assert!((Levels::Shifted { deviations: -2.0 }.shift(dates[0], "SPY", [0.03, 0.04]) + 0.1).abs() < 1e-12);
    }
}
