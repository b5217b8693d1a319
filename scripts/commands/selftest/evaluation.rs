//! `zerodte selftest evaluation`: p-values of strategies without an edge are uniform through the whole evaluation, and four
//! known mistakes are caught by that test. Whole procedures on markets follow in `markets`.

mod markets;

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use jiff::{ToSpan as _, civil::date};
use market_data::DataStamp;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use statistics::{Blocks, Resamples};

use self::markets::{Claim, PLANTED};
use crate::{
    commands::evaluate::reports,
    config::evaluation::EvaluationConfig,
    evaluation::{
        edge::{Beside, Evaluation},
        sessions::{SessionSeries, Trial},
    },
    output::{
        clock::Stopwatch,
        console::Console,
        table::{columns, percent},
    },
};

/// Flags of `zerodte selftest evaluation`.
#[derive(Debug, Clone, Args)]
pub struct EvaluationFlags {
    /// Reports of backtests whose session P&L, less its mean, takes the place of made-up P&L
    #[arg(value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
    /// Worlds without an edge in each test
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub worlds: u32,
    /// Markets without direction for a whole procedure; a fifth as many, at least one, for the best of 400 networks and for a
    /// planted edge; 0 = none
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub markets: u32,
    /// Seed of the worlds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Resamples within a world.
const RESAMPLES: usize = 199;
/// Level of the tests.
const LEVEL: f64 = 0.05;
/// Rejections that are consistent with the level.
const SOUND: std::ops::RangeInclusive<f64> = 0.025..=0.075;
/// Largest distance of the p-values from uniform ones.
const DISTANCE: f64 = 0.06;
/// Dates of the made-up population.
const POPULATION: usize = 600;
/// Trades of a date in the worlds of that mistake.
const TRADES: usize = 16;
/// Seeds of a date in the worlds of that mistake.
const SEEDS: usize = 5;

/// Networks of which the best is taken.
const NETWORKS: usize = 400;

/// A way from the P&L `[N][n]` of a world to a p-value.
type Path = fn(&[Vec<f64>], u64) -> anyhow::Result<f64>;

/// One test: strategies without an edge, judged in one way.
struct Case {
    name: &'static str,
    strategies: usize,
    dates: usize,
    path: Path,
    sound: bool,
}

const CASES: [Case; 7] = [
    Case { name: "1 strategy", strategies: 1, dates: 60, path: whole, sound: true },
    Case { name: "20 strategies", strategies: 20, dates: 60, path: whole, sound: true },
    Case { name: "100 strategies", strategies: 100, dates: 60, path: whole, sound: true },
    Case { name: "centred on itself", strategies: 20, dates: 60, path: centred_on_itself, sound: false },
    Case { name: "fixed deviation", strategies: 200, dates: 20, path: fixed_deviation, sound: false },
    Case { name: "trades as dates", strategies: TRADES, dates: 60, path: parts_as_dates, sound: false },
    Case { name: "seeds as dates", strategies: SEEDS, dates: 60, path: parts_as_dates, sound: false },
];

/// Rejections and distance from uniform of a case.
struct Found {
    rejected: f64,
    distance: f64,
}

impl Found {
    fn is_sound(&self) -> bool {
        SOUND.contains(&self.rejected) && self.distance < DISTANCE
    }
}

/// Runs the self-test and prints its result.
///
/// # Errors
/// A report that cannot be read, p-values that are not uniform, or a mistake that is not caught.
pub(super) fn run(flags: &EvaluationFlags, console: &mut Console) -> anyhow::Result<()> {
    let given = if flags.reports.is_empty() { None } else { Some(recentred(&flags.reports)?) };
    let found = CASES.iter().map(|case| case.run(given.as_deref(), flags)).collect::<anyhow::Result<Vec<_>>>()?;
    let source = if given.is_some() { "the reports' session P&L" } else { "made-up skewed P&L" };
    console.say(format!("{} worlds without an edge each, drawn from {source}; tests at 5 %", flags.worlds))?;
    let rows: Vec<Vec<String>> = CASES.iter().zip(&found).map(|(case, found)| case.cells(found)).collect();
    console.say(columns(&["test", "N", "dates", "rejected", "distance", "expected", "found"], &rows))?;
    let wrong: Vec<&str> = CASES
        .iter()
        .zip(&found)
        .filter(|(case, found)| case.sound != found.is_sound())
        .map(|(case, _)| case.name)
        .collect();
    let claims = claims(flags, console)?;
    let failed = claims.iter().filter(|claim| !claim.holds).map(|claim| claim.name.as_str());
    let wrong: Vec<&str> = wrong.into_iter().chain(failed).collect();
    ensure!(wrong.is_empty(), "not as expected: {}", wrong.join(", "));
    console.say("The evaluation is sound, and every planted mistake is caught")?;
    Ok(())
}

/// Judges whole procedures on markets, and prints the claims with their bounds.
fn claims(flags: &EvaluationFlags, console: &mut Console) -> anyhow::Result<Vec<Claim>> {
    let (all, few) = (flags.markets as usize, (flags.markets / 5).max(1) as usize);
    if all == 0 {
        return Ok(Vec::new());
    }
    let watch = Stopwatch::start();
    console.say(format!("\nWhole procedures without costs, on {all} markets with a known answer"))?;
    let mut claims = vec![markets::placebo(all, flags.seed)?];
    claims.extend(markets::best_of_many(few, NETWORKS, flags.seed)?);
    claims.extend(markets::planted(few, PLANTED, flags.seed)?);
    let rows: Vec<Vec<String>> = claims.iter().map(Claim::cells).collect();
    console.say(columns(&["test", "markets", "found", "expected", "result"], &rows))?;
    console.say(format!("{:.0} seconds", watch.seconds()))?;
    Ok(claims)
}

impl Case {
    fn cells(&self, found: &Found) -> Vec<String> {
        let word = |sound: bool| if sound { "uniform" } else { "not uniform" }.to_owned();
        vec![
            self.name.to_owned(),
            self.strategies.to_string(),
            self.dates.to_string(),
            percent(Some(found.rejected)),
            format!("{:.3}", found.distance),
            word(self.sound),
            word(found.is_sound()),
        ]
    }

    /// Draws worlds without an edge and counts rejections. Dates are drawn independently, so that the mean of the population,
    /// which is 0, is that of every world.
    fn run(&self, given: Option<&[Vec<f64>]>, flags: &EvaluationFlags) -> anyhow::Result<Found> {
        let population = match given {
            Some(series) => spread(series, self.strategies),
            None => made_up(self.strategies, flags.seed),
        };
        let size = population[0].len();
        let draws = Resamples::draw(size, flags.worlds as usize, Blocks::Stationary(1.0), flags.seed);
        let rows: Vec<&[u32]> = draws.rows().collect();
        let p = rows.into_par_iter().enumerate().map(|(world, row)| {
            // A short population is drawn as often as its length allows.
            let dates = row.iter().cycle().take(self.dates.min(size));
            let of = |x: &Vec<f64>| dates.clone().map(|&date| x[date as usize]).collect();
            (self.path)(&population.iter().map(of).collect::<Vec<_>>(), world as u64)
        });
        let mut p = p.collect::<anyhow::Result<Vec<f64>>>()?;
        p.sort_by(f64::total_cmp);
        let worlds = p.len() as f64;
        let rejected = p.partition_point(|p| *p <= LEVEL) as f64 / worlds;
        // Equal p-values form one step of the distribution.
        let step = |p_value: &f64| (p.partition_point(|p| p <= p_value) as f64 / worlds - p_value).abs();
        Ok(Found { rejected, distance: p.iter().map(step).fold(0.0, f64::max) })
    }
}

/// The way of `zerodte evaluate`: the smallest adjusted p-value of an evaluation.
fn whole(series: &[Vec<f64>], seed: u64) -> anyhow::Result<f64> {
    let n = series[0].len();
    let trial = |pnl: &Vec<f64>| Trial { name: "a".to_owned(), seeds: vec![0], pnl_usd: vec![pnl.clone()], trades: 1 };
    let sessions = SessionSeries {
        dates: (0..n).map(|day| date(2020, 1, 1) + (day as i64).days()).collect(),
        folds: vec![0; n],
        symbols: vec!["SPY".to_owned()],
        capital_usd: 10_000.0,
        data: DataStamp::Synthetic,
        modelled_prices: true,
        in_sample_dates: 0,
        baselines: Vec::new(),
        trials: series.iter().map(trial).collect(),
    };
    let config = EvaluationConfig { resamples: RESAMPLES, ..EvaluationConfig::default() };
    let evaluation = Evaluation::of(&sessions, &Beside::default(), &config, seed)?;
    Ok(evaluation.romano_wolf.iter().map(|row| row.p_adjusted).fold(1.0, f64::min))
}

/// The mistake of centring each resample on its own mean: its statistics are all 0.
fn centred_on_itself(series: &[Vec<f64>], seed: u64) -> anyhow::Result<f64> {
    Ok(largest_t_p(series, seed, |pnl, drawn| (statistics::mean(drawn) - statistics::mean(drawn)) / deviation(pnl)))
}

/// The mistake of dividing by the deviation of the sample instead of the resample's.
fn fixed_deviation(series: &[Vec<f64>], seed: u64) -> anyhow::Result<f64> {
    Ok(largest_t_p(series, seed, |pnl, drawn| (statistics::mean(drawn) - statistics::mean(pnl)) / deviation(pnl)))
}

/// The mistake of counting what shares a date, such as trades or seeds, as independent dates.
fn parts_as_dates(series: &[Vec<f64>], seed: u64) -> anyhow::Result<f64> {
    whole(&[series.concat()], seed)
}

fn deviation(pnl: &[f64]) -> f64 {
    statistics::sample_variance(pnl).sqrt()
}

/// Returns the p-value of the largest t among strategies, where `star` gives the mean over deviation of a resample.
fn largest_t_p(series: &[Vec<f64>], seed: u64, star: fn(&[f64], &[f64]) -> f64) -> f64 {
    let resamples = Resamples::draw(series[0].len(), RESAMPLES, Blocks::Stationary(1.0), seed);
    let observed = series.iter().map(|pnl| statistics::mean(pnl) / deviation(pnl)).fold(f64::NEG_INFINITY, f64::max);
    let mut largest = vec![f64::NEG_INFINITY; RESAMPLES];
    for pnl in series {
        let stars = resamples.statistics(pnl, |drawn| Some(star(pnl, drawn)));
        largest.iter_mut().zip(stars).for_each(|(largest, star)| *largest = largest.max(star));
    }
    statistics::rank_p(observed, largest)
}

/// Returns the session P&L of reports by trial, less its mean.
fn recentred(paths: &[PathBuf]) -> anyhow::Result<Vec<Vec<f64>>> {
    let sessions = reports::Trials::of(&reports::read(paths)?)?.sessions;
    ensure!(sessions.dates.len() >= 60, "{} session dates are too few, 60 are the least", sessions.dates.len());
    Ok(sessions.trials.iter().map(|trial| centred(trial.mean_pnl())).collect())
}

fn centred(mut pnl: Vec<f64>) -> Vec<f64> {
    let mean = statistics::mean(&pnl);
    pnl.iter_mut().for_each(|x| *x -= mean);
    pnl
}

/// Returns as many series as needed: those given, then the same with their dates shifted.
fn spread(given: &[Vec<f64>], strategies: usize) -> Vec<Vec<f64>> {
    let of = |k: usize| {
        let mut pnl = given[k % given.len()].clone();
        let shift = k / given.len() * 7 % pnl.len();
        pnl.rotate_left(shift);
        pnl
    };
    (0..strategies).map(of).collect()
}

/// Returns P&L with the skew of an option buyer (1.5) and a correlation of 0.5 between strategies, each of mean 0.
fn made_up(strategies: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0DDB_1A5E);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let common: Vec<f64> = (0..POPULATION).map(|_| normal()).collect();
    let mut series = |_| {
        let own = common.iter().map(|common| (0.45 * (0.5_f64.sqrt() * (common + normal()))).exp());
        centred(own.collect())
    };
    (0..strategies).map(&mut series).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_uniform_and_mistakes_are_caught() {
        let flags = EvaluationFlags { reports: Vec::new(), worlds: 400, markets: 0, seed: 3 };
        for case in CASES.iter().filter(|case| case.strategies < 100) {
            let found = case.run(None, &flags).unwrap();
            // Four standard errors of 400 worlds at 5 %.
            let near = (found.rejected - LEVEL).abs() < 0.044 && found.distance < 0.1;
            assert_eq!(near, case.sound, "{}: {} {}", case.name, found.rejected, found.distance);
        }
    }
}
