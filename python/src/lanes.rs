//! Lanes stepped for Python: autoreset, illegal actions, and rows of observations.

use market_env::{ActionMask, BatchEnv, Episode, StepBuffers, VecEnv as _};
use serde::{Deserialize, Serialize};

/// Behaviour after the end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Autoreset {
    /// The observation returned is the first of the next session.
    SameStep,
    /// The observation returned is the last of the session; the next step ignores the action and returns the first of the next
    /// one.
    NextStep,
    /// The observation returned is the last of the session; the caller resets.
    Disabled,
}

/// Answer to an illegal action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Illegal {
    /// HOLD in its place, counted.
    Hold,
    /// An error.
    Raise,
}

/// A batch of lanes with its current observation.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) env: BatchEnv,
    buffers: StepBuffers,
    autoreset: Autoreset,
    illegal: Illegal,
    /// Standardised features; `None` shows them as they are.
    tape: Option<Vec<f32>>,
    /// Lanes whose session has ended and whose next one has not been shown. `[N]`
    pub(crate) waiting: Vec<bool>,
    active: Vec<bool>,
    actions: Vec<u8>,
    /// Lanes whose last action was replaced by HOLD. `[N]`
    pub(crate) replaced: Vec<bool>,
    /// Actions replaced since construction.
    pub(crate) replaced_total: u64,
    /// Sessions that ended with the last step.
    pub(crate) ended: Vec<Episode>,
    /// State of the generator of [`Lanes::sample`].
    dice: u64,
}

/// Legality of each action, by mask.
const LEGAL: [[bool; 8]; 256] = {
    let mut table = [[false; 8]; 256];
    let mut cell = 0;
    while cell < 256 * 8 {
        table[cell / 8][cell % 8] = ActionMask((cell / 8) as u8).allows((cell % 8) as u8);
        cell += 1;
    }
    table
};

/// Returns the next number of a generator. # Source: Steele et al. 2014, SplitMix.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Arrays that a step writes.
#[derive(Debug)]
pub(crate) struct Arrays<'a> {
    /// `[N, I]`
    pub(crate) observations: &'a mut [f32],
    /// `[N, K]`
    pub(crate) masks: &'a mut [bool],
    /// `[N]`
    pub(crate) rewards: &'a mut [f32],
    /// `[N]`
    pub(crate) terminated: &'a mut [bool],
}

impl Lanes {
    /// Resets the environment. `tape` holds standardised features, of the shape of the environment's.
    pub(crate) fn new(
        mut env: BatchEnv,
        autoreset: Autoreset,
        illegal: Illegal,
        tape: Option<Vec<f32>>,
        seed: u64,
    ) -> Self {
        let lanes = env.lanes();
        Self {
            buffers: StepBuffers::reset(&mut env),
            env,
            autoreset,
            illegal,
            tape,
            waiting: vec![false; lanes],
            active: vec![true; lanes],
            actions: vec![0; lanes],
            replaced: vec![false; lanes],
            replaced_total: 0,
            ended: Vec::new(),
            dice: seed,
        }
    }

    /// Replaces the environment by one of the same shape, reset.
    pub(crate) fn replace(&mut self, env: BatchEnv, seed: u64) {
        (self.env, self.dice) = (env, seed);
        self.buffers = StepBuffers::reset(&mut self.env);
        self.waiting.fill(false);
        self.replaced.fill(false);
        (self.replaced_total, self.ended) = (0, Vec::new());
    }

    /// Returns the newest tape row of each observation that the environment holds. `[N]`
    pub(crate) fn rows(&self) -> &[u32] {
        &self.buffers.row
    }

    /// Starts the next session in the chosen lanes; those whose session has ended show the one that has begun already.
    pub(crate) fn reset_some(&mut self, chosen: &[bool]) {
        let marks = self.active.iter_mut().zip(&self.waiting).zip(chosen);
        marks.for_each(|((active, &waiting), &chosen)| *active = chosen && !waiting);
        self.env.reset_some(&self.active, self.buffers.observation());
        self.waiting.iter_mut().zip(chosen).for_each(|(waiting, &chosen)| *waiting &= !chosen);
        self.ended.clear();
    }

    /// Checks and takes the actions of the next step. `[N]`
    ///
    /// # Errors
    /// A sentence that names the lane, for a number that is no action, an illegal action under [`Illegal::Raise`], and a lane
    /// that waits for a reset under [`Autoreset::Disabled`].
    pub(crate) fn take(&mut self, actions: &[i64]) -> Result<(), String> {
        let kinds = self.env.spec().actions.len();
        if actions.len() != self.actions.len() {
            return Err(format!("there are {} actions for {} lanes", actions.len(), self.actions.len()));
        }
        let mut replaced = 0;
        for (lane, &action) in actions.iter().enumerate() {
            let mask = self.buffers.mask[lane];
            let waits = self.waiting[lane];
            if waits && self.autoreset == Autoreset::Disabled {
                return Err(format!("the session of lane {lane} has ended; reset the lane before the next step"));
            }
            let number = u8::try_from(action).ok().filter(|&number| usize::from(number) < kinds);
            let number =
                number.ok_or_else(|| format!("lane {lane}: {action} is no action, which are 0 to {}", kinds - 1))?;
            let legal = waits || mask.allows(number);
            if !legal && self.illegal == Illegal::Raise {
                return Err(self.illegal_action(lane, number, mask));
            }
            self.actions[lane] = if legal && !waits { number } else { 0 };
            self.replaced[lane] = !legal;
            replaced += u64::from(!legal);
        }
        self.replaced_total += replaced;
        Ok(())
    }

    /// Draws a legal action for every lane, with equal probabilities. `[N]`
    pub(crate) fn sample(&mut self) -> Vec<i64> {
        let draw = |dice: &mut u64, mask: ActionMask| {
            let chosen = (splitmix(dice) % u64::from(mask.count())) as usize;
            (0..8).filter(|&action| mask.allows(action)).nth(chosen).map_or(0, i64::from)
        };
        let dice = &mut self.dice;
        self.buffers.mask.iter().map(|&mask| draw(dice, mask)).collect()
    }

    fn illegal_action(&self, lane: usize, action: u8, mask: ActionMask) -> String {
        let names = &self.env.spec().actions;
        let legal: Vec<&str> = (0..names.len()).filter(|&a| mask.allows(a as u8)).map(|a| names[a].as_str()).collect();
        format!("lane {lane}: {} is not legal; legal are {}", names[usize::from(action)], legal.join(", "))
    }

    /// Advances all lanes by the actions taken last, and writes what they show.
    pub(crate) fn step(&mut self, out: &mut Arrays<'_>) {
        if self.autoreset == Autoreset::NextStep && self.waiting.contains(&true) {
            self.active.iter_mut().zip(&self.waiting).for_each(|(active, &waiting)| *active = !waiting);
            self.env.step_some(&self.actions, &self.active, self.buffers.output());
        } else {
            self.env.step(&self.actions, self.buffers.output());
        }
        out.rewards.copy_from_slice(&self.buffers.reward);
        out.terminated.copy_from_slice(&self.buffers.terminated);
        self.ended.clear();
        self.env.drain_episodes(&mut self.ended);
        if self.autoreset != Autoreset::SameStep {
            self.waiting.copy_from_slice(out.terminated);
        }
        self.show(out.observations, out.masks);
    }

    /// Writes the current observation: that of the environment, or the last of a session that has ended and waits.
    pub(crate) fn show(&self, observations: &mut [f32], masks: &mut [bool]) {
        let StepBuffers { row, account, mask, .. } = &self.buffers;
        let (last_row, last_account) = self.buffers.last();
        let spec = self.env.spec();
        let (columns, kinds, inputs) = (spec.account.len(), spec.actions.len(), spec.inputs());
        let outputs = observations.chunks_exact_mut(inputs).zip(masks.chunks_exact_mut(kinds));
        let tape = self.tape.as_deref().unwrap_or_else(|| self.env.tape());
        let features = spec.features.len();
        for (lane, (observation, legal)) in outputs.enumerate() {
            let own = lane * columns..(lane + 1) * columns;
            let (row, account, mask) = if self.waiting[lane] {
                (last_row[lane], &last_account[own], ActionMask::of(&[0]))
            } else {
                (row[lane], &account[own], mask[lane])
            };
            write(&tape[..(row as usize + 1) * features], account, observation);
            legal.copy_from_slice(&LEGAL[usize::from(mask.0)][..kinds]);
        }
    }

    /// Writes the last observations of the sessions that ended with the last step, in the order of `lanes`. `[E, I]`
    pub(crate) fn write_finals(&self, lanes: impl Iterator<Item = usize>, observations: &mut [f32]) {
        let (row, account) = self.buffers.last();
        let spec = self.env.spec();
        let (inputs, columns, features) = (spec.inputs(), spec.account.len(), spec.features.len());
        let tape = self.tape.as_deref().unwrap_or_else(|| self.env.tape());
        for (lane, observation) in lanes.zip(observations.chunks_exact_mut(inputs)) {
            let own = &account[lane * columns..(lane + 1) * columns];
            write(&tape[..(row[lane] as usize + 1) * features], own, observation);
        }
    }

    /// Writes the reward of the last step by term. `[N, terms]`
    pub(crate) fn write_terms(&self, out: &mut [f32]) {
        let terms = self.env.reward_terms().flat_map(|terms| terms.iter().map(|(_, value)| value));
        out.iter_mut().zip(terms).for_each(|(out, value)| *out = value);
    }

    /// Returns the whole dynamic state as JSON; `seed` is that of the environment.
    pub(crate) fn state(&self, seed: u64) -> Result<String, String> {
        let (last_row, last_account) = self.buffers.last();
        let state = State {
            seed,
            env: self.env.state(),
            waiting: self.waiting.clone(),
            last_row: last_row.to_vec(),
            last_account: last_account.to_vec(),
            replaced_total: self.replaced_total,
            dice: self.dice,
        };
        serde_json::to_string(&state).map_err(|fault| fault.to_string())
    }

    /// Reads a state and checks that it fits these lanes.
    ///
    /// # Errors
    /// A sentence, when it does not.
    pub(crate) fn parse(&self, state: &str) -> Result<State, String> {
        let state: State =
            serde_json::from_str(state).map_err(|fault| format!("not a state of this environment: {fault}"))?;
        let (columns, lanes) = (self.env.spec().account.len(), self.waiting.len());
        if state.waiting.len() != lanes {
            return Err(format!("the state has {} lanes, this environment {lanes}", state.waiting.len()));
        }
        if self.autoreset == Autoreset::SameStep && state.waiting.contains(&true) {
            return Err("the state is that of another autoreset mode".to_owned());
        }
        if (state.last_row.len(), state.last_account.len()) != (lanes, lanes * columns) {
            return Err("the state has another number of columns".to_owned());
        }
        Ok(state)
    }

    /// Continues from a state that [`Lanes::parse`] read; the environment must have its seed.
    ///
    /// # Errors
    /// A sentence, when the environment refuses it.
    pub(crate) fn restore(&mut self, state: State) -> Result<(), String> {
        self.env.restore(&state.env, self.buffers.observation())?;
        let last = self.buffers.output().last;
        last.row.copy_from_slice(&state.last_row);
        last.account.copy_from_slice(&state.last_account);
        self.waiting = state.waiting;
        self.replaced.fill(false);
        (self.replaced_total, self.dice, self.ended) = (state.replaced_total, state.dice, Vec::new());
        Ok(())
    }
}

/// Writes an observation: the last rows of a tape, then the account's columns.
#[inline]
fn write(tape: &[f32], account: &[f32], observation: &mut [f32]) {
    let (window, own) = observation.split_at_mut(observation.len() - account.len());
    window.copy_from_slice(&tape[tape.len() - window.len()..]);
    own.copy_from_slice(account);
}

/// The dynamic state of lanes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Seed of the environment, which decides on its later sessions.
    pub(crate) seed: u64,
    env: String,
    waiting: Vec<bool>,
    last_row: Vec<u32>,
    last_account: Vec<f32>,
    replaced_total: u64,
    dice: u64,
}
