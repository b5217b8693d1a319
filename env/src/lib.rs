//! The replay game: real minute bars become features, an option tape and batches of trading sessions.
//!
//! Plain Rust: no files, no tensors, no clock. A row of features at bar `t` uses bars up to `t` only; a decision is taken
//! at the close of bar `t` and filled at the open of bar `t + 1`, on the bad side of the spread.
//!
//! [`baselines`] replays sessions with policies as plain code; [`Ceilings`] is the highest P&L with perfect foresight.
//!
//! ```text
//! SymbolSessions ─► feature rows + setups ┐
//!                ─► option tape           ┴► Market (read-only) ─► BatchEnv: N accounts stepped together
//! ```
//!
//! Sixty-four accounts on a made-up market buy a call whenever it is legal, and are stopped out or sold before the bell:
//!
//! ```
//! use std::sync::Arc;
//! use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
//! use market_env::{Action, BatchEnv, EnvConfig, Market, MarketConfig, StepBuffers, VecEnv};
//!
//! let mut config = DataConfig::default();
//! config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(7));
//! let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
//! let dataset = Dataset::build(&history, &Window::default(), &config)?;
//! let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default())?);
//!
//! let days = (0..market.days().len() as u32).collect();
//! let mut env = BatchEnv::new(market, days, EnvConfig::default(), 64, 1)?;
//! let mut lanes = StepBuffers::reset(&mut env);
//! for _ in 0..500 {
//!     let call = Action::BuyCall as u8;
//!     let actions: Vec<u8> = lanes.mask.iter().map(|mask| if mask.allows(call) { call } else { 0 }).collect();
//!     lanes.step(&mut env, &actions);
//! }
//! let ledger = env.ledger();
//! assert_eq!(ledger.steps, 500 * 64);
//! assert!(ledger.opened > 0 && ledger.fees_cents > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod account;
pub mod action;
pub mod baselines;
mod batch;
mod config;
mod error;
pub mod features;
mod forecast;
mod live;
mod market;
pub mod option;
#[cfg(test)]
mod play_tests;
mod reward;
mod vec_env;

pub use account::{
    Account, AccountConfig, Fill, Position,
    entry_guards::GuardConfig,
    execution::{CostConfig, ExecutionConfig, FillRule},
    exits::{AtTheBell, ExitConfig, ExitMode, ExitReason, TakeProfit},
};
pub use action::{ACTION_NAMES, ACTIONS, Action, ActionMask, FLAT_MASK, FORCED_MASK, HOLDING_MASK};
pub use baselines::perfect_foresight::{Ceiling, Ceilings};
pub use batch::{BatchEnv, lane::ACCOUNT_COLUMNS};
pub use config::{Draw, EnvConfig};
pub use error::EnvError;
pub use features::{FEATURES, setup::Setup};
pub use forecast::{BarSize, ForecastTape, Horizon, Move, Sample};
pub use live::LiveSession;
pub use market::{
    CELL_BYTES, Market,
    config::MarketConfig,
    day::Day,
    option_columns::OptionColumn,
    real_options::RealOptions,
    tape::{QuoteOrigin, UnusedRows},
};
pub use option::{
    contract::{ContractSpec, Expiry, Settlement, TickRule},
    events::EventCalendar,
    fees::{FeeSchedule, Side},
    level::{LEVEL_PRINTS, LEVEL_REACH, LevelHistory, level_error},
    level_draw::{LevelNoise, LevelSd, Levels},
    pricing::{Premium, PricingConfig, SessionPricer, vol_ratio},
    quote::{Quote, QuotePair, Size},
    strike::{StrikeConfig, StrikeRule},
    surface::SurfaceConfig,
    vol_model::{
        INTERCEPT_KNOTS, LEVEL_PARAMETERS, SMILE_PARAMETERS, SMILE_REACH, VOL_REFERENCE, VolInputs, VolModel, log_smile,
    },
};
pub use reward::{PerTerm, RewardConfig, RewardTerm};
pub use vec_env::{
    ObsOut, ObsSpec, StepBuffers, StepOut, VecEnv,
    episode::{ClosedTrade, Episode, PriceOrigin, Sale, Trade},
    ledger::{Ledger, SETUPS},
};
