//! `zerodte forecast eval`: evaluates a forecaster on unseen dates and compares it with simple predictors.

use anyhow::{Context as _, ensure};
use market_data::{DataStamp, DateRange, Window};
use ppo_agent::require_libtorch;

use super::{dataset::ForecastDataset, evaluation::Evaluator, files, flags::ForecastEvalFlags};
use crate::{
    artifacts::{
        saved_forecaster::{self, ForecasterMeta},
        saved_model::{count_dates_in, ranges_text},
    },
    config::context::CommandContext,
    output::{console::Console, exit_code::UsageError, output_file::OutputFile, synthetic::training_notice},
};

/// Evaluates a forecaster and prints the table.
///
/// # Errors
/// An unusable forecaster, bars or configuration, or a file that cannot be written.
pub(super) fn run(flags: &ForecastEvalFlags, console: &mut Console) -> anyhow::Result<()> {
    let (forecaster, meta) = saved_forecaster::load(&flags.model)?;
    let resolved = CommandContext::open(&flags.config, console, |notes| flags.resolve(&meta.config, notes))?;
    let Some((mut context, mut config)) = resolved else { return Ok(()) };
    require_libtorch("forecasters")?;
    let json = flags.output.report.json("")?;
    let markdown = OutputFile::requested("", flags.output.markdown.as_ref())?;
    let predictions = OutputFile::requested("", flags.output.predictions.as_ref())?;
    context.say_notes()?;

    // The other predictors are fitted on the forecaster's training dates, so the bars must reach back that far.
    let asked = config.run.window();
    (config.run.start_date, config.run.intraday_days) = (None, 0);
    config.run.end_date = asked.to.map(|end| end.max(meta.last_seen()));
    let material = ForecastDataset::load(&config, forecaster.config())?;
    forecaster.check_features(material.tape.feature_names())?;
    let dates = asked_dates(&material, &meta, &asked)?;
    let (data, picked) = (material.data(forecaster.config(), &meta.split), material.pick(&dates));
    ensure!(!picked.samples.is_empty(), "no samples on {dates}");
    context.say_synthetic(material.dataset.synthetic)?;
    let console = context.console;
    heading(flags, &meta, &material, &dates, console)?;
    if data.train.is_empty() || data.validation.is_empty() {
        let (train, valid) = (meta.split.train, meta.split.validation);
        return Err(UsageError::one(format!(
            "the bars do not reach back to the forecaster's training ({train} and {valid}), which the other predictors are fitted on"
        ))
        .into());
    }
    let forecasts = forecaster.predict(&data.tape, &picked.samples)?;
    let court = Evaluator {
        material: &material,
        data: &data,
        forecaster: &forecaster,
        gate: &config.forecast.gate,
        boosted: flags.boosted,
        seed: config.run.seed,
    };
    let judgement = court.judge(&picked, &forecasts, dates)?;
    console.say_all(judgement.lines())?;

    if let Some(file) = json {
        file.save_json(&judgement, console)?;
    }
    if let Some(file) = markdown {
        file.save(judgement.markdown(), console)?;
    }
    if let Some(file) = predictions {
        let data_stamp = DataStamp::of(material.dataset.synthetic);
        file.save(files::predictions(&material, &picked, &data.targets, &forecasts, data_stamp)?, console)?;
    }
    Ok(())
}

/// Returns the requested dates, by default all dates not used to train the forecaster.
fn asked_dates(material: &ForecastDataset, meta: &ForecasterMeta, asked: &Window) -> anyhow::Result<DateRange> {
    let dates = &material.dataset.dates;
    let range = asked.dates(*dates.last().context("there are no sessions")?)?;
    if asked.from.is_some() || asked.intraday_days.is_some() {
        return Ok(range);
    }
    let unseen =
        dates.iter().find(|&&date| date > meta.last_seen() && !meta.split.gap.contains(&date) && range.contains(date));
    let first = *unseen.with_context(|| {
        let (seen, last) = (meta.last_seen(), range.last);
        format!("the forecaster was trained on dates up to {seen}, and there are no later ones up to {last}; set an earlier --start-date")
    })?;
    Ok(DateRange { first, last: range.last })
}

fn heading(
    flags: &ForecastEvalFlags,
    meta: &ForecasterMeta,
    material: &ForecastDataset,
    dates: &DateRange,
    console: &mut Console,
) -> anyhow::Result<()> {
    console.say_all(training_notice("The forecaster", meta.data))?;
    console.say(format!("Forecaster {} on {dates}, intervals over dates", flags.model.display()))?;
    let inside = || material.dataset.dates.iter().copied().filter(|&date| dates.contains(date));
    let (seen, ranges) = (count_dates_in(inside(), &meta.seen()), ranges_text(&meta.seen()));
    console.say(match seen {
        0 if dates.last < meta.split.train.first => {
            format!(
                "Out of sample, but before the forecaster's training dates ({ranges}): its weights contain later data"
            )
        }
        0 => format!("Out of sample: the forecaster was trained on {ranges}"),
        n => format!(
            "IN SAMPLE: {n} of {} dates lie within the forecaster's training dates ({ranges}); these figures prove nothing",
            inside().count()
        ),
    })?;
    Ok(())
}
