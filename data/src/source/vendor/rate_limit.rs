//! Pacing: at most so many calls in any minute, over all threads and programs that share a key, restarts included.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{Clock, Progress, VendorError};

/// The vendors' rolling minute, with a second to spare.
const WINDOW_MS: i64 = 61_000;
/// Pause between calls of a plan without a limit: 50 a second, half of what such plans allow.
const SPACING_MS: i64 = 20;

/// Lets calls through, one at a time.
#[derive(Debug)]
pub struct Pace {
    calls_per_minute: u32,
    /// File of the last calls' times, for all programs.
    path: PathBuf,
    /// When the last call was let through, for plans without a limit.
    last: Mutex<i64>,
}

impl Pace {
    /// Returns a pace of `calls_per_minute`, 0 = no limit, whose memory is the file `path`.
    #[must_use]
    pub fn new(calls_per_minute: u32, path: &Path) -> Self {
        Self { calls_per_minute, path: path.to_owned(), last: Mutex::new(i64::MIN) }
    }

    /// Returns the calls allowed per minute; 0 = no limit.
    #[must_use]
    pub fn calls_per_minute(&self) -> u32 {
        self.calls_per_minute
    }

    /// Returns when the next call is allowed, and counts it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn admit(&self, clock: &dyn Clock, progress: &dyn Progress) -> Result<(), VendorError> {
        if self.calls_per_minute == 0 {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            // A clock that was set back must not hold anything up.
            let wait = last.saturating_add(SPACING_MS).saturating_sub(clock.now_ms()).clamp(0, SPACING_MS);
            clock.sleep(millis(wait));
            *last = clock.now_ms();
            return Ok(());
        }
        loop {
            let wait = self.wait(clock.now_ms()).map_err(|source| VendorError::Cache {
                path: self.path.clone(),
                doing: "noting the times of calls",
                source,
            })?;
            if wait <= 0 {
                return Ok(());
            }
            progress.waiting(millis(wait), "the plan's calls per minute");
            clock.sleep(millis(wait));
            if progress.stopped() {
                return Err(VendorError::Stopped);
            }
        }
    }

    /// Notes a call at `now` and returns 0, or returns how long to wait.
    fn wait(&self, now: i64) -> io::Result<i64> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        file.lock()?;
        let mut stamps = read(&mut file)?;
        // A clock that was set back: what lies ahead of it happened just now, as far as one can tell. That is noted too, or
        // it would be just now again after the wait.
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

/// Writes the times of calls in place of what is there.
fn write(file: &mut File, stamps: &[i64]) -> io::Result<()> {
    let text: Vec<String> = stamps.iter().map(i64::to_string).collect();
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.join("\n").as_bytes())
}

/// Reads the times of calls; a line that is none, from a machine that went down while writing, counts for nothing.
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

    /// Tells nobody.
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
    fn no_minute_has_more_calls_than_allowed_across_restarts_and_set_clocks() {
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
    fn a_plan_without_a_limit_is_spaced() {
        let clock = SimulatedClock(AtomicI64::new(0));
        let pace = Pace::new(0, Path::new("/nowhere/calls"));
        (0..51).for_each(|_| pace.admit(&clock, &Quiet).unwrap());
        assert_eq!(clock.now_ms(), 1_000);
    }
}
