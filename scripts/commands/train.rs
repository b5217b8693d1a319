//! `zerodte train`: the training of `train_historical_model`, with the short form of its output.

pub use crate::training::flags::TrainFlags;
use crate::{
    output::{
        console::{Console, Level},
        exit_code::Outcome,
    },
    training,
};

/// Runs a training.
///
/// # Errors
/// As for [`training::run`].
pub fn run(flags: &TrainFlags, console: &mut Console) -> anyhow::Result<Outcome> {
    console.set_level(flags.screen.level(Level::Normal));
    training::run(flags, console).map(Outcome::from)
}
