//! `zerodte export`: a model in a form that other runtimes play.

use std::path::PathBuf;

use clap::Args;
use ppo_agent::write_atomically;

use crate::{artifacts::saved_model, output::console::Console};

/// Flags of `zerodte export`.
#[derive(Debug, Clone, Default, Args)]
pub struct ExportFlags {
    /// Model to export
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// File of the ONNX model to write (opset 17), with normaliser and mask inside
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
}

/// Exports a model and prints the names and shapes of its inputs and outputs.
///
/// # Errors
/// A model that cannot be read, a recurrent one, or a file that cannot be written.
pub fn run(flags: &ExportFlags, console: &mut Console) -> anyhow::Result<()> {
    let (policy, _) = saved_model::load(&flags.model)?;
    write_atomically(&flags.onnx, &policy.to_onnx()?)?;
    let (inputs, actions) = (policy.spec().inputs(), policy.spec().actions.len());
    console.say(format!("Inputs    obs [N, {inputs}] float32, mask [N, {actions}] bool"))?;
    console.say(format!("Outputs   action [N] int64, probabilities [N, {actions}] float32, value [N] float32"))?;
    Ok(console.say(format!("Saved     {}", flags.onnx.display()))?)
}
