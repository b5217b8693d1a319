//! Environment with a known best policy, for tests: take the legal action with the largest score in the newest tape
//! row.

use std::ops::Range;

use market_env::{ActionMask, Episode, Ledger, ObsOut, ObsSpec, StepOut, VecEnv};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{DeviceChoice, Normalizer, Policy, PolicyConfig, PpoConfig, Trainer};

const ROWS: usize = 64;
const FEATURES: usize = 3;
const FRAMES: usize = 2;
/// Decisions per episode; the best reward of each is one.
pub(crate) const LENGTH: u32 = 8;

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct Lane {
    row: u32,
    mask: u8,
    step: u32,
    episode: u32,
    reward: f64,
    draws: u64,
}

/// The environment; every second episode is truncated instead of terminated.
#[derive(Debug, Clone)]
pub(crate) struct BestRow {
    spec: ObsSpec,
    tape: Vec<f32>,
    lanes: Vec<Lane>,
    ledger: Ledger,
    ended: Vec<Episode>,
    broken_step: Option<u64>,
    end: Option<u64>,
    /// True if each lane starts one step further into its first episode than the lane before.
    staggered: bool,
}

pub(crate) fn spec() -> ObsSpec {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ObsSpec {
        features: names(&["f0", "f1", "f2"]),
        frames: FRAMES,
        account: names(&["phase"]),
        actions: names(&["HOLD", "A", "B", "C"]),
    }
}

/// Pseudorandom numbers: splitmix64.
fn mix(lane: usize, counter: u64) -> u64 {
    let mut z =
        (counter + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (lane as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl BestRow {
    pub(crate) fn new(lanes: usize) -> Self {
        let tape = (0..(ROWS * FEATURES) as u64).map(|i| (mix(999, i) % 2001) as f32 / 1000.0 - 1.0).collect();
        let (ledger, ended) = (Ledger::default(), Vec::new());
        let lanes = vec![Lane::default(); lanes];
        Self { spec: spec(), tape, lanes, ledger, ended, broken_step: None, end: None, staggered: false }
    }

    /// Returns the environment with episodes that end at different steps in each lane.
    pub(crate) fn staggered(self) -> Self {
        Self { staggered: true, ..self }
    }

    /// Returns the environment with a NaN reward at one lane-step.
    pub(crate) fn broken_at(self, step: u64) -> Self {
        Self { broken_step: Some(step), ..self }
    }

    /// Returns the environment as a replay that ends after `steps` lane-steps.
    pub(crate) fn ending_at(self, steps: u64) -> Self {
        Self { end: Some(steps), ..self }
    }

    /// Returns the best action of a lane.
    fn best(&self, lane: &Lane) -> u8 {
        let row = &self.tape[lane.row as usize * FEATURES..][..FEATURES];
        let score = |action: u8| [row[0], row[1], row[2], row[1]][usize::from(action)];
        let legal = (0..4).filter(|&action| ActionMask(lane.mask).allows(action));
        legal.max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap()
    }

    fn write(&self, index: usize, out: &mut ObsOut<'_>) {
        let lane = &self.lanes[index];
        out.row[index] = lane.row;
        out.account[index] = lane.step as f32 / LENGTH as f32;
        out.mask[index] = ActionMask(lane.mask);
    }
}

impl Lane {
    fn draw(&mut self, index: usize) {
        self.draws += 1;
        let random = mix(index, self.draws);
        self.row = 1 + (random % (ROWS as u64 - 1)) as u32;
        self.mask = match (random >> 32) % 5 {
            0 => 0b0001,
            1 | 2 => 0b0111,
            _ => 0b1001,
        };
    }
}

impl VecEnv for BestRow {
    fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn spec(&self) -> &ObsSpec {
        &self.spec
    }

    fn tape(&self) -> &[f32] {
        &self.tape
    }

    fn visible_rows(&self) -> Vec<Range<usize>> {
        std::iter::once(0..ROWS).collect()
    }

    fn reset(&mut self, mut out: ObsOut<'_>) {
        for index in 0..self.lanes.len() {
            let step = if self.staggered { index as u32 % LENGTH } else { 0 };
            self.lanes[index] = Lane { step, ..Lane::default() };
            self.lanes[index].draw(index);
            self.write(index, &mut out);
        }
    }

    fn step(&mut self, actions: &[u8], mut out: StepOut<'_>) {
        for (index, &action) in actions.iter().enumerate() {
            assert!(ActionMask(self.lanes[index].mask).allows(action), "lane {index} took an illegal action");
            let best = self.best(&self.lanes[index]);
            let lane = &mut self.lanes[index];
            let reward = if action == best { 1.0 } else { 0.0 };
            out.reward[index] = if self.broken_step == Some(self.ledger.steps) { f32::NAN } else { reward };
            lane.step += 1;
            lane.reward += f64::from(reward);
            lane.draw(index);
            let over = lane.step == LENGTH;
            out.terminated[index] = over && lane.episode.is_multiple_of(2);
            out.truncated[index] = over && !lane.episode.is_multiple_of(2);
            self.ledger.steps += 1;
            self.ledger.flat_actions[0][usize::from(action)] += 1;
            if over {
                self.write(index, &mut out.last);
                let lane = &mut self.lanes[index];
                self.ended.push(Episode {
                    lane: index as u32,
                    day: 0,
                    steps: lane.step,
                    reward: lane.reward,
                    net_pnl_cents: 0,
                    fees_cents: 0,
                    trades: 0,
                    held_steps: 0,
                });
                (lane.step, lane.reward, lane.episode) = (0, 0.0, lane.episode + 1);
            }
            self.write(index, &mut out.next);
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn finished(&self) -> bool {
        self.end.is_some_and(|end| self.ledger.steps >= end)
    }

    fn drain_episodes(&mut self, out: &mut Vec<Episode>) {
        out.append(&mut self.ended);
    }

    fn state(&self) -> String {
        serde_json::to_string(&(&self.lanes, &self.ledger)).unwrap()
    }

    fn restore(&mut self, state: &str, mut out: ObsOut<'_>) -> Result<(), String> {
        let (lanes, ledger): (Vec<Lane>, Ledger) = serde_json::from_str(state).map_err(|error| error.to_string())?;
        if lanes.len() != self.lanes.len() {
            return Err(format!("the state has {} lanes instead of {}", lanes.len(), self.lanes.len()));
        }
        (self.lanes, self.ledger) = (lanes, ledger);
        (0..self.lanes.len()).for_each(|index| self.write(index, &mut out));
        Ok(())
    }
}

/// Returns a small untrained policy.
pub(crate) fn policy(seed: u64) -> Policy {
    let env = BestRow::new(1);
    let config = PolicyConfig { net_arch: vec![8], ..PolicyConfig::default() };
    Policy::for_env(&env, &config, seed).unwrap()
}

/// Returns a policy with random parameters, biases included, far from the initial ones.
pub(crate) fn shaken_policy(config: &PolicyConfig) -> Policy {
    let mut policy = Policy::new(&spec(), config, Normalizer::identity(FEATURES), 1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    policy.params.iter_mut().for_each(|p| *p += rng.random_range(-0.3..0.3));
    policy
}

/// Returns a configuration with small rollouts and a smaller last minibatch.
pub(crate) fn config() -> PpoConfig {
    PpoConfig {
        n_envs: 4,
        n_steps: 32,
        batch_size: 24,
        n_epochs: 3,
        learning_rate: 3e-3,
        gamma: 0.3,
        ent_coef: 0.0,
        ..PpoConfig::default()
    }
}

/// Returns a trainer on the native backend.
pub(crate) fn trainer(seed: u64) -> Trainer<BestRow> {
    Trainer::new(BestRow::new(4), policy(seed), config(), 10_000, seed, DeviceChoice::Cpu).unwrap()
}
