//! Sample outputs: the commands of every `console` block are run, and print what the page shows.

use std::{fs, os::unix::fs::symlink, thread};

use super::{Fence, Page, WRITE, bars, project, writes};
use crate::snapshots::{Shell, blanked, printed};

/// Runs the console blocks of a page and returns its text with today's outputs.
fn with_outputs(page: &Page) -> String {
    let mut shell = Shell::new();
    shell.set("COLUMNS", "80");
    if bars().is_dir() {
        symlink(bars().canonicalize().unwrap(), shell.path("bars")).unwrap();
    }
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    let blocks: Vec<Fence> =
        page.fences().into_iter().filter(|fence| fence.info.split_whitespace().next() == Some("console")).collect();
    let outputs: Vec<Option<Vec<String>>> = blocks.iter().map(|fence| output(fence, &shell, &page.name)).collect();
    for (fence, output) in blocks.iter().zip(outputs).rev() {
        if let Some(output) = output {
            lines.splice(fence.start..fence.start + fence.lines.len(), output);
        }
    }
    lines.join("\n") + "\n"
}

/// Returns the lines of a block with today's output; `None` if it needs bars that are absent.
fn output(fence: &Fence, shell: &Shell, page: &str) -> Option<Vec<String>> {
    if fence.info.contains("real-bars") && !bars().is_dir() {
        eprintln!("skipped: a block of {page} needs {}", bars().display());
        return None;
    }
    let commands = fence.lines.iter().filter(|line| line.starts_with("$ "));
    let shown = commands.flat_map(|command| {
        let text = shell.relative(&printed(&shell.output(&command[2..])));
        let said: Vec<String> = text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect();
        std::iter::once(command.clone()).chain(cut(said, fence))
    });
    Some(shown.collect())
}

/// Keeps the first or the last lines, as the block asks; a line of three dots stands for the rest.
fn cut(mut lines: Vec<String>, fence: &Fence) -> Vec<String> {
    let dots = || "...".to_owned();
    if let Some(head) = fence.option("head").filter(|head| *head < lines.len()) {
        lines.truncate(head);
        lines.push(dots());
    } else if let Some(tail) = fence.option("tail").filter(|tail| *tail < lines.len()) {
        lines.drain(..lines.len() - tail);
        lines.insert(0, dots());
    }
    lines
}

#[test]
fn sample_outputs_are_those_of_today() {
    let pages: Vec<Page> = Page::all().into_iter().filter(|page| page.text.contains("```console")).collect();
    let texts: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| scope.spawn(|| with_outputs(page))).collect();
        running.into_iter().map(|page| page.join().unwrap()).collect()
    });
    for (page, text) in pages.iter().zip(texts) {
        let (shown, today) = (blanked(&page.text), blanked(&text));
        if writes() && shown != today {
            fs::write(project().join(&page.name), &text).unwrap();
            continue;
        }
        let differing: Vec<_> =
            shown.lines().zip(today.lines()).filter(|(shown, today)| shown != today).take(5).collect();
        assert!(
            shown == today,
            "{}: outputs differ from today's, first {differing:#?}; set {WRITE}=1 and run this test again",
            page.name
        );
    }
}

#[test]
fn cuts_keep_what_they_name() {
    let lines = || vec!["1".to_owned(), "2".to_owned(), "3".to_owned()];
    let fence = |info: &str| Fence { info: info.to_owned(), start: 0, lines: Vec::new() };
    assert_eq!(cut(lines(), &fence("console head=2")), ["1", "2", "..."]);
    assert_eq!(cut(lines(), &fence("console tail=1")), ["...", "3"]);
    assert_eq!(cut(lines(), &fence("console head=3")), ["1", "2", "3"]);
}
