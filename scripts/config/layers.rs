//! Layers of configuration: TOML tables laid over each other, with every fault reported and the nearest name suggested.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use market_data::{input_file, quotation::quoted};
use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::output::exit_code::UsageError;

/// One source of settings; it may name any part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    origin: String,
    table: Table,
}

impl Layer {
    /// Makes an empty layer; `origin` begins its error messages.
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), table: Table::new() }
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// A sentence with the file's name, if it cannot be read or is not TOML.
    pub fn file(path: &Path) -> Result<Self, UsageError> {
        let name = path.display();
        let text = input_file::read_text(path)
            .map_err(|e| UsageError::one(format!("cannot read the config file {name}: {e}")))?;
        if text.len() > LARGEST {
            let size = text.len();
            let text =
                format!("cannot read the config file {name}: it has {size} bytes, more than a configuration has");
            return Err(UsageError::one(text));
        }
        Self::text(name.to_string(), &text)
    }

    /// Reads TOML text; `origin` begins its error messages.
    ///
    /// # Errors
    /// A sentence with the origin, if the text is not TOML.
    pub fn text(origin: String, text: &str) -> Result<Self, UsageError> {
        let table: Table = text.parse().map_err(|error| UsageError::one(broken(&origin, text, &error)))?;
        let mut given = Vec::new();
        leaves(&table, "", &mut given);
        if given.len() > MAX_KEYS {
            let (count, first) = (given.len(), quoted(&given[0].0));
            let text = format!("{origin}: {count} keys, more than a configuration has; the first is {first}");
            return Err(UsageError::one(text));
        }
        Ok(Self { origin, table: renamed(plain(table)) })
    }

    /// Reads `key=value` assignments: dotted keys, TOML values, anything else taken as a string.
    ///
    /// # Errors
    /// Every assignment of another form.
    pub fn assignments(texts: &[String]) -> Result<Self, UsageError> {
        let mut layer = Self::new("--set");
        let mut faults = Vec::new();
        for text in texts {
            match text.split_once('=') {
                Some((key, value)) if key.split('.').all(|part| !part.trim().is_empty()) => {
                    layer.put(key, value_of(value.trim()));
                }
                _ => faults.push(format!("--set {text}: write it as section.key=value")),
            }
        }
        UsageError::check(faults)?;
        layer.table = renamed(layer.table);
        Ok(layer)
    }

    /// Returns the settings.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Sets one dotted key.
    pub fn put(&mut self, path: &str, value: impl Into<Value>) {
        put(&mut self.table, path, value.into());
    }

    /// Sets one dotted key if there is a value for it.
    pub fn put_some<V: Into<Value>>(&mut self, path: &str, value: Option<V>) {
        if let Some(value) = value {
            self.put(path, value);
        }
    }
}

/// Lays the layers over `base`, the last one on top, and checks the result with `check`.
///
/// # Errors
/// Every key that is unknown or has a value of the wrong kind, each with its origin and the nearest known name, and
/// every fault that `check` finds in the rest.
pub fn resolve<T>(base: &T, layers: &[Layer], check: impl Fn(&T) -> Vec<String>) -> Result<T, UsageError>
where
    T: Serialize + DeserializeOwned,
{
    let base =
        Table::try_from(base).map_err(|e| UsageError::one(format!("the base configuration is not TOML: {e}")))?;
    let mut merged = base.clone();
    layers.iter().for_each(|layer| merge(&mut merged, &layer.table));
    match merged.try_into::<T>() {
        Ok(config) => UsageError::check(check(&config)).map(|()| config),
        Err(error) => {
            let (mut faults, sound) = sift::<T>(base, layers);
            faults.extend(sound.try_into::<T>().map(|config| check(&config)).unwrap_or_default());
            let whole = || UsageError::one(error.to_string().trim().to_owned());
            Err(UsageError::check(faults).err().unwrap_or_else(whole))
        }
    }
}

/// Returns the sentence on a text that is not TOML, with the line of the fault.
fn broken(origin: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = text.lines().nth(before.matches('\n').count()).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    format!("{origin} is not valid TOML: line {number}, \"{}\": {}", quoted(line.trim()), one_line(error.message()))
}

/// Joins the lines of a message of a library, cut to the length of a quotation.
fn one_line(message: &str) -> String {
    quoted(&message.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

/// A key whose value differs between two configurations; a missing value is absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted key.
    pub key: String,
    /// Its value in the first configuration.
    pub first: Option<Value>,
    /// Its value in the second.
    pub second: Option<Value>,
}

/// Returns the differences between two configurations, sorted by key.
///
/// # Errors
/// If one of them cannot be written as TOML.
pub fn differences<T: Serialize>(first: &T, second: &T) -> anyhow::Result<Vec<Difference>> {
    let flat = |config: &T| -> anyhow::Result<BTreeMap<String, Value>> {
        let mut found = Vec::new();
        leaves(&Table::try_from(config)?, "", &mut found);
        Ok(found.into_iter().collect())
    };
    let (first, second) = (flat(first)?, flat(second)?);
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let pair = |key: &String| Difference {
        key: key.clone(),
        first: first.get(key).cloned(),
        second: second.get(key).cloned(),
    };
    Ok(keys.into_iter().map(pair).filter(|pair| pair.first != pair.second).collect())
}

/// Most bytes of a file: a configuration has some ten thousand.
const LARGEST: usize = 1 << 20;
/// Most keys of a file: a configuration has some hundreds.
const MAX_KEYS: usize = 5_000;
/// Most faults that are reported at once.
const MAX_FAULTS: usize = 20;

/// Tries every given key alone, so that one fault does not hide the next; returns the faults and the valid keys.
fn sift<T: DeserializeOwned>(base: Table, layers: &[Layer]) -> (Vec<String>, Table) {
    let (mut faults, mut sound) = (Vec::new(), base);
    for layer in layers {
        let mut given = Vec::new();
        leaves(&layer.table, "", &mut given);
        for (path, value) in given {
            let mut trial = sound.clone();
            put(&mut trial, &path, value);
            match trial.clone().try_into::<T>() {
                Ok(_) => sound = trial,
                // A new entry of a map lacks its other keys here, but perhaps not in the whole.
                Err(error) if error.message().starts_with("missing field") => {}
                Err(error) => {
                    let fault = format!("{}: {}", layer.origin, sentence(&sound, &path, error.message()));
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                    if faults.len() == MAX_FAULTS {
                        faults.push("there may be more; these are the first".to_owned());
                        return (faults, sound);
                    }
                }
            }
        }
    }
    (faults, sound)
}

/// Turns serde's message about the value at `path` into a sentence with the nearest known name.
fn sentence(base: &Table, path: &str, message: &str) -> String {
    // serde quotes the offender and then every legal name in backticks.
    let mut words = message.split('`').skip(1).step_by(2);
    let offender = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    if message.starts_with("unknown variant") {
        let hint = nearest(offender, &known).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let offender = quoted(offender);
        return format!("{}: \"{offender}\" is not one of {}{hint}", quoted(path), known.join(", "));
    }
    if !message.starts_with("unknown field") {
        return format!("{}: {}", quoted(path), one_line(message));
    }
    let parts: Vec<&str> = path.split('.').collect();
    let depth = parts.iter().position(|&part| part == offender).unwrap_or(0);
    let parent = parts[..depth].iter().map(|part| format!("{part}.")).collect::<String>();
    let mut everywhere = Vec::new();
    leaves(base, "", &mut everywhere);
    let last = parts[parts.len() - 1];
    let elsewhere = everywhere.iter().map(|(path, _)| path).find(|path| path.rsplit('.').next() == Some(last));
    let near = nearest(offender, &known).map(|name| format!("{parent}{name}"));
    let (parent, offender) = (quoted(&parent), quoted(offender));
    match near.as_ref().or(elsewhere) {
        Some(name) => format!("{parent}{offender}: unknown key; did you mean {name}?"),
        None => format!("{parent}{offender}: unknown key; known here: {}", known.join(", ")),
    }
}

/// Returns the candidate most similar to `name`, if any is similar.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|&candidate| (strsim::jaro_winkler(name, candidate), candidate));
    scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok().filter(|table| table.len() == 1);
    parsed.and_then(|table| plain(table).remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Section, old and new name of keys that were renamed; the old ones are still read.
const RENAMED: [(&str, &str, &str); 1] = [("policy", "hidden", "net_arch")];

/// Replaces old names of keys by the current ones.
fn renamed(mut table: Table) -> Table {
    for (section, old, new) in RENAMED {
        if let Some(Value::Table(section)) = table.get_mut(section)
            && let Some(value) = section.remove(old)
        {
            section.insert(new.to_owned(), value);
        }
    }
    table
}

/// Turns TOML dates into strings: the configuration reads its dates from strings.
fn plain(table: Table) -> Table {
    fn of(value: Value) -> Value {
        match value {
            Value::Datetime(date) => Value::String(date.to_string()),
            Value::Table(table) => Value::Table(plain(table)),
            Value::Array(items) => Value::Array(items.into_iter().map(of).collect()),
            other => other,
        }
    }
    table.into_iter().map(|(key, value)| (key, of(value))).collect()
}

fn put(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.trim().to_owned(), value);
        }
        Some((head, rest)) => {
            let entry = table.entry(head.trim()).or_insert_with(|| Value::Table(Table::new()));
            if !entry.is_table() {
                *entry = Value::Table(Table::new());
            }
            if let Value::Table(inner) = entry {
                put(inner, rest, value);
            }
        }
    }
}

fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn leaves(table: &Table, prefix: &str, out: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => leaves(inner, &format!("{prefix}{key}."), out),
            leaf => out.push((format!("{prefix}{key}"), leaf.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Toy {
        ppo: Ppo,
        run: Run,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Ppo {
        gamma: f64,
        target_kl: Option<f64>,
        schedule: Schedule,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Run {
        device: String,
        start: String,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
    #[serde(rename_all = "snake_case")]
    enum Schedule {
        #[default]
        Constant,
        Linear,
    }

    fn checked(toy: &Toy) -> Vec<String> {
        if toy.ppo.gamma > 1.0 { vec!["ppo.gamma: too large".to_owned()] } else { Vec::new() }
    }

    fn set(texts: &[&str]) -> Result<Toy, UsageError> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        resolve(&Toy::default(), &[Layer::assignments(&texts)?], checked)
    }

    #[test]
    fn later_layers_win_and_bare_words_are_strings() {
        let mut file = Layer::new("file");
        file.put("ppo.gamma", 0.5);
        file.put("run.device", "cpu");
        let over = Layer::assignments(&["ppo.gamma=0.9".into(), "run.start=2025-01-02".into()]).unwrap();
        let toy = resolve(&Toy::default(), &[file, over], checked).unwrap();
        assert_eq!((toy.ppo.gamma, toy.run.device.as_str(), toy.run.start.as_str()), (0.9, "cpu", "2025-01-02"));
        let toy = set(&["run.device=cuda:0", "ppo.target_kl=0.02", "ppo.schedule=linear"]).unwrap();
        assert_eq!(
            (toy.run.device.as_str(), toy.ppo.target_kl, toy.ppo.schedule),
            ("cuda:0", Some(0.02), Schedule::Linear)
        );
    }

    #[test]
    fn changed_keys_are_named_once() {
        let toy = set(&["ppo.gamma=0.9", "ppo.target_kl=0.1"]).unwrap();
        let found = differences(&Toy::default(), &toy).unwrap();
        assert_eq!(found.iter().map(|found| found.key.as_str()).collect::<Vec<_>>(), ["ppo.gamma", "ppo.target_kl"]);
        assert_eq!((found[1].first.clone(), found[1].second.clone()), (None, Some(Value::Float(0.1))));
        assert!(differences(&toy, &toy).unwrap().is_empty());
    }

    #[test]
    fn every_fault_is_named_with_the_nearest_key() {
        let error = set(&["ppo.gama=1", "ppo.gamma=2", "gamma=1", "ppo.schedule=linaer", "run.device=3", "zzz.x=1"])
            .unwrap_err();
        let text = error.to_string();
        for part in [
            "ppo.gama: unknown key; did you mean ppo.gamma?",
            "gamma: unknown key; did you mean ppo.gamma?",
            "ppo.schedule: \"linaer\" is not one of constant, linear; did you mean linear?",
            "run.device: invalid type",
            "zzz: unknown key; known here: ppo, run",
            "ppo.gamma: too large",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
        assert_eq!(error.faults().len(), 6);
        assert!(set(&["nonsense"]).unwrap_err().to_string().contains("section.key=value"));
    }
}
