//! Trades by the origin of their prices: modelled, or real quotes of the contract.

use market_env::{PriceOrigin, Trade};
use serde::Serialize;

use crate::output::table::thousands;

/// Trades by the origin of their prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PriceCounts {
    /// Trades at prices of the model, or of the surface that follows real prints.
    pub modelled: usize,
    /// Trades whose entry and sales filled on real quotes of the contract.
    pub real: usize,
}

impl PriceCounts {
    /// Counts trades.
    pub fn of(trades: &[Trade]) -> Self {
        let real = trades.iter().filter(|trade| trade.prices == PriceOrigin::Real).count();
        Self { modelled: trades.len() - real, real }
    }

    /// Returns the counts as a clause, such as "modelled in all 12 trades".
    pub fn text(&self) -> String {
        let count = |trades: usize| thousands(trades as i64);
        match (self.modelled, self.real) {
            (0, 0) => "no trade".to_owned(),
            (modelled, 0) => format!("modelled in all {} trades", count(modelled)),
            (0, real) => format!("real quotes in all {} trades", count(real)),
            (modelled, real) => format!("real quotes in {} trades, modelled in {}", count(real), count(modelled)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::performance::tests::trade;

    #[test]
    fn trades_are_counted_by_the_origin_of_their_prices() {
        let modelled = trade(100, 0.1, 5);
        let real = Trade { prices: PriceOrigin::Real, ..modelled.clone() };
        let text = |trades: &[Trade]| PriceCounts::of(trades).text();
        assert_eq!(text(&[]), "no trade");
        assert_eq!(text(&[modelled.clone(), modelled.clone()]), "modelled in all 2 trades");
        assert_eq!(text(std::slice::from_ref(&real)), "real quotes in all 1 trades");
        assert_eq!(text(&[real, modelled.clone(), modelled]), "real quotes in 1 trades, modelled in 2");
    }
}
