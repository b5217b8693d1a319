//! `zerodte forecast ablate`: trains variants of the settings with several seeds and ranks them by validation.

mod grid;
mod table;

use std::sync::mpsc;

use anyhow::Context as _;
use market_data::{DataStamp, Split};
use ppo_agent::{
    DeviceChoice,
    forecast::{
        ForecastData, Forecaster, Outcomes, RegressionScores, Samples, StopReason, TargetKind, TargetMoments, fit,
        r2_gain,
    },
    require_libtorch,
};
use rayon::prelude::*;
use serde::Serialize;
use statistics::{ConfidenceInterval, mean};

use self::grid::Variant;
use super::{dataset::ForecastDataset, flags::ForecastAblateFlags};
use crate::{
    config::context::CommandContext,
    output::{clock::Stopwatch, console::Console, exit_code::UsageError, output_file::OutputFolder},
};

/// Fewest independent blocks of dates for a confidence interval.
const FEWEST_DATES: usize = 5;

/// Results of an ablation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ablation {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Dates for training, for ranking (validation) and for testing the winner.
    pub split: Split,
    /// Number of seeds per variant.
    pub seeds: u64,
    /// The variants, best first.
    pub ranks: Vec<Rank>,
    /// The winner and the base on the test dates, with the gain of the winner.
    pub test: Vec<Tested>,
}

/// One variant over all seeds. Targets are standardised and pooled, so that every regression target has equal weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rank {
    /// Changed settings, such as `temporal_frames=5`.
    pub variant: String,
    /// Validation R², mean over seeds, with an interval over dates.
    pub r2: ConfidenceInterval,
    /// Smallest and largest R² of a single seed.
    pub seeds: [f64; 2],
    /// Gain in R² over the base, with an interval over dates; absent for the base.
    pub gain: Option<ConfidenceInterval>,
    /// Standard deviation of the forecasts over that of the realised values.
    pub spread: f64,
    /// Mean index of the best epoch.
    pub best_epoch: f64,
    /// Trainings that the watchdog stopped.
    pub emergencies: usize,
    /// Mean duration of a training, in seconds.
    pub seconds: f64,
}

/// A variant on the test dates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tested {
    /// Changed settings.
    pub variant: String,
    /// Pooled R², mean over seeds, with an interval over dates.
    pub r2: Option<ConfidenceInterval>,
    /// Gain in R² over the base.
    pub gain: Option<ConfidenceInterval>,
}

/// One training.
struct Trial {
    variant: usize,
    forecaster: Forecaster,
    best: usize,
    emergency: bool,
    seconds: f64,
    validation: Vec<f32>,
}

/// Trains the grid and writes the table.
///
/// # Errors
/// [`UsageError`] for invalid flags or grids; unreadable data; a training that fails; a file that cannot be written.
pub(super) fn run(flags: &ForecastAblateFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.train.config, console, |notes| {
        Ok(grid::variants(&flags.train.resolve(notes)?, &flags.grid)?)
    })?;
    let Some((mut context, variants)) = resolved else { return Ok(()) };
    require_libtorch("forecasters")?;
    let config = &variants[0].config;
    if flags.seeds == 0 {
        return Err(UsageError::one("--seeds: must be at least 1").into());
    }
    let folder = OutputFolder::checked("", &flags.output.out)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(flags.num_threads);
    threads.build_global().context("starting the threads")?;
    context.say_notes()?;
    let console = context.console;
    let material = ForecastDataset::load(config, &config.forecast)?;
    let split = material.split(config).context("splitting the sessions by date")?;
    let data = material.data(&config.forecast, &split);
    let dates: std::collections::BTreeSet<u32> = data.validation.block.iter().copied().collect();
    if dates.len() < FEWEST_DATES {
        let found = dates.len();
        return Err(UsageError::one(format!("ranking needs at least {FEWEST_DATES} independent blocks of dates, the validation dates hold {found}: add dates")).into());
    }
    let lab = AblationRun { variants: &variants, data: &data, seeds: flags.seeds, first_seed: config.run.seed };
    let stamp = DataStamp::of(material.dataset.synthetic);
    console.say(format!(
        "{} variants with {} seeds on {stamp} data: train {}, ranked on {}",
        variants.len(),
        flags.seeds,
        split.train,
        split.validation
    ))?;
    let trials = lab.trials(console)?;
    let ranks = lab.ranks(&trials)?;
    let test = lab.tested(&trials, &ranks, &material.pick(&split.test).samples)?;
    let ablation = Ablation { data: stamp.to_owned(), split, seeds: flags.seeds, ranks, test };
    console.say(table::screen(&ablation))?;
    folder.file("ablation.md").save(table::markdown(&ablation), console)?;
    folder.file("ablation.csv").save(table::csv(&ablation), console)?;
    folder.file("ablation.json").save_json(&ablation, console)
}

/// The variants and their training data.
struct AblationRun<'a> {
    variants: &'a [Variant],
    data: &'a ForecastData,
    seeds: u64,
    first_seed: u64,
}

impl AblationRun<'_> {
    /// Trains every variant with every seed in parallel and reports each training as it finishes.
    fn trials(&self, console: &mut Console) -> anyhow::Result<Vec<Trial>> {
        let jobs: Vec<(usize, u64)> =
            (0..self.variants.len()).flat_map(|v| (0..self.seeds).map(move |seed| (v, seed))).collect();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let trial = |sender: &mut mpsc::Sender<String>, &(variant, seed): &(usize, u64)| {
                    let trial = self.trial(variant, self.first_seed + seed)?;
                    let ended = if trial.emergency { ", ended early" } else { "" };
                    // The receiver is gone only after a failed write, which is reported at the end.
                    let _ = sender.send(format!(
                        "{} seed {seed}: best epoch {}, {:.1} s{ended}",
                        self.variants[variant].name, trial.best, trial.seconds
                    ));
                    Ok(trial)
                };
                jobs.par_iter().with_max_len(1).map_with(sender, trial).collect::<anyhow::Result<Vec<_>>>()
            });
            let mut done = 0;
            for line in receiver {
                done += 1;
                console.say(format!("[{done}/{}] {line}", jobs.len()))?;
            }
            work.join().map_err(|_| anyhow::anyhow!("a training panicked"))?
        })
    }

    fn trial(&self, variant: usize, seed: u64) -> anyhow::Result<Trial> {
        let Variant { name, config } = &self.variants[variant];
        let watch = Stopwatch::start();
        let fitted = fit(self.data, &config.forecast, seed, DeviceChoice::Cpu, &mut ())
            .with_context(|| format!("training {name} with seed {seed}"))?;
        let validation = fitted.forecaster.predict(&self.data.tape, &self.data.validation)?;
        let emergency = matches!(fitted.end, StopReason::Watchdog(_));
        Ok(Trial {
            variant,
            forecaster: fitted.forecaster,
            best: fitted.best,
            emergency,
            seconds: watch.seconds(),
            validation,
        })
    }

    fn ranks(&self, trials: &[Trial]) -> anyhow::Result<Vec<Rank>> {
        let of = |variant: usize| trials.iter().filter(move |trial| trial.variant == variant);
        let forecasts = |variant| of(variant).map(|trial| trial.validation.as_slice()).collect::<Vec<_>>();
        let base = self.pool(&self.data.validation, &forecasts(0));
        let rank = |variant: usize| {
            let pool = self.pool(&self.data.validation, &forecasts(variant));
            let scores = pool.scores().context("too few validation dates for an interval")?;
            let single = of(variant).map(|trial| self.pool(&self.data.validation, &[&trial.validation]).r2());
            let (low, high) =
                single.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r2| (low.min(r2), high.max(r2)));
            let mean_of = |value: fn(&Trial) -> f64| mean(of(variant).map(value));
            anyhow::Ok(Rank {
                variant: self.variants[variant].name.clone(),
                r2: scores.intervals.and_then(|found| found.r2).context("too few validation dates for an interval")?,
                seeds: [low, high],
                gain: (variant > 0).then(|| r2_gain(&pool.outcomes(), &base.predicted)).flatten(),
                spread: scores.std_ratio,
                best_epoch: mean_of(|trial| trial.best as f64),
                emergencies: of(variant).filter(|trial| trial.emergency).count(),
                seconds: mean_of(|trial| trial.seconds),
            })
        };
        let mut ranks = (0..self.variants.len()).into_par_iter().map(rank).collect::<anyhow::Result<Vec<_>>>()?;
        ranks.sort_by(|a, b| b.r2.value.total_cmp(&a.r2.value));
        Ok(ranks)
    }

    /// Evaluates the winner and the base on the test dates.
    fn tested(&self, trials: &[Trial], ranks: &[Rank], test: &Samples) -> anyhow::Result<Vec<Tested>> {
        let pool = |variant: usize| {
            let of = trials.iter().filter(|trial| trial.variant == variant);
            let forecasts =
                of.map(|trial| trial.forecaster.predict(&self.data.tape, test)).collect::<Result<Vec<_>, _>>()?;
            anyhow::Ok(self.pool(test, &forecasts.iter().map(Vec::as_slice).collect::<Vec<_>>()))
        };
        let winner = self.variants.iter().position(|variant| variant.name == ranks[0].variant).unwrap_or(0);
        let base = pool(0)?;
        let variants = if winner == 0 { vec![0] } else { vec![winner, 0] };
        let tested = |variant: usize| {
            let pool = pool(variant)?;
            let r2 = pool.scores().and_then(|scores| scores.intervals?.r2);
            let gain = (variant > 0).then(|| r2_gain(&pool.outcomes(), &base.predicted)).flatten();
            Ok(Tested { variant: self.variants[variant].name.clone(), r2, gain })
        };
        variants.into_iter().map(tested).collect()
    }

    /// Pools the regression targets of several forecasts `[N, M]` of the same samples, each target standardised by its
    /// training moments.
    fn pool(&self, samples: &Samples, forecasts: &[&[f32]]) -> Pool {
        let (targets, moments) = (&self.data.targets, &self.moments());
        let mut pool = Pool::default();
        for forecasts in forecasts {
            for (index, _) in targets.iter().enumerate().filter(|(_, target)| target.kind != TargetKind::Direction) {
                let standard = |value: f32| ((f64::from(value) - moments.mean[index]) / moments.std[index]) as f32;
                pool.predicted
                    .extend(forecasts.iter().skip(index).step_by(targets.len()).map(|&value| standard(value)));
                pool.actual.extend(samples.column(index).into_iter().map(standard));
                pool.block.extend(&samples.block);
            }
        }
        pool
    }

    fn moments(&self) -> TargetMoments {
        TargetMoments::of(&self.data.train, &self.data.targets).expect("every variant was trained on these targets")
    }
}

/// Standardised forecasts of all regression targets.
#[derive(Default)]
struct Pool {
    predicted: Vec<f32>,
    actual: Vec<f32>,
    block: Vec<u32>,
}

impl Pool {
    fn outcomes(&self) -> Outcomes<'_> {
        Outcomes { predicted: &self.predicted, actual: &self.actual, block: &self.block, train_mean: 0.0 }
    }

    fn scores(&self) -> Option<RegressionScores> {
        RegressionScores::with_intervals(TargetKind::Volatility, &self.outcomes())
    }

    fn r2(&self) -> f64 {
        RegressionScores::of(TargetKind::Volatility, &self.outcomes()).map_or(f64::NAN, |scores| scores.r2)
    }
}
