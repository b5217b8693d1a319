//! Levels of the modelled volatility on one symbol's tapes.

use jiff::civil::Date;
use market_data::{OptionHistory, SessionBars, SymbolSessions, VolColumns, VolSource};
use rayon::prelude::*;

use crate::{ContractSpec, EnvError, LevelHistory, Levels, MarketConfig, PricingConfig, SessionPricer, level_error};

/// The errors of a symbol's sessions, and the levels asked for.
#[derive(Debug)]
pub(crate) struct SymbolLevels<'a> {
    symbol: &'a SymbolSessions,
    pricing: &'a PricingConfig,
    spec: ContractSpec,
    levels: Levels,
    history: LevelHistory,
}

impl<'a> SymbolLevels<'a> {
    /// Measures the level errors of a symbol's sessions, warm-up included, in the contracts that expire on their date.
    ///
    /// # Errors
    /// [`EnvError::UnknownContract`] for a symbol without a contract.
    pub(crate) fn of(
        symbol: &'a SymbolSessions,
        options: Option<&[OptionHistory]>,
        config: &'a MarketConfig,
        levels: Levels,
    ) -> Result<Self, EnvError> {
        let (pricing, spec) = (&config.pricing, config.contract(&symbol.symbol)?);
        let follows = pricing.level_half_life > 0.0;
        let rows = options.into_iter().flatten().find(|history| follows && history.symbol == symbol.symbol);
        let history = rows.map_or_else(LevelHistory::default, |rows| errors(symbol, rows, &spec, pricing));
        Ok(Self { symbol, pricing, spec, levels, history })
    }

    /// Returns the shift of a session's log volatility. Errors of same-day options say nothing of later expiries.
    pub(crate) fn on(&self, date: Date, expiry: Date, source: VolSource) -> f64 {
        let sd = self.pricing.level_sd(source, &self.spec);
        let followed = if expiry == date { self.history.before(date, self.pricing) } else { 0.0 };
        followed + self.levels.shift(date, self.symbol.symbol.as_str(), sd)
    }
}

/// Returns the level error of every session that has bars.
fn errors(
    symbol: &SymbolSessions,
    options: &OptionHistory,
    spec: &ContractSpec,
    pricing: &PricingConfig,
) -> LevelHistory {
    let of_day = |(bars, vol): (&SessionBars, &VolColumns)| {
        let date = bars.session.date;
        let model = || SessionPricer::new(bars, vol, spec, pricing);
        (date, options.session(date, date).and_then(|rows| level_error(&model(), bars, rows)))
    };
    let errors: Vec<(Date, Option<f64>)> = symbol.days.par_iter().zip(&symbol.vol).map(of_day).collect();
    errors.into_iter().collect()
}
