//! The six actions with their numbers, and the masks of legal ones.

/// Number of actions.
pub const ACTIONS: usize = 6;

/// Names of the actions, by number.
pub const ACTION_NAMES: [&str; ACTIONS] = ["HOLD", "BUY_CALL", "BUY_PUT", "TRIM_50", "TRIM_70", "EXIT"];

/// A decision at the close of a bar; its order fills at the next bar's open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Action {
    /// Do nothing.
    Hold = 0,
    /// Buy the call at the money.
    BuyCall = 1,
    /// Buy the put at the money.
    BuyPut = 2,
    /// Sell half of the contracts.
    Trim50 = 3,
    /// Sell seven tenths of the contracts.
    Trim70 = 4,
    /// Sell all contracts.
    Exit = 5,
}

impl Action {
    /// Every action, by number.
    pub const ALL: [Self; ACTIONS] = [Self::Hold, Self::BuyCall, Self::BuyPut, Self::Trim50, Self::Trim70, Self::Exit];

    /// Returns the action with this number, if there is one.
    #[inline]
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }

    /// Returns the number of the action.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the action's name in logs and files.
    pub const fn name(self) -> &'static str {
        ACTION_NAMES[self.index()]
    }
}

/// Legal without a position.
pub const FLAT_MASK: ActionMask = ActionMask::of(&[0, 1, 2]);
/// Legal in a position when the policy owns the exits.
pub const HOLDING_MASK: ActionMask = ActionMask::of(&[0, 3, 4, 5]);
/// Legal while the rule layer has an order working, and in a position when the rules own the exits.
pub const FORCED_MASK: ActionMask = ActionMask::of(&[0]);

/// The set of legal actions of one lane: bit `a` is set when action `a` may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ActionMask(pub u8);

impl ActionMask {
    /// Returns the mask with exactly these actions legal.
    pub const fn of(actions: &[u8]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < actions.len() {
            bits |= 1 << actions[i];
            i += 1;
        }
        Self(bits)
    }

    /// Returns whether the action is legal.
    #[inline]
    pub const fn allows(self, action: u8) -> bool {
        self.0 & (1 << action) != 0
    }

    /// Returns how many actions are legal.
    #[inline]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Returns whether only one action is legal.
    #[inline]
    pub const fn is_forced(self) -> bool {
        self.count() <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_masks_are_those_of_the_old_system() {
        assert_eq!(Action::ALL.map(Action::index), [0, 1, 2, 3, 4, 5]);
        assert_eq!(Action::from_index(4), Some(Action::Trim70));
        assert_eq!(Action::from_index(6), None);
        let legal = |mask: ActionMask| (0..6).filter(|&a| mask.allows(a)).collect::<Vec<u8>>();
        assert_eq!(legal(FLAT_MASK), [0, 1, 2]);
        assert_eq!(legal(HOLDING_MASK), [0, 3, 4, 5]);
        assert!(FORCED_MASK.is_forced() && !FLAT_MASK.is_forced());
    }
}
