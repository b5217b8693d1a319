//! Baselines on given sessions: the earnings of policies without information, and of perfect foresight.
//!
//! They show whether there is anything to earn, and so whether a policy that stays out has collapsed or is right. Sessions of
//! one date count as one observation, since symbols move together.

mod opportunity;
mod staying_out;

use std::{collections::BTreeMap, sync::Arc};

use jiff::civil::Date;
use market_env::{
    Ceilings, EnvConfig, EnvError, Market, PerTerm,
    baselines::{Replay, Scripted},
};
use ppo_agent::health;
use rayon::prelude::*;
use serde::Serialize;
use statistics::Mean;

use crate::output::table::{dollars, percent};

pub use self::{
    opportunity::Opportunity,
    staying_out::{explain_staying_out, stays_out},
};

/// Result of one scripted policy on the sessions. Money is after all costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// The policy.
    pub policy: Scripted,
    /// Positions opened and closed.
    pub trades: u64,
    /// P&L of all sessions, in dollars.
    pub net_pnl_usd: f64,
    /// Mean shaped reward of a session, with its standard error by session date; null for fewer than two dates.
    pub reward: Option<Mean>,
    /// Mean P&L of a session, in dollars, likewise.
    pub pnl_usd: Option<Mean>,
    /// Mean net return of a trade, as a fraction of premium and fees paid at its entry, likewise.
    pub trade_return: Option<Mean>,
    /// Reward of all sessions by term.
    pub reward_terms: PerTerm<f64>,
    /// Shaped reward of each session, in the order of the days that were measured.
    #[serde(skip)]
    pub rewards: Vec<f64>,
}

/// Results of policies without information on some sessions, and the ceilings of perfect foresight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baselines {
    /// Symbol-sessions per policy; each starts flat with the configured capital.
    pub sessions: usize,
    /// Their dates.
    pub session_dates: usize,
    /// One entry per policy, in the order of [`Scripted::family`].
    pub policies: Vec<Baseline>,
    /// Earnings of perfect foresight on all sessions together, under the same rules and costs.
    pub ceilings: Ceilings,
    /// Date of each session, counted from 0.
    #[serde(skip)]
    date_of_session: Vec<usize>,
}

impl Baselines {
    /// Replays these sessions once with every scripted policy, and computes the ceilings.
    ///
    /// # Errors
    /// When the sessions cannot be replayed under these settings.
    pub fn measure(market: &Arc<Market>, days: &[u32], config: &EnvConfig, seed: u64) -> Result<Self, EnvError> {
        let family = Scripted::family(config.exits.mode);
        let sessions = Sessions::of(market, days);
        let play = |policy: Scripted| Ok(sessions.summary(policy, &policy.play(market, days, config, seed)?));
        let policies = || family.into_par_iter().map(play).collect::<Result<Vec<_>, _>>();
        let (policies, ceilings) = rayon::join(policies, || Ceilings::of(market, days, config));
        let mut total = Ceilings::default();
        ceilings?.into_iter().for_each(|of_session| total += of_session);
        Ok(Self {
            sessions: days.len(),
            session_dates: sessions.dates,
            policies: policies?,
            ceilings: total,
            date_of_session: sessions.date_of,
        })
    }

    /// Measures the opportunity on these sessions in the form of training verdicts; unclear where they cannot be replayed.
    pub fn outlook_on(market: &Arc<Market>, days: &[u32], config: &EnvConfig, seed: u64) -> health::Opportunity {
        let found = Self::measure(market, days, config, seed);
        found.map_or_else(|error| health::Opportunity::Unclear(error.to_string()), |found| found.outlook())
    }

    /// Returns the result of one policy.
    pub fn of(&self, policy: Scripted) -> Option<&Baseline> {
        self.policies.iter().find(|baseline| baseline.policy == policy)
    }

    /// Returns a policy's mean shaped reward per session above that of always HOLD; the standard error is by session date.
    pub fn reward_over_hold(&self, baseline: &Baseline) -> Option<Mean> {
        let hold = self.of(Scripted::AlwaysHold)?;
        let more = baseline.rewards.iter().zip(&hold.rewards).map(|(reward, hold)| reward - hold);
        Mean::of_groups(by_date(self.session_dates, self.date_of_session.iter().copied().zip(more)))
    }

    /// Returns whether there is anything to earn on these sessions.
    pub fn opportunity(&self) -> Opportunity {
        Opportunity::of(self)
    }

    /// Returns the opportunity in the form of training verdicts, with the ceiling in the evidence.
    pub fn outlook(&self) -> health::Opportunity {
        let found = self.opportunity();
        let evidence = format!("{}; {}", found.evidence(), self.ceiling_line());
        match found {
            Opportunity::Earns { .. } => health::Opportunity::Earns(evidence),
            Opportunity::Loses { .. } => health::Opportunity::Loses(evidence),
            Opportunity::Unclear { .. } => health::Opportunity::Unclear(evidence),
        }
    }

    /// Returns the earnings of perfect foresight as a clause without a full stop.
    pub fn ceiling_line(&self) -> String {
        let per_session = |cents: i64| dollars(cents as f64 / 100.0 / self.sessions.max(1) as f64);
        let Ceilings { any, strong } = &self.ceilings;
        format!(
            "perfect foresight earns, after costs and per session, {} on any bar and {} on strong setups ({} of premium)",
            per_session(any.net_pnl_cents),
            per_session(strong.net_pnl_cents),
            percent(strong.return_on_premium()),
        )
    }
}

/// Measured sessions, grouped by date.
struct Sessions {
    dates: usize,
    /// Date of each session, counted from 0.
    date_of: Vec<usize>,
    number: BTreeMap<Date, usize>,
}

impl Sessions {
    fn of(market: &Market, days: &[u32]) -> Self {
        let date = |&day: &u32| market.days()[day as usize].date;
        let mut number: BTreeMap<Date, usize> = days.iter().map(|day| (date(day), 0)).collect();
        number.values_mut().zip(0..).for_each(|(number, n)| *number = n);
        Self { dates: number.len(), date_of: days.iter().map(|day| number[&date(day)]).collect(), number }
    }

    fn summary(&self, policy: Scripted, replay: &Replay) -> Baseline {
        let (mut rewards, mut pnl) = (vec![0.0; self.date_of.len()], vec![0.0; self.date_of.len()]);
        for episode in &replay.episodes {
            rewards[episode.lane as usize] = episode.reward;
            pnl[episode.lane as usize] = episode.net_pnl_cents as f64 / 100.0;
        }
        let of_sessions = |values: &[f64]| {
            Mean::of_groups(by_date(self.dates, self.date_of.iter().copied().zip(values.iter().copied())))
        };
        let returns = replay.trades.iter().map(|trade| (self.number[&trade.date], trade.net_return));
        Baseline {
            policy,
            trades: replay.trades.len() as u64,
            net_pnl_usd: pnl.iter().sum(),
            reward: of_sessions(&rewards),
            pnl_usd: of_sessions(&pnl),
            trade_return: Mean::of_groups(by_date(self.dates, returns)),
            reward_terms: replay.ledger.reward_terms,
            rewards,
        }
    }
}

fn by_date(dates: usize, values: impl Iterator<Item = (usize, f64)>) -> Vec<Vec<f64>> {
    let mut groups = vec![Vec::new(); dates];
    values.for_each(|(date, value)| groups[date].push(value));
    groups
}

#[cfg(test)]
pub(crate) mod tests {
    use market_env::{
        MarketConfig,
        baselines::{EntryRule, ExitRule},
    };

    use super::*;
    use crate::commands::bench;

    pub(crate) use super::opportunity::tests::baselines;

    #[test]
    fn sessions_of_one_date_are_one_observation() {
        let dataset = bench::dataset(6).unwrap();
        let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap());
        let days: Vec<u32> = (0..market.days().len() as u32).collect();
        let measured = Baselines::measure(&market, &days, &EnvConfig::default(), 3).unwrap();
        assert_eq!((measured.session_dates, measured.sessions), (6, days.len()));
        assert!(days.len() >= 12, "several symbols a date");
        let coin = Scripted::Trades(EntryRule::Coin, ExitRule::After(1));
        let (played, baseline) =
            (coin.play(&market, &days, &EnvConfig::default(), 3).unwrap(), measured.of(coin).unwrap());
        assert_eq!(baseline.trades, played.ledger.opened);
        assert!((baseline.net_pnl_usd - played.ledger.net_pnl_cents as f64 / 100.0).abs() < 1e-6);
        let (pnl, returns) = (baseline.pnl_usd.unwrap(), baseline.trade_return.unwrap());
        assert_eq!((pnl.observations, returns.observations), (6, 6));
        assert!((pnl.value * days.len() as f64 - baseline.net_pnl_usd).abs() < 1e-6);
        assert!((returns.value - played.ledger.trade_return / played.ledger.closed() as f64).abs() < 1e-9);
        let held = measured.of(Scripted::AlwaysHold).unwrap();
        assert_eq!((held.trades, measured.reward_over_hold(held).unwrap().value), (0, 0.0));
        let more = measured.reward_over_hold(baseline).unwrap().value;
        assert!((more - (baseline.reward.unwrap().value - held.reward.unwrap().value)).abs() < 1e-9);
        assert!(measured.ceilings.any.net_pnl_cents > measured.ceilings.strong.net_pnl_cents);
        assert!(measured.ceilings.strong.net_pnl_cents > 0);
    }
}
