//! Chart with one panel per profile: HOLD and strong-setup BUY, the interval solid, the average since step 0 dashed;
//! below them the P&L of every interval.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::report::{CollapseReport, Look, ProfileReport, Shown, Spread, WindowFigures};
use crate::{
    artifacts::paths::short_steps,
    chart::{
        captions::{Heading, Legend, Symbol},
        style::{
            Area, GAIN, HOLD, INK, LINE_HEIGHT, LOSS, STRONG_BUY, TEXT, WIDTH, font, house_style, percent_label,
            picture,
        },
    },
    output::{
        synthetic::title_mark,
        table::{dollars, thousands},
    },
};

/// Columns of the picture; a single profile fills both.
const COLUMNS: usize = 2;
/// Height of a panel with its title, its shares and its P&L.
const PANEL: u32 = 446;
const MONEY: u32 = 140;
/// Height of a panel's two title lines.
const TITLES: i32 = 2 * LINE_HEIGHT + 10;
/// Room beside a plotting area, in pixels.
const MARGIN: i32 = 10;
const LEFT: i32 = 94;
const RIGHT: i32 = 54;
/// Number of intervals from which lines are thin.
const CROWDED: usize = 40;

type Window = fn(&Shown<Option<Spread>>) -> &WindowFigures<Option<Spread>>;
type Figure = fn(&WindowFigures<Option<Spread>>) -> Option<Spread>;

/// A line of the upper half: its name, its colour, its figure.
const LINES: [(&str, RGBColor, Figure); 2] =
    [("HOLD", HOLD, |figures| figures.hold), ("BUY on strong setups", STRONG_BUY, |figures| figures.strong_buy)];

/// Draws a report as SVG text.
///
/// # Errors
/// A failure of the drawing library; no known input causes one.
pub(crate) fn draw(report: &CollapseReport) -> anyhow::Result<String> {
    let columns = report.profiles.len().clamp(1, COLUMNS);
    let rows = report.profiles.len().div_ceil(columns).max(1);
    let (heading, legend) = (heading(report), legend(report));
    let header = heading.height() + legend.height() as u32 + 8;
    picture((WIDTH, header + PANEL * rows as u32), |root| {
        heading.draw(root)?;
        legend.draw(root, heading.height() as i32)?;
        let (_, below) = root.split_vertically(header);
        let money = Money::of(report);
        below.split_evenly((rows, columns)).iter().zip(&report.profiles).try_for_each(|(area, profile)| {
            let panel = Panel { profile, last: report.timesteps as f64, money };
            panel.draw(area)
        })
    })
}

fn heading(report: &CollapseReport) -> Heading {
    let synthetic = title_mark(report.data.is_synthetic());
    let about =
        format!("{} on {}, {} seeds: median and range", report.symbols.join(", "), report.train, report.seeds.len());
    Heading::new(&format!("What the average hides{synthetic}"), &[about], WIDTH)
}

fn legend(report: &CollapseReport) -> Legend {
    let lines = LINES.map(|(name, color, _)| (name.to_owned(), Symbol::Line(color)));
    let interval = format!("last {} steps", thousands(report.interval_steps as i64));
    let others = [
        (interval, Symbol::Line(INK)),
        ("average since step 0".to_owned(), Symbol::Dashed(INK)),
        ("net P&L of the interval after costs".to_owned(), Symbol::Area(LOSS.mix(1.0))),
    ];
    Legend::new(lines.into_iter().chain(others), WIDTH)
}

/// The range of the lower halves, the same for all panels.
#[derive(Debug, Clone, Copy)]
struct Money {
    low: f64,
    high: f64,
}

impl Money {
    fn of(report: &CollapseReport) -> Self {
        let looks = report.profiles.iter().flat_map(|profile| &profile.intervals);
        let pnl = looks.filter_map(|look| look.shown.interval.net_pnl_usd).map(|spread| spread.median);
        let (low, high) = pnl.fold((0.0, 0.0), |(low, high), pnl| (pnl.min(low), pnl.max(high)));
        Self { low: low * 1.05, high: if high > low { high * 1.05 } else { 1.0 } }
    }
}

/// Panel of one profile.
struct Panel<'a> {
    profile: &'a ProfileReport,
    /// End of the time axis, in steps.
    last: f64,
    money: Money,
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let ProfileReport { profile, ent_coef, pnl_scale, setup_threshold, .. } = self.profile;
        let settings = format!("entropy {ent_coef}, P&L x {pnl_scale}, strong = {setup_threshold} of 4");
        area.draw(&Text::new(profile.clone(), (LEFT + MARGIN, 6), font(TEXT)))?;
        area.draw(&Text::new(settings, (LEFT + MARGIN, 6 + LINE_HEIGHT), font(TEXT)))?;
        let (upper, lower) = area.split_vertically(PANEL - MONEY);
        self.shares(&upper)?;
        self.earned(&lower)
    }

    fn shares(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(TITLES)
            .margin_left(MARGIN)
            .margin_right(RIGHT)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(0.0..self.last, 0.0..100.0)?;
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        mesh.disable_x_mesh().y_labels(6).y_label_formatter(&percent_label).draw()?;
        let mut labels = Vec::new();
        for (_, color, figure) in LINES {
            let interval = self.points(|shown| &shown.interval, figure);
            let cumulative = self.points(|shown| &shown.cumulative, figure);
            let over = interval.iter().map(|&(step, spread)| (step, 100.0 * spread.high));
            let under = interval.iter().rev().map(|&(step, spread)| (step, 100.0 * spread.low));
            chart.draw_series([Polygon::new(over.chain(under).collect::<Vec<_>>(), color.mix(0.15).filled())])?;
            let [solid, dashed] = [&interval, &cumulative]
                .map(|points| points.iter().map(|&(step, spread)| (step, 100.0 * spread.median)).collect::<Vec<_>>());
            let ends = [solid.last().copied(), dashed.last().copied()];
            labels.extend(ends.into_iter().filter_map(|end| {
                let share = end?.1;
                Some((chart.backend_coord(&(self.last, share)), share, color))
            }));
            chart.draw_series(DashedLineSeries::new(dashed, 5, 4, color.stroke_width(2)))?;
            let width = if solid.len() > CROWDED { 2 } else { 3 };
            chart.draw_series(LineSeries::new(solid, color.stroke_width(width)))?;
        }
        let origin = area.get_base_pixel();
        keep_apart(&mut labels);
        for ((x, y), share, color) in labels {
            let style = font(TEXT).color(&color).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(format!("{share:.0}%"), (x - origin.0 + 6, y - origin.1), style))?;
        }
        Ok(())
    }

    fn earned(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(20)
            .margin_bottom(MARGIN)
            .margin_left(MARGIN)
            .margin_right(RIGHT)
            .x_label_area_size(32)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(0.0..self.last, self.money.low..self.money.high)?;
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        mesh.disable_x_mesh()
            .x_labels(5)
            .y_labels(3)
            .x_label_formatter(&|step| short_steps(step.round() as u64))
            .y_label_formatter(&|pnl| dollars(*pnl))
            .draw()?;
        let mut from = 0.0;
        let bars = self.points(|shown| &shown.interval, |figures| figures.net_pnl_usd);
        chart.draw_series(bars.into_iter().map(|(step, Spread { median, .. })| {
            let gap = (step - from) * 0.12;
            let color = if median < 0.0 { LOSS } else { GAIN };
            let bar = Rectangle::new([(from + gap, 0.0), (step - gap, median)], color.filled());
            from = step;
            bar
        }))?;
        chart.draw_series([PathElement::new([(0.0, 0.0), (self.last, 0.0)], INK)])?;
        Ok(())
    }

    /// Returns a figure of a window at every interval where it is defined.
    fn points(&self, window: Window, figure: Figure) -> Vec<(f64, Spread)> {
        let point = |look: &Look| Some((look.step as f64, figure(window(&look.shown))?));
        self.profile.intervals.iter().filter_map(point).collect()
    }
}

/// Moves labels down so that none overlaps another, from the top.
fn keep_apart<T>(labels: &mut [((i32, i32), f64, T)]) {
    labels.sort_by_key(|((_, y), ..)| *y);
    for i in 1..labels.len() {
        labels[i].0.1 = labels[i].0.1.max(labels[i - 1].0.1 + LINE_HEIGHT);
    }
}

#[cfg(test)]
mod tests {
    use market_data::DataStamp;

    use super::*;
    use crate::{chart::style::tests::assert_house_style, commands::reproduce_collapse::report::tests::report};

    #[test]
    fn every_profile_gets_a_panel_with_both_windows_and_money() {
        let one = report();
        let svg = draw(&one).unwrap();
        for part in [
            "What the average hides",
            ">\ntune2\n<",
            "entropy 0.08, P&amp;L x 3, strong = 4 of 4",
            "BUY on strong setups",
            "10k",
            "2 seeds",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert_house_style(&svg);
        // The ends: 40 % HOLD in the last interval, 45 % on average.
        assert!(svg.contains("40%") && svg.contains("45%"), "{svg}");
        let three = CollapseReport { profiles: vec![one.profiles[0].clone(); 3], data: DataStamp::Synthetic, ..one };
        let svg = draw(&three).unwrap();
        assert_eq!(svg.matches(">\ntune2\n<").count(), 3);
        assert!(svg.contains("SYNTHETIC"));
        assert!(draw(&CollapseReport { profiles: Vec::new(), ..three }).unwrap().contains("</svg>"));
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let mut labels = [((0, 50), 1.0, ()), ((0, 40), 2.0, ()), ((0, 45), 3.0, ())];
        keep_apart(&mut labels);
        assert_eq!(labels.map(|((_, y), share, ())| (y, share)), [(40, 2.0), (64, 3.0), (88, 1.0)]);
    }
}
