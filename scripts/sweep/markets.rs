//! Markets of the trials: one that all share, and others where a space varies `market.*`.

use std::sync::{Arc, Mutex, Weak};

use market_env::{Market, MarketConfig};

use super::locked;
use crate::{config::RunConfig, inputs::Inputs};

/// Markets over the same sessions, by their settings.
#[derive(Debug)]
pub(super) struct Markets<'a> {
    shared: &'a MarketConfig,
    inputs: &'a Inputs,
    /// Markets of trials that run; they are dropped with the last of their trainings.
    others: Mutex<Vec<(MarketConfig, Weak<Market>)>>,
}

impl<'a> Markets<'a> {
    pub(super) fn new(base: &'a RunConfig, inputs: &'a Inputs) -> Self {
        Self { shared: &base.market, inputs, others: Mutex::new(Vec::new()) }
    }

    /// Returns the market of these settings.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(super) fn of(&self, config: &MarketConfig) -> anyhow::Result<Arc<Market>> {
        if config == self.shared {
            return Ok(Arc::clone(&self.inputs.market));
        }
        // Others wait, so that no market is built twice.
        let mut others = locked(&self.others)?;
        others.retain(|(_, market)| market.strong_count() > 0);
        let known = others.iter().find(|(known, _)| known == config).and_then(|(_, market)| market.upgrade());
        if let Some(market) = known {
            return Ok(market);
        }
        let market = self.inputs.market_under(config)?;
        others.push((config.clone(), Arc::downgrade(&market)));
        Ok(market)
    }
}
