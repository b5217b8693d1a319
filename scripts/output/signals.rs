//! Requests to stop: Ctrl-C, SIGTERM and SIGHUP are noted, so that a training ends after its iteration with everything saved. A
//! second one ends the program at once.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// The requests of this program since [`StopRequests::watch`].
#[derive(Debug, Clone)]
pub struct StopRequests(Arc<AtomicUsize>);

impl StopRequests {
    /// Starts to note the signals; from here on the first one ends nothing by itself.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn watch() -> io::Result<Self> {
        let (noted, asked_before) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_shutdown(signal, exit_code(signal).into(), Arc::clone(&asked_before))?;
            flag::register(signal, Arc::clone(&asked_before))?;
            flag::register_usize(signal, Arc::clone(&noted), usize::try_from(signal).unwrap_or_default())?;
        }
        Ok(Self(noted))
    }

    /// Returns the number of the noted signal, if there is one.
    pub fn noted(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }
}

/// Returns the exit code of a program that a signal ends, by the convention of shells.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

/// Returns the name of a signal as users know it.
pub(crate) fn name(signal: i32) -> String {
    match signal {
        SIGINT => "Ctrl-C".to_owned(),
        SIGTERM => "SIGTERM".to_owned(),
        SIGHUP => "SIGHUP".to_owned(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_codes() {
        assert_eq!([SIGINT, SIGTERM, SIGHUP].map(exit_code), [130, 143, 129]);
        assert_eq!([SIGINT, 10].map(name), ["Ctrl-C", "signal 10"]);
        assert_eq!(StopRequests(Arc::default()).noted(), None);
    }
}
