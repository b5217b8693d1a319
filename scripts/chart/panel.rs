//! Chart panels of lines, bands, bars and dots, each with a title and a legend. Most charts are made of them.

use std::ops::Range;

use plotters::{
    coord::{
        ranged1d::{DefaultFormatting, KeyPointHint},
        types::RangedCoordf64,
    },
    prelude::*,
};

use crate::chart::{
    captions::{Heading, Legend, MARGIN, Symbol},
    style::{Area, INK, LINE_HEIGHT, TEXT, WIDTH, font, house_style, picture},
    thin::{thin_band, thin_line},
};

const HEIGHT: u32 = 340;
/// Distances of the plotting area from the left and the right edge of a panel, in pixels.
pub(crate) const LEFT: i32 = 14 + Y_LABELS;
pub(crate) const RIGHT: i32 = 42;
/// Width of the labels beside a plotting area.
const Y_LABELS: i32 = 92;
/// Heights of tick labels and of a title below a plotting area.
const X_LABELS: i32 = 32;
const X_TITLE: i32 = 24;
/// Room below a panel.
const BELOW: i32 = 8;
/// Distance between two ticks of the vertical axis.
const TICK_DISTANCE: i32 = 42;
/// Most points of a curve that are marked one by one.
const MAX_MARKED_POINTS: usize = 120;

pub(crate) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, RangedCoordf64>>;

/// A horizontal axis with ticks at round numbers, or at the multiples of a step.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) range: Range<f64>,
    pub(crate) step: Option<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let Some(step) = self.step else { return RangedCoordf64::from(self.range.clone()).key_points(hint) };
        let (first, last) = ((self.range.start / step).ceil() as i64, (self.range.end / step).floor() as i64);
        (first..=last).map(|tick| tick as f64 * step).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Labels of an axis.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Ticks {
    /// Numbers with decimals to suit the length of the axis.
    #[default]
    Numbers,
    /// Whole numbers only.
    Whole,
    /// Texts of a formatter.
    Text(fn(&f64) -> String),
    Hidden,
}

impl Ticks {
    fn formatter(self, axis: &Range<f64>) -> Box<dyn Fn(&f64) -> String> {
        match self {
            Self::Numbers => Box::new(tick_label(axis)),
            Self::Whole => Box::new(|value| if value.fract() == 0.0 { value.to_string() } else { String::new() }),
            Self::Text(label) => Box::new(label),
            Self::Hidden => Box::new(|_| String::new()),
        }
    }
}

/// Shape of a series, in the coordinates of the panel's axes.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    /// A line, with its points marked if there are few.
    Curve(Vec<(f64, f64)>),
    Line(Vec<(f64, f64)>),
    Dashed(Vec<(f64, f64)>),
    /// Small dots, of which there may be many.
    Dots(Vec<(f64, f64)>),
    /// Large dots.
    Points(Vec<(f64, f64)>),
    /// From, to, height.
    Bars(Vec<(f64, f64, f64)>),
    /// Position, lower and upper edge; the opacity.
    Band(Vec<(f64, f64, f64)>, f64),
}

#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Label of the legend; empty for none.
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) mark: Mark,
}

impl Series {
    pub(crate) fn new(name: impl Into<String>, color: RGBColor, mark: Mark) -> Self {
        Self { name: name.into(), color, mark }
    }

    fn symbol(&self) -> Symbol {
        match self.mark {
            Mark::Curve(_) | Mark::Line(_) => Symbol::Line(self.color),
            Mark::Dashed(_) => Symbol::Dashed(self.color),
            Mark::Dots(_) | Mark::Points(_) => Symbol::Dot(self.color),
            Mark::Bars(_) => Symbol::Area(self.color.mix(BAR_OPACITY)),
            Mark::Band(_, opacity) => Symbol::Area(self.color.mix(opacity)),
        }
    }
}

const BAR_OPACITY: f64 = 0.6;

#[derive(Debug, Clone)]
pub(crate) struct Panel {
    /// Line above the panel; empty for none.
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Range<f64>,
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    pub(crate) x_ticks: Ticks,
    pub(crate) y_ticks: Ticks,
    pub(crate) series: Vec<Series>,
}

/// Draws panels of equal height below each other, as SVG text.
///
/// # Errors
/// When the drawing library fails, which no input is known to cause.
pub(crate) fn page(title: &str, panels: &[Panel]) -> anyhow::Result<String> {
    let heading = Heading::new(title, &[], WIDTH);
    picture((WIDTH, heading.height() + HEIGHT * panels.len() as u32), |root| {
        heading.draw(root)?;
        let (_, below) = root.split_vertically(heading.height());
        below.split_evenly((panels.len(), 1)).iter().zip(panels).try_for_each(|(area, panel)| panel.draw(area))
    })
}

/// Returns the range of the finite values, padded at both ends; never empty.
pub(crate) fn padded_range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let size = low.abs().max(high.abs());
    let room = match high - low {
        span if span > 1e-6 * size => 0.05 * span,
        _ if size > 0.0 => 0.1 * size,
        _ => 1.0,
    };
    low - room..high + room
}

/// Returns the tick formatter of an axis, with decimals to suit its length.
fn tick_label(axis: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let span = axis.end - axis.start;
    let places = (1.0 - span.log10().floor()).clamp(0.0, 9.0) as usize;
    // Nothing is written as -0.
    move |value| format!("{:.places$}", if value.abs() < 1e-6 * span { 0.0 } else { *value })
}

/// Opens a plotting area with the margins of all charts; `top` is its distance from the upper edge, in pixels.
pub(crate) fn axes<'a, 'b>(
    area: &'a Area<'b>,
    top: i32,
    x_labels: i32,
    x: Axis,
    y: &Range<f64>,
) -> anyhow::Result<Chart<'a, 'b>> {
    Ok(ChartBuilder::on(area)
        .margin_top(top)
        .margin_left(LEFT - Y_LABELS)
        .margin_right(RIGHT)
        .margin_bottom(BELOW)
        .x_label_area_size(x_labels)
        .y_label_area_size(Y_LABELS)
        .build_cartesian_2d(x, y.clone())?)
}

/// Returns the height below a plotting area, with or without a title of its axis.
pub(crate) fn x_label_height(has_title: bool) -> i32 {
    if has_title { X_LABELS + X_TITLE } else { X_LABELS }
}

impl Panel {
    pub(crate) fn new(title: impl Into<String>, x: Range<f64>, y: Range<f64>, series: Vec<Series>) -> Self {
        Self {
            title: title.into(),
            x: Axis { range: x, step: None },
            y,
            x_title: "",
            y_title: "",
            x_ticks: Ticks::Numbers,
            y_ticks: Ticks::Numbers,
            series,
        }
    }

    pub(crate) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let (width, height) = area.dim_in_pixel();
        let named = self.series.iter().filter(|series| !series.name.is_empty());
        let legend = Legend::new(named.map(|series| (series.name.clone(), series.symbol())), width);
        let below_title = if self.title.is_empty() { 4 } else { 4 + LINE_HEIGHT };
        area.draw(&Text::new(self.title.clone(), (MARGIN, 6), font(TEXT)))?;
        legend.draw(area, below_title)?;
        let top = below_title + legend.height() + 10;
        let bottom = if matches!(self.x_ticks, Ticks::Hidden) { 6 } else { x_label_height(!self.x_title.is_empty()) };
        let mut chart = axes(area, top, bottom, self.x.clone(), &self.y)?;
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        let (x, y) = (self.x_ticks.formatter(&self.x.range), self.y_ticks.formatter(&self.y));
        mesh.x_labels(((width as i32 - LEFT - RIGHT) / 96).max(2) as usize)
            .y_labels(((height as i32 - top - bottom - BELOW) / TICK_DISTANCE).max(2) as usize)
            .x_label_formatter(&x)
            .y_label_formatter(&y)
            .x_desc(self.x_title)
            .y_desc(self.y_title)
            .draw()?;
        self.series.iter().try_for_each(|series| self.draw_series(&mut chart, series))
    }

    /// Draws a series within the axes: lines, bars and bands end at the edge, dots outside are left out.
    fn draw_series(&self, chart: &mut Chart<'_, '_>, series: &Series) -> anyhow::Result<()> {
        let color = series.color;
        let clamp = |y: f64| y.clamp(self.y.start, self.y.end);
        let edge = |&(x, y): &(f64, f64)| (x, clamp(y));
        let columns = chart.plotting_area().dim_in_pixel().0 as usize;
        let inside = |(x, y): &&(f64, f64)| (self.x.range.start..=self.x.range.end).contains(x) && self.y.contains(y);
        match &series.mark {
            Mark::Curve(points) | Mark::Line(points) => {
                let points = thin_line(points.iter().map(edge).collect(), columns);
                if matches!(series.mark, Mark::Curve(_)) && points.len() <= MAX_MARKED_POINTS {
                    chart.draw_series(points.iter().map(|&at| Circle::new(at, 3, color.filled())))?;
                }
                chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
            }
            Mark::Dashed(points) => {
                chart.draw_series(DashedLineSeries::new(points.iter().map(edge), 7, 5, color.stroke_width(2)))?;
            }
            Mark::Dots(points) => {
                let inside = points.iter().filter(inside);
                chart.draw_series(inside.map(|&at| Circle::new(at, 2, color.mix(0.4).filled())))?;
            }
            Mark::Points(points) => {
                let inside = points.iter().filter(inside);
                chart.draw_series(inside.map(|&at| Circle::new(at, 5, color.filled())))?;
            }
            Mark::Bars(bars) => {
                let bar = |&(from, to, height): &(f64, f64, f64)| {
                    Rectangle::new([(from, self.y.start), (to, clamp(height))], color.mix(BAR_OPACITY).filled())
                };
                chart.draw_series(bars.iter().map(bar))?;
            }
            Mark::Band(points, opacity) => {
                let points = thin_band(points, columns);
                let upper = points.iter().map(|&(x, _, high)| (x, clamp(high)));
                let lower = points.iter().rev().map(|&(x, low, _)| (x, clamp(low)));
                let outline: Vec<_> = upper.chain(lower).collect();
                chart.draw_series([Polygon::new(outline, color.mix(*opacity).filled())])?;
            }
        }
        Ok(())
    }
}

/// Returns a thin dashed line across the panel; empty if the level lies outside the axis.
pub(crate) fn level_line(at: f64, x: &Range<f64>, y: &Range<f64>) -> Series {
    let points = if y.contains(&at) { vec![(x.start, at), (x.end, at)] } else { Vec::new() };
    Series::new("", INK, Mark::Dashed(points))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::style::{CALL, PUT, tests::assert_house_style};

    #[test]
    fn no_axis_is_empty() {
        for values in [&[][..], &[f64::NAN], &[0.0], &[3.0, 3.0], &[-2.0], &[1e9, 1e9 + 1e-3], &[1.0, 2.0]] {
            let range = padded_range(values.iter().copied());
            assert!(range.end - range.start > 1e-3, "{values:?} gave {range:?}");
            assert!(values.iter().all(|value| value.is_nan() || range.contains(value)), "{values:?} gave {range:?}");
        }
    }

    #[test]
    fn tick_labels_have_decimals_to_suit_the_axis() {
        let write = |axis: Range<f64>, value: f64| tick_label(&axis)(&value);
        assert_eq!(write(0.996..1.001, 0.9985), "0.9985");
        assert_eq!((write(-50.0..50.0, -20.0), write(-1.0..1.0, -1e-17)), ("-20".to_owned(), "0.0".to_owned()));
        let whole = Ticks::Whole.formatter(&(0.0..2.0));
        assert_eq!((whole(&1.0), whole(&1.5)), ("1".to_owned(), String::new()));
    }

    #[test]
    fn ticks_lie_at_the_multiples_of_the_step() {
        let axis = Axis { range: -390.0..0.0, step: Some(60.0) };
        let ticks = axis.key_points(10);
        assert_eq!(ticks, [-360.0, -300.0, -240.0, -180.0, -120.0, -60.0, 0.0]);
        assert_eq!((axis.map(&-390.0, (10, 400)), axis.map(&0.0, (10, 400))), (10, 400));
    }

    #[test]
    fn every_mark_is_drawn_within_the_axes() {
        let far = |i: usize| vec![(0.0, 0.5), (1.0, f64::from(i as u32) - 1e9)];
        let line = |i: usize| Series::new(format!("volatility_{i}"), CALL, Mark::Line(far(i)));
        let marks = [
            Mark::Curve(far(1)),
            Mark::Dashed(far(1)),
            Mark::Dots(far(1)),
            Mark::Points(far(1)),
            Mark::Bars(vec![(0.0, 0.5, 9.0)]),
            Mark::Band(vec![(0.0, -9.0, 9.0), (1.0, 0.2, 0.4)], 0.2),
        ];
        let series = (0..12).map(line).chain(marks.map(|mark| Series::new("other", PUT, mark))).collect();
        let panel = Panel::new("R²", 0.0..1.0, 0.0..1.0, series);
        let svg = page("a & b", &[panel]).unwrap();
        assert_house_style(&svg);
        assert!(svg.contains("a &amp; b") && svg.contains("volatility_11"));
        let heights = svg.split("y=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<i32>().ok());
        assert!(heights.into_iter().all(|y| (0..=(HEIGHT as i32 + 60)).contains(&y)));
        assert!(page("nothing", &[]).unwrap().contains("</svg>"));
    }
}
