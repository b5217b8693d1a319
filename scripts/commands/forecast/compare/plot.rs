//! Chart of the comparison: one column per run, with shared axes.

use std::ops::Range;

use anyhow::Context as _;
use ppo_agent::forecast::{Target, TargetKind};
use statistics::least_squares_line;

use super::finished::{Finished, common_targets};
use crate::{
    chart::{
        captions::Heading,
        panel::{Mark, Panel, Series, Ticks, level_line, padded_range},
        style::{Area, INK, LOSS, picture},
    },
    commands::forecast::{
        chart::{Amounts, CAME, FORECAST, curve, heights, highest, losses, passes, r2, unit},
        files::{Pairs, read_pairs},
    },
    output::{
        synthetic::mark,
        table::{significant, thousands},
    },
};

/// Width and height of a panel.
const PANEL: (u32, u32) = (500, 340);
/// Largest number of dots in a scatter plot.
const DOTS: usize = 1500;
/// Longest title that fits a column, in characters.
const TITLE: usize = 40;

/// Draws runs as SVG text.
///
/// # Errors
/// When the forecasts of a run cannot be read, or when the drawing library fails, which no input is known to cause.
pub(super) fn draw(runs: &[Finished]) -> anyhow::Result<String> {
    let common = common_targets(runs);
    let columns = runs.iter().map(|run| Column::of(run, &common)).collect::<anyhow::Result<Vec<_>>>()?;
    let axes = Axes::of(&columns);
    let header = columns.iter().map(|column| column.heading().height()).max().unwrap_or_default();
    picture((PANEL.0 * columns.len() as u32, header + 4 * PANEL.1), |root| {
        let areas = root.split_evenly((1, columns.len()));
        areas.iter().zip(&columns).try_for_each(|(area, column)| column.draw(area, header, &axes))
    })
}

/// Plotted data of a run.
struct Column<'a> {
    run: &'a Finished,
    /// First target shared by the runs, or the run's own first target.
    target: Target,
    /// Position of the first regression target among the run's targets.
    amount: (usize, Target),
    pairs: Pairs,
    forecast: Amounts,
    came: Amounts,
}

/// Shared axes of the columns.
struct Axes {
    epochs: Range<f64>,
    loss: Range<f64>,
    r2: Range<f64>,
    forecast: Range<f64>,
    came: Range<f64>,
    share: Range<f64>,
}

impl<'a> Column<'a> {
    fn of(run: &'a Finished, common: &[Target]) -> anyhow::Result<Self> {
        let own = run.config.forecast.targets();
        let shared = |wanted: &dyn Fn(&Target) -> bool| {
            let common = common.iter().find(|target| own.contains(target) && wanted(target));
            common.or_else(|| own.iter().find(|target| wanted(target))).copied()
        };
        let none = || format!("{}: no target", run.folder.display());
        let target = shared(&|_| true).with_context(none)?;
        let amount = shared(&|target| target.kind != TargetKind::Direction).with_context(none)?;
        let position = own.iter().position(|other| *other == amount).with_context(none)?;
        let pairs = read_pairs(&run.predictions(), &target.to_string())?;
        let (forecast, came) = (Amounts::of(&pairs.forecast), Amounts::of(&pairs.actual));
        Ok(Self { run, target, amount: (position, amount), pairs, forecast, came })
    }

    fn losses(&self) -> Vec<Series> {
        losses(&self.run.metrics.epochs)
    }

    fn r2(&self) -> Vec<Series> {
        vec![curve("", FORECAST, &self.run.metrics.epochs, self.amount.0, r2)]
    }

    fn heading(&self) -> Heading {
        Heading::new(&shortened(&self.run.name), &[mark(self.run.is_synthetic(), "", "")], PANEL.0)
    }

    fn draw(&self, area: &Area<'_>, header: u32, axes: &Axes) -> anyhow::Result<()> {
        self.heading().draw(area)?;
        let (_, below) = area.split_vertically(header);
        let panels = [self.loss_panel(axes), self.r2_panel(axes), self.scatter(axes), self.histogram(axes)];
        below.split_evenly((4, 1)).iter().zip(&panels).try_for_each(|(area, panel)| panel.draw(area))
    }

    fn loss_panel(&self, axes: &Axes) -> Panel {
        let (x, y) = (axes.epochs.clone(), axes.loss.clone());
        Panel { x_title: "epoch", x_ticks: Ticks::Whole, ..Panel::new("Loss", x, y, self.losses()) }
    }

    fn r2_panel(&self, axes: &Axes) -> Panel {
        let (x, y) = (axes.epochs.clone(), axes.r2.clone());
        let series = self.r2().into_iter().chain([level_line(0.0, &x, &y)]).collect();
        let title = format!("Validation R² of {}", self.amount.1);
        Panel { x_title: "epoch", x_ticks: Ticks::Whole, ..Panel::new(title, x, y, series) }
    }

    /// Realised values against forecasts: the two lines coincide for calibrated forecasts.
    fn scatter(&self, axes: &Axes) -> Panel {
        let (x, y) = (axes.forecast.clone(), axes.came.clone());
        let pairs: Vec<(f64, f64)> = self.finite().collect();
        let line = |name: &str, color, (start, slope): (f64, f64)| {
            Series::new(name, color, Mark::Line(within(start, slope, &x, &y)))
        };
        let dots = Mark::Dots(picked(pairs.len()).map(|position| pairs[position]).collect());
        let mut series = vec![Series::new("", FORECAST, dots)];
        series.push(line("y = x", INK, (0.0, 1.0)));
        if let Some(fit) = least_squares_line(&pairs) {
            series.push(line(&format!("least squares: slope {}", significant(fit.1)), LOSS, fit));
        }
        let title = format!("{}: realised against forecast", self.target);
        Panel { x_title: "forecast", y_title: "realised", ..Panel::new(title, x, y, series) }
    }

    fn histogram(&self, axes: &Axes) -> Panel {
        let (x, y) = (axes.came.clone(), axes.share.clone());
        let series = vec![
            self.came.series("realised", CAME, &x),
            self.forecast.series("forecast, truncated at the top", FORECAST, &x),
        ];
        let title = format!("{}, {} samples", self.target, thousands(self.pairs.actual.len() as i64));
        Panel { x_title: unit(&self.target.to_string()), y_title: "% of samples", ..Panel::new(title, x, y, series) }
    }

    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        let pairs = self.pairs.forecast.iter().zip(&self.pairs.actual);
        pairs.map(|(&x, &y)| (f64::from(x), f64::from(y))).filter(|(x, y)| x.is_finite() && y.is_finite())
    }
}

impl Axes {
    fn of<'a>(columns: &[Column<'a>]) -> Self {
        let ends = |range: fn(&Column<'a>) -> Range<f64>| {
            let ranges: Vec<Range<f64>> = columns.iter().map(range).collect();
            let low = ranges.iter().map(|range| range.start).fold(f64::INFINITY, f64::min);
            low..ranges.iter().map(|range| range.end).fold(f64::NEG_INFINITY, f64::max)
        };
        let came = ends(|column| column.came.range());
        let tallest = columns.iter().map(|column| highest(&column.came.bars(&came))).fold(0.0, f64::max);
        let lines = |series: fn(&Column<'a>) -> Vec<Series>, shown: &[f64]| {
            let found = columns.iter().flat_map(|column| heights(&series(column)).collect::<Vec<_>>());
            padded_range(found.chain(shown.iter().copied()))
        };
        let epochs = columns.iter().map(|column| column.run.metrics.epochs.len()).max();
        Self {
            epochs: passes(epochs.unwrap_or_default()),
            loss: lines(Column::losses, &[]),
            r2: lines(Column::r2, &[0.0]),
            forecast: ends(|column| column.forecast.range()),
            came,
            share: 0.0..1.2 * tallest,
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= TITLE {
        return name.to_owned();
    }
    name.chars().take(TITLE - 1).chain(['…']).collect()
}

/// Returns a deterministic sample of dot positions. Multiples of the golden ratio spread evenly, without a period that
/// could coincide with the sessions.
fn picked(all: usize) -> impl Iterator<Item = usize> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let position = move |dot: usize| {
        if all <= DOTS { dot } else { ((GOLDEN * dot as f64).fract() * all as f64) as usize }
    };
    (0..all.min(DOTS)).map(position)
}

/// Returns the part of a line within the axes.
fn within(start: f64, slope: f64, x: &Range<f64>, y: &Range<f64>) -> Vec<(f64, f64)> {
    let at = |height: f64| if slope == 0.0 { x.start } else { (height - start) / slope };
    let (from, to) = match slope {
        0.0 if y.contains(&start) => (x.start, x.end),
        0.0 => return Vec::new(),
        _ => (at(y.start).min(at(y.end)).max(x.start), at(y.start).max(at(y.end)).min(x.end)),
    };
    if from < to { vec![(from, start + slope * from), (to, start + slope * to)] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_few_and_all_over() {
        assert_eq!(picked(7).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
        let mut dots: Vec<usize> = picked(390 * 20).collect();
        dots.sort_unstable();
        assert!(dots.len() == DOTS && dots[DOTS - 1] < 7800);
        assert!(dots.windows(2).all(|pair| pair[1] - pair[0] < 20), "no gap");
    }

    #[test]
    fn the_least_squares_line_is_cut_at_the_axes() {
        let (start, slope) = least_squares_line(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]).unwrap();
        assert_eq!((start, slope), (1.0, 2.0));
        assert_eq!(within(start, slope, &(-4.0..4.0), &(-3.0..5.0)), [(-2.0, -3.0), (2.0, 5.0)]);
        assert_eq!(within(0.5, 0.0, &(0.0..1.0), &(0.0..1.0)), [(0.0, 0.5), (1.0, 0.5)]);
        assert!(within(5.0, 0.0, &(0.0..1.0), &(0.0..1.0)).is_empty());
        assert!(within(9.0, 1.0, &(0.0..1.0), &(0.0..1.0)).is_empty());
        assert!(least_squares_line(&[(0.1, 2.0); 7]).is_none() && least_squares_line(&[]).is_none());
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!((shortened("a"), shortened(&"x".repeat(90)).chars().count()), ("a".to_owned(), TITLE));
    }
}
