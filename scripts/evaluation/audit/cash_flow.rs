//! Cash flow of a trade, derived from its fills.

/// Cash flow of one trade, in cents.
#[derive(Debug, Clone, Copy)]
pub(super) struct CashFlow {
    pub(super) premium: i64,
    pub(super) entry_fees: i64,
    pub(super) fees: i64,
    pub(super) net: i64,
}

impl CashFlow {
    /// Returns the net P&L over premium and fees paid at the entry.
    pub(super) fn net_return(&self) -> f64 {
        self.net as f64 / (self.premium + self.entry_fees) as f64
    }
}
