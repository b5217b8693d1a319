//! Commands and flags that documents and help texts name exist.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _, error::ErrorKind};
use zerodte_scripts::{commands::ToolFlags, config::flag_help, training::flags::TrainFlags};

use super::Page;

/// Flags of other programs that the documents name.
const OTHERS: [&str; 14] = [
    "--all",
    "--all-targets",
    "--bin",
    "--bins",
    "--check",
    "--cuda",
    "--lib",
    "--no-default-features",
    "--no-run",
    "--release",
    "--rm",
    "--test",
    "--workspace",
    "--entrypoint",
];

/// Splits a command line at blanks outside of quotes, and removes the quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut word) = (Vec::new(), None, None::<String>);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Parses a command line of this project; `None` for another program.
fn parse(line: &str) -> Option<Result<(), String>> {
    let mut words = words(line);
    let at = words.iter().position(|word| !word.contains('='))?;
    words.drain(..at);
    let end = words.iter().position(|word| ["|", ">", ">>", "&&", ";", "2>&1"].contains(&word.as_str()));
    words.truncate(end.unwrap_or(words.len()));
    let command = match words[0].trim_start_matches("./") {
        name if name.rsplit('/').next() == Some("zerodte") => ToolFlags::command(),
        "train_historical_model" | "scripts/train.sh" if words.len() > 1 => TrainFlags::command(),
        _ => return None,
    };
    let error = command.try_get_matches_from(words).err();
    let harmless =
        [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
    Some(error.filter(|error| !harmless.contains(&error.kind())).map_or(Ok(()), |error| Err(error.to_string())))
}

#[test]
fn every_command_in_the_documents_has_the_flags_that_it_is_given() {
    let (mut faults, mut parsed) = (Vec::new(), 0);
    for page in Page::all() {
        for fence in page.fences() {
            let lines = match fence.info.split_whitespace().next() {
                Some("sh") => fence.shell_lines(),
                Some("console") => {
                    fence.lines.iter().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
                }
                _ => continue,
            };
            for line in lines {
                let Some(result) = parse(&line) else { continue };
                parsed += 1;
                if let Err(error) = result {
                    faults.push(format!("{}:{}: {line}\n{error}", page.name, fence.start));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(parsed > 20, "{parsed} commands");
}

/// Collects the long flags of a command and its subcommands.
fn flags(command: &Command, known: &mut BTreeSet<String>) {
    known.extend(command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
    command.get_subcommands().for_each(|command| flags(command, known));
}

fn known_flags() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = OTHERS.iter().map(ToString::to_string).collect();
    known.extend(["--help", "--version"].map(str::to_owned));
    flags(&ToolFlags::command(), &mut known);
    flags(&TrainFlags::command(), &mut known);
    known
}

/// Returns the flags that a text names.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("--").map(|(at, _)| at);
    starts.filter_map(move |at| {
        let before = text[..at].chars().next_back();
        let rest = &text[at + 2..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        let starts_here = before.is_none_or(|c| c.is_whitespace() || "`([,".contains(c));
        (starts_here && rest.starts_with(|c: char| c.is_ascii_lowercase()))
            .then(|| text[at..at + 2 + end].trim_end_matches('-'))
    })
}

#[test]
fn documents_and_help_texts_name_only_flags_that_exist() {
    let known = known_flags();
    let mut faults = Vec::new();
    for page in Page::all().iter().filter(|page| page.name != "docs/history.md") {
        for (number, line) in page.prose() {
            let unknown = named(line).filter(|flag| !known.contains(*flag));
            faults.extend(unknown.map(|flag| format!("{}:{}: {flag}", page.name, number + 1)));
        }
    }
    let mut open = vec![flag_help::describe(ToolFlags::command()), flag_help::describe(TrainFlags::command())];
    while let Some(mut command) = open.pop() {
        let help = command.render_long_help().to_string();
        let unknown = named(&help).filter(|flag| !known.contains(*flag));
        faults.extend(unknown.map(|flag| format!("help of {}: {flag}", command.get_name())));
        open.extend(command.get_subcommands().cloned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn command_lines_are_split_and_faults_found() {
    assert_eq!(words("a 'b c' --d=\"e f\" ''"), ["a", "b c", "--d=e f", ""]);
    assert_eq!(parse("cargo build"), None);
    assert_eq!(parse("KEY=x zerodte doctor | head"), Some(Ok(())));
    assert!(parse("zerodte train --timestep 5").unwrap().unwrap_err().contains("--timesteps"));
    assert_eq!(named("`--seed`, --json-file and x--y or -- alone").collect::<Vec<_>>(), ["--seed", "--json-file"]);
}
