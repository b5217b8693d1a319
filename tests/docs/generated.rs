//! Pages that are generated: the configuration keys and the help of every command.

use std::fs;

use clap::{Command, CommandFactory as _};
use zerodte_scripts::{
    commands::ToolFlags,
    config::{RunConfig, flag_help},
    training::flags::TrainFlags,
};

use super::{WRITE, project, writes};

/// Width of help texts in columns.
const WIDTH: usize = 100;

fn configuration() -> String {
    let mut text = "# Configuration\n\nEvery key with its description and its default; generated from the program. A later layer wins: \
                    defaults, `--config NAME|FILE`,\nflags, `--set KEY=VALUE`. `zerodte train --print-config` prints the result. \
                    With `configs/schema.json` an editor completes and\nchecks a file (`#:schema ./schema.json` as its first line).\n"
        .to_owned();
    let toml = RunConfig::default().to_annotated_toml().unwrap();
    let mut open = false;
    for line in toml.lines().skip_while(|line| !line.starts_with('[')) {
        if line.starts_with('[') {
            if open {
                text.truncate(text.trim_end().len());
                text += "\n```\n";
            }
            text += &format!("\n## {}\n\n```toml\n", line.trim_matches(['[', ']']));
            open = true;
        }
        text += &format!("{line}\n");
    }
    text.truncate(text.trim_end().len());
    text + "\n```\n"
}

fn cli() -> String {
    let mut text = "# Commands\n\nThe help of every command; generated from the program.\n".to_owned();
    let train = flag_help::describe(TrainFlags::command());
    for command in [flag_help::describe(ToolFlags::command()), train] {
        let name = command.get_name().to_owned();
        add_help(&name, &command, &mut text);
    }
    text
}

fn add_help(name: &str, command: &Command, text: &mut String) {
    let help = command.clone().bin_name(name).term_width(WIDTH).render_long_help().to_string();
    *text += &format!("\n## {name}\n\n```text\n");
    help.trim_end().lines().for_each(|line| *text += &format!("{}\n", line.trim_end()));
    *text += "```\n";
    for command in command.get_subcommands() {
        add_help(&format!("{name} {}", command.get_name()), command, text);
    }
}

#[test]
fn generated_pages_are_up_to_date() {
    for (name, text) in [("docs/configuration.md", configuration()), ("docs/cli.md", cli())] {
        let path = project().join(name);
        if writes() {
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{name} is out of date; set {WRITE}=1 and run this test again");
    }
}
