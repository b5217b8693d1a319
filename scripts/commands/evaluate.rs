//! `zerodte evaluate`: the evidence for an edge in reports of backtests, and the verdict on it, without any training.

pub(crate) mod reports;

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;

use self::reports::Trials;
use crate::{
    artifacts::registry::{Kind, Registry, Row},
    config::{RunConfig, context::CommandContext, flags::ConfigFlags, layers::Layer},
    evaluation::edge::{Beside, Evaluation, Looks, best_trial, text, verdict::Word},
    output::{console::Console, output_file::OutputFile},
};

/// Flags of `zerodte evaluate`.
#[derive(Debug, Clone, Default, Args)]
pub struct EvaluateFlags {
    /// Reports of zerodte backtest --json on the same dates, or folders of them. Reports of one configuration are its seeds,
    /// other configurations are trials
    #[arg(value_name = "FOLDER|REPORT", required = true)]
    pub sources: Vec<PathBuf>,
    /// Registry in which the looks at these dates are counted [default: registry.jsonl in run.out_dir]
    #[arg(long, value_name = "FILE")]
    pub registry: Option<PathBuf>,
    /// Ends with exit code 1 unless this is the verdict, such as edge_survives
    #[arg(long, value_name = "WORD")]
    pub require: Option<Word>,
    /// Writes all figures as JSON [default: evaluation.json in the FOLDER]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Evaluates reports, prints the result, and writes `evaluation.json`.
///
/// # Errors
/// Reports that cannot be read or compared, an invalid configuration, a file that cannot be written, or another verdict than
/// the required one.
pub fn run(flags: &EvaluateFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolve = |_: &mut Vec<String>| Ok(flags.config.resolve(&RunConfig::default(), Layer::new("flags"))?);
    let Some((mut context, config)) = CommandContext::open(&flags.config, console, resolve)? else { return Ok(()) };
    let json = OutputFile::requested("Evaluation", flags.json_path().as_ref())?;
    let trials = Trials::of(&reports::read(&flags.sources)?)?;
    let registry = match &flags.registry {
        Some(path) => Registry::at(path),
        None => Registry::in_folder(&config.run.out_dir),
    };
    let looks = looks(&registry, &trials, &mut context.notes)?;
    let judged = best_trial(&trials.sessions);
    let at_wider_spread_usd = trials.at_wider_spread[judged];
    let beside = Beside { judged: Some(judged), looks, at_wider_spread_usd, ..Beside::default() };
    let evaluation = Evaluation::of(&trials.sessions, &beside, &config.evaluation, trials.seed())?;
    context.say_notes()?;
    context.say_synthetic(trials.sessions.data.is_synthetic())?;
    context.console.say_all(text::lines(&evaluation))?;
    if let Some(file) = json {
        file.save_json(&evaluation, context.console)?;
    }
    evaluation.verdict.word.require(flags.require)
}

/// Records a look of every trial and returns the number of configurations that have looked at the dates. `None` where there
/// was no registry before.
fn looks(registry: &Registry, trials: &Trials, notes: &mut Vec<String>) -> anyhow::Result<Option<Looks>> {
    let existed = registry.exists();
    let (sessions, dates) = (&trials.sessions, trials.sessions.range());
    for (trial, config) in sessions.trials.iter().zip(&trials.configurations) {
        let row = Row::new(Kind::Evaluate, &trial.name, config, sessions.data);
        if let Err(error) = registry.append(Row { looked_at: Some(dates), dates: Some(sessions.dates.len()), ..row }) {
            notes.push(format!("this look was not recorded: {error:#}"));
            break;
        }
    }
    let content = registry.read()?;
    if !content.faults.is_empty() {
        notes.push(format!(
            "the registry {} has {} faults; zerodte registry verify names them",
            registry.path().display(),
            content.faults.len()
        ));
    }
    let lookers = content.lookers(dates, sessions.data);
    let mine: BTreeSet<&str> = trials.configurations.iter().map(String::as_str).collect();
    Ok(existed.then(|| Looks::of(&lookers, &mine)))
}

impl EvaluateFlags {
    /// Returns the file of the figures: the given one, or `evaluation.json` where one folder is evaluated.
    fn json_path(&self) -> Option<PathBuf> {
        let of_folder = || match self.sources.as_slice() {
            [folder] if folder.is_dir() => Some(folder.join("evaluation.json")),
            _ => None,
        };
        self.json.clone().or_else(of_folder)
    }
}
