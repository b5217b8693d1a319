//! Markets without direction, made from real bars.
//!
//! Every minute's log return keeps its size and gets a random sign, the same for all symbols. So the volatility of every minute, its
//! clustering, hours, gaps, volumes and the correlation of the symbols are those of the real market, and the direction of the next
//! minute is unknown to everybody. What a procedure earns in such a market is luck, or volatility that the option prices miss.

use crate::{BarColumns, Bars, DataError, History, columns::ColumnInputs};

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
    let bars = history.bars.iter().map(|bars| mirrored(bars, seed)).collect::<Result<_, _>>()?;
    let cross = history.columns.cross.iter().map(|bars| mirrored(bars, seed)).collect::<Result<_, _>>()?;
    let columns = ColumnInputs { cross, series: history.columns.series.clone() };
    Ok(History { bars, columns, ..history.clone() })
}

fn mirrored(bars: &Bars, seed: u64) -> Result<Bars, DataError> {
    let mut columns =
        BarColumns { ts_ns: bars.ts_ns().to_vec(), volume: bars.volume().to_vec(), ..BarColumns::default() };
    let Some(&first) = bars.open().first() else { return Ok(bars.clone()) };
    // Last closes of the real and of the mirrored series.
    let (mut real, mut placebo) = (first, first);
    for row in 0..bars.len() {
        let [open, high, low, close] = [bars.open(), bars.high(), bars.low(), bars.close()].map(|column| column[row]);
        let kept = is_kept(seed, bars.ts_ns()[row]);
        let price = |price: f64| rounded(placebo * if kept { price / real } else { real / price });
        let (top, bottom) = if kept { (high, low) } else { (low, high) };
        columns.open.push(price(open));
        columns.high.push(price(top));
        columns.low.push(price(bottom));
        columns.close.push(price(close));
        // Unrounded, so that errors of rounding do not add up.
        placebo *= if kept { close / real } else { real / close };
        real = close;
    }
    Bars::new(bars.symbol().clone(), &format!("{}, without direction (seed {seed})", bars.origin()), columns)
}

fn rounded(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}

/// Returns whether the return of the bar that starts at `ts_ns` keeps its sign: a fair coin by splitmix64.
fn is_kept(seed: u64, ts_ns: i64) -> bool {
    let mixed = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    mixed(mixed(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ ts_ns.cast_unsigned()) >> 63 == 0
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
}
