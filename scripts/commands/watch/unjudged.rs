//! What the shares of one interval alone allow to say, where no verdict was written: of a log, or of a run without `health.jsonl`.

use market_env::Action;
use ppo_agent::health::{COLLAPSED, DRIFTING, Verdict};

use super::view::{Habits, Seen};
use crate::output::table::{percent, thousands};

/// A reading of shares, with the figures that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnjudgedInterval {
    /// Collapsed, drifting or inconclusive; never better, since shares hold no money.
    pub verdict: Verdict,
    /// The figures, one sentence each.
    pub evidence: Vec<String>,
}

/// Reads the shares of an interval: above 98 % of one action it is collapsed, above 90 % of HOLD, CALL, PUT or both BUYs
/// drifting, else inconclusive.
pub fn read(seen: &Seen) -> UnjudgedInterval {
    let habits = &seen.interval;
    let actions = [(Action::Hold, habits.hold), (Action::BuyCall, habits.buy_call), (Action::BuyPut, habits.buy_put)];
    let most =
        actions.into_iter().filter_map(|(action, share)| Some((action, share?))).max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((action, share)) = most else {
        let evidence = vec!["no flat account decided anything in this interval".to_owned()];
        return UnjudgedInterval { verdict: Verdict::Inconclusive, evidence };
    };
    let verdict = if share > COLLAPSED {
        Verdict::Collapsed(action)
    } else if share > DRIFTING || habits.buy().is_some_and(|buy| buy > DRIFTING) {
        Verdict::Drifting
    } else {
        Verdict::Inconclusive
    };
    UnjudgedInterval { verdict, evidence: evidence(seen) }
}

fn evidence(seen: &Seen) -> Vec<String> {
    let shares = |habits: &Habits| {
        let Habits { hold, strong_buy, weak_buy, .. } = *habits;
        let [hold, buy, strong, weak] = [hold, habits.buy(), strong_buy, weak_buy].map(percent);
        format!("HOLD {hold}, BUY {buy}, on strong setups {strong}, on others {weak}")
    };
    let [first, last] = [seen.first_step, seen.step].map(|step| thousands(step as i64));
    let mut lines = vec![
        format!("steps {first} to {last}, when flat: {}", shares(&seen.interval)),
        format!("since step 0: {}", shares(&seen.total)),
    ];
    if let Some(other) = seen.interval.other().filter(|&other| other > 0.0005) {
        lines.push(format!("{} of the decisions when flat were actions that mean nothing there", percent(Some(other))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::watch::log::tests::{read as log, tune2};

    fn seen(hold: f64, buy_call: f64) -> Seen {
        let (hold, buy_call, buy_put) = (Some(hold), Some(buy_call), Some(1.0 - hold - buy_call));
        Seen { interval: Habits { hold, buy_call, buy_put, ..Habits::default() }, ..Seen::default() }
    }

    #[test]
    fn shares_are_read_by_two_thresholds_and_never_well() {
        for (hold, call, word) in [
            (0.981, 0.01, "collapsed:HOLD"),
            (0.0, 0.99, "collapsed:BUY_CALL"),
            (0.0, 0.01, "collapsed:BUY_PUT"),
            (0.98, 0.01, "drifting"),
            (0.01, 0.5, "drifting"),
            (0.90, 0.05, "inconclusive"),
            (0.35, 0.35, "inconclusive"),
        ] {
            assert_eq!(read(&seen(hold, call)).verdict.to_string(), word, "{hold} {call}");
        }
        assert_eq!(read(&Seen::default()).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_evidence_sets_the_interval_beside_the_average() {
        let view = log(&tune2());
        let reading = read(view.last().unwrap());
        assert_eq!(reading.verdict, Verdict::Drifting);
        assert_eq!(
            reading.evidence,
            [
                "steps 50,001 to 100,000, when flat: HOLD 6.4%, BUY 93.6%, on strong setups 97.4%, on others 86.6%",
                "since step 0: HOLD 38.2%, BUY 61.8%, on strong setups 68.3%, on others 55.2%",
            ]
        );
        assert_eq!(read(&view.intervals[1]).verdict, Verdict::Inconclusive);
    }
}
