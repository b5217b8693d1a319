//! Workloads: environment, policy and sizes.

use clap::ValueEnum;
use market_env::{ACCOUNT_COLUMNS, BatchEnv};
use ppo_agent::{Backend, DeviceChoice, HAS_LIBTORCH, PolicyConfig, PolicyKind, PpoConfig};
use serde_json::{Map, Value, json};

use crate::output::exit_code::UsageError;

/// Symbols of the synthetic market.
pub(super) const SYMBOLS: [&str; 3] = ["SPY", "QQQ", "SPX"];
/// Minutes of a full session.
const SESSION: usize = 390;

/// Workloads with their own sizes. The networks are two of 64-64 units unless stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Stepping the market, actions decided beforehand; 4,096 lanes
    Env,
    /// Choosing actions and stepping the market; 64 lanes x 512 steps
    Collect,
    /// Advantages and 4 passes with minibatches of 4,096 over such a rollout
    Update,
    /// Whole iterations: both of them
    Train,
    /// The documented configuration: 1 lane x 512 steps, minibatch 64, 10 epochs
    Documented,
    /// Large minibatches: 64 lanes x 512 steps, minibatch 4,096, 4 epochs
    Large,
    /// ModuRL's published PPO workload: 8 CartPole-v1 x 256 steps, minibatch 64, 10 epochs, on one thread
    Modurl,
    /// Large rollouts on a GPU: 8,192 lanes x 128 steps, minibatch 32,768, 4 epochs
    Gpu,
    /// The widest rollout: 65,536 lanes x 128 steps, minibatch 65,536, 1 epoch
    Wide,
    /// A policy with memory, beside libtorch: LSTM of 64 units, 8 lanes x 128 steps, minibatch 64, 10 epochs
    Recurrent,
    /// The processor's limits: fused multiply-adds, and a streaming read
    Peak,
}

impl Workload {
    /// Returns the name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Timed part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The environment's steps, without any policy.
    Step,
    /// The policy's decisions and the environment's steps.
    Collect,
    /// Advantages and passes over the rollout.
    Learn,
    /// Everything.
    Whole,
    /// Nothing: the limits of the processor are measured without any workload.
    Limits,
}

/// Environments of the workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Game {
    /// Three symbols of a synthetic market.
    Market {
        /// Session dates of each symbol.
        sessions: usize,
        /// Bars per observation.
        frames: usize,
    },
    /// CartPole-v1.
    CartPole,
}

/// One thing to measure, with all its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Timed part of the work.
    pub part: Part,
    /// The environment.
    pub game: Game,
    /// Lanes, steps of a round, minibatches, epochs. A round of [`Part::Step`] uses the first two only.
    pub ppo: PpoConfig,
    /// The networks and their backend.
    pub policy: PolicyConfig,
    /// Device of the networks.
    pub device: DeviceChoice,
    /// Threads; 0 = one per core.
    pub threads: usize,
}

impl From<Workload> for Case {
    fn from(workload: Workload) -> Self {
        let ppo = |n_envs, n_steps, batch_size, n_epochs| PpoConfig {
            n_envs,
            n_steps,
            batch_size,
            n_epochs,
            ..PpoConfig::default()
        };
        let (part, ppo) = match workload {
            Workload::Env => (Part::Step, ppo(4096, SESSION, 1, 1)),
            Workload::Collect => (Part::Collect, ppo(64, 512, 4096, 4)),
            Workload::Update => (Part::Learn, ppo(64, 512, 4096, 4)),
            Workload::Train | Workload::Large => (Part::Whole, ppo(64, 512, 4096, 4)),
            Workload::Documented => (Part::Whole, ppo(1, 512, 64, 10)),
            Workload::Recurrent => (Part::Whole, ppo(8, 128, 64, 10)),
            Workload::Peak => (Part::Limits, PpoConfig::default()),
            Workload::Gpu => (Part::Whole, ppo(8192, 128, 32_768, 4)),
            Workload::Wide => (Part::Whole, ppo(65_536, 128, 65_536, 1)),
            Workload::Modurl => {
                let ppo = PpoConfig { learning_rate: 3e-4, gamma: 0.99, ent_coef: 0.0, ..ppo(8, 256, 64, 10) };
                (Part::Whole, ppo)
            }
        };
        let market = Game::Market { sessions: 60, frames: 1 };
        Self {
            part,
            game: if workload == Workload::Modurl { Game::CartPole } else { market },
            ppo,
            policy: PolicyConfig {
                kind: if workload == Workload::Recurrent { PolicyKind::Lstm } else { PolicyKind::Mlp },
                ..PolicyConfig::default()
            },
            device: if workload == Workload::Gpu { DeviceChoice::Cuda(0) } else { DeviceChoice::Cpu },
            threads: usize::from(workload == Workload::Modurl),
        }
    }
}

impl Case {
    /// Returns the same case with another number of lanes. Rounds of [`Part::Step`] become whole sessions and a million
    /// lane-steps or more; rollouts of 512 or 256 steps are shortened, down to 16, to stay near 32,768 lane-steps.
    pub fn with_lanes(mut self, lanes: usize) -> Self {
        let ppo = &mut self.ppo;
        ppo.n_envs = lanes;
        if self.part == Part::Step {
            ppo.n_steps = SESSION * 1_000_000usize.div_ceil(SESSION * lanes);
        } else if ppo.n_steps > 128 {
            ppo.n_steps = ppo.n_steps.min((32_768 / lanes).max(16));
        }
        ppo.batch_size = ppo.batch_size.min(ppo.rollout_size());
        self
    }

    /// Returns the same case on a market with this number of session dates per symbol.
    ///
    /// # Errors
    /// [`UsageError`] if the game has no sessions.
    pub fn with_sessions(mut self, wanted: usize) -> Result<Self, UsageError> {
        match &mut self.game {
            Game::Market { sessions, .. } => *sessions = wanted,
            Game::CartPole => return Err(UsageError::one("--sessions: CartPole has none")),
        }
        Ok(self)
    }

    /// Returns the same case with this number of bars per observation.
    ///
    /// # Errors
    /// [`UsageError`] if the game has no bars.
    pub fn with_frames(mut self, wanted: usize) -> Result<Self, UsageError> {
        match &mut self.game {
            Game::Market { frames, .. } => *frames = wanted,
            Game::CartPole => return Err(UsageError::one("--frames: CartPole has no bars")),
        }
        Ok(self)
    }

    /// Returns the case to time in turn with this one: a policy with memory is compared with libtorch, unless a backend was
    /// chosen.
    pub fn rival(&self) -> Option<Self> {
        let compared = self.policy.kind != PolicyKind::Mlp && self.policy.backend == Backend::Auto && HAS_LIBTORCH;
        let policy = PolicyConfig { backend: Backend::Tch, ..self.policy.clone() };
        compared.then(|| Self { policy, ..self.clone() })
    }

    /// Returns the bytes that one step moves if every array passes the caches once. A learning step writes its observation
    /// and 32 bytes of results, reads them again in every epoch, and takes its share of the optimiser's passes, 28 bytes
    /// per parameter. A step of the environment alone reads and writes its lane, reads the prices of its contract (32) and the
    /// signals of its bar (8), and writes the observation and its results.
    pub fn bytes(&self, inputs: usize, parameters: usize) -> f64 {
        let (row, epochs) = ((4 * inputs + 32) as f64, self.ppo.n_epochs as f64);
        let optimiser = 28.0 * parameters as f64 / self.ppo.batch_size as f64;
        match self.part {
            Part::Step => (2 * BatchEnv::LANE_BYTES + 32 + 8 + 4 * ACCOUNT_COLUMNS.len() + 32) as f64,
            Part::Collect => row,
            Part::Learn => epochs * (row + optimiser),
            Part::Whole => row + epochs * (row + optimiser),
            Part::Limits => 0.0,
        }
    }

    /// Returns the floating-point operations of the networks in one step: one forward pass when its action is chosen, one
    /// forward and one backward pass in every epoch.
    pub fn flops(&self, forward: u64, backward: u64) -> u64 {
        let epochs = self.ppo.n_epochs as u64;
        match self.part {
            Part::Step | Part::Limits => 0,
            Part::Collect => forward,
            Part::Learn => epochs * (forward + backward),
            Part::Whole => forward + epochs * (forward + backward),
        }
    }

    /// Returns the lane-steps of one round.
    pub fn steps(&self) -> u64 {
        self.ppo.rollout_size() as u64
    }

    /// Returns the definition of one step in "steps per second".
    pub fn step_unit(&self) -> &'static str {
        match self.part {
            Part::Step => "one lane's step of the environment",
            Part::Collect => "one lane's step, its decision included",
            Part::Learn => "one lane-step of the rollout, passed over n_epochs times",
            Part::Whole => "one lane's step, its decision and its share of the update included",
            Part::Limits => "nothing",
        }
    }

    /// Returns the settings under their names in the configuration.
    pub fn parameters(&self) -> Map<String, Value> {
        let (ppo, policy) = (&self.ppo, &self.policy);
        let mut all = match self.game {
            Game::Market { sessions, frames } => {
                json!({ "game": "synthetic market", "symbols": SYMBOLS, "sessions": sessions, "frames": frames })
            }
            Game::CartPole => json!({ "game": "CartPole-v1" }),
        };
        all["lanes"] = ppo.n_envs.into();
        all["n_steps"] = ppo.n_steps.into();
        if self.part != Part::Step {
            all["batch_size"] = ppo.batch_size.into();
            all["n_epochs"] = ppo.n_epochs.into();
            if policy.kind != PolicyKind::Mlp {
                all["policy"] = json!(policy.kind);
                all["recurrent_size"] = policy.recurrent_size.into();
                all["sequence_length"] = ppo.sequence_length.into();
            }
            all["net_arch"] = policy.net_arch.clone().into();
            all["backend"] = json!(policy.backend);
            all["precision"] = json!(policy.precision);
            all["device"] = self.device.to_string().into();
        }
        all.as_object_mut().map(std::mem::take).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_change_the_rollout_and_nothing_else() {
        let sizes = |case: Case| (case.ppo.n_envs, case.ppo.n_steps, case.ppo.batch_size);
        let train = Case::from(Workload::Train);
        assert_eq!(sizes(train.clone().with_lanes(64)), sizes(train.clone()));
        assert_eq!(sizes(train.clone().with_lanes(1)), (1, 512, 512));
        assert_eq!(sizes(train.with_lanes(65_536)), (65_536, 16, 4096));
        assert_eq!(sizes(Case::from(Workload::Gpu).with_lanes(16_384)), (16_384, 128, 32_768));
        let env = Case::from(Workload::Env);
        assert_eq!(sizes(env.clone().with_lanes(4096)), sizes(env.clone()));
        assert_eq!(env.with_lanes(1).steps(), 1_000_350);
    }

    #[test]
    fn arithmetic_follows_the_timed_part() {
        let flops = |workload| Case::from(workload).flops(10, 20);
        let all =
            [Workload::Env, Workload::Collect, Workload::Update, Workload::Large, Workload::Documented].map(flops);
        assert_eq!(all, [0, 10, 120, 130, 310]);
        let documented = Case::from(Workload::Documented);
        assert_eq!(documented.bytes(38, 640), (152.0 + 32.0) * 11.0 + 10.0 * 280.0);
        assert!(Case::from(Workload::Env).bytes(0, 0) > 300.0);
    }

    #[test]
    fn only_a_policy_with_memory_has_a_rival_in_its_run() {
        assert_eq!(Case::from(Workload::Documented).rival(), None);
        let mut case = Case::from(Workload::Recurrent);
        assert_eq!(case.rival().map(|rival| rival.policy.backend), HAS_LIBTORCH.then_some(Backend::Tch));
        case.policy.backend = Backend::Native;
        assert_eq!(case.rival(), None);
    }
}
