//! `zerodte backtest`: replays sessions in order with a trained model and says what it would have earned.

use market_data::DateRange;
use ppo_agent::{Behaviour, Policy};

use crate::{
    config::RunConfig,
    console::Console,
    files::{check_writable, create_parent},
    flags::BacktestFlags,
    inputs::Inputs,
    model::{self, ModelMeta, dates_within, ranges_text},
    replay::replay,
    report::{BacktestReport, Figures},
    staying_out::{explain_staying_out, stays_out},
    trades::{self, TradesFormat},
};

/// Runs a backtest and prints its report.
///
/// # Errors
/// A model, bars or a configuration that cannot be used, or a file that cannot be written.
pub fn run(flags: &BacktestFlags, console: &mut Console) -> anyhow::Result<()> {
    if let Some(path) = &flags.trades {
        TradesFormat::of(path).map_err(|error| crate::usage::Usage::one(format!("--trades: {error}")))?;
    }
    let (policy, meta) = model::load(&flags.model)?;
    let mut notes = Vec::new();
    let config = flags.resolve(&meta.config, &mut notes)?;
    notes.extend(meta.changed_inputs(&config)?);
    if flags.config.print_config {
        console.say(config.to_annotated_toml()?.trim_end())?;
        return Ok(());
    }
    for path in [&flags.json, &flags.trades].into_iter().flatten() {
        path.parent().map_or(Ok(()), check_writable)?;
    }
    let inputs = Inputs::load(&config)?;
    let report = backtest(flags, &policy, &meta, &config, &inputs, console, &notes)?;
    if let Some(path) = &flags.json {
        create_parent(path)?;
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
    let play = |behaviour| replay(policy, &inputs.market, &days, &config.env, behaviour, config.run.seed);
    let played = play(behaviour)?;
    let random = stays_out(&played.ledger).then(|| play(Behaviour::RandomLegal)).transpose()?;
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
        trained_on: meta.trained_on.clone(),
        in_sample_dates: dates_within(dates.iter().copied(), &meta.trained_on),
        capital_usd: config.env.account.capital,
        figures: Figures::of(&played)?,
        staying_out: random.map(|random| explain_staying_out(&played.ledger, &random.trades)),
        daily_pnl_usd: played.daily_pnl().into_iter().map(|(date, pnl)| (date.to_string(), pnl)).collect(),
    };
    let lines = heading(&report, meta, inputs, notes).into_iter().chain(report.figures.lines());
    for line in lines.chain(report.staying_out.clone()) {
        console.say(line)?;
    }
    if let Some(path) = &flags.trades {
        create_parent(path)?;
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
    let trained_on = ranges_text(&report.trained_on);
    lines.push(match report.in_sample_dates {
        0 => format!("Out of sample: the model was trained on {trained_on}"),
        n => format!(
            "IN SAMPLE: {n} of {} dates lie within the model's training dates ({trained_on}); these figures prove nothing",
            inputs.dataset.dates.len(),
        ),
    });
    lines
}
