//! Clock: the only module that reads the time. It serves progress reports, file stamps and the choice of sessions to fetch, never
//! results.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Stopwatch for durations.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring now.
    #[expect(clippy::disallowed_methods, reason = "durations are reported in time/* columns and on the screen only")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Returns the seconds since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "TensorBoard events and the manifest carry the wall time")]
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// Returns the time of day in UTC, to the second, as RFC 3339.
pub fn timestamp() -> String {
    let seconds = unix_seconds() as i64;
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The machine's clock, for vendor requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl market_data::source::vendor::Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        (unix_seconds() * 1000.0) as i64
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
