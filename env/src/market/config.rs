//! Configuration of the market's tapes: section `[market]`.

use std::collections::{BTreeMap, BTreeSet};

use market_data::Symbol;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ContractSpec, EnvError, Expiry, PricingConfig, StrikeConfig, SurfaceConfig, features::setup::SETUP_CONDITIONS,
    market::option_columns::OptionColumn,
};

/// The market's tapes: section `[market]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConfig {
    /// Tape rows per observation, 1 to 390. One suffices: the features carry their own history.
    pub frames: usize,
    /// Setup conditions, 1 to 4, that make a bar strong in a direction. 4 calls about 40 % of real minutes strong, 3
    /// about 90 %.
    pub setup_threshold: u8,
    /// Observation of delta, gamma, theta and vega of the open position.
    pub use_greeks: bool,
    /// Expiry of the contracts that entries buy.
    pub expiry: Expiry,
    /// Leaves out sessions whose contracts of this expiry did not exist: SPY, QQQ, IWM and SPX have listing calendars, and
    /// rows of real options prove themselves. Made-up bars have made-up contracts and ignore it.
    pub listed_only: bool,
    /// Strikes that entries buy.
    pub strike: StrikeConfig,
    /// Other symbols whose bars become columns, such as QQQ and VIX: the return of the last minute, the way since the open, and the
    /// strength of the traded symbol against it. They need bars beside those of `run.symbols`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cross: Vec<Symbol>,
    /// Columns of the option files that become columns of the observation. They need `run.options`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub option_columns: Vec<OptionColumn>,
    /// The option pricing model.
    pub pricing: PricingConfig,
    /// Prints and quotes of real options.
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
            listed_only: true,
            strike: StrikeConfig::default(),
            cross: Vec::new(),
            option_columns: Vec::new(),
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
    /// [`EnvError::UnknownContract`] for a symbol without a contract in the configuration or the defaults.
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
        let mut seen = BTreeSet::new();
        if let Some(symbol) = self.cross.iter().find(|symbol| !seen.insert(*symbol)) {
            faults.push(format!("market.cross: {symbol} is listed twice"));
        }
        let repeated = |at: &usize| self.option_columns[..*at].contains(&self.option_columns[*at]);
        if let Some(at) = (0..self.option_columns.len()).find(repeated) {
            faults.push(format!("market.option_columns: {} is listed twice", self.option_columns[at].column()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_every_fault_is_named_with_its_path() {
        assert_eq!(MarketConfig::default().check(), Vec::<String>::new());
        let mut market = MarketConfig { frames: 0, setup_threshold: 5, ..MarketConfig::default() };
        market.pricing.rate = 2.0;
        market.contracts.get_mut("SPY").unwrap().fees.clearing = f64::NAN;
        let faults = market.check();
        let known = ["market.frames", "market.setup_threshold", "market.pricing.rate"];
        for path in known.into_iter().chain(["market.contracts.SPY.fees.clearing"]) {
            assert!(faults.iter().any(|fault| fault.starts_with(path)), "{path} is missing in {faults:?}");
        }
    }
}
