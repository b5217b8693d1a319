//! Forecast horizons and bar sizes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bar size of a forecaster's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BarSize {
    /// Minute bars; targets end within the session.
    #[default]
    Minute,
    /// One bar per session; targets end at the closes of later sessions.
    Day,
}

/// Forecast horizon: `5` for bars, `close` for the session's close, `1d` for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Horizon {
    /// Minute bars.
    Bars(u32),
    /// To the last bar of the session.
    Close,
    /// Sessions.
    Days(u32),
}

impl Horizon {
    /// Returns every fault of a list of horizons, each with its path.
    pub fn check(horizons: &[Self], bars: BarSize) -> Vec<String> {
        let fault = |(index, horizon): (usize, &Self)| {
            let why = match (bars, horizon) {
                (BarSize::Minute, Self::Days(_)) => "spans sessions, which needs forecast.bars = day",
                (BarSize::Day, Self::Bars(_) | Self::Close) => {
                    "lies within a session, which needs forecast.bars = minute"
                }
                _ if horizons[..index].contains(horizon) => "is named twice",
                (_, Self::Bars(n)) if *n > 389 => "is longer than a session, which has 390 bars",
                (_, Self::Days(n)) if *n > 60 => "is more than 60 sessions",
                _ => return None,
            };
            Some(format!("forecast.horizons: {horizon} {why}"))
        };
        if horizons.is_empty() {
            return vec!["forecast.horizons: name at least one".to_owned()];
        }
        horizons.iter().enumerate().filter_map(fault).collect()
    }

    /// Returns the position at which a target that starts at `at` ends, on a path of `len` closes.
    pub(super) fn end(self, at: usize, len: usize) -> Option<usize> {
        let end = match self {
            Self::Bars(n) | Self::Days(n) => at + n as usize,
            Self::Close => len - 1,
        };
        (at < end && end < len).then_some(end)
    }

    /// Returns the sessions that a target spans: 1 within a session.
    pub fn sessions(self) -> usize {
        match self {
            Self::Days(n) => n as usize,
            Self::Bars(_) | Self::Close => 1,
        }
    }

    /// Returns the bars or sessions that it spans; 1 for the close, whose length varies.
    pub(super) fn bars(self) -> usize {
        match self {
            Self::Bars(n) | Self::Days(n) => n as usize,
            Self::Close => 1,
        }
    }
}

impl fmt::Display for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bars(n) => write!(f, "{n}"),
            Self::Close => f.write_str("close"),
            Self::Days(n) => write!(f, "{n}d"),
        }
    }
}

impl FromStr for Horizon {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let positive = |digits: &str| digits.parse().ok().filter(|&n: &u32| n > 0);
        let horizon = match text.strip_suffix('d') {
            _ if text == "close" => Some(Self::Close),
            Some(days) => positive(days).map(Self::Days),
            None => positive(text).map(Self::Bars),
        };
        horizon.ok_or_else(|| {
            format!("`{text}` is no horizon; give a number of bars such as 5, close, or sessions such as 1d")
        })
    }
}

impl TryFrom<String> for Horizon {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Horizon> for String {
    fn from(horizon: Horizon) -> Self {
        horizon.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_are_read_as_they_are_written() {
        for text in ["1", "30", "close", "1d", "5d"] {
            assert_eq!(text.parse::<Horizon>().unwrap().to_string(), text);
        }
        for text in ["0", "d", "0d", "-1", "1h", "", "Close"] {
            assert!(text.parse::<Horizon>().unwrap_err().contains("is no horizon"), "{text}");
        }
    }

    #[test]
    fn no_target_ends_behind_the_path() {
        assert_eq!([0, 5, 6, 9].map(|at| Horizon::Bars(4).end(at, 10)), [Some(4), Some(9), None, None]);
        assert_eq!([0, 8, 9].map(|at| Horizon::Close.end(at, 10)), [Some(9), Some(9), None]);
    }
}
