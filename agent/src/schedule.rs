//! Schedules of coefficients as functions of training progress.

/// Schedule of a coefficient over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Constant.
    #[default]
    Constant,
    /// Linear from the first to the last value.
    Linear,
}

impl Schedule {
    /// Returns the coefficient at `progress`, the share of all timesteps completed (0 to 1).
    pub fn at(self, first: f64, last: f64, progress: f64) -> f64 {
        match self {
            Self::Constant => first,
            Self::Linear => first + (last - first) * progress.clamp(0.0, 1.0),
        }
    }
}

/// Schedule of the entropy coefficient over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropySchedule {
    /// Constant.
    #[default]
    Constant,
    /// Linear from the first to the last value.
    Linear,
    /// Adaptive: the coefficient grows while the normalised entropy is below its target and shrinks while it is above,
    /// slowly and within bounds.
    Auto,
}

impl EntropySchedule {
    /// Returns the coefficient at `progress`, the share of all timesteps completed; the first value for `Auto`.
    pub fn at(self, first: f64, last: f64, progress: f64) -> f64 {
        match self {
            Self::Constant | Self::Auto => first,
            Self::Linear => Schedule::Linear.at(first, last, progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_joins_both_ends_and_stops_there() {
        assert_eq!(Schedule::Constant.at(3e-5, 0.0, 0.7), 3e-5);
        assert_eq!([0.0, 0.25, 1.0, 1.5].map(|p| Schedule::Linear.at(0.08, 0.04, p)), [0.08, 0.07, 0.04, 0.04]);
    }
}
