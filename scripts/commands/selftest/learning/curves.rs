//! Learning curves of CartPole-v1, ours and Stable-Baselines3's, as CSV.

use std::fmt::Write as _;

use anyhow::Context as _;
use ppo_agent::games::cartpole::{CurvePoint, SOLVED_RETURN};

const HEADING: &str = "seed,timesteps,ep_rew_mean";

/// Learning curve of one training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    pub(crate) seed: u64,
    /// One point per iteration.
    pub(crate) points: Vec<CurvePoint>,
}

impl Curve {
    /// Returns the timesteps after which the environment counted as solved.
    pub(crate) fn solved_at(&self) -> Option<u64> {
        self.points.iter().find(|point| point.ep_rew_mean >= SOLVED_RETURN).map(|point| point.timesteps)
    }
}

/// Returns the curves that `tests/reference/cartpole_sb3.py` recorded.
pub(crate) fn reference() -> anyhow::Result<Vec<Curve>> {
    from_csv(include_str!("../../../../tests/reference/cartpole_sb3.csv"))
        .context("reading the curves of Stable-Baselines3")
}

/// Formats curves with two decimals, as in the reference.
pub(crate) fn to_csv(curves: &[Curve]) -> String {
    let mut text = format!("{HEADING}\n");
    for Curve { seed, points } in curves {
        for CurvePoint { timesteps, ep_rew_mean } in points {
            let _ = writeln!(text, "{seed},{timesteps},{ep_rew_mean:.2}");
        }
    }
    text
}

fn from_csv(text: &str) -> anyhow::Result<Vec<Curve>> {
    let mut curves: Vec<Curve> = Vec::new();
    let mut lines = text.lines();
    anyhow::ensure!(lines.next() == Some(HEADING), "the heading is not {HEADING}");
    for (line, number) in lines.zip(2..) {
        let (seed, point) = parse(line).with_context(|| format!("line {number} is `{line}`"))?;
        match curves.last_mut() {
            Some(curve) if curve.seed == seed => curve.points.push(point),
            _ => curves.push(Curve { seed, points: vec![point] }),
        }
    }
    Ok(curves)
}

fn parse(line: &str) -> anyhow::Result<(u64, CurvePoint)> {
    let mut cells = line.split(',');
    let mut next = || cells.next().context("a column is missing");
    let (seed, timesteps, ep_rew_mean) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
    Ok((seed, CurvePoint { timesteps, ep_rew_mean }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_survive_a_file_and_know_when_they_were_solved() {
        let point = |timesteps, ep_rew_mean| CurvePoint { timesteps, ep_rew_mean };
        let curves = [
            Curve { seed: 0, points: vec![point(256, 20.25), point(512, 475.0), point(768, 480.5)] },
            Curve { seed: 1, points: vec![point(256, 474.99)] },
        ];
        assert_eq!(from_csv(&to_csv(&curves)).unwrap(), curves);
        assert_eq!(curves.map(|curve| curve.solved_at()), [Some(512), None]);
        let error = from_csv("seed,timesteps,ep_rew_mean\n0,x,1\n").unwrap_err();
        assert!(format!("{error:#}").starts_with("line 2 is `0,x,1`"), "{error:#}");
        assert!(from_csv("").is_err());
    }
}
