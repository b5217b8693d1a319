//! Charts of the page: SVG with classes whose colours the style sheet sets for the light and the dark look.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

/// Width of a chart, in units of its own; the page scales it.
pub(super) const WIDTH: f64 = 880.0;
/// Most points of a line; more are thinned, for drawing alone.
const MOST_POINTS: usize = 1_500;
/// Width of the labels of the y axis.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// Area of a chart with its scales, and the marks drawn so far.
#[derive(Debug)]
pub(super) struct Plot {
    height: f64,
    x: (f64, f64),
    y: (f64, f64),
    body: String,
}

impl Plot {
    /// Returns an empty chart; the ranges are widened where they have no extent.
    pub(super) fn new(height: f64, x: (f64, f64), y: (f64, f64)) -> Self {
        let wide = |(low, high): (f64, f64)| if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
        Self { height, x: wide(x), y: wide(y), body: String::new() }
    }

    /// Returns a chart whose y range holds all values with a margin.
    pub(super) fn around(height: f64, x: (f64, f64), values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extent(values);
        let margin = 0.05 * (high - low);
        Self::new(height, x, (low - margin, high + margin))
    }

    fn at_x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn at_y(&self, y: f64) -> f64 {
        self.height - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (self.height - TOP - BOTTOM)
    }

    fn put(&mut self, mark: std::fmt::Arguments<'_>) {
        // A String takes every text.
        let _ = self.body.write_fmt(mark);
    }

    /// Draws horizontal grid lines with labels, and the zero line.
    pub(super) fn y_axis(mut self, label: impl Fn(f64) -> String) -> Self {
        for tick in ticks(self.y, 5) {
            let (y, text) = (self.at_y(tick), label(tick));
            let class = if tick == 0.0 { "zero" } else { "grid" };
            self.put(format_args!(
                r#"<line class="{class}" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="tick end" x="{:.1}" y="{:.1}">{text}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0
            ));
        }
        self
    }

    /// Writes labels below the chart.
    pub(super) fn x_labels(mut self, labels: impl IntoIterator<Item = (f64, String)>) -> Self {
        let mut free = 0.0;
        for (value, text) in labels {
            let half = 3.4 * text.len() as f64;
            let x = self.at_x(value).clamp(LEFT + half, (WIDTH - half).max(LEFT + half));
            if x - half < free {
                continue;
            }
            free = x + half + 10.0;
            let y = self.height - 7.0;
            self.put(format_args!(r#"<text class="tick middle" x="{x:.1}" y="{y:.1}">{text}</text>"#));
        }
        self
    }

    /// Writes labels of round values below the chart.
    pub(super) fn x_axis(self, label: impl Fn(f64) -> String) -> Self {
        let found: Vec<(f64, String)> = ticks(self.x, 7).map(|tick| (tick, label(tick))).collect();
        self.x_labels(found)
    }

    /// Draws a line through points.
    pub(super) fn line(mut self, class: &str, points: &[(f64, f64)]) -> Self {
        let path = self.path(points.iter().copied());
        self.put(format_args!(r#"<path class="line {class}" d="M{path}"/>"#));
        self
    }

    /// Fills the area between two lines.
    pub(super) fn band(mut self, class: &str, low: &[(f64, f64)], high: &[(f64, f64)]) -> Self {
        let (there, back) = (self.path(low.iter().copied()), self.path(high.iter().rev().copied()));
        self.put(format_args!(r#"<path class="band {class}" d="M{there}L{back}Z"/>"#));
        self
    }

    fn path(&self, points: impl ExactSizeIterator<Item = (f64, f64)>) -> String {
        let step = points.len().div_ceil(MOST_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let kept = points.enumerate().filter(|(i, _)| i % step == 0 || *i == last);
        kept.map(|(_, (x, y))| format!("{:.1} {:.1}", self.at_x(x), self.at_y(y))).collect::<Vec<_>>().join("L")
    }

    /// Draws a vertical line.
    pub(super) fn rule(mut self, class: &str, x: f64, label: &str) -> Self {
        let (x, bottom) = (self.at_x(x), self.height - BOTTOM);
        self.put(format_args!(r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom:.1}"/>"#));
        if !label.is_empty() {
            let (class, dx) = if x > WIDTH * 0.75 { ("end", -5.0) } else { ("", 5.0) };
            let label = escaped(label);
            self.put(format_args!(
                r#"<text class="note {class}" x="{:.1}" y="{:.1}">{label}</text>"#,
                x + dx,
                TOP + 12.0
            ));
        }
        self
    }

    /// Draws a bar from one x to the next, from 0 to y.
    pub(super) fn bar(mut self, class: &str, (from, to): (f64, f64), y: f64, title: &str) -> Self {
        let (left, right) = (self.at_x(from) + 0.5, self.at_x(to) - 0.5);
        let (top, bottom) = (self.at_y(y.max(0.0)), self.at_y(y.min(0.0)));
        let (width, height, title) = ((right - left).max(0.5), (bottom - top).max(0.0), escaped(title));
        self.put(format_args!(
            r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"><title>{title}</title></rect>"#
        ));
        self
    }

    /// Draws a dot with a title.
    pub(super) fn dot(mut self, class: &str, (x, y): (f64, f64), title: &str) -> Self {
        let (x, y, title) = (self.at_x(x), self.at_y(y), escaped(title));
        self.put(format_args!(
            r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="4.5"><title>{title}</title></circle>"#
        ));
        self
    }

    /// Writes a note at a point.
    pub(super) fn note(mut self, (x, y): (f64, f64), text: &str) -> Self {
        let (x, y, text) = (self.at_x(x) + 8.0, self.at_y(y) + 4.0, escaped(text));
        self.put(format_args!(r#"<text class="note" x="{x:.1}" y="{y:.1}">{text}</text>"#));
        self
    }

    /// Returns the chart; `finding` is the sentence that it shows.
    pub(super) fn svg(self, finding: &str) -> Markup {
        let (height, body) = (self.height, PreEscaped(self.body));
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(finding)
                data-left=(LEFT) data-right=(WIDTH - RIGHT) { (body) }
        }
    }
}

/// Returns a figure: the chart, its finding as a caption, a key of its lines and, folded, its numbers.
pub(super) fn figure(finding: &str, plot: Plot, key: &[(&str, &str)], numbers: Option<Markup>) -> Markup {
    html! {
        figure {
            figcaption { (finding) }
            @if !key.is_empty() {
                ul.key aria-hidden="true" { @for (class, label) in key { li { i class=(format!("swatch {class}")) {} (label) } } }
            }
            (plot.svg(finding))
            @if let Some(numbers) = numbers { details { summary { "Numbers" } (numbers) } }
        }
    }
}

/// Returns a table; the first column is a heading of its row.
pub(super) fn table(caption: &str, heading: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for cell in heading { th scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (i, cell) in row.iter().enumerate() {
                            @if i == 0 { th scope="row" { (cell) } } @else { td class=[sign_class(cell)] { (cell) } }
                        } }
                    }
                }
            }
        }
    }
}

/// Returns the class of a cell with a negative amount of money.
fn sign_class(cell: &str) -> Option<&'static str> {
    cell.starts_with("-$").then_some("loss")
}

fn escaped(text: &str) -> String {
    html! { (text) }.into_string()
}

/// Returns the least and the largest value and 0.
fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold((0.0, 0.0), |(low, high), value| (f64::min(low, value), f64::max(high, value)))
}

/// Returns about `count` round values inside a range.
fn ticks((low, high): (f64, f64), count: usize) -> impl Iterator<Item = f64> {
    let rough = (high - low) / count as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|part| part * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(move |i| i as f64 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 10.0), 5).collect::<Vec<_>>(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((-120.0, 130.0), 5).collect::<Vec<_>>(), [-100.0, -50.0, 0.0, 50.0, 100.0]);
        assert!(ticks((0.0, 1e9), 5).count() <= 7);
    }

    #[test]
    fn marks_lie_inside_the_chart_and_text_is_escaped() {
        let plot = Plot::around(200.0, (0.0, 10.0), [-5.0, 20.0]);
        assert_eq!((plot.at_x(0.0), plot.at_x(10.0)), (LEFT, WIDTH - RIGHT));
        assert!(plot.at_y(-5.0) < 200.0 - BOTTOM && plot.at_y(20.0) > TOP);
        let svg = plot.rule("rule", 3.0, "a < b").svg("it's <so>").into_string();
        assert!(svg.contains("a &lt; b") && !svg.contains("<so>"), "{svg}");
    }

    #[test]
    fn long_lines_are_thinned_and_keep_their_ends() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 0.0)).collect();
        let plot = Plot::new(200.0, (0.0, 9_999.0), (-1.0, 1.0));
        let path = plot.path(points.iter().copied());
        assert!(path.split('L').count() <= MOST_POINTS + 1);
        assert!(path.ends_with(&format!("{:.1} {:.1}", plot.at_x(9_999.0), plot.at_y(0.0))));
    }

    #[test]
    fn losses_carry_a_class() {
        assert_eq!([sign_class("-$5"), sign_class("$5"), sign_class("-5%")], [Some("loss"), None, None]);
    }
}
