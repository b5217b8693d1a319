//! Opportunity on some sessions: a joint test of the scripted policies' earnings, and the perfect-foresight ceiling.

use market_env::baselines::Scripted;
use serde::Serialize;
use statistics::{Mean, student_quantile};

use super::{Baseline, Baselines};
use crate::output::table::{dollars, percent};

/// Family-wise error rate: the probability that any scripted policy is said to earn where none does (Bonferroni).
const FAMILY_ERROR: f64 = 0.01;
/// Fewest session dates on which a scripted policy can be said to earn. With fewer the standard error is too unreliable, even
/// though Student's distribution has a quantile.
const MIN_DATES: usize = 5;
/// Standard errors below zero from which random entries count as losing.
const LOSING_T: f64 = 2.0;

/// Verdict on whether policies without information earn on some sessions. The evidence is a clause without a full stop.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Opportunity {
    /// A scripted policy clearly earns, more than the best of so many would by luck.
    Earns {
        /// The policy.
        policy: String,
        /// Its earnings.
        evidence: String,
    },
    /// Entries clearly lose and no scripted policy clearly earns, or not even foresight earns on strong setups.
    Loses {
        /// The losses.
        evidence: String,
    },
    /// Too little evidence for either.
    Unclear {
        /// The reason.
        evidence: String,
    },
}

impl Opportunity {
    /// Judges the measured baselines.
    pub(super) fn of(baselines: &Baselines) -> Self {
        let traders: Vec<(&Baseline, Mean)> = baselines
            .policies
            .iter()
            .filter(|baseline| baseline.policy != Scripted::AlwaysHold)
            .filter_map(|baseline| baseline.pnl_usd.map(|pnl| (baseline, pnl)))
            .collect();
        let needed = required_t(traders.len(), baselines.session_dates);
        let best = traders.iter().max_by(|a, b| a.1.t().total_cmp(&b.1.t()));
        if let Some((baseline, pnl)) = best.filter(|(_, pnl)| pnl.t() > needed) {
            return Self::earns(baseline, *pnl, traders.len(), needed);
        }
        let strong = baselines.ceilings.strong;
        if baselines.sessions > 0 && strong.net_pnl_cents <= 0 {
            let evidence = "not even perfect foresight earns on strong setups after costs".to_owned();
            return Self::Loses { evidence };
        }
        let random = baselines.of(Scripted::RandomLegal).and_then(|random| random.trade_return);
        let none = format!("none of {} scripted policies clearly earned", traders.len());
        Self::judge_random_entries(random, &none)
    }

    fn earns(baseline: &Baseline, pnl: Mean, tried: usize, needed: f64) -> Self {
        let policy = baseline.policy.to_string();
        let per_trade = baseline.trade_return.map(|mean| format!(", {} per trade", percent(Some(mean.value))));
        let evidence = format!(
            "\"{policy}\" earned {} per session after costs{} (t = {:.1}, where the best of {tried} needs {needed:.1})",
            dollars(pnl.value),
            per_trade.unwrap_or_default(),
            pnl.t(),
        );
        Self::Earns { policy, evidence }
    }

    /// Judges by the earnings of random entries; `none` is the clause that no policy clearly earned.
    fn judge_random_entries(random: Option<Mean>, none: &str) -> Self {
        let Some(mean) = random else {
            let evidence = "too few random entries were filled to say what entries earn here".to_owned();
            return Self::Unclear { evidence };
        };
        let earned = if mean.value < 0.0 { "lost" } else { "earned" };
        let random = format!(
            "random entries {earned} {} (± {}) per trade after costs",
            percent(Some(mean.value.abs())),
            percent(Some(mean.error))
        );
        if mean.t() < -LOSING_T {
            Self::Loses { evidence: format!("{random} and {none}") }
        } else {
            let evidence = format!("{random}, too little to tell a gain from a loss");
            Self::Unclear { evidence }
        }
    }

    /// Returns the verdict as a heading.
    pub fn heading(&self) -> &'static str {
        match self {
            Self::Earns { .. } => "Something earns here",
            Self::Loses { .. } => "Entries lose here",
            Self::Unclear { .. } => "Unclear whether entries earn here",
        }
    }

    /// Returns the evidence.
    pub fn evidence(&self) -> &str {
        match self {
            Self::Earns { evidence, .. } | Self::Loses { evidence } | Self::Unclear { evidence } => evidence,
        }
    }
}

/// Returns the t-value that the best of some policies must exceed to earn more than by luck, over the dates.
/// Infinite for fewer than five dates.
fn required_t(policies: usize, dates: usize) -> f64 {
    if dates < MIN_DATES {
        return f64::INFINITY;
    }
    student_quantile(1.0 - FAMILY_ERROR / policies.max(1) as f64, dates - 1)
}

#[cfg(test)]
pub(crate) mod tests {
    use market_env::{Ceiling, Ceilings, ExitMode, PerTerm};

    use super::*;

    /// A policy whose trades returned these fractions on as many dates, a hundred dollars of premium each.
    fn baseline(policy: Scripted, returns: &[f64]) -> Baseline {
        let dollars: Vec<f64> = returns.iter().map(|x| 100.0 * x).collect();
        Baseline {
            policy,
            trades: returns.len() as u64,
            net_pnl_usd: dollars.iter().sum(),
            reward: Mean::of(returns),
            pnl_usd: Mean::of(&dollars),
            trade_return: Mean::of(returns),
            reward_terms: PerTerm::default(),
            rewards: returns.to_vec(),
        }
    }

    /// Forty dates; random entries and every other policy return these two fractions in turn.
    pub(crate) fn baselines(random: [f64; 2], others: [f64; 2], strong_cents: i64) -> Baselines {
        let alternating = |pair: [f64; 2]| pair.repeat(20);
        let of = |policy| {
            let returns = match policy {
                Scripted::AlwaysHold => [0.0; 2],
                Scripted::RandomLegal => random,
                Scripted::Trades(..) => others,
            };
            baseline(policy, &alternating(returns))
        };
        let strong = Ceiling { net_pnl_cents: strong_cents, entry_cost_cents: 100_000, trades: 10 };
        Baselines {
            sessions: 40,
            session_dates: 40,
            policies: Scripted::family(ExitMode::Agent).into_iter().map(of).collect(),
            ceilings: Ceilings { any: strong, strong },
            date_of_session: (0..40).collect(),
        }
    }

    #[test]
    fn random_entries_decide_where_nothing_clearly_earns() {
        let loses = baselines([-0.051, -0.031], [0.4, -0.5], 1).opportunity();
        let Opportunity::Loses { evidence } = &loses else { panic!("{loses:?}") };
        assert_eq!(
            evidence,
            "random entries lost 4.1% (± 0.2%) per trade after costs and none of 23 scripted policies clearly earned"
        );
        let noise = baselines([0.5, -0.49], [0.4, -0.5], 1).opportunity();
        assert!(matches!(&noise, Opportunity::Unclear { evidence } if evidence.contains("earned 0.5% (± 7.9%)")));
        let mut none = baselines([0.0; 2], [0.0; 2], 1);
        none.policies.iter_mut().for_each(|baseline| baseline.trade_return = None);
        assert!(none.opportunity().evidence().starts_with("too few random entries"));
    }

    #[test]
    fn the_best_of_many_has_to_be_better_than_luck() {
        // Forty dates with a mean of 0.1 and a deviation of 0.25: t = 2.5, clear for one policy, luck for the best of many.
        let lucky = baselines([-0.051, -0.031], [0.35, -0.15], 1);
        let t = lucky.policies[2].pnl_usd.unwrap().t();
        assert!(t > LOSING_T && matches!(lucky.opportunity(), Opportunity::Loses { .. }), "t = {t}");
        let earns = baselines([-0.051, -0.031], [0.27, -0.07], 1).opportunity();
        let Opportunity::Earns { policy, evidence } = &earns else { panic!("{earns:?}") };
        assert!(evidence.starts_with(&format!("\"{policy}\" earned $10 per session after costs, 10.0% per trade")));
        assert!(evidence.ends_with("where the best of 23 needs 3.6)"), "{evidence}");
    }

    #[test]
    fn the_required_gain_is_students_quantile_of_five_dates_or_more() {
        assert!([0, 1, 4].into_iter().all(|dates| required_t(1, dates).is_infinite()));
        assert!((required_t(1, 5) - 3.746_947_387_979_197).abs() < 1e-9, "0.99 with 4 degrees of freedom");
        assert!((required_t(0, 40) - 2.425_841_409_735_63).abs() < 1e-9, "0.99 with 39 degrees of freedom");
    }

    #[test]
    fn without_a_ceiling_above_zero_nothing_can_be_earned() {
        let nothing = baselines([0.5, -0.49], [0.4, -0.5], 0).opportunity();
        assert!(
            matches!(&nothing, Opportunity::Loses { evidence } if evidence.starts_with("not even perfect foresight"))
        );
    }
}
