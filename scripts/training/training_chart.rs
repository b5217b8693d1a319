//! Chart `training.svg`: action shares and net P&L of every interval.

use anyhow::Context as _;
use plotters::prelude::*;

use crate::{
    artifacts::records::Row,
    chart::style::{CALL, GAIN, HOLD, INK, LOSS, PUT, STRONG_BUY, font, house_style, steps_label},
    output::table::dollars,
};

const SIZE: (u32, u32) = (1000, 680);

/// Lines of the upper panel: label, key of the diagnostics row, colour, width.
const LINES: [(&str, &str, RGBColor, u32); 4] = [
    ("HOLD", "actions/frac_hold", HOLD, 2),
    ("BUY_CALL", "actions/frac_buy_call", CALL, 2),
    ("BUY_PUT", "actions/frac_buy_put", PUT, 2),
    ("BUY on strong setups", "actions_strong/buy", STRONG_BUY, 3),
];

/// Draws the chart of a run from its diagnostics rows, as SVG text.
///
/// # Errors
/// When the drawing library fails, which no input is known to cause.
pub fn draw(title: &str, rows: &[Row]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw(&Text::new(title.to_owned(), (24, 16), font(20)))?;
        legend(&root)?;
        let (_, below) = root.split_vertically(78);
        let (upper, lower) = below.split_vertically(366);
        shares(&upper, rows)?;
        money(&lower, rows)?;
        root.present().context("drawing the chart")?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn legend(root: &Area<'_>) -> anyhow::Result<()> {
    let mut x = 24;
    for (label, _, color, width) in LINES {
        root.draw(&PathElement::new([(x, 54), (x + 26, 54)], color.stroke_width(width)))?;
        root.draw(&Text::new(label, (x + 34, 48), font(13)))?;
        x += 58 + 8 * label.len() as i32;
    }
    Ok(())
}

fn points<'a>(rows: &'a [Row], key: &'a str) -> impl Iterator<Item = (f64, f64)> + 'a {
    rows.iter().filter_map(move |row| Some((row.step as f64, (*row.values.get(key)?)?)))
}

fn last_step(rows: &[Row]) -> f64 {
    rows.last().map_or(1.0, |row| row.step as f64)
}

fn shares(area: &Area<'_>, rows: &[Row]) -> anyhow::Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin_left(14)
        .margin_right(36)
        .x_label_area_size(30)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..last_step(rows), 0.0..100.0)?;
    let mut mesh = chart.configure_mesh();
    house_style(&mut mesh);
    mesh.x_label_formatter(&steps_label)
        .y_label_formatter(&|share| format!("{share:.0}%"))
        .y_desc("share of decisions when flat")
        .draw()?;
    for (_, key, color, width) in LINES {
        let line: Vec<_> = points(rows, key).map(|(step, share)| (step, share * 100.0)).collect();
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 2, color.filled())))?;
        chart.draw_series(LineSeries::new(line, color.stroke_width(width)))?;
    }
    Ok(())
}

fn money(area: &Area<'_>, rows: &[Row]) -> anyhow::Result<()> {
    let bars: Vec<_> = points(rows, "money/net_pnl_usd").collect();
    let low = bars.iter().map(|bar| bar.1).fold(0.0, f64::min) * 1.08;
    let high = bars.iter().map(|bar| bar.1).fold(0.0, f64::max) * 1.08;
    let high = if high - low > 0.0 { high } else { low + 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_left(14)
        .margin_right(36)
        .margin_bottom(8)
        .x_label_area_size(40)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..last_step(rows), low..high)?;
    let mut mesh = chart.configure_mesh();
    house_style(&mut mesh);
    mesh.disable_x_mesh()
        .y_labels(6)
        .x_label_formatter(&steps_label)
        .y_label_formatter(&|pnl| dollars(*pnl))
        .x_desc("steps")
        .y_desc("net P&L of the interval")
        .draw()?;
    let mut from = 0.0;
    let bars = bars.into_iter().map(|(step, pnl)| {
        let gap = (step - from) * 0.12;
        let bar = Rectangle::new([(from + gap, 0.0), (step - gap, pnl)], if pnl < 0.0 { LOSS } else { GAIN }.filled());
        from = step;
        bar
    });
    chart.draw_series(bars)?;
    chart.draw_series([PathElement::new([(0.0, 0.0), (last_step(rows), 0.0)], INK)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use market_data::DataStamp;

    use super::*;
    use crate::artifacts::records::{RowKind, row};

    #[test]
    fn every_series_is_drawn_and_named() {
        let values = |hold: f64, pnl: f64| {
            let mut values: Vec<_> = LINES.iter().map(|line| (line.1.to_owned(), hold)).collect();
            values.push(("money/net_pnl_usd".to_owned(), pnl));
            values
        };
        let rows = [
            row(RowKind::Diagnostics, DataStamp::Market, 5_000, &values(0.4, -120.0)),
            row(RowKind::Diagnostics, DataStamp::Market, 10_000, &values(0.3, 80.0)),
        ];
        let svg = draw("tune1 SYNTHETIC", &rows).unwrap();
        for part in [
            "<svg",
            "tune1 SYNTHETIC",
            "BUY_PUT",
            "BUY on strong setups",
            "net P&amp;L",
            "10,000",
            "#D65A4A",
            "#2E9E6B",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(svg.matches("<polyline").count() >= LINES.len());
        assert!(draw("empty", &[]).unwrap().contains("</svg>"));
    }
}
