//! The output of a source: bars, volatility, and a record of the files read.

use std::{fmt, path::Path};

use crate::{
    Bars, DataError, Symbol, Volatility,
    calendar::{MINUTE_NS, Session},
    columns::ColumnInputs,
};

/// Record of a file that was read, for the manifest of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The path as it was opened.
    pub path: String,
    /// Data rows that were read.
    pub rows: usize,
    /// Detected format, such as `timestamps: RFC 3339`.
    pub note: String,
    /// SHA-256 of the used rows, for a file that contains or may receive others; `None` if the file itself is hashed.
    pub digest: Option<String>,
    /// The folder whose files hold one series, if this is one of them.
    pub folder: Option<String>,
}

impl FileRecord {
    /// Returns the record of a file that is identified by its own hash.
    #[must_use]
    pub fn new(path: &Path, rows: usize, note: String) -> Self {
        Self { path: path.display().to_string(), rows, note, digest: None, folder: None }
    }
}

/// Output of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// One series per requested symbol, in that order.
    pub bars: Vec<Bars>,
    /// Published volatility.
    pub volatility: Volatility,
    /// The files read; none for synthetic bars.
    pub files: Vec<FileRecord>,
    /// True for synthetic bars, which every artefact of a run has to show.
    pub synthetic: bool,
    /// Notes on the origin of the bars, one sentence each.
    pub notes: Vec<String>,
    /// Inputs of columns beside the features; empty unless the configuration names some.
    pub columns: ColumnInputs,
}

impl History {
    /// Uses the bars of some of its own symbols as columns too; a symbol without bars is left out.
    #[must_use]
    pub fn with_cross(mut self, cross: &[Symbol]) -> Self {
        let find = |symbol: &Symbol| self.bars.iter().find(|bars| bars.symbol() == symbol).cloned();
        self.columns.cross = cross.iter().filter_map(find).collect();
        self
    }
}

impl History {
    /// Returns the history as it is known when a minute of a session has ended (0 for the first minute of the session): later bars
    /// are left out, and the minutes to come hold the last price, without volume.
    ///
    /// Nothing that is decided at the close of that minute depends on the minutes to come; they only complete the session. A
    /// symbol without a bar of the session so far has none afterwards either. Volatility stays as it is, because each of its values
    /// carries the time at which it was known.
    ///
    /// # Errors
    /// None that bars of this history can cause: the columns are checked again.
    pub fn known_after(&self, session: &Session, minute: usize) -> Result<Self, DataError> {
        let bars = self.bars.iter().map(|bars| known_bars(bars, session, minute)).collect::<Result<_, _>>()?;
        Ok(Self { bars, ..self.clone() })
    }
}

fn known_bars(bars: &Bars, session: &Session, minute: usize) -> Result<Bars, DataError> {
    let now_ns = session.open_ns + minute as i64 * MINUTE_NS;
    let known = bars.ts_ns().partition_point(|start| *start <= now_ns);
    let mut columns = bars.clone().into_columns();
    columns.ts_ns.truncate(known);
    let started = columns.ts_ns.last().is_some_and(|start| *start >= session.open_ns);
    let to_come = if started { now_ns + MINUTE_NS..session.close_ns } else { 0..0 };
    columns.ts_ns.extend(to_come.step_by(MINUTE_NS as usize));
    let (rows, last) = (columns.ts_ns.len(), columns.close[..known].last().copied().unwrap_or_default());
    for prices in [&mut columns.open, &mut columns.high, &mut columns.low, &mut columns.close] {
        prices.truncate(known);
        prices.resize(rows, last);
    }
    columns.volume.truncate(known);
    columns.volume.resize(rows, 0.0);
    Bars::new(bars.symbol().clone(), bars.origin(), columns)
}

/// The origin of a run's bars, as every artefact shows it: `SYNTHETIC` or `market`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DataStamp {
    /// Bars of a market.
    #[serde(rename = "market")]
    Market,
    /// Made-up bars.
    #[serde(rename = "SYNTHETIC")]
    Synthetic,
}

impl DataStamp {
    /// Returns the stamp of made-up bars or of a market's.
    pub fn of(synthetic: bool) -> Self {
        if synthetic { Self::Synthetic } else { Self::Market }
    }

    /// Returns whether the bars are made up.
    pub fn is_synthetic(self) -> bool {
        self == Self::Synthetic
    }

    /// Returns the word that files and reports hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Synthetic => "SYNTHETIC",
        }
    }
}

impl fmt::Display for DataStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Symbol, calendar,
        source::synthetic::{SyntheticConfig, generate},
    };

    #[test]
    fn a_history_known_after_a_minute_ends_there_and_completes_the_session() {
        let to = "2024-07-03".parse().unwrap();
        let config = SyntheticConfig { sessions_to: to, ..SyntheticConfig::default() };
        let whole = generate(&config, &[Symbol::new("SPY").unwrap()]).unwrap();
        let half_day = calendar::session(to).unwrap();
        let known = whole.known_after(&half_day, 99).unwrap();
        let (then, now) = (&whole.bars[0], &known.bars[0]);
        assert_eq!((now.len(), now.ts_ns()), (then.len(), then.ts_ns()), "the half day ends at 13:00");
        let seen = then.len() - 110;
        assert_eq!((&now.close()[..seen], &now.volume()[..seen]), (&then.close()[..seen], &then.volume()[..seen]));
        let last = then.close()[seen - 1];
        assert!(now.close()[seen..].iter().chain(&now.open()[seen..]).all(|price| *price == last));
        assert!(now.volume()[seen..].iter().all(|volume| *volume == 0.0));
        assert_eq!(whole.known_after(&half_day, 209).unwrap(), whole, "nothing is left out after the last minute");

        let later = calendar::session("2024-07-05".parse().unwrap()).unwrap();
        assert_eq!(whole.known_after(&later, 5).unwrap(), whole, "a session without a bar gets none");
    }

    #[test]
    fn files_and_reports_hold_the_same_word() {
        for (synthetic, word) in [(false, "market"), (true, "SYNTHETIC")] {
            let stamp = DataStamp::of(synthetic);
            assert_eq!((stamp.to_string().as_str(), stamp.is_synthetic()), (word, synthetic));
            assert_eq!(serde_json::to_string(&stamp).unwrap(), format!("\"{word}\""));
        }
    }
}
