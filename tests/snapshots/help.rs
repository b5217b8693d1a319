//! The help of every program and command, found by walking through the lists of commands.

use super::{Shell, check, printed};

#[test]
fn every_help_text() {
    let shell = Shell::new();
    let mut open = vec!["zerodte".to_owned(), "train_historical_model".to_owned()];
    let mut count = 0;
    while let Some(command) = open.pop() {
        let help = printed(&shell.output(&format!("{command} --help")));
        open.extend(commands(&help).map(|name| format!("{command} {name}")));
        check(&format!("help_{}", command.replace([' ', '-'], "_")), &help);
        count += 1;
    }
    assert!(count > 20, "{count} help texts");
}

/// Returns the names in a help's list of commands.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // The rest of a wrapped description is indented further.
    let names = list.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help")
}
