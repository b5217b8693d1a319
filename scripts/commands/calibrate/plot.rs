//! SVG panels of bands, lines and dots over a common horizontal axis.

use std::ops::Range;

use anyhow::Context as _;
use plotters::{coord::Shift, prelude::*};

use crate::chart::style::{INK, font, house_style};

const WIDTH: u32 = 1000;
const HEAD: u32 = 84;
const PANEL: u32 = 290;

/// Content of a panel, in axis coordinates.
pub(crate) enum Series {
    /// x, lower and upper edge.
    Band(Vec<(f64, f64, f64)>, RGBAColor),
    Line(Vec<(f64, f64)>, RGBColor),
    Dots(Vec<(f64, f64)>, RGBColor),
}

pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) y: Range<f64>,
    pub(crate) y_label: fn(&f64) -> String,
    /// Level of a thin horizontal line.
    pub(crate) level: Option<f64>,
    pub(crate) series: Vec<Series>,
}

/// Panels stacked vertically.
pub(crate) struct Figure {
    pub(crate) title: String,
    /// Colours and their labels.
    pub(crate) legend: Vec<(&'static str, RGBAColor)>,
    pub(crate) x: Range<f64>,
    pub(crate) x_title: &'static str,
    pub(crate) x_label: fn(&f64) -> String,
    pub(crate) panels: Vec<Panel>,
}

impl Figure {
    /// Draws the figure as SVG text.
    ///
    /// # Errors
    /// When the drawing library fails; no input is known to cause this.
    pub(crate) fn draw(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        {
            let size = (WIDTH, HEAD + PANEL * self.panels.len() as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE)?;
            root.draw(&Text::new(self.title.clone(), (24, 16), font(19)))?;
            self.draw_legend(&root)?;
            let (_, mut below) = root.split_vertically(HEAD);
            for (i, panel) in self.panels.iter().enumerate() {
                let (area, rest) = below.split_vertically(PANEL);
                self.draw_panel(&area, panel, i + 1 == self.panels.len())?;
                below = rest;
            }
            root.present().context("drawing the figure")?;
        }
        Ok(svg)
    }

    fn draw_legend(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> anyhow::Result<()> {
        let mut x = 24;
        for (label, color) in &self.legend {
            root.draw(&Rectangle::new([(x, 52), (x + 22, 62)], color.filled()))?;
            root.draw(&Text::new(*label, (x + 30, 50), font(13)))?;
            x += 56 + 7 * label.len() as i32;
        }
        Ok(())
    }

    fn draw_panel(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel, last: bool) -> anyhow::Result<()> {
        let mut chart = ChartBuilder::on(area)
            .margin_left(14)
            .margin_right(36)
            .margin_bottom(10)
            .margin_top(6)
            .x_label_area_size(if last { 44 } else { 24 })
            .y_label_area_size(84)
            .build_cartesian_2d(self.x.clone(), panel.y.clone())?;
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        mesh.x_labels(14)
            .y_labels(7)
            .x_label_formatter(&self.x_label)
            .y_label_formatter(&panel.y_label)
            .x_desc(if last { self.x_title } else { "" })
            .y_desc(panel.title)
            .draw()?;
        for series in &panel.series {
            match series {
                Series::Band(points, color) => {
                    let upper = points.iter().map(|&(x, _, high)| (x, high));
                    let lower = points.iter().rev().map(|&(x, low, _)| (x, low));
                    let outline: Vec<_> = upper.chain(lower).collect();
                    chart.draw_series([Polygon::new(outline, color.filled())])?;
                }
                Series::Line(points, color) => {
                    chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
                }
                Series::Dots(points, color) => {
                    chart.draw_series(points.iter().map(|&at| Circle::new(at, 2, color.mix(0.8).filled())))?;
                }
            }
        }
        if let Some(level) = panel.level {
            chart.draw_series([PathElement::new([(self.x.start, level), (self.x.end, level)], INK.mix(0.6))])?;
        }
        Ok(())
    }
}
