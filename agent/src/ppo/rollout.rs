//! Rollout buffer: time-major, allocated once; it stores tape rows, not windows of features.

use std::sync::Arc;

use market_env::{ActionMask, ObsOut, ObsSpec, StepOut};
use rayon::prelude::*;

use crate::ppo::{
    advantage::{Returns, generalized_advantage},
    distribution::MAX_ACTIONS,
};

/// Observations of all lanes at one or more times.
#[derive(Debug, Clone)]
pub(crate) struct Observations {
    row: Vec<u32>,
    account: Vec<f32>,
    mask: Vec<ActionMask>,
    lanes: usize,
    columns: usize,
}

/// Observations of some samples. `account` is `[B, A]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObsView<'a> {
    pub(crate) row: &'a [u32],
    pub(crate) account: &'a [f32],
    pub(crate) mask: &'a [ActionMask],
}

impl Observations {
    /// Allocates `times` observations of every lane.
    pub(crate) fn new(times: usize, lanes: usize, columns: usize) -> Self {
        let samples = times * lanes;
        let (row, account) = (vec![0; samples], vec![0.0; samples * columns]);
        Self { row, account, mask: vec![ActionMask(1); samples], lanes, columns }
    }

    /// Returns the observations of every lane at one time.
    pub(crate) fn at(&self, time: usize) -> ObsView<'_> {
        self.samples(time * self.lanes, (time + 1) * self.lanes)
    }

    /// Returns the first `count` observations, in order of time and lane.
    pub(crate) fn first(&self, count: usize) -> ObsView<'_> {
        self.samples(0, count)
    }

    fn samples(&self, start: usize, end: usize) -> ObsView<'_> {
        let account = &self.account[start * self.columns..end * self.columns];
        ObsView { row: &self.row[start..end], account, mask: &self.mask[start..end] }
    }

    /// Returns the same slices for writing.
    pub(crate) fn out(&mut self, time: usize) -> ObsOut<'_> {
        let (start, end) = (time * self.lanes, (time + 1) * self.lanes);
        ObsOut {
            row: &mut self.row[start..end],
            account: &mut self.account[start * self.columns..end * self.columns],
            mask: &mut self.mask[start..end],
        }
    }

    /// Copies the observations of all lanes at one time.
    fn take(&mut self, obs: ObsView<'_>) {
        self.row.copy_from_slice(obs.row);
        self.account.copy_from_slice(obs.account);
        self.mask.copy_from_slice(obs.mask);
    }

    /// Copies the observations of time `from` to time `to`.
    pub(crate) fn copy(&mut self, from: usize, to: usize) {
        let (lanes, width) = (self.lanes, self.lanes * self.columns);
        self.row.copy_within(from * lanes..(from + 1) * lanes, to * lanes);
        self.mask.copy_within(from * lanes..(from + 1) * lanes, to * lanes);
        self.account.copy_within(from * width..(from + 1) * width, to * width);
    }
}

/// Standardised tape, and the assembly of policy inputs from it.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) tape: Arc<[f32]>,
    pub(crate) features: usize,
    pub(crate) frames: usize,
    pub(crate) columns: usize,
}

impl Inputs {
    pub(crate) fn new(spec: &ObsSpec, tape: Vec<f32>) -> Self {
        let (features, frames, columns) = (spec.features.len(), spec.frames, spec.account.len());
        Self { tape: tape.into(), features, frames, columns }
    }

    /// Writes one policy input: the frames up to `row`, oldest first, then the account columns.
    pub(crate) fn write(&self, obs: ObsView<'_>, sample: usize, out: &mut [f32]) {
        let (window, account) = out.split_at_mut(self.frames * self.features);
        if self.features > 0 {
            let end = (obs.row[sample] as usize + 1) * self.features;
            window.copy_from_slice(&self.tape[end - window.len()..end]);
        }
        account.copy_from_slice(&obs.account[sample * self.columns..(sample + 1) * self.columns]);
    }
}

/// Output slices for the decisions of several lanes. `[N]`
#[derive(Debug)]
pub(crate) struct ActOut<'a> {
    pub(crate) action: &'a mut [u8],
    pub(crate) prob: &'a mut [[f32; MAX_ACTIONS]],
    pub(crate) log_prob: &'a mut [f32],
    pub(crate) value: &'a mut [f32],
}

impl<'a> ActOut<'a> {
    /// Splits the lanes into chunks of `size`.
    pub(crate) fn chunks(self, size: usize) -> impl Iterator<Item = ActOut<'a>> {
        let numbers = self.log_prob.chunks_mut(size).zip(self.value.chunks_mut(size));
        let parts = self.action.chunks_mut(size).zip(self.prob.chunks_mut(size)).zip(numbers);
        parts.map(|((action, prob), (log_prob, value))| ActOut { action, prob, log_prob, value })
    }

    /// Splits the lanes into chunks of `size` for parallel iteration.
    pub(crate) fn par_chunks(self, size: usize) -> impl IndexedParallelIterator<Item = ActOut<'a>> {
        let numbers = self.log_prob.par_chunks_mut(size).zip(self.value.par_chunks_mut(size));
        let parts = self.action.par_chunks_mut(size).zip(self.prob.par_chunks_mut(size)).zip(numbers);
        parts.map(|((action, prob), (log_prob, value))| ActOut { action, prob, log_prob, value })
    }
}

/// Rollout buffer. Everything is `[T, N]` unless noted.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) steps: usize,
    pub(crate) lanes: usize,
    /// `[T + 1, N]`: the last row is the first of the next rollout.
    pub(crate) obs: Observations,
    /// Final observations of truncated episodes in the current step. `[N]`
    pub(crate) last: Observations,
    /// Marks the first observation of an episode, where the recurrent state is reset. `[T + 1, N]`
    pub(crate) start: Vec<bool>,
    pub(crate) action: Vec<u8>,
    /// Action probabilities of the last decision; zero for illegal actions. `[N]`
    pub(crate) prob: Vec<[f32; MAX_ACTIONS]>,
    pub(crate) log_prob: Vec<f32>,
    /// `[T + 1, N]`
    pub(crate) value: Vec<f32>,
    pub(crate) reward: Vec<f32>,
    pub(crate) terminated: Vec<bool>,
    pub(crate) truncated: Vec<bool>,
    /// Value of the final observation of a truncated episode; undefined elsewhere.
    pub(crate) last_value: Vec<f32>,
    pub(crate) advantage: Vec<f32>,
    /// Target of the critic: advantage plus value.
    pub(crate) target: Vec<f32>,
}

impl Rollout {
    pub(crate) fn new(steps: usize, lanes: usize, columns: usize) -> Self {
        let samples = steps * lanes;
        Self {
            steps,
            lanes,
            obs: Observations::new(steps + 1, lanes, columns),
            last: Observations::new(1, lanes, columns),
            start: vec![true; samples + lanes],
            action: vec![0; samples],
            prob: vec![[0.0; MAX_ACTIONS]; lanes],
            log_prob: vec![0.0; samples],
            value: vec![0.0; samples + lanes],
            reward: vec![0.0; samples],
            terminated: vec![false; samples],
            truncated: vec![false; samples],
            last_value: vec![0.0; samples],
            advantage: vec![0.0; samples],
            target: vec![0.0; samples],
        }
    }

    pub(crate) fn samples(&self) -> usize {
        self.steps * self.lanes
    }

    /// Moves the observations after the last step to the front. The final observations are initialised with them too,
    /// so that every entry can be evaluated.
    pub(crate) fn begin(&mut self) {
        self.obs.copy(self.steps, 0);
        self.last.take(self.obs.at(0));
        let samples = self.samples();
        self.start.copy_within(samples.., 0);
    }

    /// Returns the lanes that begin an episode at one time. `[N]`
    pub(crate) fn starts(&self, time: usize) -> &[bool] {
        &self.start[time * self.lanes..(time + 1) * self.lanes]
    }

    /// Returns the observations of one step, and the output slices of its decisions.
    pub(crate) fn decision(&mut self, time: usize) -> (ObsView<'_>, ActOut<'_>) {
        let now = time * self.lanes..(time + 1) * self.lanes;
        let out = ActOut {
            action: &mut self.action[now.clone()],
            prob: &mut self.prob,
            log_prob: &mut self.log_prob[now.clone()],
            value: &mut self.value[now],
        };
        (self.obs.at(time), out)
    }

    /// Marks the lanes that begin an episode after one step.
    pub(crate) fn mark_starts(&mut self, time: usize) {
        let (now, lanes) = (time * self.lanes..(time + 1) * self.lanes, self.lanes);
        for sample in now {
            self.start[sample + lanes] = self.terminated[sample] || self.truncated[sample];
        }
    }

    /// Returns the actions of one step, and the output slices for the environment.
    pub(crate) fn step(&mut self, time: usize) -> (&[u8], StepOut<'_>) {
        let now = time * self.lanes..(time + 1) * self.lanes;
        let out = StepOut {
            next: self.obs.out(time + 1),
            reward: &mut self.reward[now.clone()],
            terminated: &mut self.terminated[now.clone()],
            truncated: &mut self.truncated[now.clone()],
            last: self.last.out(0),
        };
        (&self.action[now], out)
    }

    /// Computes the advantages and the targets of the critic.
    pub(crate) fn compute_advantages(&mut self, gamma: f64, gae_lambda: f64) {
        let returns = Returns {
            lanes: self.lanes,
            reward: &self.reward,
            value: &self.value,
            terminated: &self.terminated,
            truncated: &self.truncated,
            last_value: &self.last_value,
        };
        generalized_advantage(returns, gamma, gae_lambda, &mut self.advantage);
        for ((target, advantage), value) in self.target.iter_mut().zip(&self.advantage).zip(&self.value) {
            *target = advantage + value;
        }
    }
}
