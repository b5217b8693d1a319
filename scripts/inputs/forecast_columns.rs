//! Forecast columns of a market: computed bar by bar from data known at that bar, by a forecaster whose training and validation
//! dates end before the policy's first training date.

use std::path::Path;

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use market_env::{BarSize, FEATURES, Market};
use ppo_agent::forecast::{Forecaster, Samples, TargetKind};

use crate::{
    artifacts::{
        files,
        paths::model_path,
        saved_forecaster::{self, ForecasterMeta, ForecasterRecord},
    },
    output::{exit_code::UsageError, synthetic::training_notice},
};

/// A forecaster whose forecasts are added to markets.
#[derive(Debug)]
pub struct ForecastColumns {
    forecaster: Forecaster,
    record: ForecasterRecord,
    /// Setup threshold of its features.
    setup_threshold: u8,
}

impl ForecastColumns {
    /// Reads a forecaster.
    ///
    /// # Errors
    /// When its file cannot be used, or it needs daily bars or other features than the market's.
    pub fn load(named: &Path) -> anyhow::Result<Self> {
        let (forecaster, meta) = saved_forecaster::load(named)
            .context("loading the forecaster (choose another with --forecaster or --set run.forecaster=)")?;
        let name = named.display();
        if let Some(emergency) = &meta.emergency {
            return Err(UsageError::one(format!(
                "run.forecaster: the training of {name} was stopped ({emergency}), so it is useless; train it again"
            ))
            .into());
        }
        if forecaster.config().bars != BarSize::Minute {
            return Err(UsageError::one(format!(
                "run.forecaster: {name} forecasts from daily bars, but a policy acts on minutes"
            ))
            .into());
        }
        // Further features are columns of the user, which the market has to bring.
        let own = forecaster.features().iter().skip(FEATURES.len()).cloned();
        let names: Vec<String> = FEATURES.iter().map(|(name, _)| (*name).to_owned()).chain(own).collect();
        forecaster.check_features(&names).with_context(|| format!("the forecaster {name}"))?;
        let ForecasterMeta { data, config, split, .. } = meta;
        let columns = forecaster.targets().iter().map(|target| format!("forecast_{target}")).collect();
        let path = model_path(named);
        let sha256 = files::sha256(&path)?;
        let record =
            ForecasterRecord { path, sha256, data, learned_from: split.train, chosen_by: split.validation, columns };
        Ok(Self { forecaster, record, setup_threshold: config.market.setup_threshold })
    }

    /// Returns its record for manifests and models.
    pub fn record(&self) -> &ForecasterRecord {
        &self.record
    }

    /// Returns the forecaster.
    pub fn forecaster(&self) -> &Forecaster {
        &self.forecaster
    }

    /// Refuses a policy whose training starts before the forecaster's training and validation end: forecasts of dates that it was
    /// trained on are too good.
    ///
    /// # Errors
    /// [`UsageError`] with both dates.
    pub fn check_dates(&self, first: Date) -> Result<(), UsageError> {
        let ForecasterRecord { path, learned_from, chosen_by, .. } = &self.record;
        if chosen_by.last < first {
            return Ok(());
        }
        Err(UsageError::one(format!(
            "run.forecaster: {} was trained on {learned_from} and validated on {chosen_by}, but the policy trains from {first} on; train \
             the forecaster with an earlier --end-date, or the policy with a later --start-date",
            path.display()
        )))
    }

    /// Returns notes on settings that differ from its training, and on training on synthetic data.
    pub fn notes(&self, synthetic: bool, setup_threshold: u8) -> Vec<String> {
        let path = self.record.path.display();
        let made_up = training_notice(&format!("the forecaster {path}"), self.record.data).filter(|_| !synthetic);
        let other = (self.setup_threshold != setup_threshold).then(|| {
            let then = self.setup_threshold;
            format!("the forecaster {path} was trained with market.setup_threshold = {then}, this run uses {setup_threshold}")
        });
        made_up.into_iter().chain(other).collect()
    }

    /// Adds the forecasts to a market: return, volatility and probability of a rise for every horizon, each known at the close of its bar.
    ///
    /// # Errors
    /// When the forecasts cannot be computed.
    pub fn add_to(&self, market: Market) -> anyhow::Result<Market> {
        let names = market.feature_names();
        let (width, columns) = (names.len(), self.record.columns.len());
        ensure!(!names.contains(&self.record.columns[0]), "the market already has forecasts");
        let mut samples = Samples::default();
        for day in market.days() {
            let rows = day.rows();
            samples.row.extend(rows.clone().map(|row| row as u32));
            samples.first_row.extend(rows.clone().map(|_| rows.start as u32));
        }
        samples.block = vec![0; samples.row.len()];
        let forecasts = self.forecaster.predict(&self.inputs(&market)?, &samples)?;
        // Rows before a session's first one repeat it, their forecasts too.
        let mut values = vec![0.0; market.features().len() / width * columns];
        let mut done = forecasts.chunks_exact(columns);
        let mut end = 0;
        for day in market.days() {
            let rows = day.rows();
            let copy = |values: &mut [f32], row: usize, forecast: &[f32]| {
                values[row * columns..(row + 1) * columns].copy_from_slice(forecast);
            };
            for row in rows.clone() {
                let forecast = done.next().context("there is a forecast for every row")?;
                if row == rows.start {
                    (end..row).for_each(|before| copy(&mut values, before, forecast));
                }
                copy(&mut values, row, forecast);
            }
            end = rows.end;
        }
        Ok(market.with_columns(self.record.columns.clone(), &values))
    }

    /// Returns the features of the forecaster, in its order, out of those of a market. `[T, F]`
    fn inputs(&self, market: &Market) -> anyhow::Result<Vec<f32>> {
        let names = market.feature_names();
        let place = |wanted: &String| {
            names.iter().position(|name| name == wanted).with_context(|| {
                format!(
                    "the forecaster {} was trained with the column {wanted}, which this market lacks; name it in data.own_columns, \
                     data.column_files or market.cross",
                    self.record.path.display()
                )
            })
        };
        let places = self.forecaster.features().iter().map(place).collect::<anyhow::Result<Vec<usize>>>()?;
        let rows = market.features().chunks_exact(names.len());
        Ok(rows.flat_map(|row| places.iter().map(|&at| row[at])).collect())
    }

    /// Returns a sentence on the columns and the dates of the forecaster.
    pub fn line(&self) -> String {
        let ForecasterRecord { path, learned_from, chosen_by, columns, .. } = &self.record;
        let horizons = self.forecaster.targets().iter().filter(|target| target.kind == TargetKind::Return).count();
        format!(
            "Forecasts of {}: {} columns for {horizons} horizon(s); trained on {learned_from}, validated on {chosen_by}",
            path.display(),
            columns.len()
        )
    }
}
