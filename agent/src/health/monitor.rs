//! Monitor of a training: accumulates the figures of an interval. Its state is saved with a run.

use std::sync::Arc;

use market_env::{Action, ActionMask, FLAT_MASK, Ledger, Setup};
use serde::{Deserialize, Serialize};
use statistics::ratio;

use super::{
    HealthConfig, IntervalReport, Learner, Opportunity, OverfitGap, Persistence, PolicyFigures,
    rules::{RuleInputs, TrainingBaseline, earns},
    session_counts::{self, SessionCounts},
    trade_money::{Comparison, RandomLegal, TradeReturns},
};
use crate::{Iteration, LayerActivity, StepView, ppo::distribution::MAX_ACTIONS};

/// Fewest degrees of freedom of a usable variance.
const MIN_DEGREES_OF_FREEDOM: u64 = 50;
/// Flat actions: HOLD, BUY_CALL, BUY_PUT.
const FLAT_ACTIONS: usize = 3;

/// Sums over the flat states with all choices, at fixed parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct VarianceWindow {
    states: u64,
    prob: [f64; FLAT_ACTIONS],
    squares: [f64; FLAT_ACTIONS],
}

impl VarianceWindow {
    /// Returns the sum of squared deviations from the mean, by action.
    fn scatter(&self) -> [f64; FLAT_ACTIONS] {
        let n = (self.states as f64).max(1.0);
        std::array::from_fn(|action| (self.squares[action] - self.prob[action] * self.prob[action] / n).max(0.0))
    }
}

/// Sums over the policy probabilities of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    #[serde(rename = "stretch")]
    window: VarianceWindow,
    /// Sum over the windows before, at other parameters.
    scatter: [f64; FLAT_ACTIONS],
    states: u64,
    /// Degrees of freedom: one less than the states of every window.
    degrees: u64,
    max_prob: f64,
    entropy_norm: f64,
    unforced: u64,
    illegal: u64,
}

impl Sums {
    fn record(&mut self, prob: &[f32; MAX_ACTIONS], mask: ActionMask, action: u8) {
        self.illegal += u64::from(!mask.allows(action));
        if mask.is_forced() {
            return;
        }
        self.unforced += 1;
        let nats: f32 = prob.iter().filter(|&&p| p > 0.0).map(|&p| -p * p.ln()).sum();
        self.entropy_norm += f64::from(nats) / f64::from(mask.count()).ln();
        if mask == FLAT_MASK {
            let flat = &prob[..FLAT_ACTIONS];
            self.window.states += 1;
            self.max_prob += f64::from(flat.iter().fold(0.0, |most: f32, &p| most.max(p)));
            for (action, &p) in flat.iter().enumerate() {
                self.window.prob[action] += f64::from(p);
                self.window.squares[action] += f64::from(p) * f64::from(p);
            }
        }
    }

    /// Closes the variance window before the parameters change.
    fn close_window(&mut self) {
        let scatter = self.window.scatter();
        self.scatter.iter_mut().zip(scatter).for_each(|(sum, scatter)| *sum += scatter);
        self.states += self.window.states;
        self.degrees += self.window.states.saturating_sub(1);
        self.window = VarianceWindow::default();
    }

    /// Adds the sums of another interval, with all windows closed.
    fn add(&mut self, other: &Self) {
        self.scatter.iter_mut().zip(other.scatter).for_each(|(sum, scatter)| *sum += scatter);
        self.states += other.states;
        self.degrees += other.degrees;
        self.max_prob += other.max_prob;
        self.entropy_norm += other.entropy_norm;
        self.unforced += other.unforced;
        self.illegal += other.illegal;
    }

    fn figures(&self) -> PolicyFigures {
        let mean = |sum: f64, count: u64| ratio(sum, count as f64);
        let scatter = self.scatter.into_iter().fold(0.0, f64::max);
        PolicyFigures {
            variance: mean(scatter, self.degrees).filter(|_| self.degrees >= MIN_DEGREES_OF_FREEDOM),
            entropy_norm: mean(self.entropy_norm, self.unforced),
            max_prob: mean(self.max_prob, self.states),
            illegal: self.illegal,
        }
    }
}

/// State of a monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonitorState {
    /// Counters at the start of the current interval.
    pub mark: Ledger,
    /// Counters at the start of the pooled window, which spans several intervals while decisions are few.
    #[serde(rename = "pool")]
    pooled_since: Ledger,
    /// Multiple of the cadence that was passed while the current interval had no update.
    due: Option<u64>,
    sums: Sums,
    /// Sums of all earlier intervals.
    total: Sums,
    /// Decisions of the interval, by day.
    blocks: Vec<SessionCounts>,
    /// Iterations completed within the interval.
    iterations: Vec<Iteration>,
    /// The last iteration before the interval.
    last: Option<Iteration>,
    layers: Vec<LayerActivity>,
    gap: Option<OverfitGap>,
    /// Trades of the interval.
    #[serde(default)]
    returns: TradeReturns,
    /// Trades since the last replay of the validation dates.
    #[serde(default)]
    since_validation: TradeReturns,
    #[serde(rename = "calm")]
    baseline: TrainingBaseline,
    #[serde(rename = "judge")]
    persistence: Persistence,
}

impl MonitorState {
    /// Returns the last comparison of training and validation; `None` before the first.
    pub fn overfit_gap(&self) -> Option<OverfitGap> {
        self.gap
    }

    /// Returns the multiple of the cadence that is passed and whose interval is still open, waiting for an update.
    pub fn due(&self) -> Option<u64> {
        self.due
    }
}

/// Accumulates figures step by step and reports them at the end of an interval.
///
/// ```
/// # use std::sync::Arc;
/// # use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
/// # let mut config = DataConfig::default();
/// # config.synthetic.sessions_to = "2024-01-12".parse()?;
/// # let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
/// # let dataset = Dataset::build(&history, &Window::default(), &config)?;
/// use market_env::{BatchEnv, EnvConfig, Market, MarketConfig, VecEnv};
/// use ppo_agent::{
///     DeviceChoice, Iteration, Listener, Policy, PolicyConfig, PpoConfig, StepView, Trainer,
///     health::{HealthConfig, Monitor, Opportunity, Verdict},
/// };
///
/// struct Watched(Monitor);
/// impl Listener for Watched {
///     fn on_step(&mut self, _timesteps: u64, step: &StepView<'_>) {
///         self.0.on_step(step);
///     }
///     fn on_iteration(&mut self, iteration: &Iteration) {
///         self.0.on_iteration(iteration);
///     }
/// }
///
/// # let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default())?);
/// let mut watched = Watched(Monitor::new(market.rows().collect(), HealthConfig::default()));
/// let days = (0..market.days().len() as u32).collect();
/// let config = PpoConfig { n_steps: 64, ..PpoConfig::default() };
/// let env = BatchEnv::new(market, days, EnvConfig::default(), config.n_envs, 1)?;
/// let policy = Policy::for_env(&env, &PolicyConfig::default(), 1)?;
/// let mut trainer = Trainer::new(env, policy, config, 0, 1, DeviceChoice::Cpu)?;
/// for _ in 0..4 {
///     trainer.iterate(&mut watched)?;
/// }
/// let report = watched.0.close(trainer.env().ledger(), &mut || Opportunity::Unclear("not measured".into()));
/// assert_eq!(report.step, 4 * 64 * 8);
/// assert!(!matches!(report.interval_verdict.verdict, Verdict::Frozen | Verdict::Exploding));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Monitor {
    /// Setup class and day of every tape row. `[T]`
    rows: Arc<[(Setup, u32)]>,
    config: HealthConfig,
    comparison: Comparison,
    state: MonitorState,
}

impl Monitor {
    /// Creates a monitor; `rows` gives the setup class and day of every tape row.
    pub fn new(rows: Arc<[(Setup, u32)]>, config: HealthConfig) -> Self {
        let days = rows.iter().map(|&(_, day)| day as usize + 1).max().unwrap_or(0);
        let state = MonitorState {
            mark: Ledger::default(),
            pooled_since: Ledger::default(),
            due: None,
            sums: Sums::default(),
            total: Sums::default(),
            blocks: vec![SessionCounts::default(); days],
            iterations: Vec::new(),
            last: None,
            layers: Vec::new(),
            gap: None,
            returns: TradeReturns::default(),
            since_validation: TradeReturns::default(),
            baseline: TrainingBaseline::default(),
            persistence: Persistence::default(),
        };
        Self { rows, config, comparison: Comparison::default(), state }
    }

    /// Restores a monitor from its state.
    pub fn resume(rows: Arc<[(Setup, u32)]>, config: HealthConfig, state: MonitorState) -> Self {
        Self { rows, config, comparison: Comparison::default(), state }
    }

    /// Compares trades with those of the random-legal policy on the same sessions; without it no money is reported and no
    /// overfitting found.
    #[must_use]
    pub fn with_random_legal(self, random: Arc<RandomLegal>) -> Self {
        Self { comparison: Comparison(Some(random)), ..self }
    }

    /// Returns the state for a resumed run.
    pub fn state(&self) -> &MonitorState {
        &self.state
    }

    /// Records one vector step.
    ///
    /// # Panics
    /// If the row of a lane lies beyond the tape.
    pub fn on_step(&mut self, step: &StepView<'_>) {
        let MonitorState { sums, blocks, returns, since_validation, .. } = &mut self.state;
        self.comparison.add(step.closed, &mut [returns, since_validation]);
        for (lane, (&mask, &action)) in step.mask.iter().zip(step.action).enumerate() {
            sums.record(&step.prob[lane], mask, action);
            let may_enter = mask.0 & FLAT_MASK.0 & !1 != 0;
            if let Some(action) = Action::from_index(action).filter(|_| may_enter) {
                let (setup, day) = self.rows[step.row[lane] as usize];
                blocks[day as usize].count(setup, action);
            }
        }
    }

    /// Records a passed multiple of the cadence, and returns the newest one once the current interval has an update.
    /// Without an update the report would repeat the figures of the same policy.
    pub fn due(&mut self, crossed: Option<u64>) -> Option<u64> {
        self.state.due = crossed.or(self.state.due);
        if self.state.iterations.is_empty() { None } else { self.state.due.take() }
    }

    /// Records an iteration.
    pub fn on_iteration(&mut self, iteration: &Iteration) {
        self.state.sums.close_window();
        self.state.iterations.push(iteration.clone());
    }

    /// Records the activity of the hidden layers after the last iteration.
    pub fn on_activity(&mut self, layers: Vec<LayerActivity>) {
        self.state.layers = layers;
    }

    /// Compares the training since the last call with a replay of the validation dates. Too few trades withdraw the earlier
    /// comparison.
    pub fn on_validation(&mut self, step: u64, validation: &TradeReturns) {
        self.state.gap = OverfitGap::of(step, &self.state.since_validation, validation);
        self.state.since_validation.clear();
    }

    /// Closes the current interval and starts the next one. `opportunity` is evaluated only when the policy stays out of
    /// the market.
    pub fn close(&mut self, ledger: &Ledger, opportunity: &mut dyn FnMut() -> Opportunity) -> IntervalReport {
        let state = &mut self.state;
        let (interval, pooled) = (ledger.since(&state.mark), ledger.since(&state.pooled_since));
        let money = std::mem::take(&mut state.returns).money();
        let dependence = session_counts::dependence(&state.blocks, ledger.steps);
        let mut sums = std::mem::take(&mut state.sums);
        sums.close_window();
        state.total.add(&sums);
        let policy = sums.figures();
        let learner = Learner::of(&state.iterations).or_else(|| {
            let earlier = Learner::of(state.last.as_slice())?;
            Some(Learner { iterations: 0, ..earlier })
        });
        let learner = learner.map(|learner| Learner { loss_change: state.baseline.loss_change(&learner), ..learner });
        let figures = RuleInputs {
            config: &self.config,
            interval: &pooled,
            dependence,
            policy,
            learner: learner.as_ref(),
            layers: &state.layers,
            gap: state.gap,
            calm: state.baseline,
        };
        let interval_verdict = figures.read(opportunity);
        if let Some(learner) = learner.as_ref().filter(|learner| learner.iterations > 0) {
            state.baseline.note(learner, policy.variance, earns(&pooled));
        }
        let confirmed = if pooled.flat_steps() < self.config.min_decisions && !interval_verdict.verdict.is_alarm() {
            state.persistence.confirmed()
        } else {
            state.pooled_since = ledger.clone();
            state.persistence.push(ledger.steps, interval_verdict.verdict, self.config.persistence)
        };
        state.blocks.fill(SessionCounts::default());
        state.last = state.iterations.drain(..).next_back().or(state.last.take());
        state.mark = ledger.clone();
        IntervalReport {
            step: ledger.steps,
            interval,
            total: ledger.clone(),
            dependence,
            policy,
            policy_total: state.total.figures(),
            learner,
            layers: state.layers.clone(),
            gap: state.gap,
            money,
            random: self.comparison.ledger(),
            interval_verdict,
            confirmed,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use market_env::{FORCED_MASK, HOLDING_MASK};

    use super::*;
    use crate::health::{IntervalVerdict, Verdict};

    /// Returns update statistics of a healthy training.
    pub(in crate::health) fn learner() -> Learner {
        Learner {
            iterations: 1,
            iteration: 20,
            minibatches: 640,
            learning_rate: 3e-5,
            kl: 1e-3,
            kl_max: 5e-3,
            clip_fraction: 0.02,
            value_loss: 0.04,
            loss_change: Some(-0.1),
            grad_norm: 0.4,
            param_norm: 20.0,
            actor_change: 0.01,
            critic_change: 0.01,
            explained_variance: 0.3,
            explained_variance_mc: Some(0.1),
            variance_ratio: 0.3,
            slope: 1.0,
            pred_std: 0.1,
            pred_range: (-0.4, 0.3),
            target_std: 0.2,
            constant: false,
            ent_coef: 0.06,
        }
    }

    /// Returns the report of a healthy interval.
    pub(in crate::health) fn health() -> IntervalReport {
        let interval_verdict = IntervalVerdict { verdict: Verdict::Healthy, evidence: Vec::new(), advice: Vec::new() };
        IntervalReport {
            step: 5000,
            interval: Ledger::default(),
            total: Ledger::default(),
            dependence: None,
            policy: PolicyFigures::default(),
            policy_total: PolicyFigures::default(),
            learner: Some(learner()),
            layers: Vec::new(),
            gap: None,
            money: None,
            random: None,
            interval_verdict,
            confirmed: (Verdict::Healthy, 5000),
        }
    }

    fn probs(hold: f32) -> [f32; MAX_ACTIONS] {
        let mut prob = [0.0; MAX_ACTIONS];
        prob[..3].copy_from_slice(&[hold, 0.5 - hold / 2.0, 0.5 - hold / 2.0]);
        prob
    }

    #[test]
    fn changes_between_updates_do_not_count_as_variance_across_states() {
        let mut sums = Sums::default();
        for hold in [0.2, 0.4, 0.9] {
            (0..100).for_each(|_| sums.record(&probs(hold), FLAT_MASK, 0));
            sums.close_window();
        }
        let figures = sums.figures();
        assert!(figures.variance.unwrap() < 1e-12, "{figures:?}");
        let mut twice = sums;
        twice.add(&sums);
        assert_eq!((twice.figures(), twice.states), (figures, 600), "means of two equal intervals");
        let mut looks = Sums::default();
        (0..100).for_each(|i| looks.record(&probs(if i % 2 == 0 { 0.2 } else { 0.8 }), FLAT_MASK, 0));
        looks.close_window();
        // HOLD varies by 0.3 around 0.5; an unbiased estimate has 99 degrees of freedom.
        assert!((looks.figures().variance.unwrap() - 0.09 * 100.0 / 99.0).abs() < 1e-6);
    }

    #[test]
    fn forced_states_do_not_count_and_illegal_actions_do() {
        let mut sums = Sums::default();
        let mut forced = [0.0; MAX_ACTIONS];
        forced[0] = 1.0;
        sums.record(&forced, FORCED_MASK, 0);
        assert_eq!(sums.figures(), PolicyFigures::default());
        let mut holding = [0.0; MAX_ACTIONS];
        [0, 3, 4, 5].into_iter().for_each(|action: usize| holding[action] = 0.25);
        sums.record(&holding, HOLDING_MASK, 1);
        let figures = sums.figures();
        assert_eq!((figures.variance, figures.illegal), (None, 1));
        assert!((figures.entropy_norm.unwrap() - 1.0).abs() < 1e-6);
    }
}
