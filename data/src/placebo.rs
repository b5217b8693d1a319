//! Markets without direction, made from real bars, and the same markets with a direction that is planted.
//!
//! Every minute's log return keeps its size and gets a random sign, the same for all symbols. So the volatility of every minute, its
//! clustering, hours, gaps, volumes and the correlation of the symbols are those of the real market, and the direction of the next
//! minute is unknown to everybody. What a procedure earns in such a market is luck, or volatility that the option prices miss.
//!
//! A planted trend turns some of the signs, so that the next minute tends to go on with the trend that the bars show.

use std::collections::HashMap;

use crate::{BarColumns, Bars, DataError, History, columns::ColumnInputs};

/// Bars of the fast and of the slow average whose difference is the trend; those of the feature `ema_diff`.
const TREND_BARS: [f64; 2] = [9.0, 20.0];

/// Returns the bars of a history with random signs of their minute returns; volatility indices stay as they are. A sign is a function
/// of `seed` and the bar's start.
///
/// A bar of negative sign is the mirror image of the real one about the close before it, in logarithms: its high comes from the real
/// low. Prices are rounded to four decimal places.
///
/// Bars of other symbols get the same signs. Other columns of the user keep their values and lose all that they told of the
/// direction.
///
/// The volatility index keeps its values, although falls no longer precede its rises: puts are too dear in these markets, by the skew
/// that pays for falls.
///
/// # Errors
/// As [`Bars::new`], where a price falls below the rounding.
pub fn without_direction(history: &History, seed: u64) -> Result<History, DataError> {
    with_planted_trend(history, seed, 0.0)
}

/// Returns the market of [`without_direction`] in which a share `strength`, 0 to 1, of the minutes follows the trend of the first
/// symbol: its average of 9 closes above that of 20, or below it. The next minute goes on with the trend with a probability of
/// `(1 + strength) / 2`.
///
/// Sizes of returns, hours, volumes and the correlation of the symbols stay; minutes that are not planted keep their signs.
///
/// # Errors
/// As for [`without_direction`].
pub fn with_planted_trend(history: &History, seed: u64, strength: f64) -> Result<History, DataError> {
    let mut signs = Signs { seed, strength, planted: HashMap::new() };
    let mut bars = Vec::with_capacity(history.bars.len());
    for (symbol, of_symbol) in history.bars.iter().enumerate() {
        bars.push(signs.mirror(of_symbol, symbol == 0)?);
    }
    let cross = history.columns.cross.iter().map(|bars| signs.mirror(bars, false)).collect::<Result<_, _>>()?;
    let columns = ColumnInputs { cross, series: history.columns.series.clone() };
    Ok(History { bars, columns, ..history.clone() })
}

/// Signs of the minutes of a market.
struct Signs {
    seed: u64,
    strength: f64,
    /// Planted minutes by the start of their bar: whether the real sign is kept.
    planted: HashMap<i64, bool>,
}

impl Signs {
    /// Returns the bars of a symbol with their signs; the first symbol leads, and its planted minutes hold for all.
    fn mirror(&mut self, bars: &Bars, leads: bool) -> Result<Bars, DataError> {
        let mut columns =
            BarColumns { ts_ns: bars.ts_ns().to_vec(), volume: bars.volume().to_vec(), ..BarColumns::default() };
        let Some(&first) = bars.open().first() else { return Ok(bars.clone()) };
        // Last closes of the real and of the mirrored series.
        let (mut real, mut placebo) = (first, first);
        let mut trend = Trend { fast: first, slow: first };
        for row in 0..bars.len() {
            let [open, high, low, close] =
                [bars.open(), bars.high(), bars.low(), bars.close()].map(|column| column[row]);
            let ts_ns = bars.ts_ns()[row];
            if leads && self.is_planted(ts_ns) && trend.sign() != 0.0 {
                self.planted.insert(ts_ns, (close >= real) == (trend.sign() > 0.0));
            }
            let kept = self.planted.get(&ts_ns).copied().unwrap_or_else(|| is_kept(self.seed, ts_ns));
            let price = |price: f64| rounded(placebo * if kept { price / real } else { real / price });
            let (top, bottom) = if kept { (high, low) } else { (low, high) };
            columns.open.push(price(open));
            columns.high.push(price(top));
            columns.low.push(price(bottom));
            columns.close.push(price(close));
            // Unrounded, so that errors of rounding do not add up.
            placebo *= if kept { close / real } else { real / close };
            real = close;
            trend.push(placebo);
        }
        let planted = if self.strength > 0.0 { ", with a planted trend" } else { ", without direction" };
        Bars::new(bars.symbol().clone(), &format!("{}{planted} (seed {})", bars.origin(), self.seed), columns)
    }

    /// Returns whether the bar that starts at `ts_ns` follows the trend, by a draw of its own.
    fn is_planted(&self, ts_ns: i64) -> bool {
        self.strength > 0.0 && uniform(!self.seed, ts_ns) < self.strength
    }
}

/// Exponential averages of the closes.
struct Trend {
    fast: f64,
    slow: f64,
}

impl Trend {
    fn push(&mut self, close: f64) {
        let [fast, slow] = TREND_BARS.map(|bars| 2.0 / (bars + 1.0));
        self.fast += fast * (close - self.fast);
        self.slow += slow * (close - self.slow);
    }

    /// Returns 1 for a trend up, -1 for one down, 0 without any.
    fn sign(&self) -> f64 {
        if self.fast > self.slow {
            1.0
        } else if self.fast < self.slow {
            -1.0
        } else {
            0.0
        }
    }
}

fn rounded(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}

/// Returns whether the return of the bar that starts at `ts_ns` keeps its sign: a fair coin.
fn is_kept(seed: u64, ts_ns: i64) -> bool {
    uniform(seed, ts_ns) < 0.5
}

/// Returns a uniform number from 0 up to 1 of a seed and a bar, by splitmix64.
fn uniform(seed: u64, ts_ns: i64) -> f64 {
    let mixed = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let z = mixed(mixed(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ ts_ns.cast_unsigned());
    (z >> 11) as f64 / 2_f64.powi(53)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataConfig, Symbol, source::synthetic};

    fn history() -> History {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = jiff::civil::date(2024, 2, 29);
        config.synthetic.planted_edge = 0.4;
        let symbols = ["SPY", "QQQ"].map(|name| Symbol::new(name).unwrap());
        synthetic::generate(&config.synthetic, &symbols).unwrap()
    }

    /// Log returns from close to close.
    fn returns(bars: &Bars) -> Vec<f64> {
        bars.close().windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect()
    }

    #[test]
    fn sizes_of_returns_stay_and_their_signs_are_a_coin() {
        let real = history();
        let placebo = without_direction(&real, 7).unwrap();
        for (before, after) in real.bars.iter().zip(&placebo.bars) {
            assert_eq!((before.ts_ns(), before.volume()), (after.ts_ns(), after.volume()));
            let (before_returns, after_returns) = (returns(before), returns(after));
            let same = before_returns.iter().zip(&after_returns);
            assert!(same.clone().all(|(a, b)| (a.abs() - b.abs()).abs() < 2e-6), "sizes");
            let kept = same.filter(|(a, b)| a.signum() == b.signum()).count() as f64 / before_returns.len() as f64;
            assert!((kept - 0.5).abs() < 0.02, "{kept}");
            let range = |bars: &Bars, row: usize| (bars.high()[row] / bars.low()[row]).ln();
            assert!((0..before.len()).all(|row| (range(before, row) - range(after, row)).abs() < 2e-6), "ranges");
        }
    }

    #[test]
    fn symbols_share_their_signs_and_seeds_differ() {
        let real = history();
        // The product of real and mirrored return; one of zero, or near it by rounding, has no sign.
        let flips = |history: &History, symbol: usize| -> Vec<f64> {
            returns(&real.bars[symbol]).iter().zip(returns(&history.bars[symbol])).map(|(a, b)| a * b).collect()
        };
        let placebo = without_direction(&real, 7).unwrap();
        let (first, second) = (flips(&placebo, 0), flips(&placebo, 1));
        let signed = first.iter().zip(&second).filter(|(a, b)| a.abs().min(b.abs()) > 1e-11);
        assert!(signed.clone().count() > 5_000 && signed.clone().all(|(a, b)| a.signum() == b.signum()));
        assert_eq!(placebo, without_direction(&real, 7).unwrap());
        assert_ne!(placebo.bars, without_direction(&real, 8).unwrap().bars);
        assert_eq!(placebo.volatility, real.volatility);
    }

    /// Share of the minutes, beyond one half, that go on with the trend of the closes before them.
    fn follows_trend(history: &History) -> f64 {
        let bars = &history.bars[0];
        let mut trend = Trend { fast: bars.open()[0], slow: bars.open()[0] };
        let (mut agree, mut all) = (0.0, 0.0);
        for pair in bars.close().windows(2) {
            trend.push(pair[0]);
            let agreement = trend.sign() * (pair[1] / pair[0]).ln();
            if agreement != 0.0 {
                all += 1.0;
                agree += f64::from(u8::from(agreement > 0.0));
            }
        }
        agree / all - 0.5
    }

    #[test]
    fn a_planted_trend_goes_on_as_often_as_asked_and_sizes_stay() {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = jiff::civil::date(2024, 6, 28);
        let real = synthetic::generate(&config.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
        let bare = without_direction(&real, 3).unwrap();
        assert!(follows_trend(&bare).abs() < 0.01, "{}", follows_trend(&bare));
        for strength in [0.1, 0.4] {
            let planted = with_planted_trend(&real, 3, strength).unwrap();
            assert!((follows_trend(&planted) - strength / 2.0).abs() < 0.01, "{}", follows_trend(&planted));
            let both = returns(&bare.bars[0]).into_iter().zip(returns(&planted.bars[0]));
            assert!(both.clone().all(|(a, b)| (a.abs() - b.abs()).abs() < 2e-6), "sizes");
            // A planted minute turns its sign half of the time.
            let turned = both.filter(|(a, b)| a * b < -1e-11).count() as f64 / bare.bars[0].len() as f64;
            assert!((turned - strength / 2.0).abs() < 0.02, "{turned}");
        }
    }

    #[test]
    fn planted_minutes_hold_for_all_symbols() {
        let real = history();
        let planted = with_planted_trend(&real, 7, 0.5).unwrap();
        let flips = |symbol: usize| -> Vec<f64> {
            returns(&real.bars[symbol]).iter().zip(returns(&planted.bars[symbol])).map(|(a, b)| a * b).collect()
        };
        let (first, second) = (flips(0), flips(1));
        let mut signed = first.iter().zip(&second).filter(|(a, b)| a.abs().min(b.abs()) > 1e-11);
        assert!(signed.all(|(a, b)| a.signum() == b.signum()));
    }
}
