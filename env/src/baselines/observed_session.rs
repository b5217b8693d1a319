//! The observation of one session at a decision, with its columns by name.

use crate::{ActionMask, FEATURES, Setup, action::Action, batch::lane::ACCOUNT_COLUMNS};

/// The observation of one session at a decision.
#[derive(Debug, Clone, Copy)]
pub struct ObservedSession<'a> {
    /// The lane that plays the session.
    pub lane: usize,
    /// Index of the session among the market's days.
    pub day: u32,
    /// Bar at whose close the decision is taken.
    pub bar: u32,
    /// Tape row of that bar.
    pub row: usize,
    /// Setup class of that bar.
    pub setup: Setup,
    /// Legal actions.
    pub mask: ActionMask,
    /// The bar's columns ([`FEATURES`]).
    pub features: &'a [f32],
    /// The account's columns ([`ACCOUNT_COLUMNS`]).
    pub account: &'a [f32],
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Finds a feature's column at compile time; an unknown name fails to compile.
const fn feature(name: &str) -> usize {
    let mut i = 0;
    while !same(FEATURES[i].0, name) {
        i += 1;
    }
    i
}

/// Finds an account's column at compile time; an unknown name fails to compile.
const fn account(name: &str) -> usize {
    let mut i = 0;
    while !same(ACCOUNT_COLUMNS[i], name) {
        i += 1;
    }
    i
}

impl ObservedSession<'_> {
    /// Returns whether the action is legal.
    pub fn allows(&self, action: Action) -> bool {
        self.mask.allows(action as u8)
    }

    /// Returns whether the account is flat.
    pub fn is_flat(&self) -> bool {
        self.side() == 0.0
    }

    /// Returns +1 with a call, -1 with a put, 0 without a position.
    pub fn side(&self) -> f32 {
        self.account[const { account("side") }]
    }

    /// Returns the unrealised gain of the position as a fraction of its cost basis, at most 3.
    pub fn gain(&self) -> f32 {
        self.account[const { account("unrealised") }]
    }

    /// Returns the minutes since the position was bought, at most 240.
    pub fn minutes_held(&self) -> u32 {
        (self.account[const { account("hours_held") }] * 60.0).round() as u32
    }

    /// Returns whether the bar closed above its open (+1), below it (-1) or on it (0).
    pub fn bar_direction(&self) -> f32 {
        sign(self.features[const { feature("close") }] - self.features[const { feature("open") }])
    }

    /// Returns whether the bar closed above the session's VWAP (+1), below it (-1) or on it (0).
    pub fn vwap_direction(&self) -> f32 {
        sign(self.features[const { feature("vwap_dist") }])
    }
}

/// Returns the direction of a setup: +1, -1 or 0.
pub(crate) fn direction(setup: Setup) -> f32 {
    match setup {
        Setup::BullStrong => 1.0,
        Setup::BearStrong => -1.0,
        Setup::Weak => 0.0,
    }
}

fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}
