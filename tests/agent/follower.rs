//! Benchmark of the planted edge: scripted policies that read the signal from the features and follow it.

use std::sync::Arc;

use market_env::{
    Action, EnvConfig, Episode, Market,
    baselines::{ObservedSession, play},
};

/// Direction that the shape of each bar shows; one entry per tape row.
#[derive(Debug)]
pub(crate) struct Signal {
    /// +1, -1, or 0 for a bar without a body.
    told: Vec<f32>,
    minutes_left: Vec<u32>,
}

impl Signal {
    /// Reads the features that a policy sees: a bar is all body in an upward regime, mostly wicks in a downward one. A column
    /// `regime` of the user tells it instead where there is one.
    pub(crate) fn of(market: &Market) -> Self {
        let names = market.feature_names();
        let column = |name: &str| names.iter().position(|known| known == name).unwrap();
        let (body, to_close) = (column("body_ratio"), column("to_close"));
        let rows = market.features().chunks_exact(names.len());
        let direction = |body: f32| {
            if body > 0.6 {
                1.0
            } else if body > 0.0 {
                -1.0
            } else {
                0.0
            }
        };
        let told_by_user = names.iter().position(|known| known == "regime.raw");
        let tells = |row: &[f32]| told_by_user.map_or_else(|| direction(row[body]), |at| row[at]);
        let (told, minutes_left) = rows.map(|row| (tells(row), (row[to_close] * 390.0).round() as u32)).unzip();
        Self { told, minutes_left }
    }
}

/// Enters with the signal when flat, and leaves when it has turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Follower {
    /// Minutes to the close that an entry needs; more than a session's never trades.
    min_minutes_left: u32,
    /// Bars of the opposite direction that are ignored before it leaves.
    patience: u32,
    /// Minutes after which it leaves anyway, and may enter anew at the money.
    max_minutes: u32,
    /// Gain on the cost basis at which it leaves anyway.
    take_profit: f32,
}

impl Follower {
    /// Every member of the family; the first never trades.
    pub(crate) fn family() -> Vec<Self> {
        let never = Self { min_minutes_left: 391, patience: 0, max_minutes: 390, take_profit: f32::INFINITY };
        let mut family = vec![never];
        for min_minutes_left in [6, 10, 15, 30, 60, 120] {
            for patience in [0, 1] {
                for max_minutes in [390, 60] {
                    for take_profit in [f32::INFINITY, 1.0] {
                        family.push(Self { min_minutes_left, patience, max_minutes, take_profit });
                    }
                }
            }
        }
        family
    }

    /// Plays each session once; the episodes come in the order in which they end.
    pub(crate) fn play(self, market: &Arc<Market>, signal: &Signal, days: &[u32], env: &EnvConfig) -> Vec<Episode> {
        let mut contrary = vec![0; days.len()];
        play(market, days, env, |sight| self.choose(sight, signal, &mut contrary[sight.lane])).unwrap().episodes
    }

    /// Chooses an action; `contrary` counts the bars against the position since the last one with it.
    fn choose(self, sight: &ObservedSession<'_>, signal: &Signal, contrary: &mut u32) -> Action {
        let (side, told) = (sight.side(), signal.told[sight.row]);
        if sight.is_flat() {
            *contrary = 0;
            let enters = told != 0.0 && signal.minutes_left[sight.row] >= self.min_minutes_left;
            let entry = if told > 0.0 { Action::BuyCall } else { Action::BuyPut };
            return if enters { entry } else { Action::Hold };
        }
        if told == side {
            *contrary = 0;
        } else if told == -side {
            *contrary += 1;
        }
        let late = sight.minutes_held() >= self.max_minutes;
        let leaves = *contrary > self.patience || late || sight.gain() >= self.take_profit;
        if leaves { Action::Exit } else { Action::Hold }
    }
}
