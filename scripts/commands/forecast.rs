//! `zerodte forecast`: trains, evaluates, ablates and compares forecasters of returns, volatility and direction.

mod ablate;
mod chart;
mod compare;
mod dataset;
mod eval;
mod evaluation;
mod files;
mod flags;
mod train;

pub use self::{
    ablate::{Ablation, Rank, Tested},
    evaluation::{Judged, Judgement, Predicted},
    flags::{
        ForecastAblateFlags, ForecastCompareFlags, ForecastEvalFlags, ForecastTool, ForecastTrainFlags, ForecasterFlags,
    },
    train::Metrics,
};
use crate::output::{console::Console, exit_code::Outcome};

/// Runs the chosen subcommand.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for invalid flags or configuration; unusable data or files.
pub fn run(tool: &ForecastTool, console: &mut Console) -> anyhow::Result<Outcome> {
    match tool {
        ForecastTool::Train(flags) => return train::run(flags, console).map(Outcome::from),
        ForecastTool::Eval(flags) => eval::run(flags, console),
        ForecastTool::Ablate(flags) => ablate::run(flags, console),
        ForecastTool::Compare(flags) => compare::run(flags, console),
    }
    .map(|()| Outcome::Finished)
}
