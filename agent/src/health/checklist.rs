//! Checklist of the original tuning guide: its targets with pass and fail, at its checkpoints.

use statistics::share;

use super::IntervalReport;

/// Steps at which the checklist is printed.
pub(crate) const CHECKPOINTS: [u64; 7] = [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000];

/// Shares expected by the original tuning guide at each checkpoint, in percent: HOLD, BUY and BUY on strong setups.
const EXPECTED_SHARES: [[(f64, f64); 3]; 7] = [
    [(50.0, 55.0), (45.0, 50.0), (45.0, 55.0)],
    [(50.0, 60.0), (40.0, 50.0), (50.0, 60.0)],
    [(45.0, 55.0), (45.0, 55.0), (60.0, 70.0)],
    [(40.0, 50.0), (50.0, 60.0), (65.0, 75.0)],
    [(35.0, 45.0), (55.0, 65.0), (70.0, 80.0)],
    [(35.0, 40.0), (60.0, 70.0), (75.0, 80.0)],
    [(30.0, 40.0), (60.0, 70.0), (75.0, 85.0)],
];
/// Final targets of the shares, in percent.
const FINAL_TARGETS: [(&str, f64, f64); 3] = [("hold", 30.0, 40.0), ("buy", 60.0, 70.0), ("strong_buy", 70.0, 85.0)];
/// Largest share of entries that may chase an exhausted bar.
const MAX_CHASE_SHARE: f64 = 0.05;

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Check {
    /// Name of the figure.
    pub name: String,
    /// Target, and in brackets the expectation of the original tuning guide at this step.
    pub target: String,
    /// Value in this interval; `None` without data.
    pub value: Option<f64>,
    /// True if the value meets the target.
    pub pass: bool,
}

/// Returns the checklist of an interval that passed a checkpoint, for the last one passed; empty for other intervals.
pub fn checklist(health: &IntervalReport) -> Vec<Check> {
    let (before, now) = (health.total.steps - health.interval.steps, health.total.steps);
    let passed = |&checkpoint: &u64| before < checkpoint && checkpoint <= now;
    let Some(expected) = CHECKPOINTS.iter().rposition(passed).map(|index| EXPECTED_SHARES[index]) else {
        return Vec::new();
    };
    let ledger = &health.interval;
    let buys = ledger.flat_steps() - ledger.flat_actions.iter().map(|row| row[0]).sum::<u64>();
    let shares = [
        share(ledger.flat_steps() - buys, ledger.flat_steps()),
        share(buys, ledger.flat_steps()),
        share(ledger.strong_buys(), ledger.strong_states()),
    ];
    let targets = FINAL_TARGETS.into_iter().zip(expected).zip(shares);
    let within = targets.map(|(((name, low, high), (from, to)), value)| Check {
        name: name.to_owned(),
        target: format!("{low:.0}-{high:.0}% at the end (the tuning guide expects {from:.0}-{to:.0}% here)"),
        value,
        pass: value.is_some_and(|share| (low..=high).contains(&(100.0 * share))),
    });
    let mut checks: Vec<Check> = within.collect();
    let good = share(ledger.good_buy, ledger.good_buy + ledger.missed_opportunity);
    let chase = share(ledger.bad_chase, ledger.opened);
    let loss = health.learner.as_ref().map(|learner| learner.value_loss);
    let ratio_to_target = health.learner.as_ref().map(|l| l.value_loss / (l.target_std * l.target_std));
    checks.extend([
        check("good_buy", "more good_buy than missed_opportunity", good, |share| share > 0.5),
        check("bad_chase", "at most 5% of entries", chase, |share| share <= MAX_CHASE_SHARE),
        check("value_loss", "a number above 0", loss, |loss| loss.is_finite() && loss > 0.0),
        check("stable_loss", "value loss at most 4 times the targets' variance", ratio_to_target, |x| x <= 4.0),
        check("illegal", "no illegal action", Some(health.policy.illegal as f64), |count| count == 0.0),
    ]);
    checks
}

fn check(name: &str, target: &str, value: Option<f64>, pass: impl Fn(f64) -> bool) -> Check {
    Check { name: name.to_owned(), target: target.to_owned(), value, pass: value.is_some_and(pass) }
}

#[cfg(test)]
mod tests {
    use market_env::Ledger;

    use super::*;
    use crate::health::monitor::tests::health;

    #[test]
    fn checklist_targets_pass_and_fail() {
        let mut health = health();
        health.total.steps = 100_003;
        health.interval = Ledger {
            steps: 5_000,
            flat_actions: [[150, 100, 100, 0, 0, 0], [60, 170, 10, 0, 0, 0], [40, 10, 160, 0, 0, 0]],
            good_buy: 330,
            missed_opportunity: 100,
            bad_chase: 5,
            opened: 550,
            ..Ledger::default()
        };
        let checks = checklist(&health);
        let failed: Vec<&str> = checks.iter().filter(|check| !check.pass).map(|check| check.name.as_str()).collect();
        assert_eq!((checks.len(), failed.as_slice()), (8, [].as_slice()), "{checks:?}");
        assert_eq!(checks[2].target, "70-85% at the end (the tuning guide expects 70-80% here)");
        health.interval.flat_actions[0][0] = 5_000;
        health.interval.missed_opportunity = 400;
        let checks = checklist(&health);
        let failed: Vec<&str> = checks.iter().filter(|check| !check.pass).map(|check| check.name.as_str()).collect();
        assert_eq!(failed, ["hold", "buy", "good_buy"]);
        health.total.steps = 99_999;
        assert!(checklist(&health).is_empty());
        health.total.steps = 30_000;
        health.interval = Ledger { steps: 30_000, ..Ledger::default() };
        assert!(checklist(&health)[0].target.ends_with("45-55% here)"), "the last of three checkpoints");
        assert!(
            checklist(&health).iter().all(|check| check.pass != check.value.is_none()),
            "a missing value does not pass"
        );
    }
}
