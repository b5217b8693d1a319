//! The setup score: the number of four trend conditions that hold in either direction, and exhausted bars.

/// Conditions in the score.
pub(crate) const SETUP_CONDITIONS: u8 = 4;

/// RSI and wick thresholds of an exhausted bar.
const CHASE_RSI: f64 = 80.0;
const CHASE_WICK: f64 = 0.65;

/// The scores of one bar, known at its close.
///
/// The four conditions are EMA9 against EMA20, close against the session's VWAP, the sign of the MACD histogram, and
/// RSI14 against 50; the bearish score mirrors each of them. A tie counts for neither direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SetupScore {
    /// Bullish conditions that hold, 0 to 4.
    pub(crate) bull: u8,
    /// Bearish conditions that hold, 0 to 4.
    pub(crate) bear: u8,
    /// Overbought and rejected: RSI above 80 with more than 65 % wick.
    pub(crate) bull_chase: bool,
    /// Oversold and rejected: RSI below 20 with more than 65 % wick.
    pub(crate) bear_chase: bool,
}

impl SetupScore {
    /// Scores a bar from signed distances (positive = bullish), the RSI in `0..=100` and the wick's share of the range.
    pub(crate) fn of(ema_diff: f64, vwap_dist: f64, macd_hist: f64, rsi: f64, wick_ratio: f64) -> Self {
        let signs = [ema_diff, vwap_dist, macd_hist, rsi - 50.0];
        let count = |holds: &dyn Fn(f64) -> bool| signs.iter().filter(|&&x| holds(x)).count() as u8;
        let rejected = wick_ratio > CHASE_WICK;
        Self {
            bull: count(&|x| x > 0.0),
            bear: count(&|x| x < 0.0),
            bull_chase: rejected && rsi > CHASE_RSI,
            bear_chase: rejected && rsi < 100.0 - CHASE_RSI,
        }
    }

    /// Returns the class of the bar: a direction is strong when its score reaches `threshold` and beats the other's.
    pub(crate) fn classify(&self, threshold: u8) -> Setup {
        if self.bull >= threshold && self.bull > self.bear {
            Setup::BullStrong
        } else if self.bear >= threshold && self.bear > self.bull {
            Setup::BearStrong
        } else {
            Setup::Weak
        }
    }
}

/// Setup class of a bar; the threshold of "strong" is `market.setup_threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Setup {
    /// Neither direction is strong, or both are equally.
    #[default]
    Weak = 0,
    /// The bullish score reaches the threshold and beats the bearish one.
    BullStrong = 1,
    /// The bearish score reaches the threshold and beats the bullish one.
    BearStrong = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearish_score_mirrors_the_bullish_one() {
        let bull = SetupScore::of(0.1, 0.2, 0.3, 81.0, 0.7);
        let bear = SetupScore::of(-0.1, -0.2, -0.3, 19.0, 0.7);
        assert_eq!((bull.bull, bull.bear, bull.bull_chase, bull.bear_chase), (4, 0, true, false));
        assert_eq!((bear.bull, bear.bear, bear.bull_chase, bear.bear_chase), (0, 4, false, true));
        assert_eq!((bull.classify(4), bear.classify(4)), (Setup::BullStrong, Setup::BearStrong));
    }

    #[test]
    fn ties_are_weak_and_the_threshold_is_a_choice() {
        assert_eq!(SetupScore::of(0.1, 0.1, -0.1, 40.0, 0.0).classify(2), Setup::Weak);
        assert_eq!(SetupScore::of(0.1, 0.1, 0.1, 40.0, 0.0).classify(4), Setup::Weak);
        assert_eq!(SetupScore::of(0.1, 0.1, 0.1, 40.0, 0.0).classify(3), Setup::BullStrong);
        assert_eq!(SetupScore::of(0.1, 0.0, 0.1, 55.0, 0.66).classify(3), Setup::BullStrong);
        assert!(!SetupScore::of(1.0, 1.0, 1.0, 80.0, 0.9).bull_chase, "80 is not above 80");
    }
}
