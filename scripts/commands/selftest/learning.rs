//! `zerodte selftest learning`: learns CartPole-v1 in as few steps as Stable-Baselines3.

mod curves;
mod plot;

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use ppo_agent::games::cartpole;
use rayon::prelude::*;
use statistics::{mann_whitney_z, mean, median};

use self::curves::Curve;
use crate::output::{
    console::Console,
    output_file::OutputFile,
    table::{columns, thousands},
};

/// Flags of `zerodte selftest learning`.
#[derive(Debug, Clone, Args)]
pub struct LearningFlags {
    /// Trainings, with the seeds 0, 1, ... [default: as many as there are of Stable-Baselines3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub seeds: Option<u32>,
    /// Files to write.
    #[command(flatten)]
    pub output: LearningOutput,
}

/// Files that the self-test writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct LearningOutput {
    /// Writes the learning curves: seed, timesteps, mean return of the last 100 episodes
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Draws the learning curves, with those of the reference
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Runs the self-test and prints its result.
///
/// # Errors
/// A training that stops, a file that cannot be written, or a failed self-test.
pub(super) fn run(flags: &LearningFlags, console: &mut Console) -> anyhow::Result<()> {
    let csv = OutputFile::requested("", flags.output.csv.as_ref())?;
    let svg = OutputFile::requested("", flags.output.svg.as_ref())?;
    let theirs = curves::reference()?;
    let ours = train(flags.seeds.map_or(theirs.len() as u64, u64::from))?;
    console.say("CartPole-v1: timesteps until the mean return of the last 100 episodes is 475, at most 150,000")?;
    console.say(table(&ours, &theirs))?;
    let z = mann_whitney_z(&steps(&ours), &steps(&theirs));
    console.say(verdict(z))?;
    if let Some(file) = csv {
        file.save(curves::to_csv(&ours), console)?;
    }
    if let Some(file) = svg {
        file.save(plot::draw(&ours, &theirs)?, console)?;
    }
    ensure!(z <= SIGNIFICANT, "CartPole-v1 needs more steps than Stable-Baselines3's: z = {z:+.2}");
    Ok(())
}

/// Trains with the seeds below `seeds`, several at a time.
fn train(seeds: u64) -> anyhow::Result<Vec<Curve>> {
    let train = |seed| Ok(Curve { seed, points: cartpole::learning_curve(seed)? });
    (0..seeds).into_par_iter().map(train).collect()
}

/// Returns the steps that each seed needed, ascending; the limit for an unsolved one.
fn steps(curves: &[Curve]) -> Vec<f64> {
    let mut steps: Vec<f64> =
        curves.iter().map(|curve| curve.solved_at().unwrap_or(cartpole::MAX_TIMESTEPS) as f64).collect();
    steps.sort_by(f64::total_cmp);
    steps
}

fn table(ours: &[Curve], theirs: &[Curve]) -> String {
    let whole = |steps: f64| thousands(steps.round() as i64);
    let cell = |curves: &[Curve], index: usize| match curves.get(index) {
        None => "-".to_owned(),
        Some(curve) => curve.solved_at().map_or_else(|| "not solved".to_owned(), |steps| thousands(steps as i64)),
    };
    let seeds = (0..ours.len().max(theirs.len())).map(|i| vec![format!("seed {i}"), cell(ours, i), cell(theirs, i)]);
    let mut rows: Vec<Vec<String>> = seeds.collect();
    for (name, count) in [("first five", 5), ("all", usize::MAX)] {
        let [a, b] = [ours, theirs].map(|curves| steps(&curves[..curves.len().min(count)]));
        rows.push(vec![format!("median of {name}"), whole(median(&a)), whole(median(&b))]);
        rows.push(vec![format!("mean of {name}"), whole(mean(&a)), whole(mean(&b))]);
    }
    columns(&["", "zerodte", "Stable-Baselines3"], &rows)
}

fn verdict(z: f64) -> String {
    let reading = match z {
        z if z > SIGNIFICANT => "zerodte needs more steps",
        z if z < -SIGNIFICANT => "zerodte needs fewer steps",
        _ => "no difference beyond chance was found",
    };
    format!("Mann-Whitney test over all seeds: z = {z:+.2}; at 1 % on each side, {reading}")
}

/// Standard deviations beyond which a difference is significant: 1 % on each side.
const SIGNIFICANT: f64 = 2.326;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cartpole_is_learned_in_as_few_steps_as_by_stable_baselines() {
        let theirs = curves::reference().unwrap();
        let ours = train(theirs.len() as u64).unwrap();
        let z = mann_whitney_z(&steps(&ours), &steps(&theirs));
        assert!(z < SIGNIFICANT, "{}", table(&ours, &theirs));
        let table = table(&ours, &theirs);
        assert!(table.contains("seed 4") && table.contains("median of first five"), "{table}");
    }
}
