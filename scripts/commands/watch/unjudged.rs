//! Provisional verdict on an interval by its action shares alone, for legacy logs and runs without `health.jsonl`.

use market_env::Action;
use ppo_agent::health::{COLLAPSED, DRIFTING, Verdict};

use super::view::{IntervalSnapshot, WindowStats};
use crate::output::table::{percent, thousands};

/// Provisional verdict on an interval without a written one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnjudgedInterval {
    /// collapsed, drifting or inconclusive; never healthy, since shares say nothing about money.
    pub verdict: Verdict,
    /// The figures, one sentence each.
    pub evidence: Vec<String>,
}

/// Judges an interval by its shares: above 98 % of one action it is collapsed, above 90 % of HOLD, CALL, PUT or both BUYs
/// drifting, else inconclusive.
pub fn judge_by_shares(snapshot: &IntervalSnapshot) -> UnjudgedInterval {
    let stats = &snapshot.interval;
    let actions = [(Action::Hold, stats.hold), (Action::BuyCall, stats.buy_call), (Action::BuyPut, stats.buy_put)];
    let most =
        actions.into_iter().filter_map(|(action, share)| Some((action, share?))).max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((action, share)) = most else {
        let evidence = vec!["no flat account decided anything in this interval".to_owned()];
        return UnjudgedInterval { verdict: Verdict::Inconclusive, evidence };
    };
    let verdict = if share > COLLAPSED {
        Verdict::Collapsed(action)
    } else if share > DRIFTING || stats.buy().is_some_and(|buy| buy > DRIFTING) {
        Verdict::Drifting
    } else {
        Verdict::Inconclusive
    };
    UnjudgedInterval { verdict, evidence: evidence(snapshot) }
}

fn evidence(snapshot: &IntervalSnapshot) -> Vec<String> {
    let shares = |stats: &WindowStats| {
        let WindowStats { hold, strong_buy, weak_buy, .. } = *stats;
        let [hold, buy, strong, weak] = [hold, stats.buy(), strong_buy, weak_buy].map(percent);
        format!("HOLD {hold}, BUY {buy}, on strong setups {strong}, on others {weak}")
    };
    let [first, last] = [snapshot.first_step, snapshot.step].map(|step| thousands(step as i64));
    let mut lines = vec![
        format!("steps {first} to {last}, when flat: {}", shares(&snapshot.interval)),
        format!("since step 0: {}", shares(&snapshot.total)),
    ];
    if let Some(other) = snapshot.interval.other().filter(|&other| other > 0.0005) {
        lines.push(format!("{} of the decisions when flat were actions without effect there", percent(Some(other))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::watch::log::tests::{read as log, tune2};

    fn snapshot(hold: f64, buy_call: f64) -> IntervalSnapshot {
        let (hold, buy_call, buy_put) = (Some(hold), Some(buy_call), Some(1.0 - hold - buy_call));
        IntervalSnapshot {
            interval: WindowStats { hold, buy_call, buy_put, ..WindowStats::default() },
            ..IntervalSnapshot::default()
        }
    }

    #[test]
    fn shares_are_judged_by_two_thresholds_and_never_healthy() {
        for (hold, call, word) in [
            (0.981, 0.01, "collapsed:HOLD"),
            (0.0, 0.99, "collapsed:BUY_CALL"),
            (0.0, 0.01, "collapsed:BUY_PUT"),
            (0.98, 0.01, "drifting"),
            (0.01, 0.5, "drifting"),
            (0.90, 0.05, "inconclusive"),
            (0.35, 0.35, "inconclusive"),
        ] {
            assert_eq!(judge_by_shares(&snapshot(hold, call)).verdict.to_string(), word, "{hold} {call}");
        }
        assert_eq!(judge_by_shares(&IntervalSnapshot::default()).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_evidence_sets_the_interval_beside_the_average() {
        let view = log(&tune2());
        let reading = judge_by_shares(view.last().unwrap());
        assert_eq!(reading.verdict, Verdict::Drifting);
        assert_eq!(
            reading.evidence,
            [
                "steps 50,001 to 100,000, when flat: HOLD 6.4%, BUY 93.6%, on strong setups 97.4%, on others 86.6%",
                "since step 0: HOLD 38.2%, BUY 61.8%, on strong setups 68.3%, on others 55.2%",
            ]
        );
        assert_eq!(judge_by_shares(&view.intervals[1]).verdict, Verdict::Inconclusive);
    }
}
