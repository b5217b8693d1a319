//! `zerodte watch`: what a training does at this moment, from its run folder or from a log, be it one of the old system.

mod folder;
mod frame;
mod log;
mod unjudged;
mod view;

use std::{
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use anyhow::ensure;
use clap::Args;

use self::{folder::Folder, log::Log};
use crate::output::console::Console;

pub(crate) use self::frame::{habits, learner};
pub use self::{
    frame::{frame, line},
    unjudged::{UnjudgedInterval, read},
    view::{Habits, Learner, Seen, View},
};

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Flags of `zerodte watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchFlags {
    /// Run folder, such as runs/tune1, or any log with the MomentumDiagnostics block, also one of the old system
    #[arg(value_name = "LOG|RUN")]
    pub source: PathBuf,
    /// Shows what is known now, and ends
    #[arg(long)]
    pub once: bool,
}

/// A training that is watched, and what is known of it.
#[derive(Debug)]
pub struct Watched {
    source: Source,
    view: View,
}

#[derive(Debug)]
enum Source {
    Folder(Folder),
    Log(Log),
}

impl Watched {
    /// Starts reading a run folder or a log.
    ///
    /// # Errors
    /// When it is neither.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        ensure!(path.exists(), "{name} does not exist: name a run folder or a log");
        let mut view = View { source: name.to_string(), ..View::default() };
        let source = match path.is_dir() {
            true => Source::Folder(Folder::open(path, &mut view)?),
            false => Source::Log(Log::open(path)),
        };
        Ok(Self { source, view })
    }

    /// Reads what was written since the last look, and returns all that is known.
    ///
    /// # Errors
    /// When a file cannot be read, or holds lines of another form.
    pub fn poll(&mut self) -> anyhow::Result<&View> {
        match &mut self.source {
            Source::Folder(folder) => folder.poll(&mut self.view)?,
            Source::Log(log) => log.poll(&mut self.view)?,
        }
        Ok(&self.view)
    }

    /// Returns whether this is a log, which tells no verdict and, if it is old, no money.
    pub fn is_log(&self) -> bool {
        matches!(self.source, Source::Log(_))
    }
}

/// Shows a training until it is finished or the watcher has seen enough; on a terminal as one frame that is redrawn, else as
/// one line per interval.
///
/// # Errors
/// What is neither a run folder nor a log; a file that cannot be read.
pub fn run(flags: &WatchFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut watched = Watched::open(&flags.source)?;
    if flags.once {
        return Ok(console.say(frame(watched.poll()?))?);
    }
    // Held here, too: without a keyboard nobody else holds it.
    let (told, enough) = mpsc::channel();
    listen(told.clone());
    let (terminal, mut said) = (Console::is_terminal(), 0);
    loop {
        let view = watched.poll()?;
        if terminal {
            console.redraw(&frame::living_frame(view))?;
        } else {
            // A run that was resumed has fewer intervals than before.
            said = said.min(view.intervals.len());
            (said..view.intervals.len()).try_for_each(|index| console.say(line(view, index)))?;
            said = view.intervals.len();
        }
        if view.finished || enough.recv_timeout(PAUSE) == Ok(()) {
            return Ok(());
        }
    }
}

/// Tells of every line on the keyboard that begins with q.
fn listen(told: Sender<()>) {
    thread::spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        lines.filter(|line| line.starts_with(['q', 'Q'])).try_for_each(|_| told.send(()))
    });
}
