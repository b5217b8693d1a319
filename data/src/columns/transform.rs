//! Transforms of columns. Each uses earlier minutes of the session and the sessions before it, never a later one.

use std::collections::VecDeque;

use statistics::mean;

use super::config::{Shape, Transform};

/// Bound of raw values and changes.
const BOUND: f64 = 1e6;
/// Bound of deviations, as of the policy's normaliser.
const DEVIATIONS: f64 = 10.0;

/// Returns the observed values of a column, one list per session. `[days][bars]`
pub(super) fn apply(shape: &Shape, days: &[Vec<Option<f64>>]) -> Vec<Vec<f32>> {
    let mut past = Past::new(shape);
    let mut applied = Vec::with_capacity(days.len());
    for day in days {
        let scale = past.scale();
        let lagged = |bar: usize| bar.checked_sub(shape.lag as usize).and_then(|bar| day[bar]);
        let value = |bar: usize| {
            let found = lagged(bar).and_then(|now| match shape.transform {
                Transform::Diff => Some((now - lagged(bar.checked_sub(1)?)?) / shape.scale).map(within(BOUND)),
                Transform::Raw => Some(within(BOUND)(now / shape.scale)),
                Transform::Tanh => Some((now / shape.scale).tanh()),
                Transform::Log => Some((now / shape.scale).abs().ln_1p().copysign(now)),
                Transform::Zscore | Transform::Rank => scale.as_ref().map(|scale| scale.place(now)),
            });
            found.unwrap_or(0.0) as f32
        };
        applied.push((0..day.len()).map(value).collect());
        past.push(day);
    }
    applied
}

fn within(bound: f64) -> impl Fn(f64) -> f64 {
    move |value| value.clamp(-bound, bound)
}

/// Values of the last sessions.
struct Past<'a> {
    shape: &'a Shape,
    sessions: VecDeque<Vec<f64>>,
}

/// Yardstick of one session.
enum Scale {
    Moments { mean: f64, deviation: f64 },
    Sorted(Vec<f64>),
}

impl<'a> Past<'a> {
    fn new(shape: &'a Shape) -> Self {
        Self { shape, sessions: VecDeque::new() }
    }

    fn push(&mut self, day: &[Option<f64>]) {
        if !matches!(self.shape.transform, Transform::Zscore | Transform::Rank) {
            return;
        }
        if self.sessions.len() == self.shape.window as usize {
            self.sessions.pop_front();
        }
        self.sessions.push_back(day.iter().flatten().copied().collect());
    }

    /// Returns the yardstick of the next session; `None` without a value before it.
    fn scale(&self) -> Option<Scale> {
        let values: Vec<f64> = self.sessions.iter().flatten().copied().collect();
        if values.is_empty() {
            return None;
        }
        Some(if self.shape.transform == Transform::Rank {
            let mut values = values;
            values.sort_unstable_by(f64::total_cmp);
            Scale::Sorted(values)
        } else {
            let mean = mean(values.iter().copied());
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            Scale::Moments { mean, deviation: (squares / values.len() as f64).sqrt() }
        })
    }
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        match self {
            // Values that never changed have no deviation to count in.
            Self::Moments { mean, deviation } if *deviation <= 1e-12 * mean.abs().max(1e-12) => 0.0,
            Self::Moments { mean, deviation } => within(DEVIATIONS)((value - mean) / deviation),
            Self::Sorted(values) => {
                let below = values.partition_point(|other| *other < value);
                let not_above = values.partition_point(|other| *other <= value);
                (below + not_above) as f64 / values.len() as f64 - 1.0
            }
        }
    }
}
