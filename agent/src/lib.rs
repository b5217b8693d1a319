//! PPO with action masks for any vectorised environment, with training diagnostics and a return forecaster.
//!
//! A [`Trainer`] collects rollouts from a [`VecEnv`](market_env::VecEnv), computes advantages and updates a [`Policy`] and
//! its critic, as in Schulman et al. 2017 and under the names of Stable-Baselines3. [`health`] judges a training while it
//! runs, [`forecast`] trains return forecasters, [`evaluate`] replays a policy.
//!
//! Letters: `T` steps of a rollout, `N` lanes, `W` frames, `F` features per frame, `A` account columns, `K` actions,
//! `B` samples of a minibatch, `P` parameters.
//!
//! ```text
//! VecEnv ─► Trainer::iterate: collect ─► advantage ─► update ─► Iteration
//!               │ forward, gradient: one of two backends (native on the CPU, libtorch)
//!               ├► Policy (parameters, normaliser) ─► model file ─► evaluate
//!               └► Checkpoint (complete state for a bit-exact resume)
//! Ledger (the environment's counters) ─► health: log blocks, metrics, verdict
//! ```
//!
//! The environment of this example shows a signal and rewards the action that matches it:
//!
//! ```
//! use market_env::{ActionMask, Episode, Ledger, ObsOut, ObsSpec, StepOut, VecEnv};
//! use ppo_agent::{Backend, DeviceChoice, Policy, PolicyConfig, PpoConfig, Trainer};
//!
//! const LANES: usize = 4;
//!
//! /// Episodes of one step; the account row holds the signal, 1 or 0.
//! struct MatchSignal {
//!     spec: ObsSpec,
//!     ledger: Ledger,
//!     ended: Vec<Episode>,
//! }
//!
//! impl MatchSignal {
//!     fn signal(&self, lane: usize) -> bool {
//!         (self.ledger.steps as usize / LANES + lane) % 3 == 0
//!     }
//!
//!     fn observe(&self, mut out: ObsOut<'_>) {
//!         out.row.fill(0);
//!         out.mask.fill(ActionMask::of(&[0, 1]));
//!         (0..LANES).for_each(|lane| out.account[lane] = f32::from(u8::from(self.signal(lane))));
//!     }
//! }
//!
//! impl VecEnv for MatchSignal {
//!     fn lanes(&self) -> usize {
//!         LANES
//!     }
//!     fn spec(&self) -> &ObsSpec {
//!         &self.spec
//!     }
//!     fn tape(&self) -> &[f32] {
//!         &[]
//!     }
//!     fn visible_rows(&self) -> Vec<std::ops::Range<usize>> {
//!         Vec::new()
//!     }
//!     fn reset(&mut self, out: ObsOut<'_>) {
//!         self.observe(out);
//!     }
//!     fn step(&mut self, actions: &[u8], out: StepOut<'_>) {
//!         for (lane, &action) in actions.iter().enumerate() {
//!             out.reward[lane] = if (action == 1) == self.signal(lane) { 1.0 } else { 0.0 };
//!             let (day, steps, reward) = (0, 1, f64::from(out.reward[lane]));
//!             let (net_pnl_cents, fees_cents, trades, held_steps) = (0, 0, 0, 0);
//!             let lane = lane as u32;
//!             self.ended.push(Episode { lane, day, steps, reward, net_pnl_cents, fees_cents, trades, held_steps });
//!         }
//!         out.terminated.fill(true);
//!         out.truncated.fill(false);
//!         self.ledger.steps += LANES as u64;
//!         self.observe(out.next);
//!     }
//!     fn ledger(&self) -> &Ledger {
//!         &self.ledger
//!     }
//!     fn drain_episodes(&mut self, out: &mut Vec<Episode>) {
//!         out.append(&mut self.ended);
//!     }
//!     fn state(&self) -> String {
//!         self.ledger.steps.to_string()
//!     }
//!     fn restore(&mut self, state: &str, out: ObsOut<'_>) -> Result<(), String> {
//!         self.ledger.steps = state.parse().map_err(|error| format!("{error}"))?;
//!         self.observe(out);
//!         Ok(())
//!     }
//! }
//!
//! let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
//! let spec = ObsSpec { features: vec![], frames: 1, account: names(&["signal"]), actions: names(&["LEFT", "RIGHT"]) };
//! let env = MatchSignal { spec, ledger: Ledger::default(), ended: Vec::new() };
//! let network = PolicyConfig { net_arch: vec![16], backend: Backend::Native, ..PolicyConfig::default() };
//! let policy = Policy::for_env(&env, &network, 1)?;
//! let config = PpoConfig {
//!     n_envs: LANES,
//!     n_steps: 64,
//!     learning_rate: 1e-2,
//!     gamma: 0.0,
//!     ent_coef: 0.0,
//!     ..PpoConfig::default()
//! };
//! let mut trainer = Trainer::new(env, policy, config, 0, 1, DeviceChoice::Cpu)?;
//! let first = trainer.iterate(&mut ())?;
//! let last = (0..9).map(|_| trainer.iterate(&mut ())).last().expect("nine iterations")?;
//! assert!(first.ep_rew_mean < Some(0.8) && last.ep_rew_mean > Some(0.95));
//! # Ok::<(), ppo_agent::AgentError>(())
//! ```
//!
//! Without the feature `torch` the crate links no libtorch: policies on the CPU are the same to the last bit, GPUs and
//! forecasters are refused ([`AgentError::NoLibtorch`]).
//!
//! The trainer needs the trait `VecEnv` alone: an observation is an index into the environment's feature tape plus a short
//! row of the lane's own numbers, and the first action is the one that does nothing. [`games`] are such environments without
//! a market. The module [`health`] is about the trading environment: it reads its counters (`market_env::Ledger`), its action
//! names and its setup classes, and its advice names flags and commands of the program on top. Bars, prices and contracts
//! appear nowhere.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod backend;
mod config;
mod decide;
mod error;
mod evaluate;
#[cfg_attr(not(feature = "torch"), allow(dead_code, reason = "libtorch reads the rest"))]
pub mod forecast;
pub mod format;
pub mod games;
pub mod health;
mod policy;
pub mod ppo;
#[cfg_attr(not(feature = "torch"), allow(dead_code, reason = "some streams are those of forecasters"))]
mod random;
mod storage;
mod trainer;

#[cfg(all(test, feature = "torch"))]
mod gradient_tests;
#[cfg(all(test, feature = "torch"))]
mod parity_tests;
#[cfg(test)]
mod recurrent_tests;
#[cfg(test)]
mod trainer_tests;

pub(crate) use backend::adam::AdamState;
pub use backend::{DeviceChoice, HAS_LIBTORCH, gpus, require_libtorch};
pub use config::{
    Activation, Backend, EntropySchedule, PolicyConfig, PolicyKind, PpoConfig, Precision, Schedule, Trunk,
};
pub use decide::Decisions;
pub use error::AgentError;
pub use evaluate::{Behaviour, Evaluation, evaluate, evaluate_watched};
pub use health::log_block::Cadence;
pub use policy::{Policy, flops::Flops, normalizer::Normalizer};
pub use storage::protobuf;
pub use storage::{
    atomic_file::write_atomically,
    checkpoint::Checkpoint,
    model_file::ModelFile,
    sidecar::{content_sha256, is_sealed},
};
pub use trainer::{Listener, Trainer, dormant_units::LayerActivity, iteration::Iteration, step_view::StepView};
