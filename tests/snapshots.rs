//! Snapshots of what a user reads: help texts, logs, reports and errors, one file each in `tests/snapshots`.
//!
//! A text that differs from its file fails its test, which prints the difference and writes nothing. To accept changes:
//!
//! ```text
//! INSTA_UPDATE=always cargo nextest run --release -E 'test(snapshots)'
//! git diff tests/snapshots
//! ```
//!
//! Speeds, durations, ports and facts of the machine are blanked. Figures that libtorch computes are blanked too, because
//! its sums depend on the processor; those of the native networks are kept.

mod errors;
mod errors_of_data;
mod errors_of_models;
mod errors_of_vendors;
mod help;
mod logs;
mod reports;
#[cfg(feature = "torch")]
mod reports_of_forecasts;
mod reports_of_vendors;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::text;

/// Compares a text with the file of a name.
fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A folder with the project's configurations, in which commands are typed and their output is kept.
///
/// No environment variable reaches the commands except the ones that are set here.
#[derive(Debug)]
pub(crate) struct Shell {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    transcript: String,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        fs::create_dir(folder.path().join("configs")).unwrap();
        for entry in fs::read_dir(configs).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), folder.path().join("configs").join(entry.file_name())).unwrap();
        }
        // Help is as wide everywhere, and no policy is trained on a GPU, whose figures differ.
        let variables = vec![("COLUMNS", "100".to_owned()), ("CUDA_VISIBLE_DEVICES", String::new())];
        Self { folder, variables, transcript: String::new() }
    }

    /// Sets an environment variable of the commands that follow.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn output(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = match words.next() {
            Some("zerodte") => env!("CARGO_BIN_EXE_zerodte"),
            Some("train_historical_model") => env!("CARGO_BIN_EXE_train_historical_model"),
            other => panic!("{other:?} is no program of this project"),
        };
        let mut command = Command::new(program);
        // Rayon's threads and the folder of libtorch come from outside.
        let kept = ["LD_LIBRARY_PATH", "RAYON_NUM_THREADS"];
        let kept = kept.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
        command.current_dir(self.folder.path()).env_clear().envs(kept).args(words);
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).output().unwrap()
    }

    /// Runs a command that must succeed, and keeps nothing of it.
    fn quiet(&self, line: &str) {
        let output = self.output(line);
        assert!(output.status.success(), "{line}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    }

    /// Adds a remark to the transcript.
    fn note(&mut self, remark: &str) {
        self.transcript += &format!("# {remark}\n");
    }

    /// Runs a command and adds it to the transcript with what it printed and its exit code.
    fn run(&mut self, line: &str) {
        let printed = printed(&self.output(line));
        self.transcript += &format!("$ {line}\n{printed}\n");
    }

    /// Runs each of these command lines.
    fn run_all(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| self.run(line));
    }

    /// Adds a heading and a text to the transcript.
    fn add(&mut self, heading: &str, text: &str) {
        self.transcript += &format!("== {heading}\n{}\n\n", text.trim_end());
    }

    /// Adds the names of all values of a JSON file to the transcript.
    fn add_keys(&mut self, name: &str) {
        let value = serde_json::from_str(&self.read(name)).unwrap();
        self.add(&format!("keys of {name}"), &keys(&value));
    }

    /// Compares the transcript with the file of a name, and starts another one.
    fn check(&mut self, name: &str) {
        let transcript = std::mem::take(&mut self.transcript);
        check(name, &blanked(&self.relative(&transcript)));
    }

    /// The same without any number.
    fn check_words(&mut self, name: &str) {
        let transcript = std::mem::take(&mut self.transcript);
        check(name, &words(&self.relative(&transcript)));
    }

    pub(crate) fn relative(&self, text: &str) -> String {
        text.replace(self.folder.path().to_str().unwrap(), "FOLDER")
    }
}

/// Returns what a command printed, stdout first, and its exit code where that is not 0.
pub(crate) fn printed(output: &Output) -> String {
    let mut printed = text(&output.stdout) + &text(&output.stderr);
    assert!(!printed.contains("panicked"), "{printed}");
    if output.status.code() != Some(0) {
        let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
        printed += &format!("[exit code {code}]\n");
    }
    printed
}

/// Blanks speeds, durations and ports.
pub(crate) fn blanked(text: &str) -> String {
    text.lines().map(|line| without_port(&without_time(line)) + "\n").collect()
}

fn without_time(line: &str) -> String {
    if ["|    fps ", "|    time_elapsed "].iter().any(|name| line.starts_with(name)) {
        let (name, value) = line.trim_end_matches(" |").rsplit_once("| ").unwrap();
        return format!("{name}| {:width$} |", "#", width = value.len());
    }
    for start in ["Training time: ", "Trained in ", "            last written "] {
        if let Some(rest) = line.strip_prefix(start) {
            let more = rest.find(';').map_or("", |at| &rest[at..]);
            return format!("{start}#{more}");
        }
    }
    if let Some(line) = without_pace(line) {
        return line;
    }
    [" steps/s", " thread(s)", " s; tested on"].iter().fold(line.to_owned(), |line, unit| without_count(&line, unit))
}

/// Blanks the last two columns, speed and time left, of the line of an interval; `None` for any other line.
fn without_pace(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_step = |word: &&str| word.chars().all(|c| c.is_ascii_digit() || c == ',');
    let is_time = |word: &&str| word.ends_with(['s', 'm', 'h']) && word.starts_with(|c: char| c.is_ascii_digit());
    let of_an_interval = words.len() == 10 && words.first().is_some_and(is_step) && words.last().is_some_and(is_time);
    of_an_interval.then(|| format!("{} # #", words[..8].join(" ")))
}

/// Blanks the number before a unit.
fn without_count(line: &str, unit: &str) -> String {
    let Some((before, after)) = line.split_once(unit) else { return line.to_owned() };
    let rest = before.trim_end_matches(|c: char| c.is_ascii_digit() || ",.".contains(c));
    if rest.len() == before.len() { line.to_owned() } else { format!("{rest}#{unit}{after}") }
}

fn without_port(line: &str) -> String {
    let mut parts = line.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| line + "127.0.0.1:PORT" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Blanks every number that is not part of a name or of a command, and the widths of columns, which depend on the numbers.
fn words(text: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("$ ") || line.starts_with("[exit code ") {
            return line.to_owned() + "\n";
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        format!("{indent}{}\n", line.split_whitespace().map(word).collect::<Vec<_>>().join(" "))
    };
    text.lines().map(line).collect()
}

fn word(word: &str) -> String {
    if word.len() > 1 && word.chars().all(|c| c == '-') {
        return "--".to_owned();
    }
    let (mut out, mut number, mut before) = (String::new(), false, ' ');
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        let digit_follows = rest.peek().is_some_and(char::is_ascii_digit);
        let of_a_name = before.is_alphanumeric() || before == '_';
        let starts = !number && !of_a_name && (c.is_ascii_digit() || (matches!(c, '-' | '+') && digit_follows));
        let goes_on = number && (c.is_ascii_digit() || (matches!(c, '.' | ',') && digit_follows));
        if starts {
            out.push('#');
        } else if !goes_on {
            out.push(c);
        }
        (number, before) = (starts || goes_on, c);
    }
    out
}

/// Returns the names of all values of a JSON document, one per line with the kind of value; list items share a name.
fn keys(value: &Value) -> String {
    let mut found = BTreeSet::new();
    collect_keys(value, "", &mut found);
    found.into_iter().map(|key| key + "\n").collect()
}

fn collect_keys(value: &Value, name: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(fields) => {
            let dated = |key: &str| key.parse::<jiff::civil::Date>().map_or(key.to_owned(), |_| "DATE".to_owned());
            let name = |key: &str| if name.is_empty() { dated(key) } else { format!("{name}.{}", dated(key)) };
            return fields.iter().for_each(|(key, value)| collect_keys(value, &name(key), found));
        }
        Value::Array(items) if !items.is_empty() => {
            return items.iter().for_each(|item| collect_keys(item, &format!("{name}[]"), found));
        }
        Value::Array(_) => "empty list",
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
    };
    found.insert(format!("{name}: {kind}"));
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn numbers_are_blanked_and_names_are_not() {
    assert_eq!(words("  R² of return_5   -0.0123 (1,234.5e-3; 12%)"), "  R² of return_5 # (#e-#; #%)\n");
    assert_eq!(words("-----  --\n2024-11-20"), "-- --\n#-#-#\n");
    assert_eq!(words("$ run --seed 4"), "$ run --seed 4\n");
    assert_eq!(
        blanked("at http://127.0.0.1:4711/v2, or 127.0.0.1:1"),
        "at http://127.0.0.1:PORT/v2, or 127.0.0.1:PORT\n"
    );
    assert_eq!(blanked("|    fps             | 10432     |"), "|    fps             | #         |\n");
    assert_eq!(blanked("Training time: 1.2 seconds"), "Training time: #\n");
    assert_eq!(
        blanked("            last written 2026-12-01 07:50:20 UTC; finished"),
        "            last written #; finished\n"
    );
    let interval = "    10,000  34%  34%  32%    66%   -4.1%  -4.0%  healthy                90k   1s";
    assert_eq!(blanked(interval), "10,000 34% 34% 32% 66% -4.1% -4.0% healthy # #\n");
    assert_eq!(blanked("300,000 steps in 2.6 s; tested on 9"), "300,000 steps in # s; tested on 9\n");
    assert_eq!(blanked("variance -, 92,994 steps/s | healthy"), "variance -, # steps/s | healthy\n");
    assert_eq!(blanked("variance -, - steps/s"), "variance -, - steps/s\n");
}
