//! `plan.json`: everything that a result depends on, written before the first training and compared when work goes on.

use std::path::Path;

use anyhow::{bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::{
    artifacts::files::read_json,
    output::output_file::{json_text, write_file},
};

/// Name of the file.
pub const FILE: &str = "plan.json";

/// Way in which a command begins in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// In a folder without a plan.
    New,
    /// With the plan of the folder.
    Resume,
    /// Either way: programs that do parts of the same work begin in any order.
    Join,
}

impl Begin {
    /// Returns the way that two flags name; a command that does a part joins.
    pub fn of(resume: bool, part: bool) -> Self {
        match (part, resume) {
            (true, _) => Self::Join,
            (false, true) => Self::Resume,
            (false, false) => Self::New,
        }
    }
}

/// Writes the plan to a new folder, or compares it with the plan of the folder.
///
/// # Errors
/// For a folder that holds a plan and is not resumed, or one that is resumed and holds another plan or none.
pub fn write_or_check<T: Serialize>(plan: &T, folder: &Path, begin: Begin) -> anyhow::Result<()> {
    let path = folder.join(FILE);
    if !path.exists() {
        if begin == Begin::Resume {
            bail!("{}: there is no plan to go on with; leave out --resume", path.display());
        }
        return write_file(&path, json_text(plan)?.as_bytes());
    }
    if begin == Begin::New {
        bail!("{} exists: add --resume to go on with it, or choose another --out", path.display());
    }
    let earlier: Value = read_json(&path)?;
    let changed = changed_keys(&earlier, &serde_json::to_value(plan)?);
    ensure!(
        changed.is_empty(),
        "{} differs from this command in {}: repeat the command of the plan, or choose another --out",
        path.display(),
        changed.join(", ")
    );
    Ok(())
}

/// Returns the keys whose values differ.
fn changed_keys(earlier: &Value, now: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (earlier, now) = (earlier.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let keys = earlier.keys().chain(now.keys().filter(|key| !earlier.contains_key(*key)));
    keys.filter(|key| earlier.get(*key) != now.get(*key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_written_once_and_another_is_refused_with_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let begin = |plan: Value, begin| write_or_check(&plan, folder.path(), begin).map_err(|error| error.to_string());
        assert!(begin(json!({"a": 1}), Begin::Resume).unwrap_err().contains("there is no plan to go on with"));
        begin(json!({"a": 1, "b": 2}), Begin::Join).unwrap();
        assert!(begin(json!({"a": 1, "b": 2}), Begin::New).unwrap_err().contains("exists: add --resume"));
        begin(json!({"a": 1, "b": 2}), Begin::Resume).unwrap();
        begin(json!({"a": 1, "b": 2}), Begin::of(true, true)).unwrap();
        let error = begin(json!({"a": 3, "c": 2}), Begin::Resume).unwrap_err();
        assert!(error.contains("differs from this command in a, b, c: repeat"), "{error}");
    }
}
