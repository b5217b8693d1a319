//! Outcomes of a program and their exit codes: success, a training stopped by its verdict, faults that the user can
//! correct, and failed runs.

use std::{error::Error, fmt, io::Write as _, ops::ControlFlow, process::ExitCode};

use ppo_agent::{
    AgentError,
    forecast::{AlarmKind, WatchdogAlarm},
    health::Verdict,
};

use crate::output::{console, signals};

/// One or more faults of flags or configuration; exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(Vec<String>);

impl UsageError {
    /// Wraps one sentence.
    pub fn one(fault: impl Into<String>) -> Self {
        Self(vec![fault.into()])
    }

    /// Returns the faults as an error, or `Ok` if there is none.
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

/// Outcome of a program without an error.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Success; exit code 0.
    Finished,
    /// A training was diagnosed; the exit code is that of its verdict.
    Diagnosed(u8),
    /// A training was stopped by its verdict, according to `health.on_collapse`, or by a signal; the exit code is that of
    /// the verdict, or 128 and the signal's number.
    TrainingStopped(TrainingStopped),
    /// A forecaster's training was stopped by its watchdog; exit code 3 collapsed, 4 frozen, 5 exploding.
    ForecasterStopped(ForecasterStopped),
    /// A command was stopped by a signal; the exit code is 128 and the signal's number.
    Interrupted(Interrupted),
}

impl From<ControlFlow<TrainingStopped>> for Outcome {
    fn from(end: ControlFlow<TrainingStopped>) -> Self {
        end.break_value().map_or(Self::Finished, Self::TrainingStopped)
    }
}

impl From<ControlFlow<ForecasterStopped>> for Outcome {
    fn from(end: ControlFlow<ForecasterStopped>) -> Self {
        end.break_value().map_or(Self::Finished, Self::ForecasterStopped)
    }
}

impl Outcome {
    /// Returns the sentence about a training that was stopped.
    fn message(&self) -> Option<String> {
        match self {
            Self::Finished | Self::Diagnosed(_) => None,
            Self::TrainingStopped(stopped) => Some(stopped.to_string()),
            Self::ForecasterStopped(stopped) => Some(stopped.to_string()),
            Self::Interrupted(stopped) => Some(stopped.to_string()),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Diagnosed(code) => *code,
            Self::TrainingStopped(stopped) => stopped.exit_code(),
            Self::ForecasterStopped(stopped) => stopped.exit_code(),
            Self::Interrupted(Interrupted { signal, .. }) => signals::exit_code(*signal),
        }
    }
}

/// A training that stopped before its end.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingStopped {
    /// By its verdict.
    ByVerdict {
        /// The verdict.
        verdict: Verdict,
        /// Timesteps taken.
        step: u64,
        /// Evidence of the verdict.
        evidence: Vec<String>,
    },
    /// By a signal, such as Ctrl-C.
    BySignal {
        /// Number of the signal.
        signal: i32,
        /// Timesteps taken.
        step: u64,
    },
}

impl TrainingStopped {
    fn exit_code(&self) -> u8 {
        match self {
            Self::ByVerdict { verdict, .. } => verdict.exit_code(),
            Self::BySignal { signal, .. } => signals::exit_code(*signal),
        }
    }
}

impl fmt::Display for TrainingStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByVerdict { verdict, step, evidence } => {
                write!(f, "training was stopped at step {step}: {verdict}; {}", evidence.join("; "))
            }
            Self::BySignal { signal, step } => {
                write!(f, "training was stopped at step {step} by {}; everything is saved", signals::name(*signal))
            }
        }
    }
}

/// A signal stopped a command whose finished parts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// Number of the signal.
    pub signal: i32,
    /// Way to go on, as a clause.
    pub go_on: &'static str,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by {}; what is finished is saved, {}", signals::name(self.signal), self.go_on)
    }
}

/// A forecaster's training stopped because it could not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecasterStopped(pub WatchdogAlarm);

impl fmt::Display for ForecasterStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the training of the forecaster was stopped: {}", self.0)
    }
}

impl ForecasterStopped {
    fn exit_code(&self) -> u8 {
        match self.0.kind {
            AlarmKind::Collapsed => 3,
            AlarmKind::Frozen => 4,
            AlarmKind::Exploding | AlarmKind::NotFinite => 5,
        }
    }
}

/// Prints the reason of a failed or stopped program, an error as a chain, and returns the exit code: 2 for usage and
/// configuration, and for what this build lacks; 3, 4 or 5 for a training that was stopped or broke ([`Verdict::exit_code`]); 1 for any other failed
/// run.
pub fn report(end: &anyhow::Result<Outcome>) -> ExitCode {
    let (message, code) = match end {
        Ok(outcome) => (outcome.message(), outcome.exit_code()),
        Err(error) => (Some(format!("{error:#}")), error_code(error)),
    };
    if let Some(message) = message {
        // A closed stderr is no error.
        let _ = writeln!(std::io::stderr().lock(), "error: {}", cut(&console::shown(&message)));
    }
    ExitCode::from(code)
}

/// Most characters of a line of an error: a library may quote the whole of what it cannot read.
const LONGEST_LINE: usize = 1_200;

/// Cuts the lines of a message to a length that can be read.
fn cut(message: &str) -> String {
    let cut = |line: &str| match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}… ({} bytes)", &line[..end], line.len()),
        None => line.to_owned(),
    };
    message.split('\n').map(cut).collect::<Vec<_>>().join("\n")
}

fn error_code(error: &anyhow::Error) -> u8 {
    let broken = |cause: &AgentError| matches!(cause, AgentError::NonFinite { .. });
    let not_built = |cause: &AgentError| matches!(cause, AgentError::NoLibtorch(_));
    let causes = || error.chain().filter_map(|cause| cause.downcast_ref());
    if error.downcast_ref::<UsageError>().is_some() || causes().any(not_built) {
        2
    } else if causes().any(broken) {
        Verdict::Exploding.exit_code()
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_cut() {
        assert_eq!(cut("one\ntwo"), "one\ntwo");
        assert_eq!(cut(&"é".repeat(2_000)), format!("{}… (4000 bytes)", "é".repeat(1_200)));
    }

    #[test]
    fn every_kind_of_end_has_its_code() {
        let stopped = |verdict| {
            let stopped = TrainingStopped::ByVerdict { verdict, step: 5, evidence: vec!["HOLD 99%".to_owned()] };
            Outcome::from(ControlFlow::Break(stopped))
        };
        let what = "a parameter of actor.0.bias".to_owned();
        let broken = AgentError::NonFinite { what, value: f32::NAN, timesteps: 5, iteration: 1 };
        let of_forecasters = [AlarmKind::Collapsed, AlarmKind::Frozen, AlarmKind::NotFinite].map(|kind| {
            let alarm = WatchdogAlarm { kind, reason: String::new(), advice: String::new() };
            Outcome::from(ControlFlow::Break(ForecasterStopped(alarm))).exit_code()
        });
        assert_eq!(of_forecasters, [3, 4, 5]);
        let finished = Outcome::from(ControlFlow::<TrainingStopped>::Continue(()));
        assert_eq!((finished.exit_code(), finished.message()), (0, None));
        let codes = [
            error_code(&anyhow::anyhow!("no such file")),
            error_code(&UsageError::one("--seed").into()),
            error_code(&anyhow::Error::from(AgentError::NoLibtorch("forecasters")).context("loading")),
            stopped(Verdict::StateBlind).exit_code(),
            stopped(Verdict::Frozen).exit_code(),
            error_code(&anyhow::Error::from(broken).context("training")),
            Outcome::Diagnosed(3).exit_code(),
        ];
        assert_eq!(codes, [1, 2, 2, 3, 4, 5, 3]);
        let by_hand = Outcome::from(ControlFlow::Break(TrainingStopped::BySignal { signal: 2, step: 5 }));
        let text = "training was stopped at step 5 by Ctrl-C; everything is saved";
        assert_eq!((by_hand.exit_code(), by_hand.message().as_deref()), (130, Some(text)));
        let message = stopped(Verdict::Frozen).message();
        assert_eq!(message.as_deref(), Some("training was stopped at step 5: frozen; HOLD 99%"));
    }
}
