//! Flags of `zerodte` and of its commands that have no module of flags of their own.

use clap::{Parser, Subcommand};

use crate::{
    audit::AuditFlags, audit_reward::AuditRewardFlags, backtest::flags::BacktestFlags, bench::BenchFlags,
    calibrate::flags::CalibrateFlags, diagnose::DiagnoseFlags, doctor::DoctorFlags, explain::ExplainFlags,
    fetch::FetchFlags, forecast::ForecastTool, inspect::InspectFlags, reproduce::ReproduceFlags, selftest::Selftest,
    watch::WatchFlags,
};

/// Works on trained models, and shows what this program can do.
#[derive(Debug, Clone, Parser)]
#[command(name = "zerodte", version)]
pub struct ToolFlags {
    /// What to do.
    #[command(subcommand)]
    pub command: Tool,
}

/// What `zerodte` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Tool {
    /// Checks a file of trades: re-derives every cash flow from it and compares it to the cent.
    Audit(AuditFlags),
    /// Plays policies that know nothing and flags those that a reward pays for losing money.
    AuditReward(AuditRewardFlags),
    /// Replays sessions in order with a model and reports what it would have earned.
    Backtest(BacktestFlags),
    /// Compares modelled option prices and spreads with real trades and quotes.
    Calibrate(CalibrateFlags),
    /// Measures how fast this machine steps, collects and learns, after checking that it does so correctly.
    Bench(BenchFlags),
    /// Says what a training was judged to be; exit code 3 collapsed or state-blind, 4 frozen, 5 exploding.
    Diagnose(DiagnoseFlags),
    /// Says what this machine and the keys on it can do: plan by asset class, cache, libtorch, GPU, disk.
    Doctor(DoctorFlags),
    /// Explains one decision of a model: what it saw, weighed and did, and what came of it.
    Explain(ExplainFlags),
    /// Fetches bars, volatility indices and options from a vendor into the cache.
    Fetch(FetchFlags),
    /// Trains and judges forecasters of returns, volatility and direction.
    #[command(subcommand)]
    Forecast(Box<ForecastTool>),
    /// Looks at the bars of a symbol: coverage, gaps, repeats, outliers, half days, and a second source beside them.
    Inspect(InspectFlags),
    /// Trains the profiles of the old story on the same days and shows what the average of a log hides.
    ReproduceCollapse(ReproduceFlags),
    /// Proves a promise of this program by running it.
    #[command(subcommand)]
    Selftest(Selftest),
    /// Shows what a training does at this moment, from its run folder or a log, be it one of the old system.
    Watch(WatchFlags),
}
