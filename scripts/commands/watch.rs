//! `zerodte watch`: live view of a training, from its run folder or a log, legacy logs included.

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

pub(crate) use self::frame::{interval_table, learner_text};
pub use self::{
    frame::{frame, line},
    unjudged::{UnjudgedInterval, judge_by_shares},
    view::{IntervalSnapshot, LearnerStats, View, WindowStats},
};

/// Time between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Flags of `zerodte watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchFlags {
    /// Run folder, such as runs/tune1, or any log with the MomentumDiagnostics block, also one of the old system
    #[arg(value_name = "LOG|RUN")]
    pub source: PathBuf,
    /// Shows the current state, and exits
    #[arg(long)]
    pub once: bool,
}

/// Follower of a training, with the view read so far.
#[derive(Debug)]
pub struct TrainingFollower {
    source: Source,
    view: View,
}

#[derive(Debug)]
enum Source {
    Folder(Folder),
    Log(Log),
}

impl TrainingFollower {
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

    /// Reads the lines written since the last poll, and returns the whole view.
    ///
    /// # Errors
    /// When a file cannot be read, or holds malformed lines.
    pub fn poll(&mut self) -> anyhow::Result<&View> {
        match &mut self.source {
            Source::Folder(folder) => folder.poll(&mut self.view)?,
            Source::Log(log) => log.poll(&mut self.view)?,
        }
        Ok(&self.view)
    }

    /// Returns whether the source is a log, which may lack verdicts and P&L.
    pub fn is_log(&self) -> bool {
        matches!(self.source, Source::Log(_))
    }
}

/// Shows a training until it is finished or the user quits: on a terminal as one frame that is redrawn, else as one line per
/// interval.
///
/// # Errors
/// When the source is neither a run folder nor a log, or a file cannot be read.
pub fn run(flags: &WatchFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut follower = TrainingFollower::open(&flags.source)?;
    if flags.once {
        return Ok(console.say(frame(follower.poll()?))?);
    }
    // A sender is kept here too: without a keyboard the thread drops its own, and the channel would close.
    let (quit_sender, quit) = mpsc::channel();
    spawn_quit_listener(quit_sender.clone());
    let (terminal, mut printed) = (Console::is_terminal(), 0);
    loop {
        let view = follower.poll()?;
        if terminal {
            console.redraw(&frame::interactive_frame(view))?;
        } else {
            // A run that was resumed has fewer intervals than before.
            printed = printed.min(view.intervals.len());
            (printed..view.intervals.len()).try_for_each(|index| console.say(line(view, index)))?;
            printed = view.intervals.len();
        }
        if view.finished || quit.recv_timeout(POLL_INTERVAL) == Ok(()) {
            return Ok(());
        }
    }
}

/// Starts a thread that sends a message for every input line that begins with q.
fn spawn_quit_listener(quit_sender: Sender<()>) {
    thread::spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        lines.filter(|line| line.starts_with(['q', 'Q'])).try_for_each(|_| quit_sender.send(()))
    });
}
