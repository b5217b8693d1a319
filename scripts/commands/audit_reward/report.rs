//! Reward of policies without information on one data set, beside their P&L.

use market_data::{DataStamp, DateRange, Symbol};
use market_env::{PerTerm, baselines::Scripted};
use serde::Serialize;
use statistics::{Mean, kendall_tau_b};

use crate::{
    evaluation::baselines::{Baseline, Baselines, Opportunity},
    output::table::{columns, dollars, percent, thousands},
};

/// Number of standard errors from which a difference is significant.
const CLEAR: f64 = 2.0;

/// The term that contributes most to a policy's reward above always-HOLD's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PayingTerm {
    /// Its name.
    pub term: &'static str,
    /// Excess of the policy over always-HOLD, per session.
    pub more: f64,
    /// Its share of the absolute differences of all terms.
    pub share: f64,
}

/// Reward and P&L of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probe {
    /// The policy and its record.
    #[serde(flatten)]
    pub baseline: Baseline,
    /// Shaped reward of a session beyond that of always-HOLD; absent for fewer than two dates.
    pub over_hold: Option<Mean>,
    /// Term that pays it; absent if no term is above always-HOLD's.
    pub paying: Option<PayingTerm>,
    /// True if it has significantly more reward than always-HOLD and significantly loses money.
    pub flagged: bool,
}

/// Rewards of the policies on one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RewardAudit {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Description of the data set.
    pub name: String,
    /// First and last session date.
    pub dates: DateRange,
    /// Number of symbol-sessions that each policy played.
    pub sessions: usize,
    /// Number of their dates.
    pub session_dates: usize,
    /// One entry per policy; the first always HOLDs.
    pub policies: Vec<Probe>,
    /// Agreement of the policies' ranks by reward and by P&L, -1 to 1: Kendall's `tau_b` (1945).
    pub rank_agreement: Option<f64>,
    /// Evidence of an edge in the data.
    pub opportunity: Opportunity,
    /// Description of the earnings of perfect foresight.
    pub ceiling: String,
}

impl RewardAudit {
    /// Compares reward with P&L.
    pub(super) fn of(baselines: &Baselines, data: DataStamp, symbols: &[Symbol], dates: DateRange) -> Self {
        let symbols = symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let kind = if data.is_synthetic() { "driftless made-up bars" } else { "real bars" };
        let column = |of: fn(&Baseline) -> Option<Mean>| {
            baselines.policies.iter().map(|policy| of(policy).map_or(0.0, |mean| mean.value)).collect::<Vec<_>>()
        };
        Self {
            data,
            name: format!("{kind} of {symbols}"),
            dates,
            sessions: baselines.sessions,
            session_dates: baselines.session_dates,
            policies: baselines.policies.iter().map(|baseline| Probe::of(baselines, baseline)).collect(),
            rank_agreement: kendall_tau_b(&column(|policy| policy.reward), &column(|policy| policy.pnl_usd)),
            opportunity: baselines.opportunity(),
            ceiling: baselines.ceiling_line(),
        }
    }

    /// Returns the policies that are rewarded for losing money.
    pub fn flagged(&self) -> impl Iterator<Item = &Probe> {
        self.policies.iter().filter(|probe| probe.flagged)
    }

    /// Returns how many policies trade.
    pub(super) fn traders(&self) -> usize {
        self.policies.iter().filter(|probe| probe.baseline.policy != Scripted::AlwaysHold).count()
    }

    /// Returns the table as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let heading = [
            "policy",
            "reward per session",
            "over HOLD",
            "+-",
            "trades",
            "mean trade",
            "net P&L",
            "t of P&L",
            "paid by (share)",
            "",
        ];
        let agreement = self.rank_agreement.map_or_else(|| "-".to_owned(), |tau| format!("{tau:.2}"));
        vec![
            format!(
                "\n{}: {}, {}: {} sessions on {} dates",
                if self.data.is_synthetic() { self.data.as_str() } else { "Market" },
                self.name,
                self.dates,
                thousands(self.sessions as i64),
                self.session_dates
            ),
            columns(&heading, &self.policies.iter().map(Probe::cells).collect::<Vec<_>>()),
            format!("Rank agreement of reward and P&L: {agreement} (Kendall's tau-b; 1 = identical order)"),
            format!("{}: {}", self.opportunity.heading(), self.opportunity.evidence()),
            format!("Ceiling: {}", self.ceiling),
        ]
    }
}

impl Probe {
    fn of(baselines: &Baselines, baseline: &Baseline) -> Self {
        let over_hold = baselines.reward_over_hold(baseline);
        let gains = over_hold.is_some_and(|more| more.t() > CLEAR);
        let loses = baseline.pnl_usd.is_some_and(|pnl| pnl.t() < -CLEAR);
        let hold = baselines.of(Scripted::AlwaysHold).map_or_else(PerTerm::default, |hold| hold.reward_terms);
        let sessions = baselines.sessions.max(1) as f64;
        let more = PerTerm::from_fn(|term| (baseline.reward_terms[term] - hold[term]) / sessions);
        Self { baseline: baseline.clone(), over_hold, paying: PayingTerm::most(&more), flagged: gains && loses }
    }

    /// Returns the policy's name.
    pub fn name(&self) -> String {
        self.baseline.policy.to_string()
    }

    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let Self { baseline, over_hold, paying, flagged } = self;
        vec![
            self.name(),
            number(baseline.reward.map(|reward| reward.value), 2),
            number(over_hold.map(|more| more.value), 2),
            number(over_hold.map(|more| more.error), 2),
            thousands(baseline.trades as i64),
            percent(baseline.trade_return.map(|mean| mean.value)),
            dollars(baseline.net_pnl_usd),
            number(baseline.pnl_usd.map(|pnl| pnl.t()), 1),
            paying.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            if *flagged { "FLAGGED".to_owned() } else { String::new() },
        ]
    }
}

impl PayingTerm {
    /// Returns the term with the largest excess, if any is above zero.
    fn most(more: &PerTerm<f64>) -> Option<Self> {
        let all: f64 = more.iter().map(|(_, more)| more.abs()).sum();
        let (term, most) = more.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most > 0.0).then(|| Self { term: term.name(), more: most, share: most / all })
    }
}

impl std::fmt::Display for PayingTerm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:+.2} ({})", self.term, self.more, percent(Some(self.share)))
    }
}

#[cfg(test)]
mod tests {
    use market_env::RewardTerm;

    use super::*;
    use crate::evaluation::baselines::tests::baselines;

    fn audit(baselines: &Baselines) -> RewardAudit {
        let day = jiff::civil::date(2024, 1, 2);
        let symbols = ["SPY".parse().unwrap()];
        RewardAudit::of(baselines, DataStamp::Synthetic, &symbols, DateRange { first: day, last: day })
    }

    /// Returns rewards by term, zero where none is given.
    fn terms(given: &[(RewardTerm, f64)]) -> PerTerm<f64> {
        PerTerm::from_fn(|term| given.iter().find(|of| of.0 == term).map_or(0.0, |of| of.1))
    }

    #[test]
    fn reward_without_money_is_flagged_and_neither_alone() {
        // With these, a policy's reward is the return of its trades, and its P&L a hundred times that.
        let mut measured = baselines([-0.051, -0.031], [0.03, 0.01], 1);
        let clean = audit(&measured);
        assert_eq!((clean.flagged().count(), clean.traders()), (0, 23), "losers have less, and those with more earn");
        assert!(clean.rank_agreement.unwrap() > 0.9, "{:?}", clean.rank_agreement);
        let farmer = measured.policies.iter_mut().find(|of| of.policy == Scripted::RandomLegal).unwrap();
        farmer.rewards.iter_mut().for_each(|reward| *reward += 0.1);
        farmer.reward_terms = terms(&[(RewardTerm::Pnl, -1.64), (RewardTerm::GoodBuy, 4.0)]);
        let found = audit(&measured);
        let names: Vec<_> = found.flagged().map(Probe::name).collect();
        assert_eq!(names, ["random-legal"]);
        let text = found.lines().join("\n");
        let line = text.lines().find(|line| line.starts_with("random-legal")).unwrap();
        assert!(line.ends_with("good_buy +0.10 (70.9%)  FLAGGED"), "{line}");
        assert!(text.contains("SYNTHETIC: driftless made-up bars of SPY"), "{text}");
    }

    #[test]
    fn the_paying_term_is_the_one_that_sets_a_policy_above_holding() {
        let [money, bonus, missed] = [RewardTerm::Pnl, RewardTerm::GoodBuy, RewardTerm::MissedOpportunity];
        let missed = PayingTerm::most(&terms(&[(money, -0.6), (bonus, 0.1), (missed, 0.3)])).unwrap();
        assert_eq!(
            (missed.term, missed.to_string().as_str()),
            ("missed_opportunity", "missed_opportunity +0.30 (30.0%)")
        );
        assert_eq!(PayingTerm::most(&terms(&[(money, -0.6)])), None);
    }
}
