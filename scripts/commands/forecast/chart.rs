//! Charts of one run: learning curves, and distributions of forecasts and realised values.

use std::ops::Range;

use plotters::style::RGBColor;
use ppo_agent::forecast::{Epoch, RegressionScores, Target, TargetKind};

use super::files::Pairs;
use crate::{
    chart::{
        panel::{Mark, Panel, Series, Ticks, level_line, padded_range, page},
        style::{CALL, GAIN, HOLD, LOSS, PUT, STRONG_BUY},
    },
    output::table::{significant, thousands},
};

/// Colours of realised values and of forecasts.
pub(super) const CAME: RGBColor = HOLD;
pub(super) const FORECAST: RGBColor = CALL;
const COLORS: [RGBColor; 6] = [CALL, PUT, STRONG_BUY, GAIN, LOSS, HOLD];
const BINS: usize = 60;
/// Share of the values beyond either end of an axis.
const OUTER: f64 = 0.005;
/// Lowest R² shown; the degree of failure below it does not matter.
const LOWEST_R2: f64 = -1.0;

/// Draws the distributions of a target's forecasts and realised values, such as those of `return_5`, as SVG text: both
/// on one axis, then the forecasts alone, which are narrow if the target is hard to predict.
///
/// # Errors
/// When the drawing library fails; no input is known to cause this.
pub(crate) fn histogram(title: &str, target: &str, pairs: &Pairs) -> anyhow::Result<String> {
    let (came, forecast) = (Amounts::of(&pairs.actual), Amounts::of(&pairs.forecast));
    let (unit, x, own) = (unit(target), came.range(), forecast.range());
    let share = 100.0 * forecast.std / came.std;
    let share = if share.is_finite() { format!("{share:.1} % of realised") } else { "no ratio".to_owned() };
    let samples = thousands(came.sorted.len() as i64);
    let panel = |title: String, x: &Range<f64>, top: f64, series| Panel {
        x_title: unit,
        y_title: "% of samples",
        ..Panel::new(title, x.clone(), 0.0..top, series)
    };
    let both = [("realised", CAME, &came), ("forecast, truncated at the top", FORECAST, &forecast)];
    let panels = [
        panel(
            format!("Realised: standard deviation {} {unit}, {samples} samples", significant(came.std)),
            &x,
            1.2 * highest(&came.bars(&x)),
            both.map(|(name, color, amounts)| amounts.series(name, color, &x)).to_vec(),
        ),
        panel(
            format!("Forecasts: standard deviation {} {unit}, {share}", significant(forecast.std)),
            &own,
            1.1 * highest(&forecast.bars(&own)),
            vec![forecast.series("", FORECAST, &own)],
        ),
    ];
    page(&format!("{title}: {target}"), &panels)
}

/// Draws learning curves as SVG text: the losses, and per regression target R² and the spread of its forecasts.
///
/// # Errors
/// When the drawing library fails; no input is known to cause this.
pub(crate) fn epochs(title: &str, epochs: &[Epoch], targets: &[Target]) -> anyhow::Result<String> {
    let x = passes(epochs.len());
    let amounts = targets.iter().enumerate().filter(|(_, target)| target.kind != TargetKind::Direction);
    let amounts: Vec<(String, RGBColor, usize)> = amounts
        .zip(COLORS.into_iter().cycle())
        .map(|((index, target), color)| (target.to_string(), color, index))
        .collect();
    let curves = |figure: fn(&RegressionScores) -> f64| -> Vec<Series> {
        amounts.iter().map(|(name, color, index)| curve(name, *color, epochs, *index, figure)).collect()
    };
    let panel = |title: &str, series: Vec<Series>, shown: &[f64]| {
        let y = padded_range(heights(&series).chain(shown.iter().copied()));
        let series = series.into_iter().chain([level_line(0.0, &x, &y)]).collect();
        Panel { x_title: "epoch", x_ticks: Ticks::Whole, ..Panel::new(title, x.clone(), y, series) }
    };
    let panels = [
        panel("Loss", losses(epochs), &[]),
        panel("R² of the validation samples", curves(r2), &[0.0]),
        panel("Spread: deviation of forecasts over that of realised values", curves(|scores| scores.std_ratio), &[0.0]),
    ];
    page(title, &panels)
}

/// Returns the axis of the epochs.
pub(super) fn passes(epochs: usize) -> Range<f64> {
    if epochs > 1 { 1.0..epochs as f64 } else { 0.5..1.5 }
}

/// Returns the curves of training and validation loss.
pub(super) fn losses(epochs: &[Epoch]) -> Vec<Series> {
    let line = |name: &str, color, loss: fn(&Epoch) -> f64| {
        let points = epochs.iter().map(|epoch| (epoch.epoch as f64, loss(epoch)));
        let points = points.filter(|(_, loss)| loss.is_finite()).collect();
        Series::new(name, color, Mark::Curve(points))
    };
    vec![
        line("training, with dropout", HOLD, |epoch| epoch.train_loss),
        line("validation", CALL, |epoch| epoch.validation_loss),
    ]
}

/// Returns a score of the regression target at a position, by epoch.
pub(super) fn curve(
    name: &str,
    color: RGBColor,
    epochs: &[Epoch],
    target: usize,
    figure: fn(&RegressionScores) -> f64,
) -> Series {
    let point = |epoch: &Epoch| {
        let value = figure(epoch.targets.get(target)?.as_ref()?.regression()?);
        value.is_finite().then_some((epoch.epoch as f64, value))
    };
    Series::new(name, color, Mark::Curve(epochs.iter().filter_map(point).collect()))
}

/// Returns R² clamped for drawing.
pub(super) fn r2(scores: &RegressionScores) -> f64 {
    scores.r2.max(LOWEST_R2)
}

/// Returns the vertical coordinates of the curves.
pub(super) fn heights(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| match &series.mark {
        Mark::Curve(points) => points.iter().map(|point| point.1).collect(),
        _ => Vec::new(),
    })
}

/// Returns the unit of a target, such as `return_5`.
pub(super) fn unit(target: &str) -> &'static str {
    if target.starts_with("direction") { "probability of a rise" } else { "basis points" }
}

/// Finite values in ascending order.
#[derive(Debug, Clone)]
pub(super) struct Amounts {
    sorted: Vec<f64>,
    std: f64,
}

impl Amounts {
    pub(super) fn of(values: &[f32]) -> Self {
        let mut sorted: Vec<f64> = values.iter().map(|&v| f64::from(v)).filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let std = if sorted.is_empty() { 0.0 } else { statistics::variance(&sorted).sqrt() };
        Self { sorted, std }
    }

    /// Returns the range of all but the outermost values.
    pub(super) fn range(&self) -> Range<f64> {
        let outer = (OUTER * self.sorted.len() as f64) as usize;
        let inner = &self.sorted[outer..self.sorted.len() - outer];
        padded_range(inner.first().into_iter().chain(inner.last()).copied())
    }

    /// Returns the non-empty bins of a range as from, to and percentage of all values.
    pub(super) fn bars(&self, over: &Range<f64>) -> Vec<(f64, f64, f64)> {
        let (width, all) = ((over.end - over.start) / BINS as f64, self.sorted.len() as f64);
        let edge = |bin: usize| over.start + width * bin as f64;
        let below = |at: f64| self.sorted.partition_point(|&value| value < at);
        let bar = |bin| {
            let (from, to) = (edge(bin), edge(bin + 1));
            (from, to, 100.0 * (below(to) - below(from)) as f64 / all)
        };
        (0..BINS).map(bar).filter(|bar| bar.2 > 0.0).collect()
    }

    pub(super) fn series(&self, name: &str, color: RGBColor, over: &Range<f64>) -> Series {
        Series::new(name, color, Mark::Bars(self.bars(over)))
    }
}

/// Returns the height of the highest bar; 1 without bars.
pub(super) fn highest(bars: &[(f64, f64, f64)]) -> f64 {
    let most = bars.iter().map(|bar| bar.2).fold(0.0, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use ppo_agent::forecast::{ForecastConfig, Outcomes, Scores};

    use super::*;
    use crate::chart::style::tests::assert_house_style;

    /// Realised values, and forecasts that are a share of them.
    pub(in super::super) fn pairs(share: f32) -> Pairs {
        let actual: Vec<f32> = (0..2000).map(|i| ((i * 37 % 101) as f32 - 50.0) / 4.0).collect();
        let forecast = actual.iter().map(|came| share * came).collect();
        Pairs { forecast, date: vec![jiff::civil::date(2025, 1, 2); actual.len()], actual }
    }

    /// Epochs of a forecaster with one horizon.
    pub(in super::super) fn some_epochs(count: usize) -> Vec<Epoch> {
        let scores = |share: f32, kind| {
            let Pairs { forecast, actual, .. } = pairs(share);
            let block: Vec<u32> = (0..actual.len() as u32).collect();
            Scores::of(kind, &Outcomes { predicted: &forecast, actual: &actual, block: &block, train_mean: 0.0 })
        };
        let epoch = |epoch: usize| Epoch {
            epoch,
            learning_rate: 1e-3,
            train_loss: 1.0 / epoch as f64,
            validation_loss: 1.1 / epoch as f64,
            gradient_norm: 0.1,
            movement: 0.01,
            score: 0.0,
            targets: vec![scores(0.01 * epoch as f32, TargetKind::Return), scores(0.5, TargetKind::Volatility), None],
        };
        (1..=count).map(epoch).collect()
    }

    #[test]
    fn both_distributions_and_their_ratio_are_shown() {
        let svg = histogram("tiny - SYNTHETIC DATA", "return_5", &pairs(0.06)).unwrap();
        for part in
            ["tiny - SYNTHETIC DATA: return_5", "7.29 basis points, 2,000 samples", "6.0 % of realised", "truncated"]
        {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert_house_style(&svg);
        assert!(histogram("a", "direction_5", &pairs(0.1)).unwrap().contains("probability of a rise"));
    }

    #[test]
    fn nothing_and_constants_are_drawn_too() {
        let constant = histogram("a", "return_5", &pairs(0.0)).unwrap();
        assert!(constant.contains("0.0 % of realised"));
        let broken = Pairs { forecast: vec![f32::INFINITY], actual: vec![1.0], ..Pairs::default() };
        for pairs in [Pairs::default(), broken] {
            assert!(histogram("a", "return_5", &pairs).unwrap().contains("no ratio"));
        }
    }

    #[test]
    fn bars_add_up_to_all_that_lies_within() {
        let amounts = Amounts::of(&pairs(1.0).actual);
        let total = |over: Range<f64>| amounts.bars(&over).iter().map(|bar| bar.2).sum::<f64>();
        assert!((total(padded_range(amounts.sorted.iter().copied())) - 100.0).abs() < 1e-9);
        assert!(total(amounts.range()) > 99.0 && (total(0.0..20.0) - 50.5).abs() < 0.5);
    }

    #[test]
    fn every_regression_target_has_its_curves() {
        let targets = ForecastConfig::default().targets();
        for count in [0, 1, 60] {
            let svg = epochs("tiny", &some_epochs(count), &targets).unwrap();
            for part in ["Loss", "validation", "R²", "Spread", "return_5", "volatility_5"] {
                assert!(svg.contains(part), "{part} is missing");
            }
            assert!(!svg.contains("direction_5"));
            assert_house_style(&svg);
        }
        let mut broken = some_epochs(3);
        (broken[2].train_loss, broken[1].validation_loss) = (f64::NAN, f64::INFINITY);
        assert!(epochs("broken", &broken, &targets).unwrap().contains("</svg>"));
    }
}
