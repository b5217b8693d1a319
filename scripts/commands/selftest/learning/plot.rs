//! Learning curves of both programs in one chart.

use plotters::style::RGBColor;
use ppo_agent::games::cartpole::{MAX_TIMESTEPS, SOLVED_RETURN};

use super::curves::Curve;
use crate::chart::{
    panel::{Mark, Panel, Series, Ticks, page},
    style::{CALL, INK, PUT, steps_label},
};

const OURS: RGBColor = CALL;
const THEIRS: RGBColor = PUT;
/// Iterations per drawn point; the last iteration is always drawn.
const STRIDE: usize = 4;

/// Draws the curves as SVG text.
///
/// # Errors
/// A failure of the drawing library; no known input causes one.
pub(crate) fn draw(ours: &[Curve], theirs: &[Curve]) -> anyhow::Result<String> {
    let most = ours.iter().chain(theirs).filter_map(|curve| curve.points.last()).map(|point| point.timesteps).max();
    let end = most.unwrap_or(MAX_TIMESTEPS) as f64;
    let solved = Mark::Dashed(vec![(0.0, SOLVED_RETURN), (end, SOLVED_RETURN)]);
    let mut series = lines("Stable-Baselines3", theirs, THEIRS);
    series.extend(lines("zerodte", ours, OURS));
    series.push(Series::new(format!("solved: {SOLVED_RETURN}"), INK, solved));
    let panel = Panel {
        x_title: "timesteps",
        y_title: "mean return",
        x_ticks: Ticks::Text(steps_label),
        y_ticks: Ticks::Text(|mean| format!("{mean:.0}")),
        ..Panel::new("", 0.0..end, 0.0..500.0, series)
    };
    page("CartPole-v1: mean return of the last 100 episodes", &[panel])
}

/// Returns the curves of one program; the first one carries its name.
fn lines(name: &str, curves: &[Curve], color: RGBColor) -> Vec<Series> {
    let series = |(number, curve): (usize, &Curve)| {
        let last = curve.points.len().saturating_sub(1);
        let kept = curve.points.iter().enumerate().filter(|(i, _)| i % STRIDE == 0 || *i == last);
        let line = kept.map(|(_, point)| (point.timesteps as f64, point.ep_rew_mean)).collect();
        let name = if number == 0 { format!("{name}, {} seeds", curves.len()) } else { String::new() };
        Series::new(name, color, Mark::Line(line))
    };
    curves.iter().enumerate().map(series).collect()
}

#[cfg(test)]
mod tests {
    use ppo_agent::games::cartpole::CurvePoint;

    use super::*;
    use crate::chart::style::tests::assert_house_style;

    #[test]
    fn every_curve_is_drawn_and_named() {
        let curve = |seed| {
            let points = (1..20).map(|i| CurvePoint { timesteps: i * 256, ep_rew_mean: i as f64 * 25.0 });
            Curve { seed, points: points.collect() }
        };
        let svg = draw(&[curve(0), curve(1)], &[curve(0)]).unwrap();
        assert!(svg.matches("<polyline").count() >= 3 && svg.contains("zerodte, 2 seeds"), "{svg}");
        assert_house_style(&svg);
        assert!(draw(&[], &[]).unwrap().contains("</svg>"));
    }
}
