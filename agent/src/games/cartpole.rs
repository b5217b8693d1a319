//! CartPole-v1, the standard first environment for PPO: it tests credit assignment over time and across truncated
//! episodes, and sample efficiency.
//!
//! It is comparable with Gymnasium's environment and with Stable-Baselines3's learning curves.

use std::ops::Range;

use market_env::{ActionMask, Episode, Ledger, ObsOut, ObsSpec, StepOut, VecEnv};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::{AgentError, DeviceChoice, Normalizer, Policy, PolicyConfig, PpoConfig, Trainer, random::RandomStreams};

/// Steps after which an episode is truncated.
pub(crate) const MAX_EPISODE_STEPS: u32 = 500;
/// Mean return of 100 episodes at which the environment counts as solved.
pub const SOLVED_RETURN: f64 = 475.0;
/// Timesteps after which [`learning_curve`] stops.
pub const MAX_TIMESTEPS: u64 = 150_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Cart {
    /// Position, velocity, angle, angular velocity.
    state: [f64; 4],
    steps: u32,
    /// Episodes before this one.
    episode: u64,
}

/// Carts with poles to balance; reward one per step survived, the last one included.
///
/// The observation is the account row `[4]`: position (m), velocity (m/s), angle (rad), angular velocity (rad/s). A
/// pole
/// beyond 12 degrees or a cart beyond 2.4 m terminates an episode, 500 steps truncate it.
#[derive(Debug, Clone)]
pub struct CartPole {
    spec: ObsSpec,
    streams: RandomStreams,
    carts: Vec<Cart>,
    ledger: Ledger,
    ended: Vec<Episode>,
}

impl CartPole {
    /// Creates `lanes` carts; the initial state of an episode is a function of seed, lane and episode.
    pub fn new(lanes: usize, seed: u64) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let account = names(&["x", "velocity", "angle", "angular_velocity"]);
        let spec = ObsSpec { features: vec![], frames: 1, account, actions: names(&["LEFT", "RIGHT"]) };
        let (ledger, ended) = (Ledger::default(), Vec::new());
        Self { spec, streams: RandomStreams::new(seed), carts: vec![Cart::default(); lanes], ledger, ended }
    }

    fn start(&mut self, lane: usize, episode: u64) {
        let mut rng = self.streams.episode(lane as u64, episode);
        let state = [(); 4].map(|()| rng.random_range(-0.05..0.05));
        self.carts[lane] = Cart { state, steps: 0, episode };
    }

    fn write(&self, lane: usize, out: &mut ObsOut<'_>) {
        out.row[lane] = 0;
        out.mask[lane] = ActionMask::of(&[0, 1]);
        let columns = out.account[lane * 4..].iter_mut().zip(self.carts[lane].state);
        columns.for_each(|(column, x)| *column = x as f32);
    }

    /// Records a finished episode and starts the next one of the lane.
    fn end(&mut self, lane: usize) {
        let Cart { steps, episode, .. } = self.carts[lane];
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
        self.ledger.sessions += 1;
        self.start(lane, episode + 1);
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
        self.has_fallen()
    }

    fn has_fallen(&self) -> bool {
        let [x, _, angle, _] = self.state;
        // Not `>`: a NaN position has left the track too.
        !(x.abs() <= 2.4 && angle.abs() <= 12.0f64.to_radians())
    }

    fn is_over(&self) -> bool {
        self.has_fallen() || self.steps >= MAX_EPISODE_STEPS
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
        self.ledger = Ledger::default();
        self.ended.clear();
        for lane in 0..self.carts.len() {
            self.start(lane, 0);
            self.write(lane, &mut out);
        }
    }

    fn step(&mut self, actions: &[u8], mut out: StepOut<'_>) {
        assert_eq!(actions.len(), self.carts.len(), "one action per lane");
        for (lane, &action) in actions.iter().enumerate() {
            assert!(action < 2, "lane {lane}: action {action} does not exist");
            let fallen = self.carts[lane].push(action == 1);
            let cut = !fallen && self.carts[lane].steps == MAX_EPISODE_STEPS;
            (out.reward[lane], out.terminated[lane], out.truncated[lane]) = (1.0, fallen, cut);
            if cut {
                self.write(lane, &mut out.last);
            }
            if fallen || cut {
                self.end(lane);
            }
            self.write(lane, &mut out.next);
        }
        self.ledger.steps += self.carts.len() as u64;
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn drain_episodes(&mut self, out: &mut Vec<Episode>) {
        out.append(&mut self.ended);
    }

    fn state(&self) -> String {
        serde_json::to_string(&(&self.carts, &self.ledger)).expect("numbers always become JSON")
    }

    fn restore(&mut self, state: &str, mut out: ObsOut<'_>) -> Result<(), String> {
        let (carts, ledger): (Vec<Cart>, Ledger) =
            serde_json::from_str(state).map_err(|error| format!("not a state of this environment: {error}"))?;
        if carts.len() != self.carts.len() {
            return Err(format!("the state has {} carts, this environment has {}", carts.len(), self.carts.len()));
        }
        if let Some(lane) = carts.iter().position(Cart::is_over) {
            return Err(format!("the episode of cart {lane} in the state is already over"));
        }
        (self.carts, self.ledger) = (carts, ledger);
        (0..self.carts.len()).for_each(|lane| self.write(lane, &mut out));
        Ok(())
    }
}

/// One point of a learning curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Lane-steps taken since the start.
    pub timesteps: u64,
    /// Mean return of the last 100 episodes.
    pub ep_rew_mean: f64,
}

/// Returns the hyper-parameters that RL Zoo tuned for this environment, with constant learning rate and clip range.
///
/// # Source
/// Raffin 2020, "RL Baselines3 Zoo", `hyperparams/ppo.yml`.
pub(crate) fn zoo_config() -> PpoConfig {
    PpoConfig {
        n_envs: 8,
        n_steps: 32,
        batch_size: 256,
        n_epochs: 20,
        learning_rate: 1e-3,
        gamma: 0.98,
        gae_lambda: 0.8,
        clip_range: 0.2,
        ent_coef: 0.0,
        ..PpoConfig::default()
    }
}

/// Trains a new policy with the RL Zoo settings on the CPU until the mean return of the last 100 episodes reaches
/// [`SOLVED_RETURN`] or [`MAX_TIMESTEPS`] are taken; returns that mean after every iteration, from the first finished
/// episode on.
///
/// # Errors
/// As [`Trainer::iterate`].
pub fn learning_curve(seed: u64) -> Result<Vec<CurvePoint>, AgentError> {
    let config = zoo_config();
    let env = CartPole::new(config.n_envs, seed);
    let policy = Policy::new(env.spec(), &PolicyConfig::default(), Normalizer::identity(0), seed)?;
    let mut trainer = Trainer::new(env, policy, config, 0, seed, DeviceChoice::Cpu)?;
    let mut curve: Vec<CurvePoint> = Vec::new();
    while trainer.timesteps() < MAX_TIMESTEPS && curve.last().is_none_or(|point| point.ep_rew_mean < SOLVED_RETURN) {
        let iteration = trainer.iterate(&mut ())?;
        let point = |ep_rew_mean| CurvePoint { timesteps: iteration.timesteps, ep_rew_mean };
        curve.extend(iteration.ep_rew_mean.map(point));
    }
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use market_env::StepBuffers;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn dynamics_match_gymnasium() {
        let mut cart = Cart { state: [0.01, -0.02, 0.03, -0.04], ..Cart::default() };
        let fallen: Vec<bool> = (0..10).map(|step| cart.push(step % 3 != 0)).collect();
        let theirs = [0.040750507185484945, 0.3671320663948744, -0.022496992683420168, -0.5567838830080368];
        let close = cart.state.iter().zip(theirs).all(|(ours, theirs)| (ours - theirs).abs() < 1e-12);
        assert!(close && !fallen.contains(&true), "{cart:?}");
        let falls = (10..19).map(|step| cart.push(step % 3 != 0)).position(|fallen| fallen);
        assert_eq!(falls, Some(8), "Gymnasium's pole falls at step 19");
    }

    #[test]
    fn a_balanced_episode_is_truncated_and_its_number_sets_the_next_start() {
        let mut env = CartPole::new(2, 3);
        let mut buffers = StepBuffers::reset(&mut env);
        let first = buffers.account.clone();
        let mut state: Value = serde_json::from_str(&env.state()).unwrap();
        state[0][1] = json!({ "state": [0.0, 0.0, 0.0, 0.0], "steps": MAX_EPISODE_STEPS - 1, "episode": 6 });
        env.restore(&state.to_string(), buffers.observation()).unwrap();
        assert_eq!((&buffers.account[..4], &buffers.account[4..]), (&first[..4], &[0.0; 4][..]));
        buffers.step(&mut env, &[0, 0]);
        assert_eq!((&buffers.truncated, &buffers.terminated), (&vec![false, true], &vec![false; 2]));
        let mut episodes = Vec::new();
        env.drain_episodes(&mut episodes);
        assert_eq!(episodes.iter().map(|e| (e.lane, e.steps)).collect::<Vec<_>>(), [(1, MAX_EPISODE_STEPS)]);
        let mut other = CartPole::new(2, 3);
        other.start(1, 7);
        assert_eq!(env.carts[1].state, other.carts[1].state);

        state[0][0]["state"][0] = json!(9.0);
        let error = env.restore(&state.to_string(), buffers.observation()).unwrap_err();
        assert_eq!(error, "the episode of cart 0 in the state is already over");
        let error = CartPole::new(3, 3).restore(&env.state(), buffers.observation()).unwrap_err();
        assert_eq!(error, "the state has 2 carts, this environment has 3");
    }

    #[test]
    fn a_resumed_training_continues_bit_by_bit() {
        let config = PpoConfig { n_envs: 3, n_steps: 200, batch_size: 100, n_epochs: 1, ..zoo_config() };
        let env = CartPole::new(3, 5);
        let policy = Policy::new(env.spec(), &PolicyConfig::default(), Normalizer::identity(0), 5).unwrap();
        let mut straight = Trainer::new(env, policy, config, 0, 5, DeviceChoice::Cpu).unwrap();
        straight.iterate(&mut ()).unwrap();
        let mut resumed =
            Trainer::resume(straight.checkpoint().unwrap(), CartPole::new(3, 5), DeviceChoice::Cpu).unwrap();
        assert_eq!(straight.iterate(&mut ()).unwrap(), resumed.iterate(&mut ()).unwrap());
        assert_eq!(straight.checkpoint().unwrap(), resumed.checkpoint().unwrap());
        assert_eq!(straight.env().ledger().steps, 2 * 3 * 200);
    }

    #[test]
    fn ppo_solves_cartpole() {
        let curve = learning_curve(0).unwrap();
        assert!(curve[0].ep_rew_mean < 60.0, "{:?}", curve[0]);
        assert!(curve.last().unwrap().ep_rew_mean >= SOLVED_RETURN, "{:?}", curve.last());
        assert!(
            curve
                .windows(2)
                .all(|pair| pair[0].timesteps + 256 == pair[1].timesteps && pair[0].ep_rew_mean < SOLVED_RETURN)
        );
    }
}
