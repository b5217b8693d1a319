//! What the user can put right: faults of flags and configuration, and the exit codes that tell them from failed runs and from
//! trainings that went wrong.

use std::{error::Error, fmt, process::ExitCode};

use ppo_agent::{
    AgentError,
    forecast::{AlarmKind, WatchdogAlarm},
    health::Verdict,
};

/// One or more faults of flags or configuration; a run that meets it ends with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(Vec<String>);

impl UsageError {
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

impl fmt::Display for UsageError {
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

impl Error for UsageError {}

/// A training that was ended because of its verdict; the program's exit code tells which.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingStopped {
    /// What was called.
    pub verdict: Verdict,
    /// Timesteps taken.
    pub step: u64,
    /// What it rests on.
    pub evidence: Vec<String>,
}

impl fmt::Display for TrainingStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, step, evidence } = self;
        write!(f, "training was stopped at step {step}: {verdict}; {}", evidence.join("; "))
    }
}

impl Error for TrainingStopped {}

/// A forecaster's training that was ended because nothing could come of it; the program's exit code tells why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecasterStopped(pub WatchdogAlarm);

impl fmt::Display for ForecasterStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the training of the forecaster was stopped: {}", self.0)
    }
}

impl Error for ForecasterStopped {}

impl ForecasterStopped {
    fn exit_code(&self) -> u8 {
        match self.0.kind {
            AlarmKind::Collapsed => 3,
            AlarmKind::Frozen => 4,
            AlarmKind::Exploding | AlarmKind::NotFinite => 5,
        }
    }
}

/// Prints an error once, as a chain, and returns its exit code: 2 for usage and configuration; 3, 4 or 5 for a training that
/// was stopped or broke ([`Verdict::exit_code`]); 1 for any other failed run.
pub fn report(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    ExitCode::from(exit_code(error))
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let broken = |cause: &AgentError| matches!(cause, AgentError::NonFinite { .. });
    if error.downcast_ref::<UsageError>().is_some() {
        2
    } else if let Some(unwell) = error.downcast_ref::<TrainingStopped>() {
        unwell.verdict.exit_code()
    } else if let Some(stopped) = error.downcast_ref::<ForecasterStopped>() {
        stopped.exit_code()
    } else if error.chain().filter_map(|cause| cause.downcast_ref()).any(broken) {
        Verdict::Exploding.exit_code()
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_end_has_its_code() {
        let code = |error: anyhow::Error| exit_code(&error);
        let unwell = |verdict| TrainingStopped { verdict, step: 5, evidence: Vec::new() };
        let what = "a parameter of actor.0.bias".to_owned();
        let broken = AgentError::NonFinite { what, value: f32::NAN, timesteps: 5, iteration: 1 };
        let stopped = |kind| ForecasterStopped(WatchdogAlarm { kind, reason: String::new(), advice: String::new() });
        let of_forecasters =
            [AlarmKind::Collapsed, AlarmKind::Frozen, AlarmKind::NotFinite].map(|kind| code(stopped(kind).into()));
        assert_eq!(of_forecasters, [3, 4, 5]);
        let codes = [
            code(anyhow::anyhow!("no such file")),
            code(UsageError::one("--seed").into()),
            code(unwell(Verdict::StateBlind).into()),
            code(unwell(Verdict::Frozen).into()),
            code(anyhow::Error::from(broken).context("training")),
        ];
        assert_eq!(codes, [1, 2, 3, 4, 5]);
    }
}
