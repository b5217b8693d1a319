//! Policies that stay out of the market, by choice or by a collapse into HOLD. The earnings of entries on the same sessions
//! tell the two apart.

use market_env::{Action, Ledger};

use super::Opportunity;
use crate::output::table::{dollars, thousands};

/// Flat decisions per BUY, a full session of minutes, above which a policy stays out.
const DECISIONS_PER_BUY: u64 = 390;

fn buys(ledger: &Ledger) -> u64 {
    ledger.flat(Action::BuyCall) + ledger.flat(Action::BuyPut)
}

/// Returns whether a policy with these counters almost never buys.
pub fn stays_out(ledger: &Ledger) -> bool {
    ledger.flat_steps() > 0 && buys(ledger) * DECISIONS_PER_BUY < ledger.flat_steps()
}

/// Explains a policy that [stays out](stays_out), given the opportunity on the same sessions.
pub fn explain_staying_out(policy: &Ledger, opportunity: &Opportunity) -> String {
    let (bought, decisions) = (thousands(buys(policy) as i64), thousands(policy.flat_steps() as i64));
    let counts = format!("it bought on {bought} of {decisions} flat decisions");
    let evidence = opportunity.evidence();
    match opportunity {
        Opportunity::Loses { .. } if policy.net_pnl_cents > 0 => format!(
            "HOLD is what this policy learned: {counts} and earned {} with them; {evidence}. So few trades prove little.",
            dollars(policy.net_pnl_cents as f64 / 100.0)
        ),
        Opportunity::Loses { .. } => {
            format!("HOLD is what this policy learned: {counts}; {evidence}, so staying out earns more.")
        }
        Opportunity::Earns { .. } => {
            format!("HOLD is where this policy ended: {counts}; {evidence}, so HOLD earned less: a collapse.")
        }
        Opportunity::Unclear { .. } => format!("This policy HOLDs: {counts}; {evidence}."),
    }
}

#[cfg(test)]
mod tests {
    use market_env::Setup;

    use super::{super::opportunity::tests::baselines, *};

    fn policy(holds: u64, calls: u64, puts: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.flat_actions[Setup::Weak as usize] = [holds, calls, 0, 0, 0, 0];
        ledger.flat_actions[Setup::BearStrong as usize] = [0, 0, puts, 0, 0, 0];
        ledger
    }

    #[test]
    fn a_policy_that_buys_less_than_once_per_session_of_minutes_stays_out() {
        assert!(stays_out(&policy(390, 0, 0)) && stays_out(&policy(780, 1, 0)));
        assert!(!stays_out(&policy(777, 1, 1)) && !stays_out(&Ledger::default()));
    }

    #[test]
    fn earnings_of_entries_tell_a_lesson_from_a_collapse() {
        let policy = policy(12_342, 2, 1);
        let explained = |random, others| explain_staying_out(&policy, &baselines(random, others, 1).opportunity());
        assert_eq!(
            explained([-0.051, -0.031], [-0.05, -0.03]),
            "HOLD is what this policy learned: it bought on 3 of 12,345 flat decisions; random entries lost 4.1% (± 0.2%) \
             per trade after costs and none of 23 scripted policies clearly earned, so staying out earns more."
        );
        let earned = Ledger { net_pnl_cents: 12_300, ..policy.clone() };
        let text = explain_staying_out(&earned, &baselines([-0.051, -0.031], [-0.05, -0.03], 1).opportunity());
        assert!(text.contains("flat decisions and earned $123 with them; random entries lost"), "{text}");
        assert!(!text.contains("earns more"), "{text}");
        let collapse = explained([-0.051, -0.031], [0.05, 0.03]);
        assert!(collapse.starts_with("HOLD is where this policy ended: it bought on 3 of 12,345 flat decisions; \""));
        assert!(collapse.ends_with("so HOLD earned less: a collapse."), "{collapse}");
        let noise = explained([0.5, -0.49], [0.5, -0.5]);
        let words = "earned 0.5% (± 7.9%) per trade after costs, too little to tell a gain from a loss.";
        assert!(noise.starts_with("This policy HOLDs: ") && noise.ends_with(words), "{noise}");
    }
}
