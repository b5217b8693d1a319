//! `zerodte shadow`: follows a session with a vendor's bars as they come and records every decision of a model; the day after, it
//! compares them with the replay of the same day. It places no orders.

mod comparison;
mod flags;
mod follow;
mod rows;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use market_data::{
    calendar::{self, Session},
    source::{
        cache::Cache,
        fetch::{Fetcher, last_final},
        vendor::Clock,
    },
};

use crate::{
    artifacts::{files::sha256, paths::model_path, saved_model},
    config::{RunConfig, context::CommandContext},
    inputs::{
        live,
        vendor::{Meter, open},
    },
    output::{clock::SystemClock, console::Console, exit_code::UsageError, output_file::create_parent},
};

pub use self::{
    comparison::{Comparison, Difference, compare},
    flags::ShadowFlags,
    follow::Follow,
    rows::{Heading, Row, ShadowFile, read},
};

/// Follows the session of today, or compares a recorded one.
///
/// # Errors
/// Model, configuration or vendor that cannot be used; no session today, or one that is over; differences between the record and the
/// replay.
pub fn run(flags: &ShadowFlags, console: &mut Console) -> anyhow::Result<()> {
    match &flags.compare {
        Some(file) => compare_file(file, flags, console),
        None => follow_today(flags, console),
    }
}

fn follow_today(flags: &ShadowFlags, console: &mut Console) -> anyhow::Result<()> {
    let (model, symbol) = flags.subject()?;
    let session = today(&SystemClock)?;
    let (policy, meta) = saved_model::load(model)?;
    let resolved = CommandContext::open(&flags.config, console, |notes| {
        let config = flags.resolve(&meta.config, symbol, session.date, notes)?;
        notes.extend(saved_model::unsealed_note(model)?);
        notes.extend(meta.changed_inputs(&config)?);
        Ok(config)
    })?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    live::require_modelled(&config)?;
    context.say_notes()?;
    let mut file = open_record(flags, model, &session, &config)?;
    if file.is_complete(&session) {
        return Ok(context
            .console
            .say(format!("The record of {} is complete; compare it with --compare.", session.date))?);
    }
    let delay = Duration::from_secs(u64::from(flags.delay));
    let console = context.console;
    console.say(format!("Following {symbol} on {}; no order is placed.", session.date))?;
    with_fetcher(&config, |fetcher| {
        let follow = Follow { fetcher, policy: &policy, config: &config, session, delay };
        follow.run(&mut file, &mut |line| Ok(console.say(line)?))
    })
}

/// Opens the record of a session, and creates its folder.
fn open_record(flags: &ShadowFlags, model: &Path, session: &Session, config: &RunConfig) -> anyhow::Result<ShadowFile> {
    let symbol = config.run.symbols.first().context("there is no symbol")?.clone();
    let default = || Path::new("shadow").join(format!("{symbol}-{}.jsonl", session.date));
    let out = flags.out.clone().unwrap_or_else(default);
    create_parent(&out)?;
    ShadowFile::open(
        out,
        &Heading::new(model, sha256(&model_path(model))?, symbol.clone(), session.date, config.clone()),
    )
}

/// Opens the vendor of a configuration and passes it on.
fn with_fetcher<T>(config: &RunConfig, act: impl FnOnce(Fetcher<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (cache, meter) = (Cache::new(&config.run.data_folder()), Meter::new());
    let service = open(config.run.data_source, &config.data, &config.run.symbols, &cache, &SystemClock, &meter)?;
    meter.limit(service.vendor().calls_per_minute());
    act(Fetcher { vendor: service.vendor(), cache: &cache, clock: &SystemClock, progress: &meter })
}

fn compare_file(path: &Path, flags: &ShadowFlags, console: &mut Console) -> anyhow::Result<()> {
    let (heading, rows) = read(path)?;
    let json = flags.output.json("Comparison")?;
    let (policy, _) = saved_model::load(&heading.model)?;
    ensure!(
        sha256(&model_path(&heading.model))? == heading.model_sha256,
        "{} is not the model of the record: its file has changed",
        heading.model.display()
    );
    if last_final(SystemClock.now_ms()).is_none_or(|last| last < heading.date) {
        let text =
            format!("the session of {} is not final: compare it from twenty minutes after its close", heading.date);
        return Err(UsageError::one(text).into());
    }
    let history = with_fetcher(&heading.config, |fetcher| live::earlier(&fetcher, &heading.config, heading.date))?;
    let comparison = compare(&policy, &heading, &rows, &history)?;
    console.say_all(comparison.lines())?;
    if let Some(file) = json {
        file.save_json(&comparison, console)?;
    }
    let count = comparison.differences.len();
    ensure!(count == 0, "{} differs from the replay of its day in {count} values", path.display());
    Ok(())
}

fn today(clock: &dyn Clock) -> anyhow::Result<Session> {
    let now_ns = clock.now_ms().saturating_mul(1_000_000);
    let today = calendar::exchange_date(now_ns);
    let session = calendar::session(today).ok_or_else(|| {
        UsageError::one(format!("the exchange is closed today, {today}: start on the day of a session"))
    })?;
    if now_ns >= session.close_ns {
        return Err(UsageError::one(format!("the session of {today} is over: start before its close")).into());
    }
    Ok(session)
}
