//! The structure of the source tree: no circles between files, no arrow up between the folders of `scripts/`, one file or
//! folder per command, functions and files of a readable size.
//!
//! Imports are read from the text of `use` declarations and of paths that start with `crate`, `super` or `self`; names are
//! followed through re-exports to the file that defines them. Tests inside a file are not read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Folders of `scripts/`, from the commands down. A folder imports only folders to its right.
const SCRIPTS_ORDER: [&str; 12] = [
    "commands",
    "training",
    "report_page",
    "sweep",
    "walk_forward",
    "evaluation",
    "inputs",
    "artifacts",
    "chart",
    "config",
    "output",
    "lib",
];
/// Lines that a file may have.
const MAX_FILE_LINES: usize = 500;
/// Lines that a function may have.
const MAX_FUNCTION_LINES: usize = 60;

/// A module path below the crate root; empty for the root.
type Module = Vec<String>;

/// The source of one crate: modules by path, their children and re-exports.
struct Crate {
    name: &'static str,
    modules: BTreeMap<Module, Source>,
}

/// One file of a crate.
struct Source {
    path: PathBuf,
    imports: Vec<Vec<String>>,
    /// Name that the module makes visible to others, and the path behind it.
    exports: BTreeMap<String, Vec<String>>,
}

impl Crate {
    fn read(name: &'static str, folder: &str, root: &str) -> Self {
        let folder = project().join(folder);
        let mut modules = BTreeMap::new();
        for path in rust_files(&folder) {
            let relative = path.strip_prefix(&folder).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if relative == Path::new(root) {
                module.clear();
            }
            if module.last().is_some_and(|last| last == "main") || (name == "scripts" && is_crate_of_its_own(&module)) {
                continue;
            }
            modules.insert(module, Source::read(path));
        }
        Self { name, modules }
    }

    /// Returns the module that defines what a path in `from` names; `None` for another crate or a local name.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut module = from.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &path[1..];
            }
            "self" | "super" => {
                while let Some(step @ ("self" | "super")) = rest.first().map(String::as_str) {
                    if step == "super" {
                        module.pop()?;
                    }
                    rest = &rest[1..];
                }
            }
            first => {
                let child: Module = [module.as_slice(), &[first.to_owned()]].concat();
                self.modules.get(&child)?;
            }
        }
        while let Some(next) = rest.first() {
            let child: Module = [module.as_slice(), std::slice::from_ref(next)].concat();
            if self.modules.contains_key(&child) {
                module = child;
                rest = &rest[1..];
            } else {
                break;
            }
        }
        let exported = rest.first().and_then(|name| self.modules[&module].exports.get(name));
        match exported {
            Some(behind) if depth < 8 => self.resolve(&module, behind, depth + 1).or(Some(module)),
            _ => Some(module),
        }
    }

    /// Returns the modules that each module imports, without those above and below it.
    fn imports(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, source): &(&Module, &Source)| {
            let targets = source.imports.iter().filter_map(|path| self.resolve(module, path, 0));
            targets.filter(|target| !target.starts_with(module) && !module.starts_with(target)).collect()
        };
        self.modules.iter().map(|entry| (entry.0, of(&entry))).collect()
    }

    /// Returns the groups of files that import each other.
    fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let reachable: BTreeMap<&Module, BTreeSet<Module>> =
            imports.keys().map(|&module| (module, reach(&imports, module))).collect();
        let circle = |module: &Module| -> BTreeSet<Module> {
            let back = |other: &&Module| reachable.get(*other).is_some_and(|there| there.contains(module));
            reachable[module].iter().filter(back).cloned().collect()
        };
        let groups: BTreeSet<BTreeSet<Module>> =
            imports.keys().map(|module| circle(module)).filter(|group| group.len() > 1).collect();
        let name = |module: &Module| module.join("::");
        groups
            .iter()
            .map(|group| format!("{}: {}", self.name, group.iter().map(name).collect::<Vec<_>>().join(", ")))
            .collect()
    }
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let text = production(&fs::read_to_string(&path).unwrap());
        let (mut imports, mut exports) = (Vec::new(), BTreeMap::new());
        let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("").to_owned() + "\n").collect();
        for statement in code.split(';').map(|statement| statement.trim_start_matches(|c: char| c != 'u' && c != 'p')) {
            let Some((visibility, tree)) = use_tree(statement) else { continue };
            for (path, name) in paths(tree) {
                if visibility {
                    exports.insert(name, path.clone());
                }
                imports.push(path);
            }
        }
        imports.extend(inline_paths(&code));
        Self { path, imports, exports }
    }
}

/// Returns the tree of a `use` declaration at the end of a statement, and whether it is a re-export.
fn use_tree(statement: &str) -> Option<(bool, &str)> {
    let at =
        statement.rfind("use ").filter(|&at| statement[..at].chars().next_back().is_none_or(char::is_whitespace))?;
    let tree = statement[at + 4..].trim();
    let plain = tree.chars().all(|c| c.is_alphanumeric() || "_:{},* \n".contains(c));
    let line = statement[..at].rsplit('\n').next().unwrap_or("").trim();
    plain.then_some((line.starts_with("pub"), tree))
}

/// Returns the paths of a `use` tree, each with the name that it brings.
fn paths(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = segments(&tree[..open]);
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let inner = split_outside_braces(inner).into_iter().flat_map(paths);
        return inner
            .map(|(path, name)| {
                let own = path.len() == 1 && path[0] == "self";
                let name = if own { prefix.last().cloned().unwrap_or_default() } else { name };
                (if own { prefix.clone() } else { [prefix.clone(), path].concat() }, name)
            })
            .collect();
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let path = segments(path);
    let name = alias.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
    if path.is_empty() { Vec::new() } else { vec![(path, name)] }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "*").map(str::to_owned).collect()
}

fn split_outside_braces(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Returns the paths in expressions and types that start at the crate or at a parent.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                let path: String =
                    code[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
                found.push(segments(&path));
            }
        }
    }
    found
}

/// Returns the text without its unit tests.
fn production(text: &str) -> String {
    let headers = [
        "#[cfg(test)]\nmod tests {",
        "#[cfg(test)]\npub(crate) mod tests {",
        "#[cfg(all(test, feature = \"torch\"))]\nmod tests {",
    ];
    let end = headers.iter().filter_map(|header| text.find(header)).min().unwrap_or(text.len());
    text[..end].to_owned()
}

fn reach(imports: &BTreeMap<&Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(module) = open.pop() {
        for next in imports.get(&module).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_crate_of_its_own(module: &Module) -> bool {
    module.first().is_some_and(|first| first == "zerodte" || first == "train_historical_model")
}

fn crates() -> [Crate; 5] {
    [
        Crate::read("statistics", "data/statistics/src", "lib"),
        Crate::read("data", "data/src", "lib"),
        Crate::read("env", "env/src", "lib"),
        Crate::read("agent", "agent/src", "lib"),
        Crate::read("scripts", "scripts", "lib"),
    ]
}

#[test]
fn no_files_import_each_other_beyond_parent_and_child() {
    let circles: Vec<String> = crates().iter().flat_map(Crate::circles).collect();
    assert!(circles.is_empty(), "{} circles:\n{}", circles.len(), circles.join("\n"));
}

#[test]
fn a_planted_circle_is_found() {
    let source = |imports: &[&str]| Source {
        path: PathBuf::new(),
        imports: imports.iter().map(|path| segments(path)).collect(),
        exports: BTreeMap::new(),
    };
    let module = |name: &str| vec![name.to_owned()];
    let mut root = source(&[]);
    root.exports.insert("Below".to_owned(), segments("below::Below"));
    let modules = [
        (Vec::new(), root),
        (module("above"), source(&["crate::Below"])),
        (module("below"), source(&["super::above::Above"])),
        (module("beside"), source(&["crate::above"])),
    ];
    let planted = Crate { name: "planted", modules: modules.into_iter().collect() };
    assert_eq!(planted.circles(), ["planted: above, below"]);
}

#[test]
fn the_folders_of_scripts_import_only_what_lies_below_them() {
    let [.., scripts] = crates();
    let rank =
        |module: &Module| SCRIPTS_ORDER.iter().position(|name| Some(*name) == module.first().map(String::as_str));
    let mut up = Vec::new();
    for (module, targets) in scripts.imports().into_iter().filter(|(module, _)| !module.is_empty()) {
        let from = rank(module).unwrap_or_else(|| panic!("scripts/{} is in no known folder", module.join("/")));
        let wrong = targets.iter().filter(|target| rank(target).is_none_or(|to| to < from));
        up.extend(wrong.map(|target| format!("{} imports {}", module.join("::"), target.join("::"))));
    }
    assert!(up.is_empty(), "{} arrows up:\n{}", up.len(), up.join("\n"));
}

#[test]
fn every_command_is_one_file_or_folder() {
    let output = Command::new(env!("CARGO_BIN_EXE_zerodte")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let commands: BTreeSet<String> = names.map(|name| name.replace('-', "_")).collect();
    let entries = fs::read_dir(project().join("scripts/commands")).unwrap();
    let files: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, commands);
}

#[test]
fn files_and_functions_stay_short() {
    let mut long = Vec::new();
    for source in crates().iter().flat_map(|krate| krate.modules.values()) {
        let text = fs::read_to_string(&source.path).unwrap();
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            long.push(format!("{} has {lines} lines", source.path.display()));
        }
        long.extend(
            long_functions(&text).map(|(name, lines)| format!("{}: {name} has {lines} lines", source.path.display())),
        );
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Returns the functions of a formatted file that have too many lines: from the line with `fn` to the brace at its indent.
fn long_functions(text: &str) -> impl Iterator<Item = (String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let head = code.split('(').next().unwrap_or("");
        if head.contains("fn ") && !code.starts_with("//") && !code.ends_with([';', '}']) {
            let end = " ".repeat(line.len() - code.len()) + "}";
            let length = lines[first..].iter().position(|line| *line == end).map_or(1, |last| last + 1);
            if length > MAX_FUNCTION_LINES {
                found.push((head.rsplit("fn ").next().unwrap_or("").to_owned(), length));
            }
        }
    }
    found.into_iter()
}
