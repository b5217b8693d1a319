//! `--track`: a copy of the run at MLflow or Weights & Biases, made by the Python package `zerodte`. The files of the run stay the
//! record.

use std::{
    fmt,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::output::{console::Console, exit_code::UsageError};

/// Interpreter that has the package: that of the active virtual environment.
const PYTHON: &str = "python3";

/// Place of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tracker {
    /// MLflow, at the address that MLFLOW_TRACKING_URI names.
    Mlflow,
    /// Weights & Biases, with its own login.
    Wandb,
}

impl fmt::Display for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mlflow => "mlflow",
            Self::Wandb => "wandb",
        })
    }
}

impl Tracker {
    /// Checks that interpreter and packages are there.
    ///
    /// # Errors
    /// A sentence with what is missing.
    pub(super) fn check(self) -> Result<(), UsageError> {
        let found = self.call(&[]);
        let fault = match &found {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => last_line(output),
            Err(error) => error.to_string(),
        };
        let way = format!("install the packages zerodte and {self} for {PYTHON}");
        Err(UsageError::one(format!("--track {self}: {fault}; {way}, or leave out --track")))
    }

    /// Copies a finished run and prints the place.
    ///
    /// # Errors
    /// When the copy fails; the run itself is complete.
    pub(super) fn mirror(self, run: &Path, console: &mut Console) -> anyhow::Result<()> {
        let again = || format!("the run is complete; copy it with: {PYTHON} -m zerodte.track {self} {}", run.display());
        let output = self.call(&[run]).with_context(again)?;
        if !output.status.success() {
            bail!("--track {self}: {}; {}", last_line(&output), again());
        }
        Ok(console.say(String::from_utf8_lossy(&output.stdout).trim())?)
    }

    fn call(self, folders: &[&Path]) -> std::io::Result<Output> {
        Command::new(PYTHON).args(["-m", "zerodte.track", &self.to_string()]).args(folders).output()
    }
}

/// Returns the last line of the errors of a program.
fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
    line.trim_start_matches("error: ").to_owned()
}
