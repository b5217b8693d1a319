//! PPO training loop: collect a rollout, compute advantages, update, report.

pub(crate) mod dormant_units;
pub(crate) mod iteration;
pub(crate) mod step_view;

use std::collections::VecDeque;

use market_env::{ClosedTrade, Episode, VecEnv};
use statistics::{GoodnessOfFit, ratio};

use crate::{
    AdamState, AgentError, Checkpoint, DeviceChoice, EntropySchedule, Iteration, Policy, PpoConfig, StepView,
    backend::{
        self,
        adam::norm,
        engine::{ActionSelection, Engine, Sizes},
    },
    ppo::{
        advantage::realised_returns,
        loss::{EpochStats, LossSettings, UpdateSettings},
        rollout::Rollout,
    },
    random::RandomStreams,
    storage::checkpoint::Progress,
    trainer::dormant_units::{LayerActivity, PROBE_SAMPLES, is_rectifier},
};

/// Episodes in the running means, as in Stable-Baselines3.
const EPISODE_WINDOW: usize = 100;

/// Receives events of a training; read-only.
pub trait Listener {
    /// Called after every vector step of a rollout, with the lane-steps taken.
    fn on_step(&mut self, _timesteps: u64, _step: &StepView<'_>) {}

    /// Called after every iteration.
    fn on_iteration(&mut self, _iteration: &Iteration) {}
}

/// Ignores all events.
impl Listener for () {}

/// Trains a policy in an environment.
///
/// ```
/// use ppo_agent::{DeviceChoice, Policy, PolicyConfig, PpoConfig, Trainer, games::cartpole::CartPole};
///
/// let env = CartPole::new(8, 1);
/// let policy = Policy::for_env(&env, &PolicyConfig::default(), 1)?;
/// let config = PpoConfig { n_steps: 32, learning_rate: 1e-3, gamma: 0.98, ent_coef: 0.0, ..PpoConfig::default() };
/// let mut trainer = Trainer::new(env, policy, config, 0, 1, DeviceChoice::Cpu)?;
/// let mut balanced = Vec::new();
/// while trainer.timesteps() < 8_192 {
///     let iteration = trainer.iterate(&mut ())?;
///     balanced.extend(iteration.ep_len_mean);
/// }
/// assert!(balanced.last() > balanced.first(), "the poles stand longer: {balanced:?}");
/// # Ok::<(), ppo_agent::AgentError>(())
/// ```
#[derive(Debug)]
pub struct Trainer<E> {
    env: E,
    policy: Policy,
    config: PpoConfig,
    streams: RandomStreams,
    engine: Box<dyn Engine>,
    adam: AdamState,
    rollout: Rollout,
    progress: Progress,
    ended: Vec<Episode>,
    closed: Vec<ClosedTrade>,
    uniforms: Vec<f64>,
    /// Shuffled sample (or sequence) numbers of the current and of the next pass.
    orders: [Vec<u32>; 2],
}

impl<E: VecEnv> Trainer<E> {
    /// Starts a training; `total` is its planned length in lane-steps, where schedules end (0: they stay at their
    /// start).
    ///
    /// # Errors
    /// [`AgentError::Config`] with every fault, [`AgentError::Spec`] when the policy does not fit the environment,
    /// [`AgentError::Device`] when the device does not exist, [`AgentError::Torch`] when it runs out of memory.
    pub fn new(
        env: E,
        policy: Policy,
        config: PpoConfig,
        total: u64,
        seed: u64,
        device: DeviceChoice,
    ) -> Result<Self, AgentError> {
        let adam = AdamState::new(policy.params.len());
        let recent = VecDeque::with_capacity(EPISODE_WINDOW);
        let progress = Progress { seed, total, timesteps: 0, iteration: 0, n_updates: 0, recent, ent_coef: None };
        let mut trainer = Self::build(env, policy, config, adam, progress, device)?;
        let start = trainer.rollout.steps;
        trainer.env.reset(trainer.rollout.obs.out(start));
        Ok(trainer)
    }

    /// Resumes a training bit by bit; `env` must be built like the first one.
    ///
    /// # Errors
    /// As [`Trainer::new`], and [`AgentError::EnvState`] when the environment rejects its saved state.
    pub fn resume(checkpoint: Checkpoint, env: E, device: DeviceChoice) -> Result<Self, AgentError> {
        let Checkpoint { policy, adam, config, progress, env_state, memory } = checkpoint;
        let mut trainer = Self::build(env, policy, config, adam, progress, device)?;
        let start = trainer.rollout.steps;
        trainer.env.restore(&env_state, trainer.rollout.obs.out(start)).map_err(AgentError::EnvState)?;
        // The saved state of lanes that begin an episode is zero already.
        trainer.rollout.start.fill(false);
        trainer.engine.set_memory(&memory)?;
        Ok(trainer)
    }

    fn build(
        env: E,
        policy: Policy,
        config: PpoConfig,
        adam: AdamState,
        progress: Progress,
        device: DeviceChoice,
    ) -> Result<Self, AgentError> {
        let mut faults = config.check();
        if policy.is_recurrent() {
            faults.extend(config.check_sequences());
        }
        if env.lanes() != config.n_envs {
            faults.push(format!("ppo.n_envs: {} but the environment has {} lanes", config.n_envs, env.lanes()));
        }
        if !faults.is_empty() {
            return Err(AgentError::Config(faults));
        }
        policy.check_spec(env.spec())?;
        let sequence = if policy.is_recurrent() { config.sequence_length } else { 1 };
        let sizes = Sizes { steps: config.n_steps, lanes: config.n_envs, batch: config.batch_size, sequence };
        let engine = backend::engine(&policy, &adam, env.tape(), device, sizes)?;
        Ok(Self {
            rollout: Rollout::new(config.n_steps, config.n_envs, policy.spec.account.len()),
            streams: RandomStreams::new(progress.seed),
            ended: Vec::new(),
            closed: Vec::new(),
            uniforms: vec![0.0; config.n_envs],
            orders: [(); 2].map(|()| vec![0; config.rollout_size() / sequence]),
            env,
            policy,
            config,
            engine,
            adam,
            progress,
        })
    }

    /// Runs one iteration: `n_steps` steps of every lane, then `n_epochs` passes over them.
    ///
    /// # Errors
    /// [`AgentError::NonFinite`] when a reward, value, loss or parameter is not finite; the policy then keeps the
    /// parameters of the iteration before. [`AgentError::Torch`] when libtorch fails.
    pub fn iterate(&mut self, listener: &mut dyn Listener) -> Result<Iteration, AgentError> {
        self.collect(listener)?;
        let iteration = self.learn()?;
        listener.on_iteration(&iteration);
        Ok(iteration)
    }

    /// Runs the second half of an iteration: advantages, then `n_epochs` passes over the last rollout.
    ///
    /// # Errors
    /// As [`Trainer::iterate`].
    pub fn learn(&mut self) -> Result<Iteration, AgentError> {
        self.rollout.compute_advantages(self.config.gamma, self.config.gae_lambda);
        let settings = self.settings();
        let before = self.policy.params.clone();
        let stats = self.update(&settings)?;
        self.progress.iteration += 1;
        let iteration = self.report(&stats, &settings, &before);
        // A rollout of forced states has no entropy to adapt to.
        if self.config.ent_schedule == EntropySchedule::Auto && stats.unforced > 0.0 {
            let adapted = self.config.adapted_ent_coef(self.ent_coef(), iteration.entropy_norm);
            self.progress.ent_coef = Some(adapted);
        }
        Ok(iteration)
    }

    /// Runs the first half of an iteration: `n_steps` steps of every lane, followed by [`Trainer::learn`]. Use
    /// [`Trainer::iterate`] unless the halves are timed separately.
    ///
    /// # Errors
    /// As [`Trainer::iterate`].
    pub fn collect(&mut self, listener: &mut dyn Listener) -> Result<(), AgentError> {
        let (steps, lanes) = (self.config.n_steps, self.config.n_envs);
        self.rollout.begin();
        for time in 0..steps {
            let now = time * lanes..(time + 1) * lanes;
            self.streams.uniforms(self.progress.iteration, time as u64, &mut self.uniforms);
            self.engine.act(&mut self.rollout, time, ActionSelection::Sampled(&self.uniforms))?;
            let (actions, out) = self.rollout.step(time);
            self.env.step(actions, out);
            self.progress.timesteps += lanes as u64;
            self.check_finite("the reward", &self.rollout.reward[now.clone()])?;
            if self.rollout.truncated[now].contains(&true) {
                self.engine.bootstrap(&mut self.rollout, time)?;
            }
            self.rollout.mark_starts(time);
            self.record_episodes();
            self.closed.clear();
            self.env.drain_closed(&mut self.closed);
            let view = StepView::of(&self.rollout, time, &self.closed, self.env.ledger());
            listener.on_step(self.progress.timesteps, &view);
        }
        self.engine.finish_rollout(&mut self.rollout)?;
        self.check_finite("the critic's value", &self.rollout.value)
    }

    fn record_episodes(&mut self) {
        self.env.drain_episodes(&mut self.ended);
        for episode in self.ended.drain(..) {
            if self.progress.recent.len() == EPISODE_WINDOW {
                self.progress.recent.pop_front();
            }
            self.progress.recent.push_back((episode.reward, episode.steps));
        }
    }

    fn update(&mut self, settings: &UpdateSettings) -> Result<EpochStats, AgentError> {
        let mut stats = EpochStats::default();
        self.engine.load(&self.rollout)?;
        let (streams, iteration, epochs) = (self.streams, self.progress.iteration, self.config.n_epochs);
        streams.shuffle(iteration, 0, &mut self.orders[0]);
        for epoch in 0..epochs {
            let [order, next] = &mut self.orders;
            let learn = || self.engine.epoch(&self.rollout, order, settings);
            let shuffle = || (epoch + 1 < epochs).then(|| streams.shuffle(iteration, epoch as u64 + 1, next));
            let pass = rayon::join(learn, shuffle).0?;
            self.orders.swap(0, 1);
            self.check_finite("the loss", &[pass.loss as f32])?;
            self.check_gradient(pass.grad_norm as f32)?;
            stats.append(&pass);
            self.progress.n_updates += 1;
            if pass.stopped {
                break;
            }
        }
        let mut params = self.policy.params.clone();
        self.engine.export(&mut params, &mut self.adam)?;
        if let Some((tensor, value)) = self.policy.layout.non_finite(&params) {
            return Err(self.non_finite(format!("a parameter of {tensor}"), value));
        }
        self.policy.params = params;
        Ok(stats)
    }

    /// Returns the settings of the next update at the current progress.
    fn settings(&self) -> UpdateSettings {
        let (config, share) = (&self.config, self.progress_share());
        UpdateSettings {
            loss: LossSettings {
                clip_range: config.clip_range as f32,
                clip_range_vf: config.clip_range_vf.map(|clip| clip as f32),
                ent_coef: self.ent_coef() as f32,
                vf_coef: config.vf_coef as f32,
            },
            batch_size: config.batch_size,
            learning_rate: config.lr_schedule.at(config.learning_rate, 0.0, share),
            max_grad_norm: config.max_grad_norm,
            weight_decay: config.weight_decay,
            target_kl: config.target_kl,
            normalize_advantage: config.normalize_advantage,
        }
    }

    /// Returns the share of the planned timesteps completed; 0 without a plan.
    pub fn progress_share(&self) -> f64 {
        match self.progress.total {
            0 => 0.0,
            total => self.progress.timesteps as f64 / total as f64,
        }
    }

    /// Returns the entropy coefficient of the next update.
    pub fn ent_coef(&self) -> f64 {
        let config = &self.config;
        let scheduled = || config.ent_schedule.at(config.ent_coef, config.ent_coef_final, self.progress_share());
        self.progress.ent_coef.unwrap_or_else(scheduled)
    }

    /// Sets the entropy coefficient from the next update on, in place of the schedule; checkpoints keep it. An adaptive
    /// schedule continues from there.
    ///
    /// # Panics
    /// If it is negative or not finite.
    pub fn set_ent_coef(&mut self, ent_coef: f64) {
        assert!(
            ent_coef >= 0.0 && ent_coef.is_finite(),
            "an entropy coefficient of {ent_coef} is negative or not finite"
        );
        self.progress.ent_coef = Some(ent_coef);
    }

    /// Returns the norm of the change of parameter ranges since `before`, as a share of their norm before.
    fn change(&self, before: &[f32], ranges: [&std::ops::Range<usize>; 2]) -> f64 {
        let (mut moved, mut whole) = (0.0, 0.0);
        for range in ranges {
            for (&now, &then) in self.policy.params[range.clone()].iter().zip(&before[range.clone()]) {
                let (now, then) = (f64::from(now), f64::from(then));
                moved += (now - then) * (now - then);
                whole += then * then;
            }
        }
        (moved / whole.max(f64::MIN_POSITIVE)).sqrt()
    }

    /// Returns the goodness of fit of the critic's values to its targets and to the realised returns of the rollout.
    fn critic(&self) -> (GoodnessOfFit, Option<GoodnessOfFit>) {
        let Rollout { lanes, reward, terminated, truncated, value, target, .. } = &self.rollout;
        let mut realised = vec![0.0; target.len()];
        realised_returns(*lanes, reward, (terminated, truncated), self.config.gamma, &mut realised);
        let pairs = value.iter().copied().zip(target.iter().copied());
        let known = value.iter().copied().zip(realised.iter().copied()).filter(|(_, outcome)| !outcome.is_nan());
        (GoodnessOfFit::of(pairs).expect("a rollout has samples"), GoodnessOfFit::of(known))
    }

    /// Returns the activity of the hidden units on some hundred observations, evenly spread over the last rollout.
    ///
    /// # Errors
    /// [`AgentError::Torch`] when libtorch fails.
    pub fn activity(&mut self) -> Result<Vec<LayerActivity>, AgentError> {
        let (numbers, sequence) = (self.orders[0].len(), self.rollout.samples() / self.orders[0].len());
        let count = PROBE_SAMPLES.div_ceil(sequence).min(numbers);
        let picks: Vec<u32> = (0..count).map(|index| (index * numbers / count) as u32).collect();
        let outputs = self.engine.activations(&self.rollout, &picks)?;
        let activation = self.policy.config.activation;
        let layers = self.policy.layout.hidden().into_iter().zip(outputs);
        let measure = |((name, units, cell), outputs): ((String, usize, bool), Vec<f32>)| {
            LayerActivity::of(name, units, is_rectifier(activation, cell), &outputs)
        };
        Ok(layers.map(measure).collect())
    }

    fn report(&self, stats: &EpochStats, settings: &UpdateSettings, before: &[f32]) -> Iteration {
        let (critic, critic_mc) = self.critic();
        let layout = &self.policy.layout;
        let change = |net: &crate::policy::layout::Net| self.change(before, [&layout.trunk.range, &net.range]);
        let recent = &self.progress.recent;
        let mean = |sum: f64| ratio(sum, recent.len() as f64);
        Iteration {
            iteration: self.progress.iteration,
            timesteps: self.progress.timesteps,
            n_updates: self.progress.n_updates,
            ep_rew_mean: mean(recent.iter().map(|&(reward, _)| reward).sum()),
            ep_len_mean: mean(recent.iter().map(|&(_, steps)| f64::from(steps)).sum()),
            minibatches: stats.minibatches as u64,
            policy_gradient_loss: stats.policy_loss / stats.minibatches,
            value_loss: stats.value_loss / stats.minibatches,
            entropy_loss: stats.entropy_loss / stats.minibatches,
            loss: stats.loss,
            approx_kl: stats.approx_kl,
            approx_kl_max: stats.approx_kl_max,
            clip_fraction: stats.clip_fraction / stats.minibatches,
            clip_range: self.config.clip_range,
            learning_rate: settings.learning_rate,
            ent_coef: f64::from(settings.loss.ent_coef),
            critic,
            critic_mc,
            entropy_norm: stats.entropy_norm / stats.unforced.max(1.0),
            grad_norm: stats.grad_norm / stats.steps.max(1.0),
            param_norm: norm(&self.policy.params),
            actor_change: change(&layout.actor),
            critic_change: change(&layout.critic),
        }
    }

    fn check_finite(&self, what: &str, values: &[f32]) -> Result<(), AgentError> {
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(_) if values.len() == 1 => Err(self.non_finite(what.to_owned(), values[0])),
            Some(index) => {
                Err(self.non_finite(format!("{what} of lane {}", index % self.config.n_envs), values[index]))
            }
        }
    }

    /// Checks the gradient norm; the error names the tensor if the engine can find it.
    fn check_gradient(&self, norm: f32) -> Result<(), AgentError> {
        let tensor = if norm.is_finite() { None } else { self.engine.non_finite_gradient(&self.policy.layout) };
        let what = tensor.map_or("the norm of the gradient".to_owned(), |name| format!("the gradient of {name}"));
        self.check_finite(&what, &[norm])
    }

    fn non_finite(&self, what: String, value: f32) -> AgentError {
        AgentError::NonFinite { what, value, timesteps: self.progress.timesteps, iteration: self.progress.iteration }
    }

    /// Returns the state for a resume; call between iterations.
    ///
    /// # Errors
    /// [`AgentError::Torch`] when libtorch cannot copy the recurrent state.
    pub fn checkpoint(&self) -> Result<Checkpoint, AgentError> {
        let state = self.policy.layout.state();
        let mut memory = vec![0.0; self.config.n_envs * state];
        self.engine.memory(&mut memory)?;
        for (lane, _) in self.rollout.starts(self.rollout.steps).iter().enumerate().filter(|(_, start)| **start) {
            memory[lane * state..(lane + 1) * state].fill(0.0);
        }
        Ok(Checkpoint {
            policy: self.policy.clone(),
            adam: self.adam.clone(),
            config: self.config.clone(),
            progress: self.progress.clone(),
            env_state: self.env.state(),
            memory,
        })
    }

    /// Sets the planned length of the training in lane-steps, where schedules end.
    pub fn set_total(&mut self, total: u64) {
        self.progress.total = total;
    }

    /// Returns the lane-steps taken since the start.
    pub fn timesteps(&self) -> u64 {
        self.progress.timesteps
    }

    /// Returns the policy with the parameters after the last iteration.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the configuration of the training.
    pub fn config(&self) -> &PpoConfig {
        &self.config
    }

    /// Returns the environment.
    pub fn env(&self) -> &E {
        &self.env
    }

    /// Returns the environment, for settings that change between iterations; stepping it would corrupt the rollout.
    pub fn env_mut(&mut self) -> &mut E {
        &mut self.env
    }

    /// Returns a short description of backend and device, for logs.
    pub fn engine(&self) -> String {
        self.engine.describe()
    }
}
