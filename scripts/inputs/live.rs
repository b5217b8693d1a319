//! Bars of a session that may still be in progress, and the market that is known at one of its bars.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use market_data::{
    DateRange, HISTORY_SESSIONS, History,
    calendar::{self, MINUTE_NS, Session},
    source::{
        cache::Cache,
        fetch::{FetchOptions, Fetcher, HistoryRequest, with_warmup},
    },
};
use market_env::LiveSession;
use ppo_agent::Policy;

use crate::{
    config::RunConfig,
    inputs::{
        self, Inputs,
        vendor::{Meter, open, usage},
    },
    output::clock::SystemClock,
};

/// Returns the history up to a session, and the bars of this session so far: of files and of the generator all that they hold, of a
/// vendor those that have ended.
///
/// # Errors
/// Missing or faulty bars, a refused request, a malformed response.
pub fn history(config: &RunConfig, date: Date) -> anyhow::Result<History> {
    let run = &config.run;
    if !run.data_source.is_vendor() {
        return inputs::history(config);
    }
    let (cache, meter) = (Cache::new(&run.data_folder()), Meter::new());
    let service = open(run.data_source, &config.data, &run.symbols, &cache, &SystemClock, &meter)?;
    let fetcher = Fetcher { vendor: service.vendor(), cache: &cache, clock: &SystemClock, progress: &meter };
    meter.limit(fetcher.vendor.calls_per_minute());
    let cached = earlier(&fetcher, config, date);
    meter.stop();
    let mut history = fetcher.with_session_so_far(&cached?, date).map_err(usage)?;
    history.notes.extend(meter.notes());
    Ok(history)
}

/// Returns the history of the final sessions up to a date, from the cache after fetching what is missing: as many sessions as a
/// session depends on, so that it is the same on the day and the day after.
///
/// # Errors
/// A refused request, a malformed response, or a cache that cannot be read or written.
pub fn earlier(fetcher: &Fetcher<'_>, config: &RunConfig, date: Date) -> anyhow::Result<History> {
    let symbols = &config.run.symbols;
    let dates = DateRange { first: with_warmup(date, HISTORY_SESSIONS), last: date };
    let request =
        HistoryRequest { symbols: symbols.to_vec(), dates, volatility: true, options: FetchOptions::default() };
    fetcher.fetch_history(&request, &mut |_| ()).map_err(usage)?;
    Ok(fetcher.cache.history(fetcher.vendor, symbols, dates, &config.data.bar_format())?)
}

/// Returns the number of the newest bar of a session in a history; `None` before the first.
pub fn newest_bar(history: &History, session: &Session) -> Option<u32> {
    let bars = history.bars.first()?;
    let inside = bars.ts_ns().partition_point(|start| *start < session.close_ns);
    let last = bars.ts_ns()[..inside].last().filter(|start| **start >= session.open_ns)?;
    u32::try_from((last - session.open_ns) / MINUTE_NS).ok()
}

/// Returns the market of a session as it is known at the close of one of its bars, with the sessions before it as history.
///
/// # Errors
/// A session with too many missing minutes so far, and as [`Inputs::of_history`].
pub fn inputs_at(config: &RunConfig, history: &History, session: &Session, bar: u32) -> anyhow::Result<Inputs> {
    Inputs::of_history(config, &history.known_after(session, bar as usize)?)
}

/// Starts an account in the only session of `inputs`, of which `newest` is the newest bar.
///
/// # Errors
/// A policy that was trained for other observations, or a session that the market does not hold.
pub fn start(policy: &Policy, inputs: &Inputs, config: &RunConfig, newest: u32) -> anyhow::Result<LiveSession> {
    let live = LiveSession::start(Arc::clone(&inputs.market), config.env.clone(), newest)?;
    policy.check_spec(live.spec())?;
    Ok(live)
}

/// Returns the session of a date.
///
/// # Errors
/// A weekend, a holiday, or a date outside the calendar.
pub fn session_of(date: Date) -> anyhow::Result<Session> {
    calendar::session(date).with_context(|| format!("the exchange is closed on {date}, a weekend or a holiday"))
}

/// Refuses real options, whose quotes of today are not known: prices of a session in progress are modelled.
///
/// # Errors
/// `run.options` is set.
pub fn require_modelled(config: &RunConfig) -> anyhow::Result<()> {
    ensure!(
        config.run.options.is_none(),
        "run.options: decisions of today use modelled prices; train on them, or add --set run.options=none"
    );
    Ok(())
}
