//! `zerodte forecast ablate`: settings varied, every variant trained with several seeds, ranked by what they save on the validation dates.

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

/// Fewest pieces of evidence that an interval can be had from.
const FEWEST_DATES: usize = 5;

/// The variants, best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ablation {
    /// Origin of the bars.
    pub data: DataStamp,
    /// The dates that are learned from, that rank, and that the winner is judged on.
    pub split: Split,
    /// Seeds of every variant.
    pub seeds: u64,
    /// The variants, best first.
    pub ranks: Vec<Rank>,
    /// The winner and the base on the test dates, and what the winner gains there.
    pub test: Vec<Tested>,
}

/// One variant over all seeds. Targets are standardised and pooled: every regression target counts alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rank {
    /// What is varied, such as `temporal_frames=5`.
    pub variant: String,
    /// R² of the validation dates, the mean over seeds, with an interval over dates.
    pub r2: ConfidenceInterval,
    /// The smallest and the largest of a single seed.
    pub seeds: [f64; 2],
    /// What that is above the base's, with an interval over dates; nothing for the base.
    pub gain: Option<ConfidenceInterval>,
    /// Deviation of the forecasts over that of what came.
    pub spread: f64,
    /// Mean number of the best epoch.
    pub best_epoch: f64,
    /// Trainings that were ended because nothing could come of them.
    pub emergencies: usize,
    /// Mean seconds of a training.
    pub seconds: f64,
}

/// A variant on dates that did not rank it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tested {
    /// What is varied.
    pub variant: String,
    /// Pooled R², the mean over seeds, with an interval over dates.
    pub r2: Option<ConfidenceInterval>,
    /// What that is above the base's.
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
/// [`UsageError`] for flags and grids; data that cannot be read; a training that breaks; a file that cannot be written.
pub(super) fn run(flags: &ForecastAblateFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.train.config, console, |notes| {
        Ok(grid::variants(&flags.train.resolve(notes)?, &flags.grid)?)
    })?;
    let Some((mut context, variants)) = resolved else { return Ok(()) };
    let config = &variants[0].config;
    if flags.seeds == 0 {
        return Err(UsageError::one("--seeds: there must be at least one").into());
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
        return Err(UsageError::one(format!("ranking needs {FEWEST_DATES} pieces of evidence or more, the validation dates hold {found}: name more dates")).into());
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

/// The variants and what they are trained on.
struct AblationRun<'a> {
    variants: &'a [Variant],
    data: &'a ForecastData,
    seeds: u64,
    first_seed: u64,
}

impl AblationRun<'_> {
    /// Trains every variant with every seed, several at a time; what is done is said as it comes.
    fn trials(&self, console: &mut Console) -> anyhow::Result<Vec<Trial>> {
        let jobs: Vec<(usize, u64)> =
            (0..self.variants.len()).flat_map(|v| (0..self.seeds).map(move |seed| (v, seed))).collect();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let trial = |sender: &mut mpsc::Sender<String>, &(variant, seed): &(usize, u64)| {
                    let trial = self.trial(variant, self.first_seed + seed)?;
                    let ended = if trial.emergency { ", ended early" } else { "" };
                    // Who no longer listens has failed to write, which is reported in the end.
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
            let scores = pool.scores().context("the validation dates are too few for an interval")?;
            let single = of(variant).map(|trial| self.pool(&self.data.validation, &[&trial.validation]).r2());
            let (low, high) =
                single.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r2| (low.min(r2), high.max(r2)));
            let mean_of = |value: fn(&Trial) -> f64| mean(of(variant).map(value));
            anyhow::Ok(Rank {
                variant: self.variants[variant].name.clone(),
                r2: scores
                    .intervals
                    .and_then(|found| found.r2)
                    .context("the validation dates are too few for an interval")?,
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

    /// Judges the winner and the base on other dates.
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

    /// Puts the regression targets of several forecasts `[N, M]` of the same samples into one, each standardised by its training moments.
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
