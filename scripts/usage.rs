//! What the user can put right: faults of flags and configuration, and the exit code that tells them from failed runs.

use std::{error::Error, fmt, process::ExitCode};

/// One or more faults of flags or configuration; a run that meets it ends with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage(Vec<String>);

impl Usage {
    /// Wraps one sentence.
    pub fn one(fault: impl Into<String>) -> Self {
        Self(vec![fault.into()])
    }

    /// Returns the faults as an error, or nothing when there is none.
    ///
    /// # Errors
    /// All faults at once.
    pub fn check(faults: Vec<String>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// Returns the faults, one sentence each.
    pub fn faults(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [fault] => f.write_str(fault),
            faults => {
                write!(f, "{} faults in flags and configuration", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl Error for Usage {}

/// Prints an error once, as a chain, and returns its exit code: 2 for usage and configuration, 1 for a failed run.
pub fn report(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    ExitCode::from(if error.downcast_ref::<Usage>().is_some() { 2 } else { 1 })
}
