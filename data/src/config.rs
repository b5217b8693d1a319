//! Configuration section `data` of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BarColumn, BarFormat, BarStamp, GridConfig, OptionStamp, SplitConfig, Zone,
    columns::{ColumnFile, OwnColumn, Wanted},
    source::synthetic::SyntheticConfig,
};

#[cfg(feature = "fetch")]
use crate::source::vendor::{alpaca::AlpacaConfig, massive::MassiveConfig, yahoo::YahooConfig};

/// Settings of sessions, and of their split into training, validation and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Least number of sessions before the first traded one, 0 to 20: of those before the window, else of its first ones.
    /// One makes the indicators warm at the first open. Volatility, the level of option prices and daily features use up to
    /// 90 sessions before the window where the bars hold them.
    pub warmup_sessions: usize,
    /// Moment of its minute by which a bar of a file is named.
    pub bar_stamp: BarStamp,
    /// Permission to read bar files whose times contradict the exchange's day, or whose prices jump by a factor. The header
    /// of a run then holds the sentence that otherwise stops it.
    pub allow_suspicious: bool,
    /// IANA zone of the times without an offset in bar files, such as America/New_York. Absent: times in CSV files need
    /// an offset, and those in Parquet files are taken as UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_zone: Option<Zone>,
    /// Meanings of columns of bar files by their names. Names of yfinance, pandas and common vendors are read without
    /// an entry; an entry wins over them, and its name must be in the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, BarColumn>,
    /// Numeric columns of the bar files that become columns of the observation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own_columns: Vec<OwnColumn>,
    /// Files of values that become columns of the observation, joined by the time at which each value was known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub column_files: Vec<ColumnFile>,
    /// Moment of its minute by which a row of an option file is named. instant: snapshots, of which the first is
    /// 09:31:00.
    pub options_stamp: OptionStamp,
    /// The minute grid of a session.
    pub grid: GridConfig,
    /// Train, validation and test.
    pub split: SplitConfig,
    /// The made-up market, for the data source `synthetic` only.
    pub synthetic: SyntheticConfig,
    /// Requests to Massive.
    #[cfg(feature = "fetch")]
    pub massive: MassiveConfig,
    /// Requests to Alpaca.
    #[cfg(feature = "fetch")]
    pub alpaca: AlpacaConfig,
    /// Requests to Yahoo.
    #[cfg(feature = "fetch")]
    pub yahoo: YahooConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            warmup_sessions: 1,
            bar_stamp: BarStamp::Start,
            allow_suspicious: false,
            timestamp_zone: None,
            columns: BTreeMap::new(),
            own_columns: Vec::new(),
            column_files: Vec::new(),
            options_stamp: OptionStamp::Start,
            grid: GridConfig::default(),
            split: SplitConfig::default(),
            synthetic: SyntheticConfig::default(),
            #[cfg(feature = "fetch")]
            massive: MassiveConfig::default(),
            #[cfg(feature = "fetch")]
            alpaca: AlpacaConfig::default(),
            #[cfg(feature = "fetch")]
            yahoo: YahooConfig::default(),
        }
    }
}

impl DataConfig {
    /// Returns the form of the bar files.
    #[must_use]
    pub fn bar_format(&self) -> BarFormat {
        BarFormat {
            columns: self.columns.clone(),
            zone: self.timestamp_zone.clone(),
            stamp: self.bar_stamp,
            allow_suspicious: self.allow_suspicious,
            own: self.own_columns.iter().map(|column| column.name.clone()).collect(),
        }
    }

    /// Returns every fault as one sentence that starts with the path of the field.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.warmup_sessions > 20 {
            faults.push(format!("data.warmup_sessions: {} is more than 20", self.warmup_sessions));
        }
        faults.extend(Wanted { own: &self.own_columns, files: &self.column_files }.check());
        faults.extend(self.grid.check());
        faults.extend(self.split.check());
        faults.extend(self.synthetic.check());
        #[cfg(feature = "fetch")]
        faults.extend([self.massive.check(), self.alpaca.check(), self.yahoo.check()].into_iter().flatten());
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_no_faults_and_survive_json() {
        let config = DataConfig::default();
        assert_eq!(config.check(), Vec::<String>::new());
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DataConfig>(&json).unwrap(), config);
        assert_eq!(serde_json::from_str::<DataConfig>("{}").unwrap(), config);
    }

    #[test]
    fn the_form_of_bar_files_is_read_and_checked() {
        let json = r#"{"columns": {"Last Price": "close"}, "timestamp_zone": "america/chicago", "bar_stamp": "end"}"#;
        let config: DataConfig = serde_json::from_str(json).unwrap();
        let format = config.bar_format();
        assert_eq!((format.columns["Last Price"], format.stamp), (BarColumn::Close, BarStamp::End));
        assert_eq!(format.zone.unwrap().as_str(), "America/Chicago");
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DataConfig>(&text).unwrap(), config);
        assert_eq!(DataConfig::default().bar_format(), BarFormat::default());
        for (json, part) in [
            (r#"{"columns": {"Last": "closing"}}"#, "unknown variant `closing`"),
            (r#"{"timestamp_zone": "Chicago"}"#, "write it as America/Chicago"),
            (r#"{"bar_stamp": "middle"}"#, "unknown variant `middle`"),
        ] {
            let message = serde_json::from_str::<DataConfig>(json).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once_and_unknown_keys_refused() {
        let json = r#"{"warmup_sessions": 99, "grid": {"max_filled_fraction": 1.5}, "split": {"train": 0.0},
                       "synthetic": {"jumps_per_session": -1.0, "sessions_from": "1999-01-01"}}"#;
        let faults = serde_json::from_str::<DataConfig>(json).unwrap().check();
        let paths: Vec<&str> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
        let expected = [
            "data.warmup_sessions",
            "data.grid.max_filled_fraction",
            "data.split.train",
            "data.synthetic.sessions_from",
            "data.synthetic.jumps_per_session",
        ];
        assert_eq!(paths, expected);
        assert!(serde_json::from_str::<DataConfig>(r#"{"grid": {"max_filled": 0.1}}"#).is_err());
    }
}
