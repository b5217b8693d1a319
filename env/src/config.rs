//! Free choices of the market's tapes and of the environment, with their defaults and checks.

use std::collections::BTreeMap;

use market_data::Symbol;
use serde::{Deserialize, Serialize};

use crate::{
    ContractSpec, EnvError, ExecutionConfig, ExitConfig, Expiry, GuardConfig, PricingConfig, RewardConfig,
    StrikeConfig, SurfaceConfig, setup::SETUP_CONDITIONS,
};

/// How bars become tapes: section `[market]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConfig {
    /// Tape rows per observation, at least 1. One suffices: the features carry their own history.
    pub frames: usize,
    /// Setup conditions, of 4, that make a bar strong in a direction. 4 calls about 40 % of real minutes strong, 3 about 90 %.
    pub setup_threshold: u8,
    /// Whether a policy sees delta, gamma, theta and vega of its position.
    pub use_greeks: bool,
    /// When the contracts that entries buy expire.
    pub expiry: Expiry,
    /// Which strikes entries buy.
    pub strike: StrikeConfig,
    /// The option pricing model.
    pub pricing: PricingConfig,
    /// How real options' prints and quotes become a tape.
    pub surface: SurfaceConfig,
    /// Contract facts by underlying; SPY, QQQ, IWM and SPX are known without an entry.
    pub contracts: BTreeMap<String, ContractSpec>,
}

impl Default for MarketConfig {
    fn default() -> Self {
        let known = ContractSpec::KNOWN;
        let contracts = known.iter().filter_map(|&s| Some((s.to_owned(), ContractSpec::known(s)?))).collect();
        Self {
            frames: 1,
            setup_threshold: 4,
            use_greeks: true,
            expiry: Expiry::default(),
            strike: StrikeConfig::default(),
            pricing: PricingConfig::default(),
            surface: SurfaceConfig::default(),
            contracts,
        }
    }
}

impl MarketConfig {
    /// Returns the contract of an underlying.
    ///
    /// # Errors
    /// [`EnvError::UnknownContract`] for a symbol that neither the configuration nor the program knows.
    pub fn contract(&self, symbol: &Symbol) -> Result<ContractSpec, EnvError> {
        let name = symbol.as_str();
        self.contracts.get(name).cloned().or_else(|| ContractSpec::known(name)).ok_or_else(|| {
            let mut known: Vec<&str> = self.contracts.keys().map(String::as_str).chain(ContractSpec::KNOWN).collect();
            known.sort_unstable();
            known.dedup();
            EnvError::UnknownContract { symbol: symbol.clone(), known: known.join(", ") }
        })
    }

    /// Returns every fault, each with its path.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.frames == 0 || self.frames > 390 {
            faults.push(format!("market.frames: {} is not between 1 and 390", self.frames));
        }
        if !(1..=SETUP_CONDITIONS).contains(&self.setup_threshold) {
            faults.push(format!("market.setup_threshold: {} is not between 1 and 4", self.setup_threshold));
        }
        self.strike.check(&mut faults);
        self.pricing.check(&mut faults);
        self.surface.check(&mut faults);
        for (symbol, spec) in &self.contracts {
            spec.check(&format!("market.contracts.{symbol}"), &mut faults);
        }
        faults
    }
}

/// How sessions are drawn for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// Every session is equally likely.
    #[default]
    Uniform,
    /// Every volatility regime that occurs is equally likely (VIX at the open below 18, 25, 35, or above), then every
    /// session in it.
    RegimeBalanced,
}

/// The account of one lane. It is renewed at the start of every session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountConfig {
    /// Cash at the start of a session, in dollars.
    pub capital: f64,
    /// Part of the cash that one entry may cost, 0 to 1; at least one contract is bought if it can be paid.
    pub risk_fraction: f64,
    /// Most contracts of one entry.
    pub max_contracts: u32,
}

impl Default for AccountConfig {
    fn default() -> Self {
        Self { capital: 100_000.0, risk_fraction: 0.07, max_contracts: 10_000 }
    }
}

/// Costs beyond the quoted spread, which is the tape's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CostConfig {
    /// Factor on the contract's fees, for stress tests; 1 is the schedule's own.
    pub fee_multiplier: f64,
}

impl Default for CostConfig {
    fn default() -> Self {
        Self { fee_multiplier: 1.0 }
    }
}

/// The rules of the game: section `[env]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvConfig {
    /// How training sessions are drawn.
    pub draw: Draw,
    /// The account.
    pub account: AccountConfig,
    /// How orders fill.
    pub execution: ExecutionConfig,
    /// Who closes positions, and when.
    pub exits: ExitConfig,
    /// When entries are allowed.
    pub guards: GuardConfig,
    /// What is rewarded.
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
        assert_eq!((MarketConfig::default().check(), EnvConfig::default().check()), (vec![], vec![]));
        let mut market = MarketConfig { frames: 0, setup_threshold: 5, ..MarketConfig::default() };
        market.pricing.rate = 2.0;
        market.contracts.get_mut("SPY").unwrap().fees.clearing = f64::NAN;
        let faults = market.check();
        let known = ["market.frames", "market.setup_threshold", "market.pricing.rate"];
        for path in known.into_iter().chain(["market.contracts.SPY.fees.clearing"]) {
            assert!(faults.iter().any(|fault| fault.starts_with(path)), "{path} is missing in {faults:?}");
        }
        let mut env = EnvConfig::default();
        env.account.risk_fraction = 1.5;
        env.exits.stop_loss = 0.0;
        (env.reward.pnl_scale, env.reward.shaping_final) = (f32::NAN, 1.5);
        (env.exits.trail_sell, env.execution.participation, env.execution.slippage) = (0.0, 0.0, -0.01);
        (env.execution.delay_bars, env.guards.cooldown, env.guards.daily_loss_limit) = (61, 391, 1.5);
        assert_eq!(env.check().len(), 10, "{:?}", env.check());
    }
}
