//! Counters of a batch since its construction. The difference of two ledgers is an interval.
//!
//! The environment only adds; shares, means and verdicts are left to the reader.

use crate::{
    ACTIONS,
    account::exits::ExitReason,
    action::Action,
    features::setup::Setup,
    reward::{PerTerm, RewardTerm},
};

/// Number of setup classes.
pub const SETUPS: usize = 3;
macro_rules! ledger {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// Sums over all lanes and steps. Money is in cents, lanes and bars are counted one by one.
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Ledger { $($(#[$doc])* pub $name: $kind,)* }

        impl Ledger {
            /// Adds another ledger's sums to this one's.
            pub fn add(&mut self, other: &Self) { $(Tally::add(&mut self.$name, &other.$name);)* }

            /// Returns the interval since `earlier`, an older state of the same ledger.
            pub fn since(&self, earlier: &Self) -> Self {
                let mut result = self.clone();
                $(Tally::sub(&mut result.$name, &earlier.$name);)*
                result
            }
        }
    };
}

ledger! {
    /// Lane-steps taken.
    steps: u64,
    /// Lane-steps in which only one action was legal.
    forced_steps: u64,
    /// Lane-steps begun in a position.
    held_steps: u64,
    /// Actions of lanes that were flat and had a choice, by setup class and action.
    flat_actions: [[u64; ACTIONS]; SETUPS],
    /// Actions of lanes that held a position and had a choice.
    held_actions: [u64; ACTIONS],
    /// Filled entries in the direction of a strong setup.
    good_buy: u64,
    /// Flat HOLDs on a strong setup.
    missed_opportunity: u64,
    /// Filled entries into an exhausted bar.
    bad_chase: u64,
    /// Orders of the policy that were refused at the market: no quote, or too little cash.
    refused_orders: u64,
    /// Entries among them that the account could not afford.
    #[serde(default)]
    unaffordable_orders: u64,
    /// Reward by term.
    reward_terms: PerTerm<f64>,
    /// Absolute reward by term.
    reward_terms_abs: PerTerm<f64>,
    /// Positions opened.
    opened: u64,
    /// Positions closed, by reason: its index is that of [`ExitReason::ALL`].
    exits: [u64; ExitReason::COUNT],
    /// Closed positions with a net gain.
    wins: u64,
    /// Net P&L of closed positions as a fraction of their entry cost, summed.
    trade_return: f64,
    /// The same returns squared, summed.
    trade_return_squares: f64,
    /// Change of the accounts' liquidation value, all costs included.
    net_pnl_cents: i64,
    /// Commissions and exchange fees paid.
    fees_cents: i64,
    /// Premium paid for entries.
    premium_cents: i64,
    /// Sessions played to their end.
    sessions: u64,
    /// Partial fills, because of the displayed size.
    partial_orders: u64,
    /// Orders that expired unfilled: entries without a quote until entries ended, and sales before the bell that left
    /// contracts to settle.
    unfilled_orders: u64,
    /// Minutes played that had no bar, so that nothing filled in them.
    #[serde(default)]
    minutes_without_bar: u64,
    /// Orders that were due in a minute without a bar: entries that were refused or waited, and sales, which wait. An order
    /// counts once per hole.
    #[serde(default)]
    halted_orders: u64,
}

impl Ledger {
    /// Returns the count of an action among flat lanes with a choice.
    pub fn flat(&self, action: Action) -> u64 {
        self.flat_actions.iter().map(|of_setup| of_setup[action.index()]).sum()
    }

    /// Returns the flat lane-steps with a choice, in all setups.
    pub fn flat_steps(&self) -> u64 {
        self.flat_actions.iter().flatten().sum()
    }

    /// Returns the flat lane-steps with a choice, in one setup class.
    pub fn flat_steps_in(&self, setup: Setup) -> u64 {
        self.flat_actions[setup as usize].iter().sum()
    }

    /// Returns the flat lane-steps on a strong setup of either direction.
    pub fn strong_states(&self) -> u64 {
        self.flat_steps_in(Setup::BullStrong) + self.flat_steps_in(Setup::BearStrong)
    }

    /// Returns the entries of either direction on a strong setup of either direction.
    pub fn strong_buys(&self) -> u64 {
        let buys = |setup: Setup| {
            let row = &self.flat_actions[setup as usize];
            row[Action::BuyCall.index()] + row[Action::BuyPut.index()]
        };
        buys(Setup::BullStrong) + buys(Setup::BearStrong)
    }

    /// Returns the mean net return of a closed position and its standard error, as if positions were independent; `None`
    /// for fewer than two.
    pub fn mean_trade_return(&self) -> Option<(f64, f64)> {
        let n = self.closed() as f64;
        let mean = self.trade_return / n;
        let variance = (self.trade_return_squares / n - mean * mean).max(0.0) * n / (n - 1.0);
        (n > 1.0).then(|| (mean, (variance / n).sqrt()))
    }

    /// Returns the positions closed for any reason.
    pub fn closed(&self) -> u64 {
        self.exits.iter().sum()
    }
}

/// Numbers and arrays that can be added.
trait Tally {
    fn add(&mut self, other: &Self);
    fn sub(&mut self, other: &Self);
}

macro_rules! tally {
    ($($number:ty),*) => {$(impl Tally for $number {
        fn add(&mut self, other: &Self) { *self += other; }
        fn sub(&mut self, other: &Self) { *self -= other; }
    })*};
}
tally!(u64, i64, f64);

impl<T: Tally> Tally for PerTerm<T> {
    fn add(&mut self, other: &Self) {
        RewardTerm::ALL.into_iter().for_each(|term| self[term].add(&other[term]));
    }

    fn sub(&mut self, other: &Self) {
        RewardTerm::ALL.into_iter().for_each(|term| self[term].sub(&other[term]));
    }
}

impl<T: Tally, const N: usize> Tally for [T; N] {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(a, b)| a.add(b));
    }

    fn sub(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(a, b)| a.sub(b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_return_knows_its_error() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.mean_trade_return(), None);
        (ledger.exits[0], ledger.trade_return, ledger.trade_return_squares) = (3, 0.6, 0.01 + 0.04 + 0.09);
        let (mean, error) = ledger.mean_trade_return().unwrap();
        // Returns of 0.1, 0.2 and 0.3: sample deviation 0.1.
        assert!((mean - 0.2).abs() < 1e-12 && (error - 0.1 / 3.0f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_ledger_without_the_counts_of_holes_is_read() {
        let ledger = Ledger { steps: 5, minutes_without_bar: 2, halted_orders: 1, ..Ledger::default() };
        let mut json = serde_json::to_value(&ledger).unwrap();
        assert_eq!(serde_json::from_value::<Ledger>(json.clone()).unwrap(), ledger);
        let columns = json.as_object_mut().unwrap();
        columns.remove("minutes_without_bar");
        columns.remove("halted_orders");
        assert_eq!(serde_json::from_value::<Ledger>(json).unwrap(), Ledger { steps: 5, ..Ledger::default() });
    }

    #[test]
    fn an_interval_is_the_difference_of_two_states() {
        let mut ledger = Ledger { steps: 5, net_pnl_cents: -70, ..Ledger::default() };
        ledger.flat_actions[Setup::BullStrong as usize][Action::BuyCall.index()] = 2;
        ledger.flat_actions[Setup::Weak as usize][Action::Hold.index()] = 3;
        let before = ledger.clone();
        let mut step = Ledger { steps: 2, net_pnl_cents: 30, ..Ledger::default() };
        step.flat_actions[Setup::BearStrong as usize][Action::Hold.index()] = 1;
        ledger.add(&step);
        assert_eq!(ledger.since(&before), step);
        assert_eq!((ledger.strong_states(), ledger.strong_buys(), ledger.flat_steps()), (3, 2, 6));
        assert_eq!(ledger.flat(Action::Hold), 4);
    }
}
