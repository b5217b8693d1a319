//! CartPole-v1, for a test that credit is carried through time and through truncated episodes.

use std::ops::Range;

use market_env::{ActionMask, Episode, Ledger, ObsOut, ObsSpec, StepOut, VecEnv};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Steps after which a balanced episode is cut.
const LIMIT: u32 = 500;

#[derive(Debug)]
struct Cart {
    /// Position, velocity, angle, angular velocity.
    state: [f64; 4],
    steps: u32,
}

/// Carts with poles to balance; one reward per step survived.
#[derive(Debug)]
pub(crate) struct CartPole {
    spec: ObsSpec,
    carts: Vec<Cart>,
    rng: ChaCha8Rng,
    ledger: Ledger,
    ended: Vec<Episode>,
}

impl CartPole {
    pub(crate) fn new(lanes: usize, seed: u64) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let account = names(&["x", "velocity", "angle", "angular_velocity"]);
        let spec = ObsSpec { features: vec![], frames: 1, account, actions: names(&["LEFT", "RIGHT"]) };
        let carts = (0..lanes).map(|_| Cart { state: [0.0; 4], steps: 0 }).collect();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { spec, carts, rng, ledger: Ledger::default(), ended: Vec::new() }
    }

    fn start(&mut self, lane: usize) {
        let state = [(); 4].map(|()| self.rng.random_range(-0.05..0.05));
        self.carts[lane] = Cart { state, steps: 0 };
    }

    fn write(&self, lane: usize, out: &mut ObsOut<'_>) {
        out.row[lane] = 0;
        out.mask[lane] = ActionMask::of(&[0, 1]);
        let columns = out.account[lane * 4..].iter_mut().zip(self.carts[lane].state);
        columns.for_each(|(column, x)| *column = x as f32);
    }
}

impl Cart {
    /// Advances by 0.02 s and returns whether the pole has fallen or the cart has left the track.
    ///
    /// # Source
    /// Barto, Sutton & Anderson 1983, with the constants and the Euler step of Gymnasium's `CartPole-v1`.
    fn push(&mut self, right: bool) -> bool {
        let [x, velocity, angle, spin] = self.state;
        let (force, total, pole, gravity, dt) = (if right { 10.0 } else { -10.0 }, 1.1, 0.05, 9.8, 0.02);
        let (sin, cos) = angle.sin_cos();
        let push = (force + pole * spin * spin * sin) / total;
        let turn = (gravity * sin - cos * push) / (0.5 * (4.0 / 3.0 - 0.1 * cos * cos / total));
        let acceleration = push - pole * turn * cos / total;
        self.state = [x + dt * velocity, velocity + dt * acceleration, angle + dt * spin, spin + dt * turn];
        self.steps += 1;
        self.state[0].abs() > 2.4 || self.state[2].abs() > 12.0f64.to_radians()
    }
}

impl VecEnv for CartPole {
    fn lanes(&self) -> usize {
        self.carts.len()
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
        for lane in 0..self.carts.len() {
            self.start(lane);
            self.write(lane, &mut out);
        }
    }

    fn step(&mut self, actions: &[u8], mut out: StepOut<'_>) {
        for (lane, &action) in actions.iter().enumerate() {
            let fallen = self.carts[lane].push(action == 1);
            let steps = self.carts[lane].steps;
            out.reward[lane] = 1.0;
            out.terminated[lane] = fallen;
            out.truncated[lane] = !fallen && steps == LIMIT;
            if fallen || steps == LIMIT {
                self.write(lane, &mut out.last);
                self.ended.push(Episode {
                    lane: lane as u32,
                    day: 0,
                    steps,
                    reward: f64::from(steps),
                    net_pnl_cents: 0,
                    fees_cents: 0,
                    trades: 0,
                    held_steps: 0,
                });
                self.start(lane);
            }
            self.write(lane, &mut out.next);
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn drain_episodes(&mut self, out: &mut Vec<Episode>) {
        out.append(&mut self.ended);
    }

    fn state(&self) -> String {
        unreachable!("the learning test saves nothing")
    }

    fn restore(&mut self, _state: &str, _out: ObsOut<'_>) -> Result<(), String> {
        Err("the learning test saves nothing".into())
    }
}
