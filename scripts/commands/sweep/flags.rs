//! Flags of `zerodte sweep`.

use std::path::PathBuf;

use clap::Args;
use market_env::LevelNoise;

use crate::{
    config::{
        RunConfig,
        flags::{ALL_DATES, ConfigFlags, DataFlags, described},
        layers::Layer,
        number_list::NumberList,
    },
    output::exit_code::UsageError,
    sweep::{
        halving::Prune,
        sampler::{MOST_TRIALS, Sampler},
        space::Space,
    },
    training::flags::count,
};

/// Flags of `zerodte sweep`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, mut_args(described(ALL_DATES)))]
pub struct SweepFlags {
    /// Space of the trials, a TOML file: configuration keys with { log = [a, b] }, { range = [a, b] } or { choice = [a, b] }
    #[arg(long, value_name = "FILE")]
    pub space: PathBuf,
    /// Trials; a larger number extends a sweep with --resume [default: 100, for a grid all of its points]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS as i64))]
    pub trials: Option<u32>,
    /// Seeds of every trial, 0 to one less
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub seeds: u64,
    /// Way of choosing the points
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Sampler::Sobol)]
    pub sampler: Sampler,
    /// Seed of the points
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sampler_seed: u32,
    /// Gives up trials that are clearly worse on the way
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Prune::None)]
    pub prune: Prune,
    /// Sets `run.timesteps` of every training, such as 100000, 100_000 or 1e5
    #[arg(long, value_name = "N", default_value = "100000", value_parser = count)]
    pub timesteps: u64,
    /// Minutes after which no training starts; --resume goes on
    #[arg(long, value_name = "M")]
    pub budget_minutes: Option<f64>,
    /// Trains these trials alone, such as 3,5,7-9, writes their files and ends; --resume without it joins the parts
    #[arg(long, value_name = "LIST", conflicts_with_all = ["show_test", "budget_minutes"])]
    pub only: Option<NumberList>,
    /// Plays the test dates with the N best trials, 1 without a number, and counts a look for each; without it they stay
    /// unseen
    #[arg(long = "final", id = "show_test", value_name = "N", num_args = 0..=1, default_missing_value = "1")]
    pub show_test: Option<usize>,
    /// Goes on with a sweep that was stopped, with the same command
    #[arg(long)]
    pub resume: bool,
    /// Prints the trials and exits
    #[arg(long)]
    pub dry_run: bool,
    /// Threads, 0 = one per core, each with its own trainings; the results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_threads: usize,
    /// Bars to use.
    #[command(flatten)]
    pub data: DataFlags,
    /// Folder of the result.
    #[command(flatten)]
    pub output: SweepOutput,
    /// Configuration beyond the flags, the same for every trial; the space wins over it.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Folder of a sweep.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct SweepOutput {
    /// Folder of plan, trials, table and page
    #[arg(long, value_name = "DIR", default_value = "sweep")]
    pub out: PathBuf,
}

impl SweepFlags {
    /// Lays files, flags and assignments over the defaults, and checks the result.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub(super) fn resolve(&self, notes: &mut Vec<String>) -> Result<RunConfig, UsageError> {
        let mut base = RunConfig::default();
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        let timesteps = i64::try_from(self.timesteps)
            .map_err(|_| UsageError::one(format!("--timesteps {}: too large", self.timesteps)))?;
        layer.put("run.timesteps", timesteps);
        let config = self.config.resolve(&base, layer)?;
        UsageError::check(refused(&config))?;
        Ok(config)
    }

    /// Returns the numbers of the trials of the whole sweep, as many as there are.
    ///
    /// # Errors
    /// For a grid without `steps`, and for flags that exclude each other.
    pub(super) fn trials(&self, space: &Space) -> Result<usize, UsageError> {
        let asked = self.trials.map(|trials| trials as usize);
        let mut faults = Vec::new();
        if self.sampler == Sampler::Tpe && (self.only.is_some() || self.prune != Prune::None) {
            faults.push(
                "--sampler tpe: its points depend on earlier results, so leave out --only and --prune".to_owned(),
            );
        }
        if self.prune != Prune::None && self.only.is_some() {
            faults.push("--only: a part cannot prune, since trials are compared with each other".to_owned());
        }
        if self.budget_minutes.is_some_and(|minutes| !(minutes > 0.0 && minutes.is_finite())) {
            faults.push("--budget-minutes: give a number above 0".to_owned());
        }
        let trials = match (self.sampler, space.grid_size()) {
            (Sampler::Grid, None) => {
                faults.push(format!("{}: a grid needs steps = N beside every log and range", self.space.display()));
                0
            }
            (Sampler::Grid, Some(size)) => asked.map_or(size, |trials| trials.min(size)),
            _ => asked.unwrap_or(100),
        };
        if trials > MOST_TRIALS {
            faults.push(format!("{}: the grid has {trials} points, more than {MOST_TRIALS}", self.space.display()));
        }
        if let Some(only) = &self.only {
            faults.extend(only.fault("trial", 0, trials.saturating_sub(1)));
        }
        UsageError::check(faults)?;
        Ok(trials)
    }
}

/// Returns a fault for every key that a training of a sweep would not follow.
fn refused(config: &RunConfig) -> Vec<String> {
    let run = &config.run;
    let refused = [
        ("run.load_model", run.load_model.is_some()),
        ("run.replay_moves", run.replay_moves.is_some()),
        ("run.forecaster_transfer", run.forecaster_transfer),
        ("market.pricing.level_noise", config.market.pricing.level_noise == LevelNoise::On),
    ];
    let refused = refused.into_iter().filter(|(_, set)| *set);
    refused.map(|(key, _)| format!("{key}: the trainings of a sweep do not use it; leave it out")).collect()
}
