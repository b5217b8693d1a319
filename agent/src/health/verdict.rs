//! Verdicts on a training, and their confirmation over several intervals.

use std::{fmt, str::FromStr};

use market_env::{Action, action::ACTION_NAMES};
use serde::{Deserialize, Serialize};

/// Verdict on a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Verdict {
    /// No fault found.
    Healthy,
    /// A figure approaches an alarm.
    Drifting,
    /// Flat accounts take one action in nearly every state, without earning from it.
    Collapsed(Action),
    /// The action probabilities do not depend on the observation.
    StateBlind,
    /// Actor or critic do not learn.
    Frozen,
    /// Losses or parameters grow out of bounds or are not finite.
    Exploding,
    /// Flat accounts HOLD, and entries lose money here.
    HoldIsOptimal,
    /// Too little data.
    Inconclusive,
}

impl Verdict {
    /// Returns whether the verdict is an alarm, on which `--on-collapse` acts.
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Collapsed(_) | Self::StateBlind | Self::Frozen | Self::Exploding)
    }

    /// Returns the exit code of a training with this verdict: 0 without an alarm.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Collapsed(_) | Self::StateBlind => 3,
            Self::Frozen => 4,
            Self::Exploding => 5,
            Self::Healthy | Self::Drifting | Self::HoldIsOptimal | Self::Inconclusive => 0,
        }
    }

    /// Returns the representative of verdicts that confirm each other: all collapses count as one.
    fn family(self) -> Self {
        match self {
            Self::Collapsed(_) | Self::StateBlind => Self::Collapsed(Action::Hold),
            word => word,
        }
    }
}

const NAMES: [(Verdict, &str); 7] = [
    (Verdict::Healthy, "healthy"),
    (Verdict::Drifting, "drifting"),
    (Verdict::StateBlind, "state_blind"),
    (Verdict::Frozen, "frozen"),
    (Verdict::Exploding, "exploding"),
    (Verdict::HoldIsOptimal, "hold_is_optimal"),
    (Verdict::Inconclusive, "inconclusive"),
];

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collapsed(action) => write!(f, "collapsed:{}", action.name()),
            word => f.write_str(NAMES.iter().find(|(verdict, _)| verdict == word).map_or("", |(_, word)| word)),
        }
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = NAMES.iter().find(|(_, word)| *word == text).map(|&(verdict, _)| verdict);
        let collapsed = || {
            let name = text.strip_prefix("collapsed:")?;
            let index = ACTION_NAMES.iter().position(|known| *known == name)?;
            Action::from_index(index as u8).map(Self::Collapsed)
        };
        word.or_else(collapsed).ok_or_else(|| format!("`{text}` is not a verdict"))
    }
}

impl From<Verdict> for String {
    fn from(verdict: Verdict) -> Self {
        verdict.to_string()
    }
}

impl TryFrom<String> for Verdict {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Confirms a verdict after enough intervals in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Persistence {
    /// Verdicts of the last intervals, oldest first, with the last step of each.
    #[serde(rename = "read")]
    recent: Vec<(u64, Verdict)>,
    #[serde(rename = "called")]
    confirmed: (Verdict, u64),
}

impl Default for Persistence {
    fn default() -> Self {
        Self { recent: Vec::new(), confirmed: (Verdict::Inconclusive, 0) }
    }
}

impl Persistence {
    /// Adds the verdict of the interval that ended at `step`; returns the confirmed verdict and its first step.
    /// Alternating collapses confirm each other: the latest of them is returned. An alarm is withdrawn after as many
    /// intervals in a row without an alarm, of any kind.
    pub(crate) fn push(&mut self, step: u64, verdict: Verdict, persistence: u32) -> (Verdict, u64) {
        self.recent.push((step, verdict));
        let needed = persistence.max(1) as usize;
        self.recent.drain(..self.recent.len().saturating_sub(needed));
        let same_family = self.recent.iter().all(|(_, earlier)| earlier.family() == verdict.family());
        if same_family && self.recent.len() == needed {
            let continues = self.confirmed.0.family() == verdict.family() && self.confirmed.1 > 0;
            let since = if continues { self.confirmed.1 } else { self.recent[0].0 };
            self.confirmed = (verdict, since);
        } else if self.confirmed.0.is_alarm() && self.recent.iter().all(|(_, earlier)| !earlier.is_alarm()) {
            self.confirmed = (verdict, self.recent[0].0);
        }
        self.confirmed
    }

    /// Returns the confirmed verdict and its first step.
    pub(crate) fn confirmed(&self) -> (Verdict, u64) {
        self.confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Verdict; 10] = [
        Verdict::Healthy,
        Verdict::Drifting,
        Verdict::Collapsed(Action::Hold),
        Verdict::Collapsed(Action::BuyCall),
        Verdict::Collapsed(Action::BuyPut),
        Verdict::StateBlind,
        Verdict::Frozen,
        Verdict::Exploding,
        Verdict::HoldIsOptimal,
        Verdict::Inconclusive,
    ];

    #[test]
    fn every_verdict_round_trips() {
        for verdict in ALL {
            assert_eq!(verdict.to_string().parse(), Ok(verdict));
        }
        assert_eq!(Verdict::Collapsed(Action::BuyPut).to_string(), "collapsed:BUY_PUT");
        assert!("collapsed:SELL".parse::<Verdict>().is_err() && "fine".parse::<Verdict>().is_err());
        let json = serde_json::to_string(&Verdict::StateBlind).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), ("\"state_blind\"", Verdict::StateBlind));
    }

    #[test]
    fn only_alarms_have_an_exit_code() {
        let codes: Vec<u8> = ALL.map(Verdict::exit_code).to_vec();
        assert_eq!(codes, [0, 0, 3, 3, 3, 3, 4, 5, 0, 0]);
        assert!(ALL.iter().all(|verdict| verdict.is_alarm() == (verdict.exit_code() > 0)));
    }

    #[test]
    fn one_bad_interval_is_not_confirmed_and_two_are() {
        let mut persistence = Persistence::default();
        let hold = Verdict::Collapsed(Action::Hold);
        let readings = [Verdict::Healthy, Verdict::Healthy, hold, Verdict::Healthy, hold, hold, hold];
        let confirmed: Vec<_> =
            readings.into_iter().zip(1..).map(|(read, step)| persistence.push(step, read, 2)).collect();
        let healthy = (Verdict::Healthy, 1);
        assert_eq!(confirmed, [(Verdict::Inconclusive, 0), healthy, healthy, healthy, healthy, (hold, 5), (hold, 5)]);
    }

    #[test]
    fn alternating_between_two_collapses_is_a_collapse() {
        let mut persistence = Persistence::default();
        let (hold, call) = (Verdict::Collapsed(Action::Hold), Verdict::Collapsed(Action::BuyCall));
        assert_eq!(persistence.push(5, hold, 2).0, Verdict::Inconclusive);
        assert_eq!(persistence.push(10, call, 2), (call, 5));
        assert_eq!(persistence.push(15, hold, 2), (hold, 5));
        assert_eq!(persistence.push(20, Verdict::Healthy, 2), (hold, 5));
        assert_eq!(persistence.push(25, Verdict::Drifting, 2), (Verdict::Drifting, 20), "neither is an alarm");
        assert_eq!(persistence.push(30, Verdict::Frozen, 2), (Verdict::Drifting, 20));
        assert_eq!(persistence.push(35, hold, 2), (Verdict::Drifting, 20), "two unrelated alarms");
    }
}
