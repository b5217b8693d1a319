//! The model that a training leaves: the last policy, or the best checkpoint on the validation dates.

use std::collections::BTreeSet;

use market_env::BatchEnv;
use ppo_agent::{Checkpoint, Policy, Trainer};
use serde_json::{Value, json};

use super::Run;
use crate::{
    artifacts::candidate::Candidate,
    config::keep::Keep,
    output::{
        exit_code::UsageError,
        table::{dollars, thousands},
    },
};

/// The model of a finished training, and how it was chosen.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) policy: Policy,
    /// Timesteps of the policy.
    pub(super) step: u64,
    /// The checkpoints that were compared, by step; empty if the last policy is kept.
    compared: Vec<Candidate>,
}

impl Kept {
    /// Returns what the model is, for headings.
    pub(super) fn label(&self) -> String {
        let step = thousands(self.step as i64);
        match self.compared.len() {
            0 => format!("model of the last step, {step}"),
            count => format!("model of step {step}, the best of {count} on validation dates"),
        }
    }

    /// Returns the sentence on the choice, if there was one.
    pub(super) fn sentence(&self) -> Option<String> {
        let best = self.compared.iter().find(|candidate| candidate.step == self.step)?;
        let [mean, error, low] = [best.mean_usd, best.standard_error, best.lower_bound].map(dollars);
        Some(format!(
            "Kept the {}: {mean} per date on {} dates, standard error {error}, lower bound {low}",
            self.label(),
            best.dates
        ))
    }

    /// Returns the manifest's entry on the choice and its noise.
    pub(super) fn entry(&self) -> Value {
        if self.compared.is_empty() {
            return json!({ "keep": "last", "step": self.step });
        }
        json!({
            "keep": "best",
            "step": self.step,
            "by": "lower end of the 95 % interval of the mean net P&L per validation date, most likely actions",
            "compared": self.compared.len(),
            "candidates": self.compared,
        })
    }
}

impl Run<'_> {
    /// Refuses a choice by validation money where there are fewer than two validation dates.
    pub(super) fn check_validation(&self) -> anyhow::Result<()> {
        let (market, range) = (&self.inputs.market, &self.split.validation);
        let days = market.days_in(range);
        let dates: BTreeSet<_> = days.iter().map(|&day| market.days()[day as usize].date).collect();
        if !self.config.run.compares() || dates.len() >= 2 {
            return Ok(());
        }
        let key = if self.config.run.keep == Keep::Best { "--keep best" } else { "--stop-after-no-gain" };
        let fault = format!(
            "{key}: there are {} validation dates ({range}), and a choice needs two or more; use more dates or a larger \
             data.split.validation",
            dates.len()
        );
        Err(UsageError::one(fault).into())
    }

    /// Returns the model to keep: with `run.keep = "best"` the best of the candidates, if there are any.
    pub(super) fn kept(&self, trainer: &Trainer<BatchEnv>, candidates: Vec<Candidate>) -> anyhow::Result<Kept> {
        let last = trainer.timesteps();
        let compared = if self.config.run.keep == Keep::Best { candidates } else { Vec::new() };
        let step = Candidate::best(&compared).map_or(last, |best| best.step);
        let policy = if step == last {
            trainer.policy().clone()
        } else {
            Checkpoint::load(&self.paths.checkpoint(step))?.policy().clone()
        };
        Ok(Kept { policy, step, compared })
    }
}

#[cfg(test)]
mod tests {
    use ppo_agent::{PolicyConfig, games::cartpole::CartPole};

    use super::*;

    #[test]
    fn the_choice_and_its_noise_are_told() {
        let policy = Policy::for_env(&CartPole::new(1, 0), &PolicyConfig::default(), 7).unwrap();
        let candidate = |step, mean_usd: f64| Candidate {
            step,
            mean_usd,
            standard_error: 4.0,
            lower_bound: mean_usd - 9.0,
            dates: 8,
        };
        let kept = Kept { policy, step: 8_192, compared: vec![candidate(4_096, -9.0), candidate(8_192, -2.5)] };
        let sentence = kept.sentence().unwrap();
        assert!(
            sentence.starts_with("Kept the model of step 8,192, the best of 2 on validation dates: "),
            "{sentence}"
        );
        assert!(sentence.contains("per date on 8 dates, standard error "), "{sentence}");
        let entry = kept.entry();
        assert_eq!(
            (entry["compared"].as_u64(), entry["candidates"][0]["standard_error"].as_f64()),
            (Some(2), Some(4.0))
        );
        let last = Kept { compared: Vec::new(), ..kept };
        assert_eq!((last.label(), last.sentence()), ("model of the last step, 8,192".to_owned(), None));
        assert_eq!(last.entry(), json!({ "keep": "last", "step": 8_192 }));
    }
}
