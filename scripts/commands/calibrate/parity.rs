//! Put-call parity of the real prices: a check of the data that needs no model.

use market_data::Right;
use serde::Serialize;
use statistics::quantile;

use super::errors::Print;

/// A call and a put of one strike in one minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residual {
    /// `C - P - (S - K e^(-rT))`, in dollars; zero when all three prices are simultaneous.
    pub(crate) usd: f64,
    /// Mean of the two premiums, in dollars.
    pub(crate) premium: f64,
    pub(crate) spot: f64,
    pub(crate) near_money: bool,
}

/// Deviations of real prices from put-call parity.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ParityStats {
    /// Pairs of a call and a put of one strike and minute.
    pub count: usize,
    /// Median of the absolute residual, in dollars.
    pub median_abs_usd: f64,
    /// 90th percentile of the absolute residual, in the same unit.
    pub p90_abs_usd: f64,
    /// Median of the signed residual, in dollars.
    pub median_usd: f64,
    /// Median of the absolute residual, in basis points of spot.
    pub median_abs_bp: f64,
    /// 90th percentile of the absolute residual, in the same unit.
    pub p90_abs_bp: f64,
    /// Median of the absolute residual, in percent of the mean of the two premiums.
    pub median_abs_pct: f64,
}

impl ParityStats {
    pub(crate) fn of<'a>(residuals: impl Iterator<Item = &'a Residual>) -> Self {
        let (mut usd, mut bp, mut pct) = (Vec::new(), Vec::new(), Vec::new());
        for residual in residuals {
            usd.push(residual.usd);
            bp.push((residual.usd / residual.spot * 1e4).abs());
            pct.push((residual.usd / residual.premium * 1e2).abs());
        }
        let median_usd = quantile(&mut usd, 0.5);
        usd.iter_mut().for_each(|usd| *usd = usd.abs());
        Self {
            count: usd.len(),
            median_abs_usd: quantile(&mut usd, 0.5),
            p90_abs_usd: quantile(&mut usd, 0.9),
            median_usd,
            median_abs_bp: quantile(&mut bp, 0.5),
            p90_abs_bp: quantile(&mut bp, 0.9),
            median_abs_pct: quantile(&mut pct, 0.5),
        }
    }
}

/// Pairs calls and puts of the same strike among the prices of one minute, given as strike, right and price, sorted by
/// strike, call first. `forward` returns spot and the discounted strike.
pub(crate) fn residuals(
    minute: impl Iterator<Item = (f64, Right, f64)>,
    forward: impl Fn(f64) -> (f64, f64),
    found: &mut Vec<Residual>,
) {
    let mut call = None;
    for (strike, right, price) in minute {
        match (right, call) {
            (Right::Call, _) => call = Some((strike, price)),
            (Right::Put, Some((of, premium))) if of == strike => {
                let (spot, discounted) = forward(strike);
                found.push(Residual {
                    usd: premium - price - (spot - discounted),
                    premium: f64::midpoint(premium, price),
                    spot,
                    near_money: (strike / spot - 1.0).abs() < Print::NEAR_MONEY,
                });
            }
            (Right::Put, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_one_strike_are_compared_with_the_forward() {
        let minute = [
            (599.0, Right::Call, 3.0),
            (600.0, Right::Call, 2.0),
            (600.0, Right::Put, 1.5),
            (601.0, Right::Put, 1.0),
            (610.0, Right::Call, 0.0),
            (610.0, Right::Put, 9.5),
        ];
        let mut found = Vec::new();
        residuals(minute.into_iter(), |strike| (600.4, strike), &mut found);
        let usd: Vec<f64> = found.iter().map(|residual| (residual.usd * 10.0).round() / 10.0).collect();
        assert_eq!(usd, [0.1, 0.1]);
        assert_eq!(found.iter().map(|residual| residual.near_money).collect::<Vec<_>>(), [true, false]);
        let stats = ParityStats::of(found.iter());
        assert!((stats.median_abs_bp - 0.1 / 600.4 * 1e4).abs() < 1e-6 && stats.count == 2);
        assert!((stats.median_abs_pct - (10.0 / 1.75 + 10.0 / 4.75) / 2.0).abs() < 1e-6, "{stats:?}");
    }
}
