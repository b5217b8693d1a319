//! `zerodte explain`: one decision of a trained model, with its inputs and its outcome, and a chart of the session.

mod flags;
mod outcome_text;
mod plot;
mod report;
mod session;
mod text;

use anyhow::Context as _;
use ppo_agent::Behaviour;

use self::{outcome_text::ReportContext, session::Session};
use crate::{
    artifacts::saved_model::{self, count_dates_before, count_dates_in, ranges_text},
    config::{RunConfig, context::CommandContext, decision_time},
    inputs::Inputs,
    output::{console::Console, exit_code::UsageError, output_file::OutputFile},
};

pub use flags::ExplainFlags;
pub use report::{Choice, Column, Contract, Explanation, Holding, Outcome, Prices, SetupView, Underlying};

/// Explains a decision.
///
/// # Errors
/// When no decision is taken at that time; when model, bars or configuration cannot be used; when a file cannot be written.
pub fn run(flags: &ExplainFlags, console: &mut Console) -> anyhow::Result<()> {
    let moment = decision_time::named(&flags.at)?;
    let bar = decision_time::bar_of(moment)?;
    let (policy, meta) = saved_model::load(&flags.model)?;
    let resolved = CommandContext::open(&flags.config, console, |notes| {
        let config = flags.resolve(&meta.config, moment.date(), notes)?;
        notes.extend(saved_model::unsealed_note(&flags.model)?);
        notes.extend(meta.changed_inputs(&config)?);
        Ok(config)
    })?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    let json = flags.output.report.json("Explanation")?;
    let picture = OutputFile::requested("Picture", flags.output.plot.as_ref())?;
    let inputs = Inputs::load(&config)?;
    context.notes.extend(meta.changed_forecaster(inputs.forecaster_record()));
    let behaviour = if flags.stochastic { Behaviour::Sampled } else { Behaviour::Greedy };
    let session = Session::replay(&policy, &inputs, &config.env, behaviour, config.run.seed)?;
    check_decision_bar(&session, bar, &config)?;
    let about = ReportContext {
        model: flags.model.display().to_string(),
        data: inputs.stamp(),
        prices: inputs.prices(),
        behaviour: if flags.stochastic { "sampled" } else { "greedy" },
        in_sample: count_dates_in([session.day.date], &meta.trained_on) > 0,
        before_training: count_dates_before([session.day.date], &meta.trained_on) > 0,
        market: &config.market,
        exits: config.env.exits.mode,
    };
    let explanation = Explanation::of(&session, bar, &about);
    context.say_notes()?;
    context.say_synthetic(inputs.dataset.synthetic)?;
    let console = context.console;
    if explanation.in_sample {
        console.say("IN SAMPLE: the model was trained on this date")?;
    }
    if explanation.before_training {
        console.say(format!(
            "Before the training dates: the model was trained on {} and knows what came after this date",
            ranges_text(&meta.trained_on)
        ))?;
    }
    console.say_all(explanation.lines())?;
    if let Some(file) = json {
        console.say("")?;
        file.save_json(&explanation, console)?;
    }
    if let Some(file) = picture {
        let heading = plot::heading(&session, &about.model, about.behaviour, bar, inputs.dataset.synthetic);
        console.say("")?;
        file.save(plot::draw(&session, bar, &heading)?, console)?;
    }
    Ok(())
}

/// Refuses bars after the last decision.
fn check_decision_bar(session: &Session<'_>, bar: u32, config: &RunConfig) -> anyhow::Result<()> {
    let last = session.steps.len().checked_sub(1).context("the session is too short for a decision")? as u32;
    if bar > last {
        return Err(UsageError::one(format!(
            "--at {}T{}: the last decision of this session is taken at the close of the bar {}; open positions are \
             sold {} minutes before the bell (env.exits.flat_before_close)",
            session.day.date,
            session.clock(bar),
            session.clock(last),
            config.env.exits.flat_before_close,
        ))
        .into());
    }
    Ok(())
}
