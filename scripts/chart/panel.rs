//! Chart panels of lines, bars and dots, each with a title and a legend. The forecaster charts are made of them.

use std::ops::Range;

use anyhow::Context as _;
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::chart::style::{INK, font, house_style};

const WIDTH: u32 = 1000;
const HEAD: u32 = 48;
const PANEL: u32 = 270;
const LEFT: i32 = 14;
const RIGHT: i32 = 18;
/// Distance between two lines of text, in pixels.
const LINE_HEIGHT: i32 = 18;
/// Most points of a curve that are marked one by one.
const MAX_MARKED_POINTS: usize = 40;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Shape of a series, in the coordinates of the panel's axes.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    /// A line, with its points marked if there are few.
    Curve(Vec<(f64, f64)>),
    Line(Vec<(f64, f64)>),
    Dashed(Vec<(f64, f64)>),
    Dots(Vec<(f64, f64)>),
    /// From, to, height.
    Bars(Vec<(f64, f64, f64)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) mark: Mark,
}

#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Range<f64>,
    pub(crate) y: Range<f64>,
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    pub(crate) series: Vec<Series>,
}

/// Draws panels below each other, as SVG text.
///
/// # Errors
/// When the drawing library fails, which no input is known to cause.
pub(crate) fn page(title: &str, panels: &[Panel]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let size = (WIDTH, HEAD + PANEL * panels.len() as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw(&Text::new(title.to_owned(), (LEFT, 14), font(20)))?;
        let (_, below) = root.split_vertically(HEAD);
        for (area, panel) in below.split_evenly((panels.len(), 1)).iter().zip(panels) {
            panel.draw(area)?;
        }
        root.present().context("drawing panels")?;
    }
    Ok(svg)
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

impl Panel {
    pub(crate) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let (width, _) = area.dim_in_pixel();
        area.draw(&Text::new(self.title.clone(), (LEFT, 6), font(14)))?;
        let lines = self.legend(area, width as i32)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(26 + LINE_HEIGHT * lines)
            .margin_left(LEFT)
            .margin_right(RIGHT)
            .margin_bottom(8)
            .x_label_area_size(38)
            .y_label_area_size(62)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        let (x, y) = (tick_label(&self.x), tick_label(&self.y));
        let whole = |value: &f64| if value.fract() == 0.0 { value.to_string() } else { String::new() };
        mesh.x_labels(width as usize / 75)
            .y_labels(6)
            .x_label_formatter(if self.x_title == "epoch" { &whole } else { &x })
            .y_label_formatter(&y)
            .x_desc(self.x_title)
            .y_desc(self.y_title)
            .draw()?;
        self.series.iter().try_for_each(|series| self.draw_series(&mut chart, series))
    }

    /// Draws the legend and returns its number of lines.
    fn legend(&self, area: &Area<'_>, width: i32) -> anyhow::Result<i32> {
        let (mut x, mut line) = (LEFT, 0);
        for Series { name, color, mark } in self.series.iter().filter(|series| !series.name.is_empty()) {
            let needed = 48 + 7 * name.chars().count() as i32;
            if x > LEFT && x + needed > width {
                (x, line) = (LEFT, line + 1);
            }
            let y = 33 + LINE_HEIGHT * line;
            let dashed: &[(i32, i32)] = &[(0, 5), (8, 13), (16, 21)];
            let strokes = if matches!(mark, Mark::Dashed(_)) { dashed } else { &[(0, 21)] };
            for (from, to) in strokes {
                area.draw(&PathElement::new([(x + from, y), (x + to, y)], color.stroke_width(3)))?;
            }
            area.draw(&Text::new(name.clone(), (x + 28, y - 5), font(12)))?;
            x += needed;
        }
        Ok(if x > LEFT { line + 1 } else { 0 })
    }

    /// Draws a series within the axes: lines and bars end at the edge, dots outside are left out.
    fn draw_series(&self, chart: &mut Chart<'_, '_>, series: &Series) -> anyhow::Result<()> {
        let color = series.color;
        let edge = |&(x, y): &(f64, f64)| (x, y.clamp(self.y.start, self.y.end));
        match &series.mark {
            Mark::Curve(points) | Mark::Line(points) => {
                let points: Vec<_> = points.iter().map(edge).collect();
                if matches!(series.mark, Mark::Curve(_)) && points.len() <= MAX_MARKED_POINTS {
                    chart.draw_series(points.iter().map(|&at| Circle::new(at, 3, color.filled())))?;
                }
                chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
            }
            Mark::Dashed(points) => {
                chart.draw_series(DashedLineSeries::new(points.iter().map(edge), 5, 4, color.stroke_width(1)))?;
            }
            Mark::Dots(points) => {
                let inside = points.iter().filter(|(x, y)| self.x.contains(x) && self.y.contains(y));
                chart.draw_series(inside.map(|&at| Circle::new(at, 2, color.mix(0.35).filled())))?;
            }
            Mark::Bars(bars) => {
                let bar = |&(from, to, height): &(f64, f64, f64)| {
                    Rectangle::new([(from, self.y.start), (to, height.min(self.y.end))], color.mix(0.6).filled())
                };
                chart.draw_series(bars.iter().map(bar))?;
            }
        }
        Ok(())
    }
}

/// Returns a thin dashed line across the panel; empty if the level lies outside the axis.
pub(crate) fn level_line(at: f64, x: &Range<f64>, y: &Range<f64>) -> Series {
    let points = if y.contains(&at) { vec![(x.start, at), (x.end, at)] } else { Vec::new() };
    Series { name: String::new(), color: INK, mark: Mark::Dashed(points) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::style::CALL;

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
    }

    #[test]
    fn long_legends_wrap_and_nothing_leaves_the_axes() {
        let line = |i: usize| Series {
            name: format!("volatility_{i}"),
            color: CALL,
            mark: Mark::Line(vec![(0.0, 0.5), (1.0, f64::from(i as u32) - 1e9)]),
        };
        let series = (0..12).map(line).collect();
        let panel = Panel { title: "R²".to_owned(), x: 0.0..1.0, y: 0.0..1.0, x_title: "epoch", y_title: "", series };
        let svg = page("a & b", &[panel]).unwrap();
        assert!(svg.contains("a &amp; b") && svg.contains("volatility_11"));
        let heights = svg.split("y=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<i32>().ok());
        assert!(heights.into_iter().all(|y| (0..=(HEAD + PANEL) as i32).contains(&y)));
        assert!(page("nothing", &[]).unwrap().contains("</svg>"));
    }
}
