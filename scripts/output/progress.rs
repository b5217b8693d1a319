//! Progress of a fetch: a bar on a terminal, one line elsewhere, and notes for later.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use market_data::source::{
    fetch::{self, Plan},
    vendor::Progress,
};

use crate::output::table::thousands;

/// Counter of API calls, with the time left under the plan's limit.
#[derive(Debug)]
pub struct Meter {
    bar: ProgressBar,
    per_minute: AtomicU32,
    planned: AtomicUsize,
    called: AtomicUsize,
    notes: Mutex<Vec<String>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Returns a meter that shows nothing until calls are planned.
    pub fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            per_minute: AtomicU32::new(0),
            planned: AtomicUsize::new(0),
            called: AtomicUsize::new(0),
            notes: Mutex::new(Vec::new()),
        }
    }

    /// Sets the vendor's limit of calls per minute.
    pub fn limit(&self, calls_per_minute: u32) {
        self.per_minute.store(calls_per_minute, Ordering::Relaxed);
    }

    /// Announces a fetch and its expected duration, unless there is nothing to fetch.
    pub fn plan(&self, vendor: &str, plan: &Plan) {
        if plan.calls > 0 {
            let sessions = thousands(plan.sessions() as i64);
            self.expect(plan.calls, &format!("Fetching {sessions} sessions from {vendor}"));
        }
    }

    /// Announces a number of calls and their purpose.
    pub fn expect(&self, calls: usize, what: &str) {
        let planned = self.planned.fetch_add(calls, Ordering::Relaxed) + calls;
        if io::stderr().is_terminal() && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(4));
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} calls  {msg}") {
                self.bar.set_style(style);
            }
        }
        self.bar.set_length(planned as u64);
        self.say(&format!("{what}: {}", estimate(calls, self.per_minute.load(Ordering::Relaxed))));
    }

    fn say(&self, text: &str) {
        // A closed stderr is no error.
        self.bar.suspend(|| drop(writeln!(io::stderr().lock(), "{text}")));
    }

    /// Returns the time left as text; empty below a minute.
    fn time_left(&self) -> String {
        let left = self.planned.load(Ordering::Relaxed).saturating_sub(self.called());
        let minutes = fetch::minutes(left, self.per_minute.load(Ordering::Relaxed));
        if minutes < 1.0 { String::new() } else { format!("{minutes:.0} min left") }
    }

    /// Removes the bar.
    pub fn stop(&self) {
        self.bar.finish_and_clear();
    }

    /// Returns and clears the notes.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the number of answered calls.
    pub fn called(&self) -> usize {
        self.called.load(Ordering::Relaxed)
    }
}

/// Formats a number of calls with their duration under the plan's limit.
pub fn estimate(calls: usize, calls_per_minute: u32) -> String {
    let count = match calls {
        1 => "1 call".to_owned(),
        calls => format!("{} calls", thousands(calls as i64)),
    };
    let minutes = fetch::minutes(calls, calls_per_minute);
    match (calls_per_minute, minutes) {
        (0, _) => format!("{count}, no limit per minute"),
        (limit, minutes) if minutes < 1.0 => format!("{count}, less than a minute at {limit} a minute"),
        (limit, minutes) if minutes < 120.0 => format!("{count}, about {minutes:.0} minutes at {limit} a minute"),
        (limit, minutes) => format!("{count}, about {:.1} hours at {limit} a minute", minutes / 60.0),
    }
}

impl Progress for Meter {
    fn called(&self) {
        let called = self.called.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_position(called as u64);
        self.bar.set_message(self.time_left());
    }

    fn waiting(&self, pause: Duration, why: &str) {
        if pause >= Duration::from_secs(2) {
            self.bar.set_message(format!("{}  waiting {} s: {why}", self.time_left(), pause.as_secs()));
        }
    }

    fn blocked(&self, text: String) {
        self.say(&text);
    }

    fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&text) {
            notes.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_names_calls_and_time() {
        assert_eq!(estimate(1, 5), "1 call, less than a minute at 5 a minute");
        assert_eq!(estimate(27, 5), "27 calls, about 5 minutes at 5 a minute");
        assert_eq!(estimate(10_000, 5), "10,000 calls, about 33.9 hours at 5 a minute");
        assert_eq!(estimate(27, 0), "27 calls, no limit per minute");
    }
}
