//! Memory task: a cue is visible at the first step and must be repeated at the last.

use std::ops::Range;

use market_env::{ActionMask, Episode, Ledger, ObsOut, ObsSpec, StepOut, VecEnv};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Decisions per episode: the cue is visible at the first and the answer due at the last.
const LENGTH: u32 = 5;

#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    cue: u8,
    step: u32,
}

/// Lanes that can only WAIT until the last step, where they must choose LEFT or RIGHT.
#[derive(Debug)]
pub(crate) struct Cue {
    spec: ObsSpec,
    lanes: Vec<Lane>,
    rng: ChaCha8Rng,
    ledger: Ledger,
    ended: Vec<Episode>,
    end: Option<u64>,
}

impl Cue {
    pub(crate) fn new(lanes: usize) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let account = names(&["left", "right", "asked"]);
        let spec = ObsSpec { features: vec![], frames: 1, account, actions: names(&["WAIT", "LEFT", "RIGHT"]) };
        let rng = ChaCha8Rng::seed_from_u64(8);
        let (ledger, ended) = (Ledger::default(), Vec::new());
        Self { spec, lanes: vec![Lane::default(); lanes], rng, ledger, ended, end: None }
    }

    /// Returns the environment as a replay that ends after `steps` lane-steps.
    pub(crate) fn ending_at(self, steps: u64) -> Self {
        Self { end: Some(steps), ..self }
    }

    fn answer_due(lane: Lane) -> bool {
        lane.step + 1 == LENGTH
    }

    fn write(&self, index: usize, out: &mut ObsOut<'_>) {
        let lane = self.lanes[index];
        let shown = |cue| if lane.step == 0 && lane.cue == cue { 1.0 } else { 0.0 };
        let answer_due = if Self::answer_due(lane) { 1.0 } else { 0.0 };
        out.row[index] = 0;
        out.account[index * 3..][..3].copy_from_slice(&[shown(1), shown(2), answer_due]);
        out.mask[index] = if Self::answer_due(lane) { ActionMask::of(&[1, 2]) } else { ActionMask::of(&[0]) };
    }
}

impl VecEnv for Cue {
    fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn spec(&self) -> &ObsSpec {
        &self.spec
    }

    fn tape(&self) -> &[f32] {
        &[]
    }

    fn visible_rows(&self) -> Vec<Range<usize>> {
        Vec::new()
    }

    fn reset(&mut self, mut out: ObsOut<'_>) {
        for index in 0..self.lanes.len() {
            self.lanes[index] = Lane { cue: self.rng.random_range(1..3), step: 0 };
            self.write(index, &mut out);
        }
    }

    fn step(&mut self, actions: &[u8], mut out: StepOut<'_>) {
        for (index, &action) in actions.iter().enumerate() {
            let lane = self.lanes[index];
            assert_eq!(action == 0, !Self::answer_due(lane), "lane {index} took an illegal action");
            let reward = if action == lane.cue { 1.0 } else { 0.0 };
            out.reward[index] = reward;
            out.terminated[index] = Self::answer_due(lane);
            out.truncated[index] = false;
            self.ledger.steps += 1;
            self.lanes[index].step += 1;
            if Self::answer_due(lane) {
                self.ended.push(Episode {
                    lane: index as u32,
                    day: 0,
                    steps: LENGTH,
                    reward: f64::from(reward),
                    net_pnl_cents: 0,
                    fees_cents: 0,
                    trades: 0,
                    held_steps: 0,
                });
                self.lanes[index] = Lane { cue: self.rng.random_range(1..3), step: 0 };
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
        unreachable!("this environment has no saved state")
    }

    fn restore(&mut self, _state: &str, _out: ObsOut<'_>) -> Result<(), String> {
        Err("this environment has no saved state".into())
    }
}
