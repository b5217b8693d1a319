//! Learning curves of both programs in one chart.

use anyhow::Context as _;
use plotters::prelude::*;
use ppo_agent::games::cartpole::{MAX_TIMESTEPS, SOLVED_RETURN};

use super::curves::Curve;
use crate::chart::style::{INK, font, house_style, steps_label};

const SIZE: (u32, u32) = (900, 460);
const OURS: RGBColor = RGBColor(0x2b, 0x7b, 0xba);
const THEIRS: RGBColor = RGBColor(0xd0, 0x7a, 0x1f);
/// Iterations per drawn point; the last iteration is always drawn.
const STRIDE: usize = 4;

/// Draws the curves as SVG text.
///
/// # Errors
/// A failure of the drawing library; no known input causes one.
pub(crate) fn draw(ours: &[Curve], theirs: &[Curve]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw(&Text::new("CartPole-v1: mean return of the last 100 episodes", (24, 16), font(18)))?;
        let (_, below) = root.split_vertically(64);
        let most = ours.iter().chain(theirs).filter_map(|curve| curve.points.last()).map(|point| point.timesteps).max();
        let mut chart = ChartBuilder::on(&below)
            .margin_left(14)
            .margin_right(36)
            .margin_bottom(8)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..most.unwrap_or(MAX_TIMESTEPS) as f64, 0.0..500.0)?;
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        mesh.x_label_formatter(&steps_label)
            .y_label_formatter(&|mean| format!("{mean:.0}"))
            .x_desc("timesteps")
            .draw()?;
        for (curves, color) in [(theirs, THEIRS), (ours, OURS)] {
            for curve in curves {
                let last = curve.points.len().saturating_sub(1);
                let kept = curve.points.iter().enumerate().filter(|(i, _)| i % STRIDE == 0 || *i == last);
                let line = kept.map(|(_, point)| (point.timesteps as f64, point.ep_rew_mean));
                chart.draw_series(LineSeries::new(line, color.mix(0.6).stroke_width(1)))?;
            }
        }
        let end = most.unwrap_or(MAX_TIMESTEPS) as f64;
        chart.draw_series([PathElement::new([(0.0, SOLVED_RETURN), (end, SOLVED_RETURN)], INK.mix(0.5))])?;
        let names = [("zerodte", ours.len(), OURS), ("Stable-Baselines3", theirs.len(), THEIRS)];
        let mut x = 24;
        for (name, count, color) in names {
            let label = format!("{name}, {count} seeds");
            root.draw(&PathElement::new([(x, 50), (x + 26, 50)], color.stroke_width(3)))?;
            root.draw(&Text::new(label.clone(), (x + 34, 44), font(13)))?;
            x += 58 + 8 * label.len() as i32;
        }
        root.draw(&Text::new("grey line: 475, solved", (x, 44), font(13)))?;
        root.present().context("drawing the curves")?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use ppo_agent::games::cartpole::CurvePoint;

    use super::*;

    #[test]
    fn every_curve_is_drawn_and_named() {
        let curve = |seed| {
            let points = (1..20).map(|i| CurvePoint { timesteps: i * 256, ep_rew_mean: i as f64 * 25.0 });
            Curve { seed, points: points.collect() }
        };
        let svg = draw(&[curve(0), curve(1)], &[curve(0)]).unwrap();
        assert!(svg.matches("<polyline").count() >= 3 && svg.contains("zerodte, 2 seeds"), "{svg}");
        assert!(draw(&[], &[]).unwrap().contains("</svg>"));
    }
}
