//! The family of scripted policies, each an entry rule with an exit rule.

use std::{fmt, sync::Arc};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};

use super::{ObservedSession, Replay, direction, play};
use crate::{
    EnvConfig, EnvError, ExitMode, Market,
    action::{ACTIONS, Action},
};

/// The direction of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryRule {
    /// Calls only.
    Call,
    /// Puts only.
    Put,
    /// Calls and puts at random, with equal chances.
    Coin,
    /// The direction of a strong setup; no entry on a weak one.
    WithSetup,
    /// The opposite of a strong setup; no entry on a weak one.
    AgainstSetup,
    /// The direction of the last bar.
    WithBar,
    /// The opposite of the last bar.
    AgainstBar,
    /// The side of the session's VWAP on which the price lies.
    WithVwap,
    /// The opposite side.
    AgainstVwap,
}

/// The exit of a position; the environment's own rules apply besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitRule {
    /// After so many minutes.
    After(u32),
    /// At the first close without a loss, or after so many minutes.
    Gain(u32),
    /// No full exit; half of the position is sold at every close with a gain.
    Trim,
    /// By the environment's rules alone.
    ToRules,
    /// By the environment's rules alone, with a single entry per session.
    Never,
}

/// A policy as plain code, without foresight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripted {
    /// HOLD at every decision.
    AlwaysHold,
    /// A legal action drawn uniformly.
    RandomLegal,
    /// An entry whenever one is legal and the entry rule has a direction.
    Trades(EntryRule, ExitRule),
}

/// Minutes beyond the longest session.
const NO_CAP: u32 = 390;

impl Scripted {
    /// Returns every member of the family; the first always holds, the second acts at random. Where the rules alone sell,
    /// members that differ only in their exits are one.
    pub fn family(mode: ExitMode) -> Vec<Self> {
        let mut family = vec![Self::AlwaysHold, Self::RandomLegal];
        for (bet, leave) in Self::trades() {
            let leave = if mode == ExitMode::Rules && leave != ExitRule::Never { ExitRule::ToRules } else { leave };
            let member = Self::Trades(bet, leave);
            if !family.contains(&member) {
                family.push(member);
            }
        }
        family
    }

    fn trades() -> Vec<(EntryRule, ExitRule)> {
        use EntryRule::{AgainstBar, AgainstSetup, AgainstVwap, Call, Coin, Put, WithBar, WithSetup, WithVwap};
        use ExitRule::{After, Gain, Never, Trim};
        let mut trades = vec![
            (WithSetup, Gain(NO_CAP)),
            (WithSetup, Trim),
            (AgainstSetup, Gain(NO_CAP)),
            (Call, After(1)),
            (Put, After(1)),
            (Coin, After(1)),
            (Call, Never),
            (Put, Never),
            (WithBar, After(5)),
            (AgainstBar, After(5)),
            (WithVwap, After(30)),
            (AgainstVwap, After(30)),
        ];
        for bet in [WithSetup, AgainstSetup] {
            trades.extend([1, 5, 15, 30, 60].map(|minutes| (bet, After(minutes))));
        }
        trades
    }

    /// Replays every given session once. Random choices depend on the seed, the session and the bar alone.
    ///
    /// # Errors
    /// As [`crate::BatchEnv::replay`].
    pub fn play(self, market: &Arc<Market>, days: &[u32], config: &EnvConfig, seed: u64) -> Result<Replay, EnvError> {
        let mut bought = vec![false; days.len()];
        play(market, days, config, |sight| {
            let action = self.choose(sight, bought[sight.lane], seed);
            bought[sight.lane] |= sight.is_flat() && action != Action::Hold && sight.allows(action);
            action
        })
    }

    /// Chooses an action; `bought` is true once this policy has entered in the session.
    fn choose(self, sight: &ObservedSession<'_>, bought: bool, seed: u64) -> Action {
        match self {
            Self::AlwaysHold => Action::Hold,
            Self::RandomLegal => {
                let nth = draw(seed, sight, sight.mask.count());
                let legal = (0..ACTIONS as u8).filter(|&action| sight.mask.allows(action));
                legal.skip(nth as usize).find_map(Action::from_index).unwrap_or(Action::Hold)
            }
            Self::Trades(_, ExitRule::Never) if sight.is_flat() && bought => Action::Hold,
            Self::Trades(bet, _) if sight.is_flat() => bet.entry(sight, seed),
            Self::Trades(_, leave) => leave.order(sight),
        }
    }
}

impl EntryRule {
    fn entry(self, sight: &ObservedSession<'_>, seed: u64) -> Action {
        let direction = match self {
            Self::Call => 1.0,
            Self::Put => -1.0,
            Self::Coin => [1.0, -1.0][draw(seed, sight, 2) as usize],
            Self::WithSetup => direction(sight.setup),
            Self::AgainstSetup => -direction(sight.setup),
            Self::WithBar => sight.bar_direction(),
            Self::AgainstBar => -sight.bar_direction(),
            Self::WithVwap => sight.vwap_direction(),
            Self::AgainstVwap => -sight.vwap_direction(),
        };
        if direction > 0.0 {
            Action::BuyCall
        } else if direction < 0.0 {
            Action::BuyPut
        } else {
            Action::Hold
        }
    }
}

impl ExitRule {
    fn order(self, sight: &ObservedSession<'_>) -> Action {
        let over = |minutes| sight.minutes_held() >= minutes;
        match self {
            Self::After(minutes) if over(minutes) => Action::Exit,
            Self::Gain(minutes) if sight.gain() >= 0.0 || over(minutes) => Action::Exit,
            Self::Trim if sight.gain() > 0.0 => Action::Trim50,
            _ => Action::Hold,
        }
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bet, leave) = match self {
            Self::AlwaysHold => return f.write_str("always-HOLD"),
            Self::RandomLegal => return f.write_str("random-legal"),
            Self::Trades(bet, leave) => (bet, leave),
        };
        let bet = match bet {
            EntryRule::Call => "call on every bar",
            EntryRule::Put => "put on every bar",
            EntryRule::Coin => "coin on every bar",
            EntryRule::WithSetup => "with strong setups",
            EntryRule::AgainstSetup => "against strong setups",
            EntryRule::WithBar => "with the last bar",
            EntryRule::AgainstBar => "against the last bar",
            EntryRule::WithVwap => "away from VWAP",
            EntryRule::AgainstVwap => "back to VWAP",
        };
        match leave {
            ExitRule::After(minutes) => write!(f, "{bet}, {minutes} min"),
            ExitRule::Gain(NO_CAP) => write!(f, "{bet}, out at gain >= 0"),
            ExitRule::Gain(minutes) => write!(f, "{bet}, out at gain >= 0 or {minutes} min"),
            ExitRule::Trim => write!(f, "{bet}, TRIM_50 at every gain"),
            ExitRule::ToRules => write!(f, "{bet}, left to the rules"),
            ExitRule::Never => write!(f, "{}, once, held", bet.trim_end_matches(" on every bar")),
        }
    }
}

/// Serialised by its name.
impl Serialize for Scripted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Draws a number below `sides` from the stream of a session and a bar.
fn draw(seed: u64, sight: &ObservedSession<'_>, sides: u32) -> u32 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((u64::from(sight.day) << 32) | u64::from(sight.bar));
    rng.random_range(0..sides)
}

#[cfg(test)]
pub(crate) mod tests {
    use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};

    use super::*;
    use crate::{ExitReason, MarketConfig, Setup, Trade};

    pub(crate) fn market() -> (Arc<Market>, Vec<u32>) {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(6));
        let symbols = ["SPY", "SPX"].map(|name| Symbol::new(name).unwrap());
        let history = synthetic::generate(&config.synthetic, &symbols).unwrap();
        let dataset = Dataset::build(&history, &Window::default(), &config).unwrap();
        let market = Market::build(&dataset.symbols, &MarketConfig::default()).unwrap();
        let days = (0..market.days().len() as u32).collect();
        (Arc::new(market), days)
    }

    /// Replays under rules that sell only at a total loss and before the bell.
    fn playback(bet: EntryRule, leave: ExitRule) -> Replay {
        let (market, days) = market();
        let mut config = EnvConfig::default();
        config.exits.stop_loss = 1.0;
        Scripted::Trades(bet, leave).play(&market, &days, &config, 1).unwrap()
    }

    fn with_setup(trade: &Trade) -> bool {
        let side = if trade.side == Action::BuyCall { 1.0 } else { -1.0 };
        side == direction(trade.setup)
    }

    #[test]
    fn setups_are_followed_and_faded() {
        let with = playback(EntryRule::WithSetup, ExitRule::After(5));
        assert!(with.trades.iter().all(with_setup) && with.ledger.good_buy == with.ledger.opened);
        let against = playback(EntryRule::AgainstSetup, ExitRule::After(5));
        let faded = |trade: &Trade| trade.setup != Setup::Weak && !with_setup(trade);
        assert!(against.trades.iter().all(faded) && against.ledger.good_buy == 0);
        for played in [with, against] {
            assert!(played.trades.len() > 100);
            // Only the bell shortens a holding of five minutes.
            assert!(
                played.trades.iter().all(|trade| trade.minutes_held() == 5 || trade.reason == ExitReason::EndOfDay)
            );
        }
    }

    #[test]
    fn bars_and_vwap_name_opposite_directions() {
        let (market, days) = market();
        for (bet, opposite) in
            [(EntryRule::WithBar, EntryRule::AgainstBar), (EntryRule::WithVwap, EntryRule::AgainstVwap)]
        {
            let (mut calls, mut puts) = (0, 0);
            play(&market, &days, &EnvConfig::default(), |sight| {
                let (one, other) = (bet.entry(sight, 0), opposite.entry(sight, 0));
                match one {
                    Action::BuyCall => (calls, _) = (calls + 1, assert_eq!(other, Action::BuyPut)),
                    Action::BuyPut => (puts, _) = (puts + 1, assert_eq!(other, Action::BuyCall)),
                    _ => assert_eq!(other, Action::Hold),
                }
                Action::Hold
            })
            .unwrap();
            assert!(calls > 500 && puts > 500, "{bet:?}: {calls} calls, {puts} puts");
        }
    }

    #[test]
    fn positions_are_left_as_the_policy_says() {
        let every_bar = playback(EntryRule::Coin, ExitRule::After(1));
        assert!(every_bar.trades.iter().all(|trade| trade.minutes_held() == 1));
        let calls = every_bar.trades.iter().filter(|trade| trade.side == Action::BuyCall).count() as f64;
        assert!((calls / every_bar.trades.len() as f64 - 0.5).abs() < 0.05, "a fair coin");

        let once = playback(EntryRule::Put, ExitRule::Never);
        assert_eq!(once.trades.len(), once.episodes.len());
        assert!(once.trades.iter().all(|trade| trade.side == Action::BuyPut && trade.minutes_held() > 200));

        let trimmed = playback(EntryRule::WithSetup, ExitRule::Trim);
        assert!(trimmed.trades.iter().any(|trade| trade.sales.len() > 3));
        let halved = |trade: &Trade| trade.sales[0].contracts == (trade.contracts / 2).max(1);
        assert!(trimmed.trades.iter().filter(|trade| trade.sales.len() > 1).all(halved));

        let capped = playback(EntryRule::WithSetup, ExitRule::Gain(7));
        assert!(capped.trades.iter().all(|trade| trade.minutes_held() <= 7));
        assert!(capped.trades.iter().any(|trade| trade.minutes_held() == 7) && capped.ledger.wins > 0);
    }

    #[test]
    fn the_family_has_distinct_names_and_its_first_member_does_nothing() {
        let family = Scripted::family(ExitMode::Agent);
        let mut names: Vec<String> = family.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), family.len());
        assert_eq!((family.len(), Scripted::family(ExitMode::Rules).len()), (24, 13));
        let (market, days) = market();
        let held = family[0].play(&market, &days, &EnvConfig::default(), 1).unwrap();
        assert_eq!((held.ledger.opened, held.episodes.len()), (0, days.len()));
    }

    #[test]
    fn what_is_random_depends_on_the_session_and_not_on_the_company_it_is_played_in() {
        let (market, days) = market();
        let pnl = |days: &[u32], seed| {
            let played = Scripted::RandomLegal.play(&market, days, &EnvConfig::default(), seed).unwrap();
            let of_session = |day: u32| played.episodes.iter().find(|episode| episode.day == day);
            days.iter().map(|&day| of_session(day).unwrap().net_pnl_cents).collect::<Vec<_>>()
        };
        let all = pnl(&days, 1);
        assert_eq!(all[2..], pnl(&days[2..], 1));
        assert!(all != pnl(&days, 2), "another seed");
        assert!(all.iter().sum::<i64>() < 0, "it pays the spread: {all:?}");
    }
}
