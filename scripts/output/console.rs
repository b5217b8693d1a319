//! Console: one locked writer of a run's text, to the screen and to the run's log file.
//!
//! The level decides what reaches the screen; the log holds all text at every level. Text may carry colours: they reach a
//! terminal that shows them (NO_COLOR is honoured), and never the log. The progress bar stands on stderr and is hidden while
//! text is printed.

use std::{
    borrow::Cow,
    fmt::Display,
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write},
    ops::ControlFlow,
    path::Path,
};

use anstream::{AutoStream, adapter::strip_str};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use market_data::quotation::printable;
use serde::Serialize;

use super::wrap::wrap_for_screen;

/// Amount of text on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Nothing; errors go to stderr.
    Quiet,
    /// The results, and one line per interval of a training.
    #[default]
    Normal,
    /// The whole log.
    Verbose,
    /// Rows as JSON, one per line, and no text.
    Json,
}

/// The screen and, once [`Console::attach`]ed, the log file.
#[derive(Debug)]
pub struct Console {
    /// False once the reader of stdout has closed it.
    screen: bool,
    level: Level,
    log: Option<File>,
    pending: String,
    bar: ProgressBar,
}

impl Console {
    /// Returns a console that writes to stdout.
    pub fn stdout() -> Self {
        Self { screen: true, level: Level::Normal, log: None, pending: String::new(), bar: ProgressBar::hidden() }
    }

    /// Returns a console that writes to its log file only.
    #[cfg(test)]
    fn silent() -> Self {
        Self { screen: false, ..Self::stdout() }
    }

    /// Sets the level of the text that follows.
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Returns the level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Prints one or more lines, and logs them; until a log file is attached they are buffered for it.
    ///
    /// # Errors
    /// When the log or the screen cannot be written. A closed pipe is no error: the log continues.
    pub fn say(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.log(text.as_ref())?;
        self.print_at(&[Level::Normal, Level::Verbose], text.as_ref())
    }

    /// Logs a sentence as one line, and prints it; a terminal shows it in lines of at most 80 columns.
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn say_sentence(&mut self, text: &str) -> io::Result<()> {
        self.log(text)?;
        let lines = if Self::is_terminal() { wrap_for_screen(text) } else { vec![text.to_owned()] };
        lines.iter().try_for_each(|line| self.show(line))
    }

    /// Logs one or more lines, and prints them at [`Level::Verbose`].
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn detail(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.log(text.as_ref())?;
        self.print_at(&[Level::Verbose], text.as_ref())
    }

    /// Prints one or more lines at [`Level::Normal`] and [`Level::Verbose`] without logging them.
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn show(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.print_at(&[Level::Normal, Level::Verbose], text.as_ref())
    }

    /// Prints one or more lines at [`Level::Normal`] only: a short form of details, which the log has in full.
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn brief(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.print_at(&[Level::Normal], text.as_ref())
    }

    /// Prints a value as one line of JSON at [`Level::Json`].
    ///
    /// # Errors
    /// As for [`Console::say`]; or if the value has no JSON form.
    pub fn row(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        if self.level == Level::Json {
            self.print_at(&[Level::Json], &serde_json::to_string(row)?)?;
        }
        Ok(())
    }

    fn log(&mut self, text: &str) -> io::Result<()> {
        let text = shown(&strip_str(text).to_string()).into_owned();
        match &mut self.log {
            Some(log) => writeln!(log, "{text}"),
            None => {
                self.pending.push_str(&format!("{text}\n"));
                Ok(())
            }
        }
    }

    fn print_at(&mut self, levels: &[Level], text: &str) -> io::Result<()> {
        if !self.screen || !levels.contains(&self.level) {
            return Ok(());
        }
        let text = shown(text);
        let printed = self.bar.suspend(|| {
            let mut stdout = AutoStream::auto(io::stdout()).lock();
            writeln!(stdout, "{text}").and_then(|()| stdout.flush())
        });
        match printed {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.screen = false;
                Ok(())
            }
            other => other,
        }
    }

    /// Says several texts, one after the other.
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn say_all(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
        texts.into_iter().try_for_each(|text| self.say(text))
    }

    /// Logs several texts, and prints them at [`Level::Verbose`].
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn detail_all(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
        texts.into_iter().try_for_each(|text| self.detail(text))
    }

    /// Prints several texts at [`Level::Normal`] only.
    ///
    /// # Errors
    /// As for [`Console::say`].
    pub fn brief_all(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
        texts.into_iter().try_for_each(|text| self.brief(text))
    }

    /// Returns whether the screen is a terminal, which can be redrawn.
    pub fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Replaces the content of the terminal by a text, without logging it.
    ///
    /// # Errors
    /// When the screen cannot be written.
    pub fn redraw(&mut self, text: &str) -> io::Result<()> {
        // Move to the upper left corner, overwrite every line to its end, clear the rest: no flicker.
        let lines = shown(text).replace('\n', "\u{1b}[K\n");
        let mut stdout = io::stdout().lock();
        write!(stdout, "\u{1b}[H{lines}\u{1b}[K\n\u{1b}[J")?;
        stdout.flush()
    }

    /// Writes a line to the log only, for text printed elsewhere. A write error is ignored, since it must not hide the error
    /// being logged.
    pub fn log_end<S: Display>(&mut self, end: &anyhow::Result<ControlFlow<S>>) {
        let message = match end {
            Ok(ControlFlow::Continue(())) => return,
            Ok(ControlFlow::Break(stopped)) => stopped.to_string(),
            Err(error) => format!("{error:#}"),
        };
        if let Some(log) = &mut self.log {
            // A log that cannot be written must not hide why the run ended.
            let _ = writeln!(log, "error: {message}");
        }
    }

    /// Starts the log file with the buffered text; `append` keeps its earlier content.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    pub fn attach(&mut self, path: &Path, append: bool) -> anyhow::Result<()> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(path)?;
            file.write_all(self.pending.as_bytes())?;
            Ok(file)
        };
        self.log = Some(open().with_context(|| format!("writing the log {}", path.display()))?);
        self.pending.clear();
        Ok(())
    }

    /// Shows a progress bar of `total` steps, on a terminal only.
    pub fn start_bar(&mut self, total: u64, done: u64) {
        let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} steps  {msg}  {eta} left");
        let shown = self.screen && matches!(self.level, Level::Normal | Level::Verbose);
        let target = if shown { ProgressDrawTarget::stderr_with_hz(4) } else { ProgressDrawTarget::hidden() };
        self.bar = ProgressBar::with_draw_target(Some(total), target).with_position(done);
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
    }

    /// Advances the progress bar.
    pub fn advance(&self, done: u64, message: String) {
        self.bar.set_message(message);
        self.bar.set_position(done);
    }

    /// Removes the progress bar.
    pub fn stop_bar(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }
}

/// Returns a text with its control characters written as escapes, except line ends, tabs, and sequences that only set colours:
/// names and texts of files may stand in it.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len() + 16), text);
    while let Some(at) = rest.find(|c| !is_plain(c)) {
        let colour = colour_length(&rest[at..]);
        let end = at + if colour > 0 { colour } else { rest[at..].chars().next().map_or(0, char::len_utf8) };
        out.push_str(&rest[..at]);
        out.push_str(if colour > 0 { &rest[at..end] } else { "" });
        out.push_str(&if colour > 0 { Cow::Borrowed("") } else { printable(&rest[at..end]) });
        rest = &rest[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the bytes of the sequence that sets a colour or style at the beginning of a text; 0 if there is none.
fn colour_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let parameters = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if rest[parameters..].starts_with('m') { parameters + 3 } else { 0 }
}

/// Cuts a log after the last iteration table that shows at most `steps` total timesteps, and after the moves of that step, so that
/// a resumed run can append. A log without such a table is left unchanged.
///
/// # Errors
/// When the log cannot be read or written.
pub fn cut_log(path: &Path, steps: u64) -> anyhow::Result<()> {
    let text = read_whole_characters(path).with_context(|| format!("reading the log {}", path.display()))?;
    let (mut at, mut end, mut inside) = (0, None, false);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let total = line.trim_start_matches(['|', ' ']).strip_prefix("total_timesteps");
        let total = total.and_then(|rest| rest.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok());
        if let Some(total) = total {
            inside = total <= steps;
        } else if inside && line.starts_with("---") {
            (end, inside) = (Some(at), false);
        } else if end == Some(at - line.len()) && line.strip_prefix(MOVE).is_some_and(|rest| number(rest) <= steps) {
            end = Some(at);
        }
    }
    match end {
        Some(end) => Ok(ppo_agent::write_atomically(path, &text.as_bytes()[..end])?),
        None => Ok(()),
    }
}

/// Start of the line on a change of a setting; its step follows.
pub(crate) const MOVE: &str = "Adapted   step ";

/// Returns the number at the start of a text, which may have separators; `u64::MAX` without one.
fn number(text: &str) -> u64 {
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
    digits.parse().unwrap_or(u64::MAX)
}

/// Reads the text of a file up to the first bytes that are no character: a killed program may have torn its last one.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read_whole_characters(path: &Path) -> io::Result<String> {
    let bytes = market_data::input_file::read(path)?;
    let end = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn colours_pass_and_other_control_characters_are_written_as_escapes() {
        assert_eq!(shown("a\tb\nc é"), "a\tb\nc é");
        assert_eq!(shown("\u{1b}[1;31mred\u{1b}[0m"), "\u{1b}[1;31mred\u{1b}[0m");
        let hostile = "\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[31Hx\r\u{9b}m\u{1b}[1";
        assert_eq!(shown(hostile), r"\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[31Hx\r\u{9b}m\u{1b}[1");
    }

    #[test]
    fn the_log_holds_the_text_from_before_and_after_it_was_attached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let mut console = Console::silent();
        console.say("header").unwrap();
        console.attach(&path, false).unwrap();
        console.say("📊 body\nmore").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "header\n📊 body\nmore\n");
        let mut again = Console::silent();
        again.say("resumed").unwrap();
        again.attach(&path, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "header\n📊 body\nmore\nresumed\n");
    }

    #[test]
    fn the_log_holds_details_at_every_level_and_no_colour() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        for level in [Level::Quiet, Level::Normal, Level::Verbose, Level::Json] {
            let mut console = Console { level, ..Console::silent() };
            console.say("\u{1b}[32mresult\u{1b}[0m").unwrap();
            console.attach(&path, false).unwrap();
            console.detail("detail").unwrap();
            console.brief("brief").unwrap();
            console.row(&[1]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "result\ndetail\n", "{level:?}");
        }
    }

    #[test]
    fn a_resumed_log_ends_with_the_table_of_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let table = |steps| format!("------\n|    total_timesteps | {steps} |\n|    x | 1 |\n------\n");
        fs::write(&path, format!("header\n{}block\n{}{}tail\n", table(4096), table(8192), table(12288))).unwrap();
        cut_log(&path, 8192).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("header\n{}block\n{}", table(4096), table(8192)));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), &"📊".as_bytes()[..2]].concat()).unwrap();
        cut_log(&path, 8192).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "half a character is dropped");
        cut_log(&path, 10).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("------\n"));
        let moves = format!("{}{MOVE}8,192: a\n{MOVE}8,192: b\n", table(8192));
        fs::write(&path, format!("{moves}block\n{MOVE}8,192: not at the table\n{}", table(12288))).unwrap();
        cut_log(&path, 8192).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), moves);
    }
}
