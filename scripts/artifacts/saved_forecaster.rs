//! A forecaster with what it says about its training: which dates it has seen, on which data.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::{DataStamp, DateRange, Split};
use ppo_agent::forecast::{Forecaster, ForecasterFile, WatchdogAlarm};
use serde::{Deserialize, Serialize};

use crate::{artifacts::paths::model_path, config::RunConfig};

/// What a forecaster's sidecar says about its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecasterMeta {
    /// Origin of the bars.
    pub data: DataStamp,
    /// The configuration it was trained with.
    pub config: RunConfig,
    /// The dates that it learned from, that it was stopped by, and that it was judged on.
    pub split: Split,
    /// Why its training was ended because nothing could come of it, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<WatchdogAlarm>,
}

impl ForecasterMeta {
    /// Returns the dates that have shaped it: those it learned from and those that chose its best epoch.
    pub fn seen(&self) -> [DateRange; 2] {
        [self.split.train, self.split.validation]
    }

    /// Returns the last date that has shaped it.
    pub fn last_seen(&self) -> Date {
        self.split.validation.last
    }
}

/// Reads a forecaster, named with or without its ending, and its meta.
///
/// # Errors
/// When a file is missing or damaged, or is no forecaster of this program.
pub fn load(named: &Path) -> anyhow::Result<(Forecaster, ForecasterMeta)> {
    let ForecasterFile { forecaster, meta } = ForecasterFile::load(&model_path(named))?;
    let meta = serde_json::from_value(meta)
        .with_context(|| format!("reading what {} says about its training", named.display()))?;
    Ok((forecaster, meta))
}

/// Which forecaster made the columns, and which dates have shaped it: what a manifest and a model say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecasterRecord {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of that file.
    pub sha256: String,
    /// Origin of the bars.
    pub data: DataStamp,
    /// The dates that it learned from.
    pub learned_from: DateRange,
    /// The dates that chose its best epoch.
    pub chosen_by: DateRange,
    /// Names of the columns.
    pub columns: Vec<String>,
}

impl ForecasterRecord {
    /// Returns the dates that have shaped it.
    pub fn seen(&self) -> [DateRange; 2] {
        [self.learned_from, self.chosen_by]
    }
}
