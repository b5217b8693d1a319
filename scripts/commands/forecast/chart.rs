//! The pictures of one run: how its epochs went, and how its forecasts are distributed beside what came.

use std::ops::Range;

use plotters::style::RGBColor;
use ppo_agent::forecast::{Epoch, RegressionScores, Target, TargetKind};

use super::files::Pairs;
use crate::{
    chart::{
        panel::{Mark, Panel, Series, level_line, padded_range, page},
        style::{CALL, GAIN, HOLD, LOSS, PUT, STRONG_BUY},
    },
    output::table::{significant, thousands},
};

/// Colours of what came and of what was forecast.
pub(super) const CAME: RGBColor = HOLD;
pub(super) const FORECAST: RGBColor = CALL;
const COLORS: [RGBColor; 6] = [CALL, PUT, STRONG_BUY, GAIN, LOSS, HOLD];
const BINS: usize = 60;
/// Share of the amounts that an axis leaves out at either end.
const OUTER: f64 = 0.005;
/// Lowest R² that is drawn: how much worse than useless a forecast is does not matter.
const LOWEST_R2: f64 = -1.0;

/// Draws how forecasts of a target, such as `return_5`, and what came are distributed, as SVG text: both on one axis, and the forecasts,
/// which are narrow where little is known, once more on their own.
///
/// # Errors
/// When the drawing library refuses, which no input is known to cause.
pub(crate) fn histogram(title: &str, target: &str, pairs: &Pairs) -> anyhow::Result<String> {
    let (came, forecast) = (Amounts::of(&pairs.actual), Amounts::of(&pairs.forecast));
    let (unit, x, own) = (unit(target), came.range(), forecast.range());
    let share = 100.0 * forecast.std / came.std;
    let share = if share.is_finite() { format!("{share:.1} % of what came") } else { "nothing to compare".to_owned() };
    let samples = thousands(came.sorted.len() as i64);
    let both = [("what came", CAME, &came), ("forecast, cut off at the top", FORECAST, &forecast)];
    let panels = [
        Panel {
            title: format!("What came: standard deviation {} {unit}, {samples} samples", significant(came.std)),
            y: 0.0..1.2 * highest(&came.bars(&x)),
            x_title: unit,
            y_title: "% of samples",
            series: both.map(|(name, color, amounts)| amounts.series(name, color, &x)).to_vec(),
            x,
        },
        Panel {
            title: format!("Forecasts: standard deviation {} {unit}, {share}", significant(forecast.std)),
            y: 0.0..1.1 * highest(&forecast.bars(&own)),
            x_title: unit,
            y_title: "% of samples",
            series: vec![forecast.series("", FORECAST, &own)],
            x: own,
        },
    ];
    page(&format!("{title}: {target}"), &panels)
}

/// Draws how epochs went, as SVG text: the losses, and of every regression target R² and the spread of its forecasts.
///
/// # Errors
/// When the drawing library refuses, which no input is known to cause.
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
        Panel { title: title.to_owned(), x: x.clone(), y, x_title: "epoch", y_title: "", series }
    };
    let panels = [
        panel("Loss", losses(epochs), &[]),
        panel("R² of the validation samples against the training mean", curves(r2), &[0.0]),
        panel("Spread: deviation of the forecasts over that of what came", curves(|scores| scores.std_ratio), &[0.0]),
    ];
    page(title, &panels)
}

/// The axis of some epochs.
pub(super) fn passes(epochs: usize) -> Range<f64> {
    if epochs > 1 { 1.0..epochs as f64 } else { 0.5..1.5 }
}

/// Training and validation loss.
pub(super) fn losses(epochs: &[Epoch]) -> Vec<Series> {
    let line = |name: &str, color, loss: fn(&Epoch) -> f64| {
        let points = epochs.iter().map(|epoch| (epoch.epoch as f64, loss(epoch)));
        let points = points.filter(|(_, loss)| loss.is_finite()).collect();
        Series { name: name.to_owned(), color, mark: Mark::Curve(points) }
    };
    vec![
        line("training, units left out", HOLD, |epoch| epoch.train_loss),
        line("validation", CALL, |epoch| epoch.validation_loss),
    ]
}

/// A figure of the regression target at some position over the epochs.
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
    Series { name: name.to_owned(), color, mark: Mark::Curve(epochs.iter().filter_map(point).collect()) }
}

/// R² as it is drawn.
pub(super) fn r2(scores: &RegressionScores) -> f64 {
    scores.r2.max(LOWEST_R2)
}

/// The vertical coordinates of some curves.
pub(super) fn heights(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| match &series.mark {
        Mark::Curve(points) => points.iter().map(|point| point.1).collect(),
        _ => Vec::new(),
    })
}

/// The unit of a target, such as `return_5`.
pub(super) fn unit(target: &str) -> &'static str {
    if target.starts_with("direction") { "probability of a rise" } else { "basis points" }
}

/// Amounts in ascending order; what is no finite number is left out.
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

    /// Returns the range of all but the outermost amounts.
    pub(super) fn range(&self) -> Range<f64> {
        let outer = (OUTER * self.sorted.len() as f64) as usize;
        let inner = &self.sorted[outer..self.sorted.len() - outer];
        padded_range(inner.first().into_iter().chain(inner.last()).copied())
    }

    /// Returns the percentage of all amounts in every bin of a range that holds some: from, to, percentage.
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
        Series { name: name.to_owned(), color, mark: Mark::Bars(self.bars(over)) }
    }
}

/// The height of the highest bar; 1 where there is none.
pub(super) fn highest(bars: &[(f64, f64, f64)]) -> f64 {
    let most = bars.iter().map(|bar| bar.2).fold(0.0, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use ppo_agent::forecast::{ForecastConfig, Outcomes, Scores};

    use super::*;

    /// What came, and a forecast that knows some of it.
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
            ["tiny - SYNTHETIC DATA: return_5", "7.29 basis points, 2,000 samples", "6.0 % of what came", "cut off"]
        {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert!(histogram("a", "direction_5", &pairs(0.1)).unwrap().contains("probability of a rise"));
    }

    #[test]
    fn nothing_and_constants_are_drawn_too() {
        let constant = histogram("a", "return_5", &pairs(0.0)).unwrap();
        assert!(constant.contains("0.0 % of what came"));
        let broken = Pairs { forecast: vec![f32::INFINITY], actual: vec![1.0], ..Pairs::default() };
        for pairs in [Pairs::default(), broken] {
            assert!(histogram("a", "return_5", &pairs).unwrap().contains("nothing to compare"));
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
        }
        let mut broken = some_epochs(3);
        (broken[2].train_loss, broken[1].validation_loss) = (f64::NAN, f64::INFINITY);
        assert!(epochs("broken", &broken, &targets).unwrap().contains("</svg>"));
    }
}
