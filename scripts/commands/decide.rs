//! `zerodte decide`: the decision of a trained model at the close of a bar of today, or of an earlier session. It places no orders.

mod flags;
mod position;
mod report;

use jiff::civil::Date;
use market_data::{
    calendar::{self, MINUTE_NS, Session, session_time},
    source::vendor::Clock as _,
};

use self::report::ReportContext;
use crate::{
    artifacts::saved_model,
    config::{context::CommandContext, decision_time},
    evaluation::decision::Decision,
    inputs::live,
    output::{clock::SystemClock, console::Console, exit_code::UsageError},
};

pub use self::{
    flags::DecideFlags,
    report::{Choice, DecisionReport, EntryContract, TakenAction},
};

/// Decides.
///
/// # Errors
/// When model, bars or configuration cannot be used, when there is no bar at that time, when the account is given by an action that
/// was not legal, or when a file cannot be written.
pub fn run(flags: &DecideFlags, console: &mut Console) -> anyhow::Result<()> {
    let moment = Moment::named(flags.at.as_deref(), SystemClock.now_ms())?;
    let taken = flags.position.as_deref().map(|text| position::parse(text, &moment.session)).transpose()?;
    let (policy, meta) = saved_model::load(&flags.model)?;
    let resolved = CommandContext::open(&flags.config, console, |notes| {
        let config = flags.resolve(&meta.config, moment.session.date, notes)?;
        notes.extend(saved_model::unsealed_note(&flags.model)?);
        notes.extend(meta.changed_inputs(&config)?);
        Ok(config)
    })?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    live::require_modelled(&config)?;
    let json = flags.output.json("Decision")?;
    let history = live::history(&config, moment.session.date)?;
    let bar = moment.bar(live::newest_bar(&history, &moment.session), &flags.symbol)?;
    let inputs = live::inputs_at(&config, &history, &moment.session, bar)?;
    context.notes.extend(meta.changed_forecaster(inputs.forecaster_record()));
    context.notes.extend(moment.delay(bar));
    let mut account = live::start(&policy, &inputs, &config, bar)?;
    let taken = position::play(&policy, &mut account, taken.as_ref())?;
    let decision = Decision::of(&policy, &account)?;
    let about = ReportContext { model: &flags.model, symbol: &flags.symbol, inputs: &inputs, bar, taken };
    let report = DecisionReport::of(&decision, &account, &about);
    context.say_notes()?;
    context.say_synthetic(inputs.dataset.synthetic)?;
    context.console.say_all(report.lines())?;
    if let Some(file) = json {
        context.console.say("")?;
        file.save_json(&report, context.console)?;
    }
    Ok(())
}

/// The session and the bar that `--at` names.
struct Moment {
    session: Session,
    /// The bar; the newest one where `--at` is `now`.
    bar: Option<u32>,
    now_ns: i64,
}

impl Moment {
    fn named(at: Option<&str>, now_ms: i64) -> anyhow::Result<Self> {
        let now_ns = now_ms.saturating_mul(1_000_000);
        if let Some(at) = at.filter(|at| *at != "now") {
            let moment = decision_time::named(at)?;
            let bar = Some(decision_time::bar_of(moment)?);
            return Ok(Self { session: live::session_of(moment.date())?, bar, now_ns });
        }
        let today: Date = calendar::exchange_date(now_ns);
        let session = calendar::session(today).ok_or_else(|| {
            UsageError::one(format!(
                "--at now: the exchange is closed today, {today}; name a time such as 2025-03-04T10:31"
            ))
        })?;
        Ok(Self { session, bar: None, now_ns })
    }

    /// Returns the bar to decide at, given the newest bar of the session in the data.
    fn bar(&self, newest: Option<u32>, symbol: &str) -> anyhow::Result<u32> {
        let date = self.session.date;
        let newest = newest.filter(|_| self.ended().is_some()).ok_or_else(|| {
            anyhow::anyhow!(
                "the data hold no bar of {symbol} of the session of {date} that has ended; name a bar of an earlier session \
                 with --at"
            )
        })?;
        match self.bar {
            Some(bar) if bar > newest => anyhow::bail!(
                "--at {date}T{}: the newest bar of {symbol} of that session is {}",
                session_time(bar as usize),
                session_time(newest as usize)
            ),
            Some(bar) => Ok(bar),
            None => Ok(self.ended().map_or(newest, |ended| newest.min(ended))),
        }
    }

    /// Returns the number of the last bar of the session that has ended.
    fn ended(&self) -> Option<u32> {
        let minutes = (self.now_ns - self.session.open_ns) / MINUTE_NS;
        let last = minutes.min(self.session.minutes() as i64) - 1;
        u32::try_from(last).ok()
    }

    /// Returns a note where the newest bar is older than the last minute.
    fn delay(&self, bar: u32) -> Option<String> {
        let late = self.ended().filter(|_| self.bar.is_none())?.checked_sub(bar).filter(|late| *late > 0)?;
        Some(format!("the newest bar is {}, {late} minutes before the last that has ended", session_time(bar as usize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: Option<&str>, now: &str) -> anyhow::Result<Moment> {
        Moment::named(at, now.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn now_is_the_newest_bar_that_has_ended() {
        // 10:31:30 in New York, in summer.
        let now = moment(None, "2025-07-02T14:31:30Z").unwrap();
        assert_eq!((now.bar(Some(60), "SPY").unwrap(), now.delay(60)), (60, None));
        assert_eq!(now.bar(Some(61), "SPY").unwrap(), 60, "the bar of 10:31 is not over");
        assert_eq!(now.delay(45).unwrap(), "the newest bar is 10:15, 15 minutes before the last that has ended");
        assert!(
            now.bar(None, "SPY").unwrap_err().to_string().contains("hold no bar of SPY of the session of 2025-07-02")
        );
        let early = moment(Some("now"), "2025-07-02T13:30:59Z").unwrap();
        assert!(early.bar(Some(0), "SPY").is_err(), "the first bar is not over");
        let evening = moment(None, "2025-07-03T22:00:00Z").unwrap();
        assert_eq!(evening.bar(Some(209), "SPY").unwrap(), 209, "the last bar of a half day");
    }

    #[test]
    fn a_named_time_needs_its_bar() {
        let past = moment(Some("2025-07-02T10:31"), "2025-08-01T14:00:00Z").unwrap();
        assert_eq!((past.bar(Some(389), "SPY").unwrap(), past.delay(61)), (61, None));
        let message = past.bar(Some(20), "SPY").unwrap_err().to_string();
        assert_eq!(message, "--at 2025-07-02T10:31: the newest bar of SPY of that session is 09:50");
        let closed = moment(None, "2025-07-04T14:00:00Z").map(|_| ()).unwrap_err().to_string();
        assert!(closed.starts_with("--at now: the exchange is closed today, 2025-07-04"), "{closed}");
    }
}
