//! Plays a replay to its end with a fixed policy, or with one of the baselines that it must beat.

use market_env::{Episode, Ledger, StepOut, VecEnv};

use crate::{
    AdamState, AgentError, Policy,
    backend::Engine,
    distribution::MaskedCategorical,
    native::Native,
    rollout::{Inputs, Observations},
    streams::Streams,
};

/// How actions are chosen during an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Drawn from the policy, as in training.
    Sampled,
    /// The policy's most probable legal action.
    Greedy,
    /// The first legal action: HOLD wherever it is legal.
    AlwaysHold,
    /// Any legal action with equal probability.
    RandomLegal,
}

/// What happened during an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Counters of the evaluation alone.
    pub ledger: Ledger,
    /// Every episode played, in the order in which they ended.
    pub episodes: Vec<Episode>,
}

/// Resets the environment and plays it until [`VecEnv::finished`]; it must be a replay, which ends.
///
/// Always computed by the native backend, so that a model gives the same actions wherever it was trained.
///
/// # Errors
/// [`AgentError::Spec`] when the policy is made for another environment.
pub fn evaluate<E: VecEnv>(
    policy: &Policy,
    env: &mut E,
    behaviour: Behaviour,
    seed: u64,
) -> Result<Evaluation, AgentError> {
    policy.check_spec(env.spec())?;
    let (lanes, actions) = (env.lanes(), policy.layout.actions);
    let mut network = matches!(behaviour, Behaviour::Sampled | Behaviour::Greedy).then(|| {
        let inputs = Inputs::new(&policy.spec, policy.normalized_tape(env.tape()));
        Native::new(policy, AdamState::new(0), inputs, lanes)
    });
    let columns = policy.spec.account.len();
    let (mut obs, mut last) = (Observations::new(1, lanes, columns), Observations::new(1, lanes, columns));
    // The baselines keep equal logits: their greedy action is the first legal one, their sample any of them.
    let (mut logits, mut values) = (vec![0.0; lanes * actions], vec![0.0; lanes]);
    let (mut uniforms, mut action) = (vec![0.0; lanes], vec![0; lanes]);
    let (mut reward, mut terminated, mut truncated) = (vec![0.0; lanes], vec![false; lanes], vec![false; lanes]);
    let (mut episodes, before) = (Vec::new(), env.ledger().clone());
    env.reset(obs.out(0));
    let mut step = 0;
    while !env.finished() {
        if let Some(network) = &mut network {
            network.forward(obs.at(0), &mut logits, &mut values)?;
        }
        Streams::new(seed).uniforms(0, step, &mut uniforms);
        let states = logits.chunks_exact(actions).zip(obs.at(0).mask).zip(&uniforms);
        for (action, ((logits, &mask), &uniform)) in action.iter_mut().zip(states) {
            let distribution = MaskedCategorical::new(logits, mask);
            *action = match behaviour {
                Behaviour::Sampled | Behaviour::RandomLegal => distribution.sample(uniform),
                Behaviour::Greedy | Behaviour::AlwaysHold => distribution.greedy(),
            };
        }
        let (reward, terminated, truncated) = (&mut reward, &mut terminated, &mut truncated);
        env.step(&action, StepOut { next: obs.out(0), reward, terminated, truncated, last: last.out(0) });
        env.drain_episodes(&mut episodes);
        step += 1;
    }
    Ok(Evaluation { ledger: env.ledger().since(&before), episodes })
}
