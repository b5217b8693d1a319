//! Evaluation of a policy, or of a baseline, on a replay played to its end.

use market_env::{Episode, Ledger, VecEnv};

use crate::{
    AdamState, AgentError, Backend, DeviceChoice, Policy, Precision, StepView,
    backend::{
        self,
        engine::{ActionSelection, Sizes},
    },
    ppo::{
        distribution::{MAX_ACTIONS, MaskedCategorical},
        rollout::Rollout,
    },
    random::RandomStreams,
};

/// Method of choosing actions during an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Sampled from the policy, as in training.
    Sampled,
    /// The policy's most probable legal action.
    Greedy,
    /// The first legal action: HOLD wherever it is legal.
    AlwaysHold,
    /// Any legal action with equal probability.
    RandomLegal,
}

/// Result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Counters of this evaluation alone.
    pub ledger: Ledger,
    /// Every episode played, in the order in which they ended.
    pub episodes: Vec<Episode>,
}

/// Resets the environment and plays it until [`VecEnv::finished`]; it must be a replay, which ends.
///
/// The policy runs on the CPU in single precision, on the native backend, so that a model gives the same actions wherever it
/// was trained. A recurrent policy starts each episode with a zero state.
///
/// # Errors
/// [`AgentError::Spec`] when the policy was trained for another environment; [`AgentError::Torch`] when libtorch fails.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
/// # let mut config = DataConfig::default();
/// # config.synthetic.sessions_to = "2024-01-12".parse()?;
/// # let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
/// # let dataset = Dataset::build(&history, &Window::default(), &config)?;
/// use market_env::{BatchEnv, EnvConfig, Market, MarketConfig};
/// use ppo_agent::{Behaviour, Policy, PolicyConfig, evaluate};
///
/// # let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default())?);
/// let mut replay = BatchEnv::replay(market, vec![0, 1], EnvConfig::default())?;
/// let policy = Policy::for_env(&replay, &PolicyConfig::default(), 7)?;
/// let sampled = evaluate(&policy, &mut replay, Behaviour::Sampled, 3)?;
/// let hold = evaluate(&policy, &mut replay, Behaviour::AlwaysHold, 3)?;
/// assert_eq!((sampled.episodes.len(), hold.episodes.len()), (2, 2));
/// assert!(sampled.ledger.net_pnl_cents < 0, "an untrained policy pays the costs of random trades");
/// assert_eq!(hold.ledger.net_pnl_cents, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate<E: VecEnv>(
    policy: &Policy,
    env: &mut E,
    behaviour: Behaviour,
    seed: u64,
) -> Result<Evaluation, AgentError> {
    play(policy, env, behaviour, seed, None)
}

/// Runs [`evaluate`] and passes every step to `watch`, which does not change the result.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_watched<E: VecEnv>(
    policy: &Policy,
    env: &mut E,
    behaviour: Behaviour,
    seed: u64,
    watch: &mut dyn FnMut(StepView<'_>),
) -> Result<Evaluation, AgentError> {
    play(policy, env, behaviour, seed, Some(watch))
}

fn play<E: VecEnv>(
    policy: &Policy,
    env: &mut E,
    behaviour: Behaviour,
    seed: u64,
    mut watch: Option<&mut dyn FnMut(StepView<'_>)>,
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
    env.reset(rollout.obs.out(1));
    // After the reset, which may clear the counters of an environment that was evaluated before.
    let (mut episodes, before) = (Vec::new(), env.ledger().clone());
    let mut step = 0;
    while !env.finished() {
        rollout.begin();
        RandomStreams::new(seed).uniforms(0, step, &mut uniforms);
        let selection = match behaviour {
            Behaviour::Sampled | Behaviour::RandomLegal => ActionSelection::Sampled(&uniforms),
            Behaviour::Greedy | Behaviour::AlwaysHold => ActionSelection::Greedy,
        };
        match &mut engine {
            Some(engine) => engine.act(&mut rollout, 0, selection)?,
            None => baseline(&mut rollout, actions, selection),
        }
        if let (Some(engine), Some(_)) = (&mut engine, &watch) {
            // A backend may defer values to the end of a rollout.
            engine.finish_rollout(&mut rollout)?;
        }
        let (action, out) = rollout.step(0);
        env.step(action, out);
        rollout.mark_starts(0);
        if let Some(watch) = &mut watch {
            watch(StepView::of(&rollout, 0, &[], env.ledger()));
        }
        env.drain_episodes(&mut episodes);
        step += 1;
    }
    Ok(Evaluation { ledger: env.ledger().since(&before), episodes })
}

/// Chooses actions like a policy of equal logits: greedy takes the first legal action, sampling any of them.
fn baseline(rollout: &mut Rollout, actions: usize, selection: ActionSelection<'_>) {
    let logits = [0.0; MAX_ACTIONS];
    let (obs, out) = rollout.decision(0);
    for (lane, ((action, prob), &mask)) in out.action.iter_mut().zip(out.prob).zip(obs.mask).enumerate() {
        let distribution = MaskedCategorical::new(&logits[..actions], mask);
        *action = selection.select(&distribution, lane);
        *prob = *distribution.prob();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        PolicyConfig, PolicyKind,
        games::best_row::{self, BestRow},
    };

    const LANES: usize = 3;

    fn game() -> BestRow {
        BestRow::new(LANES).staggered().ending_at(30 * LANES as u64)
    }

    #[test]
    fn watching_changes_nothing_and_exposes_probabilities_and_values() {
        for kind in [PolicyKind::Mlp, PolicyKind::Lstm, PolicyKind::Gru] {
            let config = PolicyConfig { kind, recurrent_size: 6, net_arch: vec![8], ..PolicyConfig::default() };
            let policy = best_row::shaken_policy(&config);
            for behaviour in [Behaviour::Greedy, Behaviour::Sampled, Behaviour::RandomLegal] {
                let (mut steps, mut values) = (0, Vec::new());
                let mut watch = |moment: StepView<'_>| {
                    steps += 1;
                    values.extend_from_slice(moment.value);
                    for lane in 0..LANES {
                        let (mask, prob) = (moment.mask[lane], moment.prob[lane]);
                        let action = usize::from(moment.action[lane]);
                        assert!((prob.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{prob:?}");
                        assert!((0..MAX_ACTIONS).all(|a| mask.allows(a as u8) == (prob[a] > 0.0)), "{prob:?}");
                        let most = prob.iter().fold(0.0, |most: f32, &p| most.max(p));
                        assert!(behaviour != Behaviour::Greedy || prob[action] == most, "{prob:?} {action}");
                    }
                };
                let watched = evaluate_watched(&policy, &mut game(), behaviour, 7, &mut watch).unwrap();
                assert_eq!(watched, evaluate(&policy, &mut game(), behaviour, 7).unwrap(), "{kind:?} {behaviour:?}");
                let has_values = behaviour != Behaviour::RandomLegal;
                assert!(
                    steps == 30 && values.iter().any(|&value| value != 0.0) == has_values,
                    "{kind:?} {behaviour:?}"
                );
            }
        }
    }
}
