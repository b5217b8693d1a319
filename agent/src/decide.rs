//! Decisions of a policy on observations that a caller holds as rows, outside any environment.

use market_env::ActionMask;

use crate::{
    AdamState, AgentError, Backend, DeviceChoice, Policy, Precision,
    backend::{
        self,
        engine::{ActionSelection, Sizes},
    },
    ppo::{distribution::MAX_ACTIONS, rollout::Rollout},
};

/// Decisions on some observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisions {
    /// Actions. `[N]`
    pub action: Vec<u8>,
    /// Probability of each action, zero for illegal and missing ones. `[N]`
    pub prob: Vec<[f32; MAX_ACTIONS]>,
    /// Estimates of the discounted reward until the end of the episode. `[N]`
    pub value: Vec<f32>,
}

impl Policy {
    /// Returns the decisions on observations `[N, W·F + A]`: the frames from the oldest to the newest, then the account columns,
    /// none of them normalised. The actions are the most probable ones, or drawn with one uniform in [0, 1) per observation.
    ///
    /// The computation is that of [`evaluate`](crate::evaluate()), so a model decides alike in both.
    ///
    /// ```
    /// use market_env::ActionMask;
    /// use ppo_agent::{Policy, PolicyConfig, games::cartpole::CartPole};
    ///
    /// let policy = Policy::for_env(&CartPole::new(1, 0), &PolicyConfig::default(), 7)?;
    /// let decisions = policy.decide(&[0.01, 0.2, -0.03, 0.1], &[ActionMask::of(&[1])], None)?;
    /// assert_eq!((decisions.action, decisions.prob[0][..2].to_vec()), (vec![1], vec![0.0, 1.0]));
    /// # Ok::<(), ppo_agent::AgentError>(())
    /// ```
    ///
    /// # Errors
    /// [`AgentError::Spec`] for a recurrent policy, whose decisions depend on the steps before, for a mask without a legal
    /// action, for a value that is not finite, and for slices of other lengths.
    pub fn decide(
        &self,
        observations: &[f32],
        masks: &[ActionMask],
        uniforms: Option<&[f64]>,
    ) -> Result<Decisions, AgentError> {
        self.check_rows(observations, masks, uniforms)?;
        let lanes = masks.len();
        if lanes == 0 {
            return Ok(Decisions { action: Vec::new(), prob: Vec::new(), value: Vec::new() });
        }
        let (tape, mut rollout) = self.rows(observations, masks);
        let policy = self.clone().with_backend(Backend::Auto).with_precision(Precision::F32);
        let sizes = Sizes { steps: 1, lanes, batch: lanes, sequence: 1 };
        let adam = AdamState::new(policy.params.len());
        let mut engine = backend::engine(&policy, &adam, &tape, DeviceChoice::Cpu, sizes)?;
        let selection = uniforms.map_or(ActionSelection::Greedy, ActionSelection::Sampled);
        engine.act(&mut rollout, 0, selection)?;
        // A backend may defer values to the end of a rollout.
        engine.finish_rollout(&mut rollout)?;
        rollout.value.truncate(lanes);
        Ok(Decisions { action: rollout.action, prob: rollout.prob, value: rollout.value })
    }

    fn check_rows(
        &self,
        observations: &[f32],
        masks: &[ActionMask],
        uniforms: Option<&[f64]>,
    ) -> Result<(), AgentError> {
        let (width, rows) = (self.spec.inputs(), masks.len());
        let legal = ActionMask(((1u16 << self.spec.actions.len()) - 1) as u8);
        let fault = if self.is_recurrent() {
            "it is recurrent, so that a decision depends on the steps before".to_owned()
        } else if observations.len() != rows * width || uniforms.is_some_and(|uniforms| uniforms.len() != rows) {
            format!("{rows} masks need {rows} observations of {width} columns, and as many uniforms if any")
        } else if let Some(row) = masks.iter().position(|mask| mask.0 & legal.0 == 0) {
            format!("row {row} has no legal action")
        } else if let Some(at) = observations.iter().position(|value| !value.is_finite()) {
            format!("row {}, column {} is {}", at / width, at % width, observations[at])
        } else {
            return Ok(());
        };
        Err(AgentError::Spec(fault))
    }

    /// Returns the observations as a tape with its rows, at the first time of a rollout of one step.
    fn rows(&self, observations: &[f32], masks: &[ActionMask]) -> (Vec<f32>, Rollout) {
        let (frames, columns) = (self.spec.frames, self.spec.account.len());
        let window = frames * self.spec.features.len();
        let mut tape = Vec::with_capacity(masks.len() * window);
        let mut rollout = Rollout::new(1, masks.len(), columns);
        for time in 0..2 {
            let out = rollout.obs.out(time);
            out.mask.copy_from_slice(masks);
            for (index, observation) in observations.chunks_exact(window + columns).enumerate() {
                out.row[index] = ((index + 1) * frames - 1) as u32;
                out.account[index * columns..(index + 1) * columns].copy_from_slice(&observation[window..]);
                if time == 0 {
                    tape.extend_from_slice(&observation[..window]);
                }
            }
        }
        (tape, rollout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Behaviour, PolicyConfig, evaluate_watched, games::best_row};

    #[test]
    fn a_policy_decides_on_rows_as_in_an_environment() {
        let policy = best_row::shaken_policy(&PolicyConfig::default());
        let mut env = best_row::BestRow::new(4).staggered().ending_at(40);
        let (tape, spec) = (market_env::VecEnv::tape(&env).to_vec(), policy.spec().clone());
        let (features, columns) = (spec.features.len(), spec.account.len());
        let mut compared = 0;
        evaluate_watched(&policy, &mut env, Behaviour::Greedy, 1, &mut |step| {
            let rows = step.row.iter().enumerate().flat_map(|(lane, &row)| {
                let end = (row as usize + 1) * features;
                let window = &tape[end - spec.frames * features..end];
                window.iter().chain(&step.account[lane * columns..(lane + 1) * columns]).copied()
            });
            let decisions = policy.decide(&rows.collect::<Vec<f32>>(), step.mask, None).unwrap();
            assert_eq!(decisions.action, step.action);
            assert_eq!((&decisions.prob[..], &decisions.value[..]), (step.prob, step.value), "to the last bit");
            compared += step.row.len();
        })
        .unwrap();
        assert!(compared > 10);
    }

    #[test]
    fn faulty_rows_are_refused_by_their_place() {
        let policy = best_row::shaken_policy(&PolicyConfig::default());
        let width = policy.spec().inputs();
        let refusal = |observations: &[f32], masks: &[ActionMask]| {
            policy.decide(observations, masks, None).unwrap_err().to_string()
        };
        let mut rows = vec![0.0; 2 * width];
        let masks = [ActionMask(1); 2];
        assert!(refusal(&rows, &masks[..1]).contains(&format!("1 observations of {width} columns")));
        assert!(refusal(&rows, &[ActionMask(1), ActionMask(0)]).ends_with("row 1 has no legal action"));
        rows[width + 1] = f32::NAN;
        assert!(refusal(&rows, &masks).ends_with("row 1, column 1 is NaN"));
    }
}
