//! The time of a decision, as `--at` names it: the start of the bar at whose close the decision is taken.

use jiff::civil::{Date, DateTime, Time};
use market_data::calendar;

use crate::output::exit_code::UsageError;

/// Minutes from midnight to the open in New York.
const OPEN_MINUTE: i32 = 9 * 60 + 30;

/// Returns the time that a text names.
///
/// # Errors
/// When it is not a minute of a date, exit code 2.
pub(crate) fn named(text: &str) -> Result<DateTime, UsageError> {
    let minute = |at: &DateTime| (at.second(), at.subsec_nanosecond()) == (0, 0);
    text.parse().ok().filter(minute).ok_or_else(|| {
        UsageError::one(format!("--at {text}: write it as a minute in New York time, such as 2025-03-04T10:31"))
    })
}

/// Returns the number of the bar that starts at a time in New York.
///
/// # Errors
/// A date without a session, or a minute outside of it, exit code 2.
pub(crate) fn bar_of(at: DateTime) -> Result<u32, UsageError> {
    let date = at.date();
    let session = calendar::session(date).ok_or_else(|| UsageError::one(no_session(date)))?;
    minute_in(&session, at.time()).ok_or_else(|| {
        let last = OPEN_MINUTE + session.minutes() as i32 - 1;
        UsageError::one(format!(
            "--at {date}T{}: the session of {date} has bars from 09:30 to {:02}:{:02}, New York time",
            at.time().strftime("%H:%M"),
            last / 60,
            last % 60
        ))
    })
}

/// Returns the number of the bar of a session that starts at a time of day in New York, if there is one.
pub(crate) fn minute_in(session: &calendar::Session, at: Time) -> Option<u32> {
    let minutes = i32::from(at.hour()) * 60 + i32::from(at.minute()) - OPEN_MINUTE;
    u32::try_from(minutes).ok().filter(|bar| (*bar as usize) < session.minutes())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<u32, String> {
        bar_of(named(text).unwrap()).map_err(|fault| fault.to_string())
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
        assert!(named("2025-03-04T09:30:01").unwrap_err().to_string().contains("write it as a minute"));
    }
}
