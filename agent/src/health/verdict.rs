//! The words of the verdict, and how often something must be read before it is called.

use std::{fmt, str::FromStr};

use market_env::{Action, action::ACTION_NAMES};
use serde::{Deserialize, Serialize};

/// What is said of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Verdict {
    /// Nothing is wrong.
    Healthy,
    /// A figure is on its way to where something is wrong.
    Drifting,
    /// Flat accounts do one thing whatever they see, and are not paid for it.
    Collapsed(Action),
    /// Actions are mixed, but not by what is seen.
    StateBlind,
    /// The networks, or one of them, do not learn.
    Frozen,
    /// Losses or parameters grow beyond bounds, or are no numbers.
    Exploding,
    /// Flat accounts HOLD, and entries lose here.
    HoldIsOptimal,
    /// There is too little to go by.
    Inconclusive,
}

impl Verdict {
    /// Returns whether something has gone wrong: what `--on-collapse` acts upon.
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Collapsed(_) | Self::StateBlind | Self::Frozen | Self::Exploding)
    }

    /// Returns the exit code of a training that ends with this verdict: 0 where nothing is wrong.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Collapsed(_) | Self::StateBlind => 3,
            Self::Frozen => 4,
            Self::Exploding => 5,
            Self::Healthy | Self::Drifting | Self::HoldIsOptimal | Self::Inconclusive => 0,
        }
    }

    /// What is alike for the purpose of persistence: collapses of any kind, and everything else by its word.
    fn family(self) -> Self {
        match self {
            Self::Collapsed(_) | Self::StateBlind => Self::Collapsed(Action::Hold),
            word => word,
        }
    }
}

const WORDS: [(Verdict, &str); 7] = [
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
            word => f.write_str(WORDS.iter().find(|(verdict, _)| verdict == word).map_or("", |(_, word)| word)),
        }
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = WORDS.iter().find(|(_, word)| *word == text).map(|&(verdict, _)| verdict);
        let collapsed = || {
            let name = text.strip_prefix("collapsed:")?;
            let index = ACTION_NAMES.iter().position(|known| *known == name)?;
            Action::from_index(index as u8).map(Self::Collapsed)
        };
        word.or_else(collapsed).ok_or_else(|| format!("`{text}` is no verdict"))
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

/// Remembers what was read, and calls it when it has persisted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Persistence {
    /// The last readings, oldest first; the step at which each interval ended.
    read: Vec<(u64, Verdict)>,
    called: (Verdict, u64),
}

impl Default for Persistence {
    fn default() -> Self {
        Self { read: Vec::new(), called: (Verdict::Inconclusive, 0) }
    }
}

impl Persistence {
    /// Takes the reading of the interval that ended at `step`; returns the verdict that is called now and the step at which
    /// it was first read. A policy that alternates between two collapses has collapsed: the latest of them is called. An alarm
    /// is taken back when as many readings in a row are none, alike or not.
    pub fn push(&mut self, step: u64, reading: Verdict, persistence: u32) -> (Verdict, u64) {
        self.read.push((step, reading));
        let keep = persistence.max(1) as usize;
        self.read.drain(..self.read.len().saturating_sub(keep));
        let alike = self.read.iter().all(|(_, earlier)| earlier.family() == reading.family());
        if alike && self.read.len() == keep {
            let goes_on = self.called.0.family() == reading.family() && self.called.1 > 0;
            let since = if goes_on { self.called.1 } else { self.read[0].0 };
            self.called = (reading, since);
        } else if self.called.0.is_alarm() && self.read.iter().all(|(_, earlier)| !earlier.is_alarm()) {
            self.called = (reading, self.read[0].0);
        }
        self.called
    }

    /// Returns what is called at present.
    pub fn called(&self) -> (Verdict, u64) {
        self.called
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
    fn every_word_reads_back() {
        for verdict in ALL {
            assert_eq!(verdict.to_string().parse(), Ok(verdict));
        }
        assert_eq!(Verdict::Collapsed(Action::BuyPut).to_string(), "collapsed:BUY_PUT");
        assert!("collapsed:SELL".parse::<Verdict>().is_err() && "fine".parse::<Verdict>().is_err());
        let json = serde_json::to_string(&Verdict::StateBlind).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), ("\"state_blind\"", Verdict::StateBlind));
    }

    #[test]
    fn only_what_went_wrong_has_a_code_of_its_own() {
        let codes: Vec<u8> = ALL.map(Verdict::exit_code).to_vec();
        assert_eq!(codes, [0, 0, 3, 3, 3, 3, 4, 5, 0, 0]);
        assert!(ALL.iter().all(|verdict| verdict.is_alarm() == (verdict.exit_code() > 0)));
    }

    #[test]
    fn one_bad_interval_is_not_called_and_two_are() {
        let mut judge = Persistence::default();
        let hold = Verdict::Collapsed(Action::Hold);
        let heard = [Verdict::Healthy, Verdict::Healthy, hold, Verdict::Healthy, hold, hold, hold];
        let called: Vec<_> = heard.into_iter().zip(1..).map(|(read, step)| judge.push(step, read, 2)).collect();
        let healthy = (Verdict::Healthy, 1);
        assert_eq!(called, [(Verdict::Inconclusive, 0), healthy, healthy, healthy, healthy, (hold, 5), (hold, 5)]);
    }

    #[test]
    fn alternating_between_two_collapses_is_a_collapse() {
        let mut judge = Persistence::default();
        let (hold, call) = (Verdict::Collapsed(Action::Hold), Verdict::Collapsed(Action::BuyCall));
        assert_eq!(judge.push(5, hold, 2).0, Verdict::Inconclusive);
        assert_eq!(judge.push(10, call, 2), (call, 5));
        assert_eq!(judge.push(15, hold, 2), (hold, 5));
        assert_eq!(judge.push(20, Verdict::Healthy, 2), (hold, 5));
        assert_eq!(judge.push(25, Verdict::Drifting, 2), (Verdict::Drifting, 20), "neither is an alarm");
        assert_eq!(judge.push(30, Verdict::Frozen, 2), (Verdict::Drifting, 20));
        assert_eq!(judge.push(35, hold, 2), (Verdict::Drifting, 20), "two alarms that have nothing in common");
    }
}
