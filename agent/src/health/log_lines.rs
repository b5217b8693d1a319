//! Log lines of an interval: policy, learner, network, verdict and checklist, below the two blocks.

use std::fmt::Write as _;

use market_env::{Action, Ledger, Setup};
use statistics::ratio;

use super::{IntervalReport, Learner, PolicyFigures, checklist, interval_report::reward_shares};
use crate::{
    format::{line, percent, thousands},
    health::log_block,
};

impl IntervalReport {
    /// Returns the log text of the interval: the cumulative block for the passed multiple `step`, the interval block,
    /// then the verdict with its evidence.
    pub fn text(&self, step: u64) -> String {
        let mut text = log_block::momentum_block(step, &self.total);
        text += &log_block::interval_block(&self.interval, &self.total);
        for (name, ledger) in [("Interval", &self.interval), ("Total", &self.total)] {
            line(&mut text, format_args!("{name:<9} {}", setups(ledger)));
        }
        self.policy_lines(&mut text);
        if let Some(learner) = &self.learner {
            learner_lines(learner, &mut text);
        }
        self.layer_line(&mut text);
        if let Some(gap) = &self.gap {
            line(&mut text, format_args!("Overfit   at step {}: {gap}", thousands(gap.step)));
        }
        self.verdict_lines(&mut text);
        let money = self.money.map_or_else(|| "no closed trade to compare".to_owned(), |money| money.clause());
        line(&mut text, format_args!("Money     {money}"));
        for check in checklist(self) {
            let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| show(&check.name, value));
            let random = check.random.map_or_else(String::new, |_| format!(" (random-legal {})", show(check.random)));
            let (word, value) = (if check.pass { "pass" } else { "FAIL" }, show(check.value));
            line(&mut text, format_args!("Checklist {word} {}: {value}{random}, target {}", check.name, check.target));
        }
        text
    }

    fn policy_lines(&self, text: &mut String) {
        let dependence = self.dependence.map_or_else(
            || "too few sessions for a confidence interval".to_owned(),
            |interval| {
                let [value, low, high] =
                    [interval.value, interval.low, interval.high].map(|share| percent(Some(share)));
                format!("{value} (95% interval {low} to {high} over {} session blocks)", interval.blocks)
            },
        );
        let direction = |ledger| percent(Self::direction_accuracy(ledger));
        line(
            text,
            format_args!(
                "Policy    strong minus weak BUY {dependence} | correct direction {} (total {})",
                direction(&self.interval),
                direction(&self.total)
            ),
        );
        for (name, policy) in [("Interval", &self.policy), ("Total", &self.policy_total)] {
            line(text, format_args!("{name:<9} {}", probabilities(policy)));
        }
        for (name, ledger) in [("Interval", &self.interval), ("Total", &self.total)] {
            line(
                text,
                format_args!(
                    "{name:<9} {} opened, {} completed, {} open at the end | good_buy {} missed_opportunity {} bad_chase {}",
                    thousands(ledger.opened),
                    thousands(ledger.closed()),
                    thousands(self.total.opened - self.total.closed()),
                    thousands(ledger.good_buy),
                    thousands(ledger.missed_opportunity),
                    thousands(ledger.bad_chase)
                ),
            );
        }
        for (name, ledger) in [("Interval", &self.interval), ("Total", &self.total)] {
            let shares = reward_shares(ledger);
            let shares: Vec<_> = shares
                .iter()
                .filter(|(term, share)| term.is_core() || share.is_some_and(|share| share > 0.0))
                .map(|(term, share)| format!("{} {}", term.name(), percent(share)))
                .collect();
            line(text, format_args!("{name:<9} share of |reward|: {}", shares.join(" | ")));
        }
    }

    fn layer_line(&self, text: &mut String) {
        if self.layers.is_empty() {
            return;
        }
        let layers = self.layers.iter().map(|layer| {
            format!(
                "{} {} dormant, rank {:.1} of {}",
                layer.name,
                percent(Some(layer.dormant)),
                layer.effective_rank,
                layer.units
            )
        });
        line(text, format_args!("Network   {}", layers.collect::<Vec<_>>().join(" | ")));
    }

    fn verdict_lines(&self, text: &mut String) {
        let (confirmed, since) = self.confirmed;
        let alone = if self.interval_verdict.verdict == confirmed {
            String::new()
        } else {
            format!(" (this interval alone: {})", self.interval_verdict.verdict)
        };
        line(text, format_args!("Verdict   {confirmed} since step {}{alone}", thousands(since)));
        for evidence in &self.interval_verdict.evidence {
            line(text, format_args!("          {evidence}"));
        }
        for advice in &self.interval_verdict.advice {
            line(text, format_args!("          advice: {advice}"));
        }
    }
}

/// Returns the policy figures as text.
fn probabilities(policy: &PolicyFigures) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let variance = policy.variance.map_or_else(|| "-".to_owned(), |variance| format!("{variance:.1e}"));
    format!(
        "entropy {} of its maximum | variance across states {variance} | largest probability {} | illegal actions {}",
        number(policy.entropy_norm),
        number(policy.max_prob),
        policy.illegal
    )
}

/// Returns the shares of the three actions by setup class.
fn setups(ledger: &Ledger) -> String {
    let mut text = String::new();
    for (name, setup) in [("bull-strong", Setup::BullStrong), ("bear-strong", Setup::BearStrong), ("weak", Setup::Weak)]
    {
        let all = ledger.flat_steps_in(setup) as f64;
        let share = |action: Action| percent(ratio(ledger.flat_actions[setup as usize][action.index()] as f64, all));
        let separator = if text.is_empty() { "" } else { " | " };
        let _ = write!(
            text,
            "{separator}{name} HOLD {} CALL {} PUT {}",
            share(Action::Hold),
            share(Action::BuyCall),
            share(Action::BuyPut)
        );
    }
    text
}

fn learner_lines(learner: &Learner, text: &mut String) {
    let realised = learner.explained_variance_mc.map_or_else(|| "-".to_owned(), |ev| format!("{ev:.3}"));
    line(
        text,
        format_args!(
            "Critic    explained variance {:.3} of its targets, {realised} of the realised returns | variance ratio {:.4} | slope {:.2} | values {:.3} to {:.3}, std {:.4} of target std {:.4} | loss {:.3e} ({})",
            learner.explained_variance,
            learner.variance_ratio,
            learner.slope,
            learner.pred_range.0,
            learner.pred_range.1,
            learner.pred_std,
            learner.target_std,
            learner.value_loss,
            learner.loss_change.map_or_else(|| "first".to_owned(), |change| format!("{:+.1}%", 100.0 * change))
        ),
    );
    line(
        text,
        format_args!(
            "Learner   KL {:.2e}, max {:.2e} | clipped {} | gradient norm {:.3} | parameter change: actor {:.2e}, critic {:.2e} per iteration | entropy coefficient {:.4} | {}",
            learner.kl,
            learner.kl_max,
            percent(Some(learner.clip_fraction)),
            learner.grad_norm,
            learner.actor_change,
            learner.critic_change,
            learner.ent_coef,
            match learner.iterations {
                0 => format!("iteration {} (none in this interval)", learner.iteration),
                1 => format!("iteration {}", learner.iteration),
                n => format!("iterations {} to {}", learner.iteration + 1 - n, learner.iteration),
            }
        ),
    );
}

fn show(name: &str, value: f64) -> String {
    match name {
        "value_loss" | "stable_loss" => format!("{value:.3}"),
        "illegal" => format!("{value:.0}"),
        _ => percent(Some(value)),
    }
}
