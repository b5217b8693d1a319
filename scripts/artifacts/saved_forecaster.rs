//! Saved forecaster and its sidecar: configuration, data stamp, and training dates.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::{DataStamp, DateRange, Split};
use ppo_agent::forecast::{Forecaster, ForecasterFile, WatchdogAlarm};
use serde::{Deserialize, Serialize};

use crate::{artifacts::paths::model_path, config::RunConfig};

/// Training record in a forecaster's sidecar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecasterMeta {
    /// Origin of the bars.
    pub data: DataStamp,
    /// The configuration it was trained with.
    pub config: RunConfig,
    /// Dates of training, of validation (early stopping) and of the test.
    pub split: Split,
    /// Emergency that ended its training, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<WatchdogAlarm>,
}

impl ForecasterMeta {
    /// Returns its training dates, and the validation dates that chose its best epoch.
    pub fn seen(&self) -> [DateRange; 2] {
        [self.split.train, self.split.validation]
    }

    /// Returns the last date used in its training or validation.
    pub fn last_seen(&self) -> Date {
        self.split.validation.last
    }
}

/// Reads a forecaster, named with or without its extension, and its training record.
///
/// # Errors
/// When a file is missing or damaged, or is no forecaster of this program.
pub fn load(named: &Path) -> anyhow::Result<(Forecaster, ForecasterMeta)> {
    let ForecasterFile { forecaster, meta } = ForecasterFile::load(&model_path(named))?;
    let meta =
        serde_json::from_value(meta).with_context(|| format!("reading the training record of {}", named.display()))?;
    Ok((forecaster, meta))
}

/// Forecaster behind the forecast columns, as recorded in manifests and models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecasterRecord {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of that file.
    pub sha256: String,
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones.
    pub data: DataStamp,
    /// The dates that it learned from.
    pub learned_from: DateRange,
    /// Its validation dates, which chose the best epoch.
    pub chosen_by: DateRange,
    /// Names of the columns.
    pub columns: Vec<String>,
}

impl ForecasterRecord {
    /// Returns its training and validation dates.
    pub fn seen(&self) -> [DateRange; 2] {
        [self.learned_from, self.chosen_by]
    }
}
