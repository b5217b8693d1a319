//! The documents: commands that exist, sample outputs that are today's, links that lead somewhere, generated pages.
//!
//! In a `sh` block every command of this project is parsed against its flags. In a `console` block the commands are run, page by
//! page in one empty folder, and the output is compared after blanking times and speeds. Words after `console` change that:
//! `real-bars` skips the block where the bars are absent, `head=N` and `tail=N` keep that many lines. To paste today's outputs:
//!
//! ```text
//! ZERODTE_WRITE_DOCS=1 cargo nextest run --release --workspace -E 'test(docs::)'
//! ```

mod commands;
mod generated;
mod links;
mod outputs;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Variable that makes the tests write the documents instead of comparing them.
const WRITE: &str = "ZERODTE_WRITE_DOCS";

/// One document.
#[derive(Debug, Clone)]
struct Page {
    /// Path below the project folder.
    name: String,
    text: String,
}

/// A fenced block of a page.
#[derive(Debug, Clone, PartialEq)]
struct Fence {
    /// Words after the three backticks.
    info: String,
    /// Index of the first line inside.
    start: usize,
    lines: Vec<String>,
}

impl Page {
    /// Reads all documents.
    fn all() -> Vec<Self> {
        let mut names: Vec<String> = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(str::to_owned).into();
        for entry in fs::read_dir(project().join("docs")).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            names.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
        }
        names.sort();
        names.into_iter().map(Self::read).collect()
    }

    fn read(name: String) -> Self {
        Self { text: fs::read_to_string(project().join(&name)).unwrap(), name }
    }

    fn fences(&self) -> Vec<Fence> {
        let mut found: Vec<Fence> = Vec::new();
        let mut open = false;
        for (i, line) in self.text.lines().enumerate() {
            match line.strip_prefix("```") {
                Some(info) if !open => {
                    found.push(Fence { info: info.trim().to_owned(), start: i + 1, lines: Vec::new() });
                    open = true;
                }
                Some(_) => open = false,
                None if open => found.last_mut().unwrap().lines.push(line.to_owned()),
                None => {}
            }
        }
        assert!(!open, "{}: a block is not closed", self.name);
        found
    }

    /// Returns the lines outside of fenced blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut open = false;
        self.text.lines().enumerate().filter(move |(_, line)| {
            let fence = line.starts_with("```");
            open ^= fence;
            !open && !fence
        })
    }
}

impl Fence {
    /// Returns the commands of a `sh` block, each with continued lines joined and comments cut.
    fn shell_lines(&self) -> Vec<String> {
        let joined = self.lines.join("\n").replace("\\\n", " ");
        let uncommented = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
        joined.lines().map(uncommented).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    /// Returns the value of `name=N` among the words of the block.
    fn option(&self, name: &str) -> Option<usize> {
        let value = self.info.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.parse().unwrap())
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bars() -> PathBuf {
    project().join("../shared/data/bars")
}

/// Returns true if documents are to be written.
fn writes() -> bool {
    std::env::var_os(WRITE).is_some()
}

#[test]
fn blocks_are_read_with_their_options() {
    let text =
        "a\n```console real-bars head=2\n$ x\none\n```\n```sh\nzerodte a \\\n  b # why\n# alone\n```\nb --flag\n";
    let page = Page { name: "page".into(), text: text.into() };
    let fences = page.fences();
    assert_eq!((fences[0].start, fences[0].option("head"), fences[0].option("tail")), (2, Some(2), None));
    assert_eq!(fences[1].shell_lines(), ["zerodte a    b"]);
    assert_eq!(page.prose().map(|(_, line)| line).collect::<Vec<_>>(), ["a", "b --flag"]);
}
