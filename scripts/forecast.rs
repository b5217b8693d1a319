//! `zerodte forecast`: forecasters of returns, volatility and direction, trained, judged, varied and compared.

mod ablate;
mod chart;
mod compare;
mod eval;
mod files;
mod flags;
mod judgement;
mod material;
pub mod model;
mod panel;
mod train;

pub use self::{
    ablate::{Ablation, Rank, Tested},
    flags::{
        ForecastAblateFlags, ForecastCompareFlags, ForecastEvalFlags, ForecastTool, ForecastTrainFlags, ForecasterFlags,
    },
    judgement::{Judged, Judgement, Predicted},
    train::Metrics,
};
use crate::console::Console;

/// Does what the command says.
///
/// # Errors
/// [`crate::usage::Usage`] for flags and configuration; data or files that cannot be used; a training that was ended because nothing could
/// come of it.
pub fn run(tool: &ForecastTool, console: &mut Console) -> anyhow::Result<()> {
    match tool {
        ForecastTool::Train(flags) => train::run(flags, console),
        ForecastTool::Eval(flags) => eval::run(flags, console),
        ForecastTool::Ablate(flags) => ablate::run(flags, console),
        ForecastTool::Compare(flags) => compare::run(flags, console),
    }
}
