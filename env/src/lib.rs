//! The replay game: real minute bars become features, an option tape and batches of trading sessions.
//!
//! Plain Rust: no files, no tensors, no clock. A row of features at bar `t` uses bars up to `t` only; a decision is taken
//! at the close of bar `t` and filled at the open of bar `t + 1`, on the bad side of the spread.
//!
//! ```text
//! SymbolSessions ─► feature rows + setups ┐
//!                ─► option tape           ┴► Market (read-only) ─► BatchEnv: N accounts stepped together
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod account;
pub mod action;
mod batch;
mod config;
mod contract;
mod draw;
mod episode;
mod error;
mod exits;
mod features;
pub mod indicator;
mod lane;
mod ledger;
mod market;
pub mod option;
mod play;
mod reward;
mod setup;
mod tape;
mod vec_env;

pub use account::{Account, Fill, Position};
pub use action::{ACTION_NAMES, ACTIONS, Action, FLAT_MASK, FORCED_MASK, HOLDING_MASK};
pub use batch::BatchEnv;
pub use config::{AccountConfig, CostConfig, Draw, EnvConfig, MarketConfig};
pub use contract::{ContractSpec, TickRule};
pub use episode::{Episode, Trade};
pub use error::EnvError;
pub use exits::{ExitConfig, ExitMode, TakeProfit};
pub use features::{FEATURES, FeatureRow};
pub use lane::ACCOUNT_COLUMNS;
pub use ledger::{EXIT_REASONS, Ledger, REWARD_TERMS, SETUPS, Setup};
pub use market::{Day, Market};
pub use reward::{RewardConfig, RewardTerms};
pub use setup::SetupScore;
pub use tape::{PricingConfig, Quote, QuotePair};
pub use vec_env::{ActionMask, ObsOut, ObsSpec, StepOut, VecEnv};
