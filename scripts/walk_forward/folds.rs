//! Sizes of the folds of a walk-forward test, as flags.

use clap::Args;
use market_data::FoldSizes;

/// Sizes of the folds, in session dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct FoldFlags {
    /// Training dates of a fold
    #[arg(long = "train-sessions", value_name = "N", default_value_t = FoldSizes::default().train, value_parser = at_least_one)]
    pub train: usize,
    /// Validation dates of a fold; they choose between the candidates
    #[arg(long = "validation-sessions", value_name = "N", default_value_t = FoldSizes::default().validation, value_parser = at_least_one)]
    pub validation: usize,
    /// Test dates of a fold, and the step to the next fold
    #[arg(long = "test-sessions", value_name = "N", default_value_t = FoldSizes::default().test, value_parser = at_least_one)]
    pub test: usize,
    /// Dates left out between two parts of a fold
    #[arg(long, value_name = "N", default_value_t = FoldSizes::default().purge)]
    pub purge: usize,
    /// Starts the training of every fold at the first date, instead of moving its start forward
    #[arg(long)]
    pub anchored: bool,
}

/// Reads a whole number above zero.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number above 0".to_owned()),
    }
}

impl FoldFlags {
    /// Returns the sizes that the flags name.
    pub fn sizes(&self) -> FoldSizes {
        let Self { train, validation, test, purge, anchored } = *self;
        FoldSizes { train, validation, test, purge, anchored }
    }
}
