//! Environment with a planted fault in its rewards or observations, on top of the market environment.

use std::ops::Range;

use market_env::{
    ACCOUNT_COLUMNS, Action, ActionMask, BatchEnv, ClosedTrade, Episode, FEATURES, FLAT_MASK, Ledger, ObsOut, ObsSpec,
    StepOut, VecEnv,
};

/// Account column that shows the clock, and its index among the policy's inputs.
const CLOCK_COLUMN: usize = 7;
pub(super) const CLOCK_INPUT: usize = FEATURES.len() + CLOCK_COLUMN;

/// Planted faults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// No fault.
    None,
    /// A flat account is paid this amount for the action.
    Pay(Action, f32),
    /// The account row shows a clock instead of the hours held: 1 and -1 in turn, for this many lane-steps each.
    Clock(u64),
    /// A flat account is paid for every entry.
    PayEntries(f32),
    /// All features are zero.
    Blind,
    /// Rewards double after every such number of lane-steps.
    Double(u64),
    /// The reward of the first lane is NaN after this many lane-steps.
    NotANumber(u64),
}

impl Fault {
    /// Returns the extra reward of a flat account's decision.
    fn paid(self, action: u8) -> f32 {
        let when = |holds: bool, amount: f32| if holds { amount } else { 0.0 };
        match self {
            Self::Pay(wanted, amount) => when(action == wanted as u8, amount),
            Self::PayEntries(amount) => when(action != Action::Hold as u8, amount),
            Self::None | Self::Clock(_) | Self::Blind | Self::Double(_) | Self::NotANumber(_) => 0.0,
        }
    }
}

/// A market with a fault.
#[derive(Debug)]
pub(super) struct Planted {
    env: BatchEnv,
    fault: Fault,
    /// Features shown instead of the market's, if it is blind.
    blank: Option<Vec<f32>>,
    /// Legal actions before the step. `[N]`
    mask: Vec<ActionMask>,
}

impl Planted {
    pub(super) fn new(env: BatchEnv, fault: Fault) -> Self {
        let blank = (fault == Fault::Blind).then(|| vec![0.0; env.tape().len()]);
        Self { mask: vec![ActionMask(1); env.lanes()], env, fault, blank }
    }

    fn show_clock(&self, account: &mut [f32]) {
        if let Fault::Clock(period) = self.fault {
            let even = (self.env.ledger().steps / period).is_multiple_of(2);
            let rows = account.chunks_exact_mut(ACCOUNT_COLUMNS.len());
            rows.for_each(|row| row[CLOCK_COLUMN] = if even { 1.0 } else { -1.0 });
        }
    }

    fn spoil(&self, actions: &[u8], rewards: &mut [f32]) {
        let steps = self.env.ledger().steps;
        for ((reward, &action), mask) in rewards.iter_mut().zip(actions).zip(&self.mask) {
            if *mask == FLAT_MASK {
                *reward += self.fault.paid(action);
            }
            if let Fault::Double(every) = self.fault {
                *reward *= (steps as f32 / every as f32).exp2();
            }
        }
        if matches!(self.fault, Fault::NotANumber(from) if steps >= from) {
            rewards[0] = f32::NAN;
        }
    }
}

impl VecEnv for Planted {
    fn lanes(&self) -> usize {
        self.env.lanes()
    }

    fn spec(&self) -> &ObsSpec {
        self.env.spec()
    }

    fn tape(&self) -> &[f32] {
        self.blank.as_deref().unwrap_or_else(|| self.env.tape())
    }

    fn visible_rows(&self) -> Vec<Range<usize>> {
        self.env.visible_rows()
    }

    fn reset(&mut self, out: ObsOut<'_>) {
        let ObsOut { row, account, mask } = out;
        self.env.reset(ObsOut { row, account: &mut *account, mask: &mut *mask });
        self.mask.copy_from_slice(mask);
        self.show_clock(account);
    }

    fn step(&mut self, actions: &[u8], out: StepOut<'_>) {
        let StepOut { next: ObsOut { row, account, mask }, reward, terminated, truncated, last } = out;
        let next = ObsOut { row, account: &mut *account, mask: &mut *mask };
        self.env.step(actions, StepOut { next, reward: &mut *reward, terminated, truncated, last });
        self.spoil(actions, reward);
        self.mask.copy_from_slice(mask);
        self.show_clock(account);
    }

    fn ledger(&self) -> &Ledger {
        self.env.ledger()
    }

    fn drain_episodes(&mut self, out: &mut Vec<Episode>) {
        self.env.drain_episodes(out);
    }

    fn drain_closed(&mut self, out: &mut Vec<ClosedTrade>) {
        self.env.drain_closed(out);
    }

    fn state(&self) -> String {
        self.env.state()
    }

    fn restore(&mut self, state: &str, out: ObsOut<'_>) -> Result<(), String> {
        let ObsOut { row, account, mask } = out;
        self.env.restore(state, ObsOut { row, account: &mut *account, mask: &mut *mask })?;
        self.mask.copy_from_slice(mask);
        self.show_clock(account);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_go_to_whom_they_are_meant_for() {
        let paid = |fault: Fault| [0, 1, 2].map(|action| fault.paid(action));
        assert_eq!(paid(Fault::Pay(Action::BuyPut, 0.5)), [0.0, 0.0, 0.5]);
        assert_eq!(paid(Fault::PayEntries(0.5)), [0.0, 0.5, 0.5]);
        assert_eq!(paid(Fault::Blind), [0.0; 3]);
        assert_eq!(ACCOUNT_COLUMNS[CLOCK_COLUMN], "hours_held", "a column without information when flat");
    }
}
