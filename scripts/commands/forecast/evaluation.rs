//! Evaluation of a forecaster on given samples: every target, for all symbols pooled and for each symbol, compared with
//! simple predictors.

use market_data::{DataStamp, DateRange};
use ppo_agent::{
    AgentError,
    forecast::{
        ForecastData, Forecaster, Gate, GateConfig, Outcomes, Reference, Ridge, Scores, Target, TargetKind,
        TargetMoments, boosted, r2_over, scores,
    },
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::ConfidenceInterval;

use super::dataset::{ForecastDataset, SelectedSamples, rows};
use crate::output::table::columns;

/// Symbol name of the pooled rows.
pub(super) const ALL: &str = "all";

/// Scores of one predictor on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// `forecaster`, `constant`, `last_value`, `linear` or `boosted`.
    pub predictor: String,
    /// Scores, with intervals over dates.
    pub scores: Scores,
}

/// One target of one symbol, or of all symbols pooled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The symbol, or `all`.
    pub symbol: String,
    /// Target predicted.
    pub target: Target,
    /// Verdict on the forecaster.
    pub gate: Gate,
    /// R² of the forecaster against the last value, with its interval over dates; of volatilities alone.
    #[serde(default)]
    pub r2_last_value: Option<ConfidenceInterval>,
    /// Scores by predictor, the forecaster first.
    pub predictors: Vec<Predicted>,
}

/// All targets of all symbols.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Dates of the evaluation.
    pub dates: DateRange,
    /// One row per symbol and target.
    pub rows: Vec<Judged>,
}

/// Forecasts of one predictor for all samples. `[N, M]`
struct Predictor {
    name: &'static str,
    forecasts: Vec<f32>,
}

/// Inputs of an evaluation.
pub(crate) struct Evaluator<'a> {
    pub(crate) material: &'a ForecastDataset,
    /// Training data of the forecaster; the other predictors are fitted on it, too.
    pub(crate) data: &'a ForecastData,
    pub(crate) forecaster: &'a Forecaster,
    /// Thresholds of the verdicts.
    pub(crate) gate: &'a GateConfig,
    /// Includes gradient-boosted trees among the predictors.
    pub(crate) boosted: bool,
    pub(crate) seed: u64,
}

impl Evaluator<'_> {
    /// Evaluates the forecaster on the picked samples, given its forecasts of them `[N, M]`.
    ///
    /// # Errors
    /// When a predictor cannot be fitted.
    pub(crate) fn judge(
        &self,
        picked: &SelectedSamples,
        forecasts: &[f32],
        dates: DateRange,
    ) -> Result<Judgement, AgentError> {
        let predictors = self.predictors(picked, forecasts)?;
        let mut parts: Vec<(String, Vec<usize>)> = vec![(ALL.to_owned(), (0..picked.samples.len()).collect())];
        let symbols = self.material.tape.symbols();
        if symbols.len() > 1 {
            parts.extend(symbols.iter().map(|symbol| (symbol.to_string(), self.material.of_symbol(picked, symbol))));
        }
        let rows = parts
            .par_iter()
            .flat_map_iter(|(symbol, positions)| self.part(symbol, picked, positions, &predictors))
            .collect();
        let data = DataStamp::of(self.material.dataset.synthetic);
        Ok(Judgement { data, dates, rows })
    }

    fn predictors(&self, picked: &SelectedSamples, forecasts: &[f32]) -> Result<Vec<Predictor>, AgentError> {
        let (data, frames) = (self.data, self.forecaster.config().temporal_frames);
        let TargetMoments { mean, .. } = self.forecaster.moments();
        let constant: Vec<f32> = mean.iter().map(|&mean| mean as f32).collect();
        let mut predictors = vec![
            Predictor { name: "forecaster", forecasts: forecasts.to_vec() },
            Predictor { name: "constant", forecasts: constant.repeat(picked.samples.len()) },
            Predictor { name: "last_value", forecasts: self.material.last_values(picked) },
            Predictor { name: "linear", forecasts: Ridge::fit(data, frames)?.predict(&data.tape, &picked.samples)? },
        ];
        if self.boosted {
            let targets = data.targets.len();
            let column = |target| boosted(data, frames, target, &picked.samples, self.seed);
            let found = (0..targets).into_par_iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let forecasts = (0..picked.samples.len()).flat_map(|i| found.iter().map(move |column| column[i])).collect();
            predictors.push(Predictor { name: "boosted", forecasts });
        }
        Ok(predictors)
    }

    /// Evaluates every target on a subset of the samples; targets without known values there are skipped.
    fn part(
        &self,
        symbol: &str,
        picked: &SelectedSamples,
        positions: &[usize],
        predictors: &[Predictor],
    ) -> Vec<Judged> {
        let (targets, moments) = (&self.data.targets, self.forecaster.moments());
        let samples = picked.subset(positions).samples;
        let score = |predictor: &Predictor| {
            let forecasts = rows(&predictor.forecasts, targets.len(), positions);
            scores(targets, &samples, &forecasts, moments, Scores::with_intervals)
        };
        let found: Vec<Vec<Option<Scores>>> = predictors.iter().map(score).collect();
        let over_last = |index: usize| {
            let column = |name: &str| -> Option<Vec<f32>> {
                let forecasts = &predictors.iter().find(|predictor| predictor.name == name)?.forecasts;
                Some(positions.iter().map(|&position| forecasts[position * targets.len() + index]).collect())
            };
            let (own, last, actual) = (column("forecaster")?, column("last_value")?, samples.column(index));
            let (block, train_mean) = (&samples.block, moments.mean[index]);
            r2_over(&Outcomes { predicted: &own, actual: &actual, block, train_mean }, &last)
        };
        let judged = |(index, &target): (usize, &Target)| {
            let of = |predictor: &Predictor, scores: &[Option<Scores>]| {
                Some(Predicted { predictor: predictor.name.to_owned(), scores: scores[index].clone()? })
            };
            let predictors: Vec<Predicted> = predictors
                .iter()
                .zip(&found)
                .map(|(predictor, scores)| of(predictor, scores))
                .collect::<Option<_>>()?;
            let linear = predictors.iter().find(|found| found.predictor == "linear")?;
            let reference = Reference::of("a linear predictor", &linear.scores);
            let over_last = (target.kind == TargetKind::Volatility).then(|| over_last(index)).flatten();
            let gate = Gate::of(target.kind, &predictors[0].scores, reference.as_ref(), over_last, self.gate);
            Some(Judged { symbol: symbol.to_owned(), target, gate, r2_last_value: over_last, predictors })
        };
        targets.iter().enumerate().filter_map(judged).collect()
    }
}

impl Judgement {
    /// Returns a table of the forecaster's scores with intervals, R² of the other predictors and the verdict, followed
    /// by the reason for every failed target.
    pub fn lines(&self) -> Vec<String> {
        let others: Vec<&str> =
            self.rows.first().into_iter().flat_map(Judged::others).map(|found| found.predictor.as_str()).collect();
        let heading = [&["target", Judged::FIGURES[0]][..], &others, &Judged::FIGURES[1..]].concat();
        let row = |row: &Judged| {
            let [r2, figures @ ..] = row.figures();
            let others = row.others().map(|found| r2_of(&found.scores));
            [format!("{} {}", row.symbol, row.target), r2].into_iter().chain(others).chain(figures).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(row).collect();
        let failures = self.rows.iter().filter(|row| row.gate.verdict.is_failure());
        let why = failures.map(|row| {
            let advice = row.gate.advice.as_deref().map(|advice| format!("; {advice}")).unwrap_or_default();
            format!(
                "{} of {}: {}: {}{advice}",
                row.target,
                row.symbol,
                row.gate.verdict,
                row.gate.evidence.first().map_or("", String::as_str)
            )
        });
        [columns(&heading, &rows)].into_iter().chain(why).collect()
    }

    /// Returns every predictor of every row as a Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heading: Vec<String> =
            ["symbol", "target", "predictor"].iter().chain(&Judged::FIGURES).map(ToString::to_string).collect();
        let rule = vec!["---".to_owned(); heading.len()];
        let of_row = |row: &Judged| -> Vec<Vec<String>> {
            let of_predictor = |(index, found): (usize, &Predicted)| {
                let verdict = if index == 0 { row.gate.verdict.to_string() } else { String::new() };
                let first = [row.symbol.clone(), row.target.to_string(), found.predictor.clone()];
                first.into_iter().chain(shown(row.target.kind, &found.scores)).chain([verdict]).collect()
            };
            row.predictors.iter().enumerate().map(of_predictor).collect()
        };
        let rows = self.rows.iter().flat_map(of_row).map(|cells| line(&cells));
        [line(&heading), line(&rule)].into_iter().chain(rows).collect()
    }
}

impl Judged {
    /// Names of [`Self::figures`].
    pub(super) const FIGURES: [&str; 7] =
        ["R² or Brier skill", "against training mean", "IC or AUC", "hit rate", "spread", "slope", "verdict"];

    /// Returns the scores of the forecaster.
    pub(super) fn mine(&self) -> &Scores {
        &self.predictors[0].scores
    }

    /// Returns the forecaster's scores with intervals and the verdict, as text.
    pub(super) fn figures(&self) -> [String; 7] {
        let [r2, train, rank, right, spread, slope] = shown(self.target.kind, self.mine());
        [r2, train, rank, right, spread, slope, self.gate.verdict.to_string()]
    }

    /// Returns the other predictors without the constant, whose R² shows the change of level alone.
    fn others(&self) -> impl Iterator<Item = &Predicted> {
        self.predictors.iter().skip(1).filter(|found| found.predictor != "constant")
    }
}

/// Returns scores as table cells, in the order of [`Judged::FIGURES`] without the verdict.
fn shown(kind: TargetKind, scores: &Scores) -> [String; 6] {
    let (rank, right) = match scores {
        Scores::Regression(found) => {
            let intervals = found.intervals.as_ref();
            let right = found.directional_accuracy.filter(|_| kind == TargetKind::Return);
            let right =
                right.map(|value| with_interval(value, intervals.and_then(|found| found.directional_accuracy), 3));
            (with_interval(found.rank_ic, intervals.and_then(|found| found.rank_ic), 3), right.unwrap_or_default())
        }
        Scores::Class(found) => {
            let intervals = found.intervals.as_ref();
            let right = with_interval(found.accuracy, intervals.and_then(|found| found.accuracy), 3);
            (with_interval(found.auc, intervals.and_then(|found| found.auc), 3), right)
        }
    };
    let fit = scores.fit();
    let spread = 100.0 * fit.pred_std / fit.outcome_std.max(f64::MIN_POSITIVE);
    let train = format!("{:.4}", scores.r2_train_mean());
    [r2_of(scores), train, rank, right, format!("{spread:.1} %"), format!("{:.2}", fit.slope)]
}

fn r2_of(scores: &Scores) -> String {
    with_interval(scores.r2(), scores.r2_interval(), 4)
}

/// Returns a value with its interval, as text.
fn with_interval(value: f64, interval: Option<ConfidenceInterval>, places: usize) -> String {
    match interval {
        Some(ConfidenceInterval { low, high, .. }) if low < high => {
            format!("{value:.places$} [{low:.places$}, {high:.places$}]")
        }
        _ => format!("{value:.places$}"),
    }
}
