//! Plays a replay to its end with a fixed policy, or with one of the baselines that it must beat.

use market_env::{Episode, Ledger, VecEnv};

use crate::{
    AdamState, AgentError, Backend, DeviceChoice, Policy, Precision, backend,
    distribution::{MAX_ACTIONS, MaskedCategorical},
    engine::{Choice, Sizes},
    rollout::Rollout,
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
/// Always computed on the CPU in single precision, by the native backend if it can, so that a model gives the same actions
/// wherever it was trained. A recurrent policy remembers from the beginning of each episode.
///
/// # Errors
/// [`AgentError::Spec`] when the policy is made for another environment; [`AgentError::Torch`] when libtorch fails.
pub fn evaluate<E: VecEnv>(
    policy: &Policy,
    env: &mut E,
    behaviour: Behaviour,
    seed: u64,
) -> Result<Evaluation, AgentError> {
    policy.check_spec(env.spec())?;
    let (lanes, actions) = (env.lanes(), policy.spec.actions.len());
    let mut engine = match behaviour {
        Behaviour::Sampled | Behaviour::Greedy => {
            let adam = AdamState::new(policy.params.len());
            let policy = policy.clone().with_backend(Backend::Auto).with_precision(Precision::F32);
            let sizes = Sizes { steps: 1, lanes, batch: lanes, sequence: 1 };
            Some(backend::engine(&policy, &adam, env.tape(), DeviceChoice::Cpu, sizes)?)
        }
        Behaviour::AlwaysHold | Behaviour::RandomLegal => None,
    };
    let mut rollout = Rollout::new(1, lanes, policy.spec.account.len());
    let mut uniforms = vec![0.0; lanes];
    let (mut episodes, before) = (Vec::new(), env.ledger().clone());
    env.reset(rollout.obs.out(1));
    let mut step = 0;
    while !env.finished() {
        rollout.begin();
        Streams::new(seed).uniforms(0, step, &mut uniforms);
        let choice = match behaviour {
            Behaviour::Sampled | Behaviour::RandomLegal => Choice::Sampled(&uniforms),
            Behaviour::Greedy | Behaviour::AlwaysHold => Choice::Greedy,
        };
        match &mut engine {
            Some(engine) => engine.act(&mut rollout, 0, choice)?,
            None => baseline(&mut rollout, actions, choice),
        }
        let (action, out) = rollout.step(0);
        env.step(action, out);
        rollout.note_starts(0);
        env.drain_episodes(&mut episodes);
        step += 1;
    }
    Ok(Evaluation { ledger: env.ledger().since(&before), episodes })
}

/// Chooses like a policy of equal logits: its greedy action is the first legal one, its sample any of them.
fn baseline(rollout: &mut Rollout, actions: usize, choice: Choice<'_>) {
    let logits = [0.0; MAX_ACTIONS];
    let (obs, out) = rollout.decision(0);
    for (lane, (action, &mask)) in out.action.iter_mut().zip(obs.mask).enumerate() {
        *action = choice.of(&MaskedCategorical::new(&logits[..actions], mask), lane);
    }
}
