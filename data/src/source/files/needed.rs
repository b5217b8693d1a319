//! Rows that the dates of a run need, so that a long file is not read whole for a few weeks.

use jiff::ToSpan as _;

use crate::{HISTORY_SESSIONS, Window, calendar};

/// Sessions that are read before the first date: the history of a session, and as many again, since faulty ones do not count.
const SESSIONS_BEFORE: usize = 2 * HISTORY_SESSIONS;
/// Calendar days that hold more sessions than [`SESSIONS_BEFORE`].
const DAYS_BEFORE: i64 = 300;
/// Margin for times on a clock whose zone is not applied yet.
const MARGIN_NS: i64 = 24 * 60 * calendar::MINUTE_NS;

/// Returns the number of leading rows that a run on the dates of `window` does not need, by their times in nanoseconds; 0 where that
/// is not known.
pub(super) fn rows_before(window: &Window, ns: &[i64]) -> usize {
    let Some(&last) = ns.last().filter(|_| ns.is_sorted()) else { return 0 };
    let Ok(dates) = window.dates(calendar::exchange_date(last)) else { return 0 };
    let before =
        calendar::sessions(dates.first.saturating_sub(DAYS_BEFORE.days()), dates.first.saturating_sub(1.day()));
    let Some(first) = before.len().checked_sub(SESSIONS_BEFORE).map(|at| before[at].date) else { return 0 };
    let needed = ns.partition_point(|&time| time < calendar::midnight_ns(first) - MARGIN_NS);
    // A window after the last row is named as such when sessions are built.
    if needed == ns.len() { 0 } else { needed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_and_twice_their_history_are_read() {
        let open = |session: &calendar::Session| session.open_ns;
        let sessions = calendar::sessions("2022-01-03".parse().unwrap(), "2025-06-30".parse().unwrap());
        let ns: Vec<i64> = sessions.iter().map(open).collect();
        let since = |text: &str| Window { from: text.parse().ok(), ..Window::default() };
        let at = |text: &str| sessions.iter().position(|session| session.date >= text.parse().unwrap()).unwrap();
        assert_eq!(rows_before(&Window::default(), &ns), 0);
        // One session of margin.
        assert_eq!(rows_before(&since("2025-03-03"), &ns), at("2025-03-03") - SESSIONS_BEFORE - 1);
        let days = Window { intraday_days: Some(60), ..Window::default() };
        assert_eq!(rows_before(&days, &ns), at("2025-05-02") - SESSIONS_BEFORE - 1);
        assert_eq!(rows_before(&since("2022-03-01"), &ns), 0, "the history begins before the file");
        assert_eq!(rows_before(&since("2030-01-02"), &ns), 0, "no row is left");
        let mut descending = ns;
        descending.reverse();
        assert_eq!(rows_before(&days, &descending), 0);
    }
}
