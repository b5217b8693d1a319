//! Rate limit of calls per minute, shared by all threads and programs with the same cache, also across restarts.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{Clock, Progress, VendorError};

/// Rolling minute of the vendors, plus a second of margin.
const WINDOW_MS: i64 = 61_000;
/// Pause between calls of an unlimited plan: 50 calls a second, half of what such plans allow.
const SPACING_MS: i64 = 20;

/// Rate limiter.
#[derive(Debug)]
pub struct Pace {
    calls_per_minute: u32,
    /// File with the times of the last calls, shared by all programs.
    path: PathBuf,
    /// Time of the last call, for plans without a limit.
    last: Mutex<i64>,
}

impl Pace {
    /// Returns a limiter of `calls_per_minute`, 0 = no limit, that records the times of calls in the file `path`.
    #[must_use]
    pub fn new(calls_per_minute: u32, path: &Path) -> Self {
        Self { calls_per_minute, path: path.to_owned(), last: Mutex::new(i64::MIN) }
    }

    /// Returns the calls allowed per minute; 0 = no limit.
    #[must_use]
    pub fn calls_per_minute(&self) -> u32 {
        self.calls_per_minute
    }

    /// Waits until the next call is allowed, and records it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn admit(&self, clock: &dyn Clock, progress: &dyn Progress) -> Result<(), VendorError> {
        if self.calls_per_minute == 0 {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            // A clock that was set back must not delay calls.
            let wait = last.saturating_add(SPACING_MS).saturating_sub(clock.now_ms()).clamp(0, SPACING_MS);
            clock.sleep(millis(wait));
            *last = clock.now_ms();
            return Ok(());
        }
        loop {
            let wait = self.wait(clock.now_ms()).map_err(|source| VendorError::Cache {
                path: self.path.clone(),
                doing: "recording the times of calls",
                source,
            })?;
            if wait <= 0 {
                return Ok(());
            }
            progress.waiting(millis(wait), "limit of calls per minute");
            clock.sleep(millis(wait));
            if progress.stopped() {
                return Err(VendorError::Stopped);
            }
        }
    }

    /// Records a call at `now` and returns 0, or returns the milliseconds to wait.
    fn wait(&self, now: i64) -> io::Result<i64> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        file.lock()?;
        let mut stamps = read(&mut file)?;
        // After the clock was set back, recorded times lie ahead of it. They count as now and are written back: otherwise
        // they would count as now again after the wait.
        let set_back = stamps.iter().any(|stamp| *stamp > now);
        stamps.iter_mut().for_each(|stamp| *stamp = (*stamp).min(now));
        stamps.retain(|stamp| now - stamp < WINDOW_MS);
        stamps.sort_unstable();
        let allowed = self.calls_per_minute as usize;
        let full = stamps.len().checked_sub(allowed).map(|at| stamps[at] + WINDOW_MS - now);
        if full.is_none() {
            stamps.push(now);
        }
        if full.is_none() || set_back {
            write(&mut file, &stamps)?;
        }
        Ok(full.unwrap_or(0))
    }
}

/// Overwrites the times of calls.
fn write(file: &mut File, stamps: &[i64]) -> io::Result<()> {
    let text: Vec<String> = stamps.iter().map(i64::to_string).collect();
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.join("\n").as_bytes())
}

/// Reads the times of calls. Invalid lines, as after a crash during a write, are ignored.
fn read(file: &mut File) -> io::Result<Vec<i64>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.parse().ok()).collect())
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// Discards all progress.
    struct Quiet;

    impl Progress for Quiet {
        fn called(&self) {}
        fn waiting(&self, _: Duration, _: &str) {}
        fn note(&self, _: String) {}
    }

    struct SimulatedClock(AtomicI64);

    impl Clock for SimulatedClock {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
        fn sleep(&self, pause: Duration) {
            self.0.fetch_add(pause.as_millis() as i64, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_limit_holds_across_restarts_and_changes_of_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/calls");
        let clock = SimulatedClock(AtomicI64::new(1_000_000));
        let mut times = Vec::new();
        for call in 0..23 {
            // A new pace is a restart.
            Pace::new(5, &path).admit(&clock, &Quiet).unwrap();
            times.push(clock.now_ms());
            clock.sleep(Duration::from_millis(100 * call));
        }
        assert!(times.windows(6).all(|window| window[5] - window[0] >= 60_000), "{times:?}");
        assert!(times[22] - times[0] < 5 * 62_000, "no longer than needed: {times:?}");

        (0..5).for_each(|_| Pace::new(5, &path).admit(&clock, &Quiet).unwrap());
        clock.0.fetch_sub(86_400_000, Ordering::SeqCst);
        let before = clock.now_ms();
        Pace::new(5, &path).admit(&clock, &Quiet).unwrap();
        assert!(clock.now_ms() - before <= 61_000, "a clock set back by a day costs a minute at most");

        std::fs::write(&path, [0xff, b'\n', b'x']).unwrap();
        Pace::new(5, &path).admit(&clock, &Quiet).unwrap();
    }

    #[test]
    fn calls_of_an_unlimited_plan_are_spaced() {
        let clock = SimulatedClock(AtomicI64::new(0));
        let pace = Pace::new(0, Path::new("/nowhere/calls"));
        (0..51).for_each(|_| pace.admit(&clock, &Quiet).unwrap());
        assert_eq!(clock.now_ms(), 1_000);
    }
}
