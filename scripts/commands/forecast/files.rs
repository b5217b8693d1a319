//! Files in a run folder: epochs, test forecasts and metrics.

use std::{fmt::Write as _, path::Path};

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::{DataStamp, input_file};
use polars_core::prelude::{Column, DataFrame, DataType, NamedFrom as _, Series};
use polars_io::prelude::{ParquetReader, ParquetWriter, SerReader as _};
use ppo_agent::forecast::{Epoch, Scores, Target, TargetKind};

use super::dataset::{ForecastDataset, SelectedSamples};
use crate::artifacts::trades::{EPOCH, days_since_epoch};

/// One row per epoch.
pub(crate) const EPOCHS: &str = "epochs.csv";
/// Test forecasts.
pub(crate) const PREDICTIONS: &str = "predictions.parquet";
/// Metrics of training and test.
pub(crate) const METRICS: &str = "metrics.json";

/// Writes the rows of all epochs; `data` (`"SYNTHETIC"` or `"market"`) is the last column.
pub(crate) fn epochs_csv(epochs: &[Epoch], named: &[Target], data: DataStamp) -> String {
    let mut out = "epoch,learning_rate,train_loss,validation_loss,gradient_norm,movement,score".to_owned();
    for target in named {
        for column in columns_of(target) {
            let _ = write!(out, ",{target}/{column}");
        }
    }
    out.push_str(",data\n");
    for row in epochs {
        let Epoch { epoch, learning_rate, train_loss, validation_loss, gradient_norm, movement, score, targets } = row;
        let _ =
            write!(out, "{epoch},{learning_rate},{train_loss},{validation_loss},{gradient_norm},{movement},{score}");
        for (target, scores) in named.iter().zip(targets) {
            for cell in scores.as_ref().map_or_else(|| vec![String::new(); columns_of(target).len()], cells) {
                let _ = write!(out, ",{cell}");
            }
        }
        let _ = writeln!(out, ",{data}");
    }
    out
}

/// Returns the columns of a target.
fn columns_of(target: &Target) -> &'static [&'static str] {
    if target.kind == TargetKind::Direction { &DIRECTION } else { &REGRESSION }
}

const REGRESSION: [&str; 17] = [
    "r2",
    "r2_train_mean",
    "std_ratio",
    "variance_ratio",
    "slope",
    "pred_std",
    "pred_min",
    "pred_max",
    "bias",
    "rank_ic",
    "directional_accuracy",
    "directional_accuracy_low",
    "directional_accuracy_high",
    "mae",
    "rmse",
    "mape",
    "mape_left_out",
];
const DIRECTION: [&str; 7] =
    ["brier", "brier_skill", "brier_skill_train_mean", "log_loss", "auc", "accuracy", "pred_std"];

fn cells(scores: &Scores) -> Vec<String> {
    let values: Vec<Option<f64>> = match scores {
        Scores::Regression(s) => {
            let fit = &s.fit;
            let interval = s.intervals.and_then(|found| found.directional_accuracy);
            let spread = [
                s.r2,
                s.r2_train_mean,
                s.std_ratio,
                fit.variance_ratio,
                fit.slope,
                fit.pred_std,
                fit.pred_min,
                fit.pred_max,
                s.bias,
                s.rank_ic,
            ];
            let right =
                [s.directional_accuracy, interval.map(|interval| interval.low), interval.map(|interval| interval.high)];
            let errors = [s.mae, s.rmse, s.mape, s.mape_left_out as f64];
            spread.map(Some).into_iter().chain(right).chain(errors.map(Some)).collect()
        }
        Scores::Class(s) => {
            [s.brier, s.brier_skill, s.brier_skill_train_mean, s.log_loss, s.auc, s.accuracy, s.fit.pred_std]
                .map(Some)
                .to_vec()
        }
    };
    values.into_iter().map(|value| value.map_or_else(String::new, |value| value.to_string())).collect()
}

/// Returns the forecasts `[N, M]` of the picked samples as Parquet: symbol, date, bar, and per target the forecast and
/// the realised value (null if unknown).
pub(crate) fn predictions(
    material: &ForecastDataset,
    picked: &SelectedSamples,
    targets: &[Target],
    forecasts: &[f32],
    data: DataStamp,
) -> anyhow::Result<Vec<u8>> {
    let samples = &picked.samples;
    let days: Vec<i32> = material.dates(picked).map(days_since_epoch).collect();
    let bars: Vec<i32> =
        samples.row.iter().zip(&samples.first_row).map(|(&row, &first)| (row - first) as i32).collect();
    let symbols: Vec<&str> = material.symbols(picked).map(market_data::Symbol::as_str).collect();
    let mut columns = vec![
        Series::new("symbol".into(), symbols),
        Series::new("date".into(), days).cast(&DataType::Date)?,
        Series::new("bar".into(), bars),
    ];
    for (index, target) in targets.iter().enumerate() {
        let of = |values: &[f32]| -> Vec<Option<f32>> {
            values
                .iter()
                .skip(index)
                .step_by(targets.len())
                .map(|&value| Some(value).filter(|value| !value.is_nan()))
                .collect()
        };
        columns.push(Series::new(format!("{target}/forecast").into(), of(forecasts)));
        columns.push(Series::new(format!("{target}/actual").into(), of(&samples.actual)));
    }
    columns.push(Series::new("data".into(), vec![data.as_str(); samples.len()]));
    let mut frame = DataFrame::new_infer_height(columns.into_iter().map(Column::from).collect())?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}

/// Forecasts and realised values of one target in a file of predictions, where both are known, with their dates.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pairs {
    pub(crate) forecast: Vec<f32>,
    pub(crate) actual: Vec<f32>,
    pub(crate) date: Vec<Date>,
}

/// Reads the pairs of one target, such as `return_5`, from a file of predictions.
///
/// # Errors
/// When the file cannot be read or lacks the target.
pub(crate) fn read_pairs(path: &Path, target: &str) -> anyhow::Result<Pairs> {
    let read = || -> anyhow::Result<Pairs> {
        let frame = ParquetReader::new(input_file::open(path)?).finish()?;
        let numbers = |name: String| anyhow::Ok(frame.column(&name)?.f32()?.clone());
        let (forecast, actual) = (numbers(format!("{target}/forecast"))?, numbers(format!("{target}/actual"))?);
        let days = frame.column("date")?.cast(&DataType::Int32)?;
        let mut pairs = Pairs::default();
        for ((forecast, actual), day) in forecast.iter().zip(actual.iter()).zip(days.i32()?.iter()) {
            if let (Some(forecast), Some(actual), Some(day)) = (forecast, actual, day) {
                pairs.forecast.push(forecast);
                pairs.actual.push(actual);
                pairs.date.push(EPOCH.saturating_add(jiff::Span::new().days(i64::from(day))));
            }
        }
        Ok(pairs)
    };
    read().with_context(|| format!("reading {target} from {}", path.display()))
}
