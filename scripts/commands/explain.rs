//! `zerodte explain`: one decision of a trained model, with its inputs and its outcome, and a chart of the session.

mod flags;
mod outcome_text;
mod plot;
mod report;
mod session;
mod text;

use anyhow::Context as _;
use jiff::civil::{Date, DateTime, Time};
use market_data::calendar;
use ppo_agent::Behaviour;

use self::{outcome_text::ReportContext, session::Session};
use crate::{
    artifacts::saved_model::{self, count_dates_before, count_dates_in, ranges_text},
    config::{RunConfig, context::CommandContext},
    inputs::Inputs,
    output::{console::Console, exit_code::UsageError, output_file::OutputFile},
};

pub use flags::ExplainFlags;
pub use report::{Choice, Column, Contract, Explanation, Holding, Outcome, Prices, SetupView, Underlying};

/// Minutes from midnight to the open in New York.
const OPEN_MINUTE: i32 = 9 * 60 + 30;

/// Explains a decision.
///
/// # Errors
/// When no decision is taken at that time; when model, bars or configuration cannot be used; when a file cannot be written.
pub fn run(flags: &ExplainFlags, console: &mut Console) -> anyhow::Result<()> {
    let bar = bar_of(flags.moment()?)?;
    let (policy, meta) = saved_model::load(&flags.model)?;
    let resolved = CommandContext::open(&flags.config, console, |notes| {
        let config = flags.resolve(&meta.config, notes)?;
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

/// Returns the number of the bar that starts at a time in New York.
fn bar_of(at: DateTime) -> Result<u32, UsageError> {
    let date = at.date();
    let session = calendar::session(date).ok_or_else(|| UsageError::one(no_session(date)))?;
    let minutes = i32::from(at.hour()) * 60 + i32::from(at.minute());
    let (bar, bars) = (minutes - OPEN_MINUTE, session.minutes() as i32);
    if (0..bars).contains(&bar) {
        return Ok(bar as u32);
    }
    let last = OPEN_MINUTE + bars - 1;
    Err(UsageError::one(format!(
        "--at {date}T{}: the session of {date} has bars from 09:30 to {:02}:{:02}, New York time",
        clock(at.time()),
        last / 60,
        last % 60
    )))
}

fn clock(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

fn no_session(date: Date) -> String {
    if !(calendar::FIRST_DATE..=calendar::LAST_DATE).contains(&date) {
        return format!(
            "--at: the calendar runs from {} to {}, without {date}",
            calendar::FIRST_DATE,
            calendar::LAST_DATE
        );
    }
    format!("--at: the exchange is closed on {date}, a weekend or a holiday")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<u32, String> {
        bar_of(text.parse().unwrap()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_time_selects_the_bar_that_starts_then() {
        assert_eq!(
            [at("2025-03-04T09:30"), at("2025-03-04 10:31:00"), at("2025-03-04T15:59")],
            [Ok(0), Ok(61), Ok(389)]
        );
        let fault = |text: &str| at(text).unwrap_err();
        assert!(fault("2025-03-04T16:00").contains("bars from 09:30 to 15:59"), "{}", fault("2025-03-04T16:00"));
        assert!(fault("2025-11-28T13:00").contains("bars from 09:30 to 12:59"), "a half day");
        assert!(fault("2025-03-04T09:29").contains("--at 2025-03-04T09:29: the session"));
        assert!(fault("2025-03-01T10:00").contains("closed on 2025-03-01"));
        assert!(fault("1999-03-01T10:00").contains("calendar runs from 2003-01-01"));
    }
}
