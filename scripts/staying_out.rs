//! A policy that learned to stay out looks like one that collapsed into HOLD; what random entries earned on the same
//! sessions tells the two apart.

use market_env::{Action, Ledger, Trade};

use crate::table::{percent, thousands};

/// Flat decisions, a full session of minutes, in which a policy that trades at all buys at least once.
const DECISIONS_PER_BUY: u64 = 390;
/// Standard errors from zero from which a mean counts as a gain or a loss.
const CLEAR: f64 = 2.0;

fn buys(ledger: &Ledger) -> u64 {
    ledger.flat(Action::BuyCall) + ledger.flat(Action::BuyPut)
}

/// Returns whether a policy with these counters almost never buys.
pub fn stays_out(ledger: &Ledger) -> bool {
    ledger.flat_steps() > 0 && buys(ledger) * DECISIONS_PER_BUY < ledger.flat_steps()
}

/// Says what a policy that [stays out](stays_out) has learned, given the trades of random legal actions on the same sessions.
pub fn explain_staying_out(policy: &Ledger, random: &[Trade]) -> String {
    let (bought, decisions) = (thousands(buys(policy) as i64), thousands(policy.flat_steps() as i64));
    let counts = format!("it bought on {bought} of {decisions} flat decisions");
    let Some((mean, error)) = mean_return(random) else {
        return format!(
            "This policy HOLDs: {counts}; too few random entries were filled to say what entries earn here."
        );
    };
    let random = |earned: &str| {
        format!(
            "random entries {earned} {} (± {}) per trade after costs",
            percent(Some(mean.abs())),
            percent(Some(error))
        )
    };
    if mean < -CLEAR * error {
        format!("HOLD is what this policy learned: {counts}; {}, so staying out earns more.", random("lost"))
    } else if mean > CLEAR * error {
        let random = random("earned");
        format!("HOLD is where this policy ended: {counts}; {random}, so HOLD earned less than they did: a collapse.")
    } else {
        let random = random(if mean < 0.0 { "lost" } else { "earned" });
        format!("This policy HOLDs: {counts}; {random}, too little to say whether staying out earns more.")
    }
}

/// Returns the mean net return of trades and its standard error, as if they were independent; nothing for fewer than two.
fn mean_return(trades: &[Trade]) -> Option<(f64, f64)> {
    let n = trades.len() as f64;
    let mean = trades.iter().map(|trade| trade.net_return).sum::<f64>() / n;
    let squares: f64 = trades.iter().map(|trade| (trade.net_return - mean).powi(2)).sum();
    (trades.len() > 1).then(|| (mean, (squares / (n - 1.0) / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use market_env::Setup;

    use super::*;
    use crate::figures::tests::trade;

    fn policy(holds: u64, calls: u64, puts: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.flat_actions[Setup::Weak as usize] = [holds, calls, 0, 0, 0, 0];
        ledger.flat_actions[Setup::BearStrong as usize] = [0, 0, puts, 0, 0, 0];
        ledger
    }

    /// Trades whose returns are these, in turn.
    fn trades(returns: [f64; 2]) -> Vec<Trade> {
        returns.into_iter().cycle().take(100).map(|net_return| trade(0, net_return, 1)).collect()
    }

    #[test]
    fn a_policy_that_buys_less_than_once_per_session_of_minutes_stays_out() {
        assert!(stays_out(&policy(390, 0, 0)) && stays_out(&policy(780, 1, 0)));
        assert!(!stays_out(&policy(777, 1, 1)) && !stays_out(&Ledger::default()));
    }

    #[test]
    fn what_random_entries_earned_decides_between_a_lesson_and_a_collapse() {
        let policy = policy(12_342, 2, 1);
        assert_eq!(
            explain_staying_out(&policy, &trades([-0.051, -0.031])),
            "HOLD is what this policy learned: it bought on 3 of 12,345 flat decisions; random entries lost 4.1% (± 0.1%) \
             per trade after costs, so staying out earns more."
        );
        assert_eq!(
            explain_staying_out(&policy, &trades([0.051, 0.031])),
            "HOLD is where this policy ended: it bought on 3 of 12,345 flat decisions; random entries earned 4.1% (± 0.1%) \
             per trade after costs, so HOLD earned less than they did: a collapse."
        );
    }

    #[test]
    fn without_clear_evidence_nothing_is_concluded() {
        let policy = policy(1_000, 0, 0);
        let noise = explain_staying_out(&policy, &trades([0.5, -0.49]));
        assert!(
            noise.ends_with(
                "earned 0.5% (± 5.0%) per trade after costs, too little to say whether staying out earns more."
            ),
            "{noise}"
        );
        let nothing = explain_staying_out(&policy, &[]);
        assert!(nothing.contains("0 of 1,000") && nothing.contains("too few random entries"), "{nothing}");
    }
}
