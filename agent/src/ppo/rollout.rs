//! What was seen and done between two updates. Time-major, allocated once; it stores tape rows, never windows of features.

use std::sync::Arc;

use market_env::{ActionMask, ObsOut, ObsSpec, StepOut};
use rayon::prelude::*;

use crate::ppo::{
    advantage::{Returns, generalized_advantage},
    distribution::MAX_ACTIONS,
};

/// Observations of several lanes at one or more times.
#[derive(Debug, Clone)]
pub(crate) struct Observations {
    row: Vec<u32>,
    account: Vec<f32>,
    mask: Vec<ActionMask>,
    lanes: usize,
    columns: usize,
}

/// The observations of some samples. `account` is `[B, A]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObsView<'a> {
    pub(crate) row: &'a [u32],
    pub(crate) account: &'a [f32],
    pub(crate) mask: &'a [ActionMask],
}

impl Observations {
    /// Room for `times` observations of every lane.
    pub(crate) fn new(times: usize, lanes: usize, columns: usize) -> Self {
        let samples = times * lanes;
        let (row, account) = (vec![0; samples], vec![0.0; samples * columns]);
        Self { row, account, mask: vec![ActionMask(1); samples], lanes, columns }
    }

    /// The observations of every lane at one time.
    pub(crate) fn at(&self, time: usize) -> ObsView<'_> {
        self.samples(time * self.lanes, (time + 1) * self.lanes)
    }

    /// The first `count` observations, in order of time and lane.
    pub(crate) fn first(&self, count: usize) -> ObsView<'_> {
        self.samples(0, count)
    }

    fn samples(&self, start: usize, end: usize) -> ObsView<'_> {
        let account = &self.account[start * self.columns..end * self.columns];
        ObsView { row: &self.row[start..end], account, mask: &self.mask[start..end] }
    }

    /// The same, to be written.
    pub(crate) fn out(&mut self, time: usize) -> ObsOut<'_> {
        let (start, end) = (time * self.lanes, (time + 1) * self.lanes);
        ObsOut {
            row: &mut self.row[start..end],
            account: &mut self.account[start * self.columns..end * self.columns],
            mask: &mut self.mask[start..end],
        }
    }

    /// Takes the observations of all lanes at one time.
    fn take(&mut self, obs: ObsView<'_>) {
        self.row.copy_from_slice(obs.row);
        self.account.copy_from_slice(obs.account);
        self.mask.copy_from_slice(obs.mask);
    }

    /// Copies the observations of one time over those of another.
    pub(crate) fn copy(&mut self, from: usize, to: usize) {
        let (lanes, width) = (self.lanes, self.lanes * self.columns);
        self.row.copy_within(from * lanes..(from + 1) * lanes, to * lanes);
        self.mask.copy_within(from * lanes..(from + 1) * lanes, to * lanes);
        self.account.copy_within(from * width..(from + 1) * width, to * width);
    }
}

/// The tape a policy reads, standardised, and how an observation is cut from it.
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

/// Where the decisions of several lanes are written. `[N]`
#[derive(Debug)]
pub(crate) struct Acted<'a> {
    pub(crate) action: &'a mut [u8],
    pub(crate) prob: &'a mut [[f32; MAX_ACTIONS]],
    pub(crate) log_prob: &'a mut [f32],
    pub(crate) value: &'a mut [f32],
}

impl<'a> Acted<'a> {
    /// Cuts the lanes into parts of `size`.
    pub(crate) fn chunks(self, size: usize) -> impl Iterator<Item = Acted<'a>> {
        let numbers = self.log_prob.chunks_mut(size).zip(self.value.chunks_mut(size));
        let parts = self.action.chunks_mut(size).zip(self.prob.chunks_mut(size)).zip(numbers);
        parts.map(|((action, prob), (log_prob, value))| Acted { action, prob, log_prob, value })
    }

    /// The same, for several threads.
    pub(crate) fn par_chunks(self, size: usize) -> impl IndexedParallelIterator<Item = Acted<'a>> {
        let numbers = self.log_prob.par_chunks_mut(size).zip(self.value.par_chunks_mut(size));
        let parts = self.action.par_chunks_mut(size).zip(self.prob.par_chunks_mut(size)).zip(numbers);
        parts.map(|((action, prob), (log_prob, value))| Acted { action, prob, log_prob, value })
    }
}

/// The rollout buffer. Everything is `[T, N]` unless it says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    pub(crate) steps: usize,
    pub(crate) lanes: usize,
    /// `[T + 1, N]`: the last is the first of the next rollout.
    pub(crate) obs: Observations,
    /// Observation at a truncation in the current step. `[N]`
    pub(crate) last: Observations,
    /// Whether the observation is the first of an episode: what came before shall be forgotten. `[T + 1, N]`
    pub(crate) start: Vec<bool>,
    pub(crate) action: Vec<u8>,
    /// Probability of each action in the step decided last; zero for an illegal one. `[N]`
    pub(crate) prob: Vec<[f32; MAX_ACTIONS]>,
    pub(crate) log_prob: Vec<f32>,
    /// `[T + 1, N]`
    pub(crate) value: Vec<f32>,
    pub(crate) reward: Vec<f32>,
    pub(crate) terminated: Vec<bool>,
    pub(crate) truncated: Vec<bool>,
    /// Value of the observation at a truncation; elsewhere it says nothing.
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

    /// Makes the observations after the last step the first ones. Those at truncations start as them too: whatever is not
    /// written later is still an observation that can be evaluated.
    pub(crate) fn begin(&mut self) {
        self.obs.copy(self.steps, 0);
        self.last.take(self.obs.at(0));
        let samples = self.samples();
        self.start.copy_within(samples.., 0);
    }

    /// Which lanes begin an episode with the observations of one time. `[N]`
    pub(crate) fn starts(&self, time: usize) -> &[bool] {
        &self.start[time * self.lanes..(time + 1) * self.lanes]
    }

    /// The observations of one step, and where the decisions on them go.
    pub(crate) fn decision(&mut self, time: usize) -> (ObsView<'_>, Acted<'_>) {
        let now = time * self.lanes..(time + 1) * self.lanes;
        let out = Acted {
            action: &mut self.action[now.clone()],
            prob: &mut self.prob,
            log_prob: &mut self.log_prob[now.clone()],
            value: &mut self.value[now],
        };
        (self.obs.at(time), out)
    }

    /// Notes which lanes begin an episode after one step.
    pub(crate) fn note_starts(&mut self, time: usize) {
        let (now, lanes) = (time * self.lanes..(time + 1) * self.lanes, self.lanes);
        for sample in now {
            self.start[sample + lanes] = self.terminated[sample] || self.truncated[sample];
        }
    }

    /// The actions of one step, and the rows that the environment writes.
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

    /// Estimates the advantages and the critic's targets.
    pub(crate) fn estimate(&mut self, gamma: f64, gae_lambda: f64) {
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
