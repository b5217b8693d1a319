//! Flags of `zerodte walk-forward`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::{
        RunConfig,
        flags::{ALL_DATES, ConfigFlags, DataFlags, described},
        layers::Layer,
        number_list::NumberList,
    },
    evaluation::edge::verdict::Word,
    output::exit_code::UsageError,
    training::flags::count,
    walk_forward::{
        candidate::{CandidateConfigs, CandidateNames},
        choice::ChoiceRule,
        folds::FoldFlags,
    },
};

/// Flags of `zerodte walk-forward`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, mut_args(described(ALL_DATES)))]
pub struct WalkForwardFlags {
    /// Folds.
    #[command(flatten)]
    pub sizes: FoldFlags,
    /// Configurations that compete in every fold, separated by commas: built-in profiles, or .toml files [default: the
    /// configuration of this command alone]
    #[arg(long, value_name = "LIST")]
    pub candidates: Option<CandidateNames>,
    /// Seeds of every candidate, separated by commas; the policy that is judged is the mean of their trainings
    #[arg(long, value_name = "LIST", default_value = "0,1,2,3,4", value_parser = Seeds::parse)]
    pub seeds: Seeds,
    /// Rule that chooses a candidate by its money on the validation dates
    #[arg(long, value_name = "RULE", value_enum, default_value_t = ChoiceRule::LowerBound)]
    pub select: ChoiceRule,
    /// Trains the chosen candidate again on training and validation dates before its test
    #[arg(long)]
    pub refit: bool,
    /// Lets every candidate play the test dates, and tells how often the choice between them is wrong (PBO). Each of them counts as a
    /// look at these dates
    #[arg(long)]
    pub diagnose_selection: bool,
    /// Samples actions on validation and test dates instead of taking the most likely one
    #[arg(long)]
    pub stochastic: bool,
    /// Random policies with the entries of the tested ones in number, side, hour, setup and holding time; 0 = none
    #[arg(long, value_name = "N", default_value_t = 199)]
    pub matched_draws: usize,
    /// Ends with exit code 1 unless this is the verdict, such as edge_survives
    #[arg(long, value_name = "WORD")]
    pub require: Option<Word>,
    /// Runs these folds alone, such as 3,5,7-9, writes their files and ends; --resume without it joins the parts
    #[arg(long, value_name = "LIST")]
    pub only: Option<NumberList>,
    /// Goes on with a test that was stopped, with the same command
    #[arg(long)]
    pub resume: bool,
    /// Prints the folds and exits
    #[arg(long)]
    pub dry_run: bool,
    /// Sets `run.timesteps` of every training, such as 100000, 100_000 or 1e5
    #[arg(long, value_name = "N", default_value = "100000", value_parser = count)]
    pub timesteps: u64,
    /// Threads, 0 = one per core, each with its own trainings; the results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_threads: usize,
    /// Bars to use.
    #[command(flatten)]
    pub data: DataFlags,
    /// Folder of the result.
    #[command(flatten)]
    pub output: WalkForwardOutput,
    /// Configuration beyond the flags, the same for every candidate; overrides the candidate.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Folder of a walk-forward test.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct WalkForwardOutput {
    /// Folder of plan, folds, session rows and evaluation
    #[arg(long, value_name = "DIR", default_value = "walk_forward")]
    pub out: PathBuf,
}

/// Distinct seeds, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

impl Seeds {
    fn parse(text: &str) -> Result<Self, String> {
        let seed = |text: &str| text.trim().parse::<u32>().map(u64::from);
        let seeds: Vec<u64> =
            text.split(',').map(seed).collect::<Result<_, _>>().map_err(|_| "expected whole numbers, such as 0,1,2")?;
        let repeated = (1..seeds.len()).find(|&i| seeds[..i].contains(&seeds[i]));
        repeated.map_or(Ok(Self(seeds.clone())), |i| Err(format!("seed {} is named twice", seeds[i])))
    }
}

impl WalkForwardFlags {
    /// Lays files, flags and assignments over every candidate, and checks the results.
    ///
    /// # Errors
    /// Every fault of a candidate at once, exit code 2.
    pub(crate) fn resolve(&self, notes: &mut Vec<String>) -> Result<CandidateConfigs, UsageError> {
        let mut base = RunConfig::default();
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        let timesteps = i64::try_from(self.timesteps)
            .map_err(|_| UsageError::one(format!("--timesteps {}: too large", self.timesteps)))?;
        layer.put("run.timesteps", timesteps);
        let configs = self.candidates.clone().unwrap_or_default().configs(&base, &self.config, &layer)?;
        if self.diagnose_selection && configs.0.len() == 1 {
            return Err(UsageError::one(
                "--diagnose-selection: there is one candidate, so nothing is chosen; name several with --candidates",
            ));
        }
        Ok(configs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_distinct_whole_numbers() {
        assert_eq!(Seeds::parse("0, 3,1").unwrap().0, [0, 3, 1]);
        assert_eq!(Seeds::parse("1,2,1").unwrap_err(), "seed 1 is named twice");
        assert!(Seeds::parse("").is_err() && Seeds::parse("-1").is_err());
    }
}
