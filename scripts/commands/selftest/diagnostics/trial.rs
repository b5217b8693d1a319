//! One labelled training: its planted fault, if any, and its diagnosis.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use market_data::{Dataset, Symbol, Window, source::synthetic};
use market_env::{Action, BatchEnv, Market, Setup};
use ppo_agent::{
    AgentError, Cadence, DeviceChoice, Iteration, Listener, Policy, StepView, Trainer,
    health::{IntervalVerdict, Monitor, Opportunity, Verdict},
};
use serde::Serialize;

use super::plant::{Fault, Planted};
use crate::{
    config::{
        RunConfig,
        layers::{Layer, resolve},
    },
    evaluation::baselines::Baselines,
};

/// Lane-steps of an interval, as in a real run.
const INTERVAL: u64 = 5_000;

/// Verdicts expected of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expected {
    /// Any verdict but an alarm.
    NoAlarm,
    /// This alarm.
    Exactly(Verdict),
    /// A collapse into any action.
    AnyCollapse,
    /// A collapse into entries.
    OnlyEntries,
}

impl Expected {
    pub(super) fn allows(self, verdict: Verdict) -> bool {
        match self {
            Self::NoAlarm => !verdict.is_alarm(),
            Self::Exactly(expected) => verdict == expected,
            Self::AnyCollapse => matches!(verdict, Verdict::Collapsed(_)),
            Self::OnlyEntries => matches!(verdict, Verdict::Collapsed(Action::BuyCall | Action::BuyPut)),
        }
    }

    fn words(self) -> String {
        match self {
            Self::NoAlarm => "no alarm".to_owned(),
            Self::Exactly(verdict) => verdict.to_string(),
            Self::AnyCollapse => "collapsed:*".to_owned(),
            Self::OnlyEntries => "collapsed:BUY_*".to_owned(),
        }
    }
}

/// A synthetic market, built once for all its trials.
#[derive(Debug)]
pub(super) struct TestMarket {
    market: Arc<Market>,
    config: RunConfig,
    opportunity: OnceLock<Opportunity>,
}

impl TestMarket {
    /// Makes a market of some sixty sessions of one symbol with this planted edge, visible in the bars.
    pub(super) fn new(edge: f64, seed: u64) -> anyhow::Result<Self> {
        let mut config = RunConfig::default();
        let made_up = &mut config.data.synthetic;
        (made_up.seed, made_up.planted_edge, made_up.edge_visibility) = (seed, edge, 1.0);
        made_up.sessions_from = jiff::civil::date(2024, 8, 1);
        made_up.sessions_to = jiff::civil::date(2024, 11, 29);
        let history = synthetic::generate(made_up, &[Symbol::new("SPY")?])?;
        let dataset = Dataset::build(&history, &Window::default(), &config.data)?;
        let market = Arc::new(Market::build(&dataset.symbols, &config.market)?);
        Ok(Self { market, config, opportunity: OnceLock::new() })
    }

    fn days(&self) -> Vec<u32> {
        (0..self.market.days().len() as u32).collect()
    }

    fn opportunity(&self) -> Opportunity {
        let measure = || Baselines::outlook_on(&self.market, &self.days(), &self.config.env, 0);
        self.opportunity.get_or_init(measure).clone()
    }
}

/// A parameter overwritten before the start: its tensor, its index there or none for all, and its value.
pub(super) type Overwritten = (&'static str, Option<usize>, f32);

/// A training to judge.
#[derive(Debug, Clone)]
pub(super) struct Trial<'a> {
    /// The kind of fault, or of health.
    pub(super) kind: &'static str,
    pub(super) expected: Expected,
    pub(super) ground: &'a TestMarket,
    pub(super) fault: Fault,
    /// Changes of its configuration, as assignments of `--set`.
    pub(super) set: Vec<&'static str>,
    pub(super) weights: Vec<Overwritten>,
    pub(super) timesteps: u64,
    pub(super) seed: u64,
}

/// Judgement of one training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialReport {
    /// The kind of planted fault, or of healthy run.
    pub kind: String,
    /// True if a fault was planted.
    pub planted: bool,
    /// Seed of the training.
    pub seed: u64,
    /// Planned lane-steps.
    pub timesteps: u64,
    /// The expected verdict.
    pub expected: String,
    /// The last verdict.
    pub verdict: Verdict,
    /// Lane-steps up to the first alarm, and its verdict.
    pub alarm: Option<(u64, Verdict)>,
    /// Lane-steps up to the first alarm, if it is the expected one.
    pub detected_at: Option<u64>,
    /// True if a planted fault was diagnosed, or a healthy run raised no alarm.
    pub right: bool,
    /// Readings of the single intervals.
    pub readings: Vec<Verdict>,
    /// Evidence of the last reading.
    pub evidence: Vec<String>,
}

impl Trial<'_> {
    /// Trains and records the diagnoses.
    pub(super) fn run(&self) -> anyhow::Result<TrialReport> {
        self.train().with_context(|| format!("training \"{}\" with seed {}", self.kind, self.seed))
    }

    fn train(&self) -> anyhow::Result<TrialReport> {
        let set: Vec<String> = self.set.iter().map(|&text| text.to_owned()).collect();
        let config = resolve(&self.ground.config, &[Layer::assignments(&set)?], RunConfig::check)?;
        let market = Arc::clone(&self.ground.market);
        let env = BatchEnv::new(market, self.ground.days(), config.env.clone(), config.ppo.n_envs, self.seed)?;
        let env = Planted::new(env, self.fault);
        let mut policy = Policy::for_env(&env, &config.policy, self.seed)?;
        for &(name, place, value) in &self.weights {
            let tensor = policy.tensor_mut(name).with_context(|| format!("no tensor {name}"))?;
            let places = place.map_or(0..tensor.len(), |place| place..place + 1);
            tensor[places].fill(value);
        }
        let rows: Arc<[(Setup, u32)]> = self.ground.market.rows().collect();
        let monitor = Monitor::new(rows, config.health.clone());
        let mut ear =
            HealthListener { monitor, cadence: Cadence::new(INTERVAL, 0), ground: self.ground, heard: Vec::new() };
        let mut trainer = Trainer::new(env, policy, config.ppo, self.timesteps, self.seed, DeviceChoice::Cpu)?;
        while trainer.timesteps() < self.timesteps {
            match trainer.iterate(&mut ear) {
                Ok(_) => ear.monitor.on_activity(trainer.activity()?),
                Err(error @ AgentError::NonFinite { .. }) => {
                    let reading = IntervalVerdict::broken(&error);
                    ear.heard.push((trainer.timesteps(), reading.verdict, reading));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.report(&ear.heard))
    }

    fn report(&self, heard: &[(u64, Verdict, IntervalVerdict)]) -> TrialReport {
        let called = |wanted: &dyn Fn(Verdict) -> bool| {
            heard.iter().find(|(_, called, _)| wanted(*called)).map(|&(step, called, _)| (step, called))
        };
        let planted = self.expected != Expected::NoAlarm;
        let alarm = called(&|verdict| verdict.is_alarm());
        let detected_at = alarm.filter(|(_, first)| planted && self.expected.allows(*first)).map(|(step, _)| step);
        let (verdict, evidence) = heard
            .last()
            .map_or((Verdict::Inconclusive, Vec::new()), |(_, called, reading)| (*called, reading.evidence.clone()));
        TrialReport {
            kind: self.kind.to_owned(),
            planted,
            seed: self.seed,
            timesteps: self.timesteps,
            expected: self.expected.words(),
            verdict,
            alarm,
            detected_at,
            right: if planted { detected_at.is_some() } else { alarm.is_none() },
            readings: heard.iter().map(|(_, _, reading)| reading.verdict).collect(),
            evidence,
        }
    }
}

/// Listener of the training, like the reporter of a run.
struct HealthListener<'a> {
    monitor: Monitor,
    cadence: Cadence,
    ground: &'a TestMarket,
    /// Step, verdict and reading of every interval.
    heard: Vec<(u64, Verdict, IntervalVerdict)>,
}

impl Listener for HealthListener<'_> {
    fn on_step(&mut self, timesteps: u64, moment: &StepView<'_>) {
        self.monitor.on_step(moment);
        if let Some(step) = self.monitor.due(self.cadence.crossed(timesteps)) {
            let health = self.monitor.close(moment.ledger, &mut || self.ground.opportunity());
            self.heard.push((step, health.confirmed.0, health.interval_verdict));
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.monitor.on_iteration(iteration);
    }
}
