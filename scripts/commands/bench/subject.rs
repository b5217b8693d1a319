//! Rounds to time, and the checks before timing.

use anyhow::ensure;
use market_env::{Ledger, StepBuffers, VecEnv};
use ppo_agent::{DeviceChoice, Flops, Iteration, Policy, Trainer};
use serde_json::{Map, Value, json};

use super::case::{Case, Part};
use crate::output::clock::Stopwatch;

/// Work that runs in equal rounds.
pub(crate) trait Subject: Send {
    /// Runs one round and returns the seconds that the timed part of it took.
    fn round(&mut self) -> anyhow::Result<f64>;

    /// Returns facts that are known only after building.
    fn facts(&self) -> Map<String, Value>;
}

/// An environment that replays a list of actions from its first step, without any policy.
pub(crate) struct Stepping<E> {
    env: E,
    buffers: StepBuffers,
    /// `[T, N]`
    actions: Vec<u8>,
    expected: Ledger,
}

impl<E: VecEnv + Send> Stepping<E> {
    /// Draws random actions for `steps` steps and checks that replaying them ends at the same counters.
    pub(crate) fn checked(mut env: E, steps: usize) -> anyhow::Result<Self> {
        let lanes = env.lanes();
        let mut buffers = StepBuffers::reset(&mut env);
        let mut actions = vec![0; steps * lanes];
        let mut dice = 1;
        for actions in actions.chunks_exact_mut(lanes) {
            choose(&mut dice, &buffers, actions);
            buffers.step(&mut env, actions);
        }
        let expected = env.ledger().clone();
        let (taken, planned) = (expected.steps, (steps * lanes) as u64);
        ensure!(taken == planned, "the check failed: {taken} steps were counted instead of {planned}");
        let mut stepping = Self { env, buffers, actions, expected };
        stepping.round()?;
        Ok(stepping)
    }
}

/// Draws the action of a patient policy: enters on one flat bar in four, exits on one held bar in sixteen.
fn choose(dice: &mut u32, buffers: &StepBuffers, actions: &mut [u8]) {
    for (action, mask) in actions.iter_mut().zip(&buffers.mask) {
        *dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let roll = *dice >> 24;
        *action = match (mask.allows(2), mask.allows(5)) {
            (true, _) if roll < 64 => 1 + (roll & 1) as u8,
            (_, true) if roll < 16 => 5,
            _ => 0,
        };
    }
}

impl<E: VecEnv + Send> Subject for Stepping<E> {
    fn round(&mut self) -> anyhow::Result<f64> {
        self.env.reset(self.buffers.observation());
        let watch = Stopwatch::start();
        for actions in self.actions.chunks_exact(self.env.lanes()) {
            self.buffers.step(&mut self.env, actions);
        }
        let seconds = watch.seconds();
        ensure!(*self.env.ledger() == self.expected, "the check failed: the same actions ended at other counters");
        Ok(seconds)
    }

    fn facts(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// A training, of which one part is timed.
pub(crate) struct Learning<E> {
    trainer: Trainer<E>,
    part: Part,
}

impl<E: VecEnv> Learning<E> {
    /// Starts the same training twice, one after the other, and checks that the first iteration gives the same
    /// parameters: bit by bit, or on a GPU, whose sums have no fixed order, to a tenth of their change.
    pub(crate) fn checked(case: &Case, env: impl Fn() -> anyhow::Result<E>, seed: u64) -> anyhow::Result<Self> {
        let (first, moved) = {
            let (learning, moved) = Self::after_one_iteration(case, env()?, seed)?;
            (learning.trainer.policy().params().to_vec(), moved)
        };
        let (learning, _) = Self::after_one_iteration(case, env()?, seed)?;
        let allowed = if matches!(case.device, DeviceChoice::Cuda(_)) { moved / 10.0 } else { 0.0 };
        let apart = distance(&first, learning.trainer.policy().params());
        ensure!(apart <= allowed, "the check failed: with one seed, two trainings ended {apart:e} apart");
        Ok(learning)
    }

    /// Starts a training, runs one iteration, and returns the distance that the parameters moved.
    fn after_one_iteration(case: &Case, env: E, seed: u64) -> anyhow::Result<(Self, f32)> {
        let policy = Policy::for_env(&env, &case.policy, seed)?;
        let untrained = policy.params().to_vec();
        let mut trainer = Trainer::new(env, policy, case.ppo.clone(), 0, seed, case.device)?;
        let iteration = trainer.iterate(&mut ())?;
        check(case, &trainer, &iteration)?;
        let moved = distance(&untrained, trainer.policy().params());
        ensure!(moved > 0.0, "the check failed: no parameter moved");
        Ok((Self { trainer, part: case.part }, moved))
    }
}

/// Returns the largest difference of two parameter vectors.
fn distance(first: &[f32], second: &[f32]) -> f32 {
    first.iter().zip(second).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn check<E: VecEnv>(case: &Case, trainer: &Trainer<E>, iteration: &Iteration) -> anyhow::Result<()> {
    let (taken, planned) = (trainer.env().ledger().steps, case.steps());
    ensure!(taken == planned, "the check failed: {taken} steps were counted instead of {planned}");
    if let Some((key, value)) = iteration.metrics().into_iter().find(|(_, value)| !value.is_finite()) {
        anyhow::bail!("the check failed: {key} is {value}");
    }
    Ok(())
}

impl<E: VecEnv + Send> Subject for Learning<E> {
    fn round(&mut self) -> anyhow::Result<f64> {
        let watch = Stopwatch::start();
        self.trainer.collect(&mut ())?;
        let collected = watch.seconds();
        if self.part == Part::Collect {
            return Ok(collected);
        }
        self.trainer.learn()?;
        let both = watch.seconds();
        Ok(if self.part == Part::Learn { both - collected } else { both })
    }

    fn facts(&self) -> Map<String, Value> {
        let policy = self.trainer.policy();
        let mut facts = Map::new();
        facts.insert("inputs".into(), json!(policy.spec().inputs()));
        facts.insert("network_parameters".into(), json!(policy.params().len()));
        let Flops { forward, backward } = policy.flops();
        facts.insert("flops_forward".into(), json!(forward));
        facts.insert("flops_backward".into(), json!(backward));
        facts.insert("engine".into(), json!(self.trainer.engine()));
        facts
    }
}
