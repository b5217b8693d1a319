//! `zerodte backtest`: replays sessions in order with a trained model and says what it would have earned.

use anyhow::Context as _;
use market_data::{DateRange, Split};
use ppo_agent::{Behaviour, ModelFile, Policy};

use crate::{
    config::RunConfig,
    console::Console,
    files::ensure_writable,
    flags::BacktestFlags,
    inputs::Inputs,
    paths::model_path,
    replay::replay,
    report::{BacktestReport, Figures},
    trades::{self, TradesFormat},
};

/// What a model's sidecar says about its training.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ModelMeta {
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones.
    pub data: String,
    /// Steps of training.
    pub timesteps: u64,
    /// The configuration it was trained with.
    pub config: RunConfig,
    /// The dates of training, validation and test.
    pub split: Split,
}

/// Runs a backtest and prints its report.
///
/// # Errors
/// A model, bars or a configuration that cannot be used, or a file that cannot be written.
pub fn run(flags: &BacktestFlags, console: &mut Console) -> anyhow::Result<()> {
    if let Some(path) = &flags.trades {
        TradesFormat::of(path).map_err(|error| crate::usage::Usage::one(format!("--trades: {error}")))?;
    }
    let ModelFile { policy, meta } = ModelFile::load(&model_path(&flags.model))?;
    let meta: ModelMeta = serde_json::from_value(meta)
        .with_context(|| format!("reading what {} says about its training", flags.model.display()))?;
    let mut notes = Vec::new();
    let config = flags.resolve(&meta.config, &mut notes)?;
    if flags.config.print_config {
        console.say(config.to_toml()?.trim_end())?;
        return Ok(());
    }
    for path in [&flags.json, &flags.trades].into_iter().flatten() {
        ensure_writable(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref()))?;
    }
    let inputs = Inputs::load(&config)?;
    let report = backtest(flags, &policy, &meta, &config, &inputs, console, &notes)?;
    if let Some(path) = &flags.json {
        ppo_agent::write_atomically(path, (serde_json::to_string_pretty(&report)? + "\n").as_bytes())?;
        console.say(format!("Report written: {}", path.display()))?;
    }
    Ok(())
}

fn backtest(
    flags: &BacktestFlags,
    policy: &Policy,
    meta: &ModelMeta,
    config: &RunConfig,
    inputs: &Inputs,
    console: &mut Console,
    notes: &[String],
) -> anyhow::Result<BacktestReport> {
    let days: Vec<u32> = (0..inputs.market.days().len() as u32).collect();
    let behaviour = if flags.stochastic { Behaviour::Sampled } else { Behaviour::Greedy };
    let played = replay(policy, &inputs.market, &days, &config.env, behaviour, config.run.seed)?;
    let dates = &inputs.dataset.dates;
    let (Some(&first), Some(&last)) = (dates.first(), dates.last()) else {
        anyhow::bail!("there is no session to replay")
    };
    let report = BacktestReport {
        model: flags.model.display().to_string(),
        data: inputs.stamp(),
        behaviour: if flags.stochastic { "sampled" } else { "greedy" },
        seed: config.run.seed,
        symbols: config.run.symbols.iter().map(ToString::to_string).collect(),
        dates: DateRange { first, last },
        trained_on: Some(meta.split.train),
        in_sample_dates: dates.iter().filter(|&&date| meta.split.train.contains(date)).count(),
        capital_usd: config.env.account.capital,
        figures: Figures::of(&played)?,
        daily_pnl_usd: played.daily_pnl().into_iter().map(|(date, pnl)| (date.to_string(), pnl)).collect(),
    };
    for line in heading(&report, meta, inputs, notes).into_iter().chain(report.figures.lines()) {
        console.say(line)?;
    }
    if let Some(path) = &flags.trades {
        trades::write(path, &played.trades, inputs.stamp())?;
        console.say(format!("Trades written: {}", path.display()))?;
    }
    Ok(report)
}

fn heading(report: &BacktestReport, meta: &ModelMeta, inputs: &Inputs, notes: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = notes.iter().map(|note| format!("Note: {note}")).collect();
    if inputs.dataset.synthetic {
        lines.push("SYNTHETIC DATA: made-up bars; nothing here says anything about a market".to_owned());
    }
    if meta.data == crate::inputs::stamp(true) {
        lines.push("The model was trained on SYNTHETIC data".to_owned());
    }
    lines.push(format!(
        "Backtest of {} ({}) on {}: {}",
        report.model,
        report.behaviour,
        report.symbols.join(", "),
        report.dates
    ));
    lines.extend(inputs.lines());
    lines.push(match report.in_sample_dates {
        0 => format!("Out of sample: the model was trained on {}", meta.split.train),
        n => format!(
            "IN SAMPLE: {n} of {} dates lie within the model's training dates ({}); these figures prove nothing",
            inputs.dataset.dates.len(),
            meta.split.train
        ),
    });
    lines
}
