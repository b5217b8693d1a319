//! Configuration of the environment: section `[env]`, with defaults and checks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ExecutionConfig, ExitConfig, GuardConfig, RewardConfig,
    account::{AccountConfig, execution::CostConfig},
};

/// Sampling of training sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// Every session is equally likely.
    #[default]
    Uniform,
    /// Every VIX regime that occurs is equally likely, then every session in it. VIX at the open divides them: below
    /// 18, below 25, below 35, and above.
    RegimeBalanced,
}

/// The environment: section `[env]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvConfig {
    /// Distribution that training sessions are drawn from.
    pub draw: Draw,
    /// The account.
    pub account: AccountConfig,
    /// Fills of orders.
    pub execution: ExecutionConfig,
    /// Exits of positions.
    pub exits: ExitConfig,
    /// Limits on entries.
    pub guards: GuardConfig,
    /// The reward.
    pub reward: RewardConfig,
    /// Costs beyond the spread.
    pub costs: CostConfig,
}

impl EnvConfig {
    /// Returns every fault, each with its path.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let account = &self.account;
        if !(account.capital.is_finite() && account.capital > 0.0 && account.capital <= 1e12) {
            faults.push(format!("env.account.capital: {} is not a positive number of dollars", account.capital));
        }
        if !(account.risk_fraction > 0.0 && account.risk_fraction <= 1.0) {
            faults.push(format!("env.account.risk_fraction: {} is not in (0, 1]", account.risk_fraction));
        }
        if account.max_contracts == 0 || account.max_contracts > 1_000_000 {
            faults.push(format!("env.account.max_contracts: {} is not in 1..=1000000", account.max_contracts));
        }
        if !(0.0..=100.0).contains(&self.costs.fee_multiplier) {
            faults.push(format!("env.costs.fee_multiplier: {} is not between 0 and 100", self.costs.fee_multiplier));
        }
        self.execution.check(&mut faults);
        self.exits.check(&mut faults);
        self.guards.check(&mut faults);
        self.reward.check(&mut faults);
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_every_fault_is_named_with_its_path() {
        assert_eq!(EnvConfig::default().check(), Vec::<String>::new());
        let mut env = EnvConfig::default();
        env.account.risk_fraction = 1.5;
        env.exits.stop_loss = 0.0;
        (env.reward.pnl_scale, env.reward.shaping_final) = (f32::NAN, 1.5);
        (env.exits.trail_sell, env.execution.participation, env.execution.slippage) = (0.0, 0.0, -0.01);
        (env.execution.delay_bars, env.guards.cooldown, env.guards.daily_loss_limit) = (61, 391, 1.5);
        assert_eq!(env.check().len(), 10, "{:?}", env.check());
    }
}
