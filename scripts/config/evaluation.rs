//! Configuration section `evaluation`: the terms of the verdict on an edge.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Terms of the verdict on an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Probability of calling an edge where there is none, one-sided, for all trials together; 0.001 to 0.2.
    pub alpha: f64,
    /// Smallest edge of interest, as a share of the capital of a date, 0 to 0.1. An interval that ends below it says
    /// `no_edge`.
    pub smallest_edge: f64,
    /// Session dates below which there are figures but no verdict, 5 to 10,000. Below 20 every interval of skewed P&L is
    /// too short.
    pub min_dates: usize,
    /// Seeds below which a gain is that of these networks and no edge of the procedure, 1 to 1,000.
    pub min_seeds: usize,
    /// Configurations outside of the evaluation that may have looked at its dates before it counts as contaminated.
    pub max_outside_looks: usize,
    /// Annual Sharpe ratio above which a leak is more likely than an edge, 1 to 100.
    pub too_good_sharpe: f64,
    /// Dates from which a result can be too good, 5 to 10,000.
    pub too_good_dates: usize,
    /// Best dates without which an edge must still earn, 0 to 1,000.
    pub best_dates_left_out: usize,
    /// Probability of finding the edge that the number of needed dates refers to, 0.5 to 0.99.
    pub power: f64,
    /// Resamples behind intervals and p-values, 199 to 99,999.
    pub resamples: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            smallest_edge: 0.001,
            min_dates: 20,
            min_seeds: 5,
            max_outside_looks: 0,
            too_good_sharpe: 6.0,
            too_good_dates: 60,
            best_dates_left_out: 5,
            power: 0.8,
            resamples: 9_999,
        }
    }
}

impl EvaluationConfig {
    /// Returns every fault, each with its path.
    pub fn check(&self) -> Vec<String> {
        let real = [
            ("alpha", self.alpha, 0.001, 0.2),
            ("smallest_edge", self.smallest_edge, 0.0, 0.1),
            ("too_good_sharpe", self.too_good_sharpe, 1.0, 100.0),
            ("power", self.power, 0.5, 0.99),
        ];
        let whole = [
            ("min_dates", self.min_dates, 5, 10_000),
            ("min_seeds", self.min_seeds, 1, 1_000),
            ("too_good_dates", self.too_good_dates, 5, 10_000),
            ("best_dates_left_out", self.best_dates_left_out, 0, 1_000),
            ("resamples", self.resamples, 199, 99_999),
        ];
        let real = real.into_iter().filter(|(_, value, low, high)| !(low..=high).contains(&value));
        let whole = whole.into_iter().filter(|(_, value, low, high)| !(low..=high).contains(&value));
        let fault = |name: &str, value: String, low: String, high: String| {
            format!("evaluation.{name}: {value} is not between {low} and {high}")
        };
        let real =
            real.map(|(name, value, low, high)| fault(name, value.to_string(), low.to_string(), high.to_string()));
        let whole =
            whole.map(|(name, value, low, high)| fault(name, value.to_string(), low.to_string(), high.to_string()));
        real.chain(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_names_its_key() {
        assert_eq!(EvaluationConfig::default().check(), Vec::<String>::new());
        let config = EvaluationConfig { alpha: f64::NAN, min_dates: 3, ..EvaluationConfig::default() };
        let expected = [
            "evaluation.alpha: NaN is not between 0.001 and 0.2",
            "evaluation.min_dates: 3 is not between 5 and 10000",
        ];
        assert_eq!(config.check(), expected);
    }
}
