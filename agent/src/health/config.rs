//! The thresholds of the verdict, and what happens when it is called.

/// Share of one action among flat decisions that is collapsed, unless configured otherwise.
pub const COLLAPSED: f64 = 0.98;
/// Share that is drifting, unless configured otherwise.
pub const DRIFTING: f64 = 0.90;

/// What happens when a verdict says that a training has gone wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCollapse {
    /// The verdict is written down; the training goes on.
    #[default]
    Warn,
    /// The training ends, with exit code 3, 4 or 5.
    Stop,
    /// Entropy weight and shaping climb the documented ladder. When that is used up, the training ends.
    Adapt,
}

/// When a verdict is read and called. The thresholds are calibrated on labelled runs: `zerodte selftest diagnostics`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Consequence of a verdict of collapsed, state_blind, frozen or exploding.
    pub on_collapse: OnCollapse,
    /// Intervals in a row that must show a symptom before it becomes the verdict, 1 or more. 2: one bad interval is
    /// noise.
    pub persistence: u32,
    /// Fewest decisions of flat accounts, and fewest entries, that an interval is judged on; 1 or more. Shares of fewer
    /// are noise.
    pub min_decisions: u64,
    /// Iterations before a policy can be called state_blind, 0 or more: it starts nearly uniform.
    pub warm_up: u64,
    /// Share of HOLD, or of BUY, among flat decisions that is collapsed; above `drift_share`, at most 1. Calibrated on
    /// labelled runs, like all thresholds here: `zerodte selftest diagnostics`.
    pub collapse_share: f64,
    /// Share of entries among flat decisions that is collapsed where entries clearly lose, since the shaping is farmed;
    /// above `drift_share`, at most 1.
    pub farmed_share: f64,
    /// Share of one action among flat decisions that is drifting, above 0.
    pub drift_share: f64,
    /// Variance of an action's probability across flat states at or below which a policy is state_blind, 0 to 1.
    pub blind_variance: f64,
    /// Normalised entropy below which a policy is drifting, 0 to 1: it has all but stopped exploring.
    pub drift_entropy: f64,
    /// Relative change of a network's parameters per iteration at or below which it is frozen, 0 to 1.
    pub frozen_change: f64,
    /// KL divergence of an update, in nats, at or below which a policy is frozen, 0 to 1. A policy that is already
    /// decided is exempt.
    pub frozen_kl: f64,
    /// Growth that is exploding, above 1: of the critic's loss over its calmest interval, or of the parameters over
    /// their first.
    pub explode_factor: f64,
    /// Intervals that `adapt` waits for a move to act, 1 or more.
    pub patience: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            on_collapse: OnCollapse::Warn,
            persistence: 2,
            min_decisions: 50,
            warm_up: 6,
            collapse_share: COLLAPSED,
            farmed_share: 0.95,
            drift_share: DRIFTING,
            blind_variance: 1e-5,
            drift_entropy: 0.15,
            frozen_change: 1e-5,
            frozen_kl: 1e-8,
            explode_factor: 30.0,
            patience: 4,
        }
    }
}

impl HealthConfig {
    /// Returns every fault, each with its path; empty when the configuration can be used.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, value) in [
            ("persistence", u64::from(self.persistence)),
            ("patience", u64::from(self.patience)),
            ("min_decisions", self.min_decisions),
        ] {
            if value == 0 {
                faults.push(format!("health.{name}: must be 1 or more"));
            }
        }
        for (name, value) in [
            ("blind_variance", self.blind_variance),
            ("drift_entropy", self.drift_entropy),
            ("frozen_change", self.frozen_change),
            ("frozen_kl", self.frozen_kl),
        ] {
            if !(0.0..=1.0).contains(&value) {
                faults.push(format!("health.{name}: {value} does not lie between 0 and 1"));
            }
        }
        let (drift, collapse) = (self.drift_share, self.collapse_share);
        if !(0.0 < drift && drift < collapse && collapse <= 1.0) {
            faults.push(format!(
                "health.drift_share: {drift} is not above 0 and below health.collapse_share {collapse}, which is at most 1"
            ));
        }
        if !(drift < self.farmed_share && self.farmed_share <= 1.0) {
            let farmed = self.farmed_share;
            faults
                .push(format!("health.farmed_share: {farmed} is not above health.drift_share {drift}, and at most 1"));
        }
        if !(self.explode_factor > 1.0 && self.explode_factor.is_finite()) {
            faults.push(format!("health.explode_factor: {} is not above 1", self.explode_factor));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_with_its_path() {
        assert_eq!(HealthConfig::default().check(), Vec::<String>::new());
        let config = HealthConfig {
            persistence: 0,
            frozen_kl: f64::NAN,
            drift_share: 0.985,
            farmed_share: 0.99,
            explode_factor: 1.0,
            ..HealthConfig::default()
        };
        let expected = [
            "health.persistence: must be 1 or more",
            "health.frozen_kl: NaN does not lie between 0 and 1",
            "health.drift_share: 0.985 is not above 0 and below health.collapse_share 0.98, which is at most 1",
            "health.explode_factor: 1 is not above 1",
        ];
        assert_eq!(config.check(), expected);
    }
}
