//! The space of a sweep: configuration keys, each with an interval or a list of values.
//!
//! ```toml
//! "ppo.learning_rate" = { log = [1e-5, 1e-3] }
//! "ppo.n_epochs" = { range = [2, 10] }
//! "policy.net_arch" = { choice = [[64, 64], [128, 128]] }
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{
    config::{
        RunConfig,
        layers::{Layer, resolve},
    },
    output::exit_code::UsageError,
};

/// Sections whose keys change a training and leave its sessions as they are.
const SECTIONS: [&str; 4] = ["market", "env", "policy", "ppo"];
/// Most parameters: the Sobol sequence has so many dimensions.
const MOST_PARAMETERS: usize = 256;
/// Form of a parameter, for messages.
const FORM: &str = "write it as { log = [a, b] }, { range = [a, b] } or { choice = [a, b, ...] }";

/// Values that a key may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Numbers whose logarithm is uniform.
    Log(Interval),
    /// Uniform numbers.
    Range(Interval),
    /// Equally likely values.
    Choice(Vec<Value>),
}

/// Ends of numbers, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Least number.
    pub low: f64,
    /// Largest number.
    pub high: f64,
    /// True for whole numbers: both ends are written without a point.
    pub whole: bool,
    /// Values of a grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
}

/// One key of a space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Dotted key, such as `ppo.learning_rate`.
    pub key: String,
    /// Its values.
    pub domain: Domain,
}

/// Keys of a sweep, sorted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space(pub Vec<Parameter>);

impl Space {
    /// Reads a space and tries its values in a configuration.
    ///
    /// # Errors
    /// Every fault at once, each with the file and the key.
    pub fn read(path: &Path, base: &RunConfig) -> Result<Self, UsageError> {
        let file = path.display().to_string();
        let layer = Layer::file(path)?;
        let (mut parameters, mut faults) = (Vec::new(), Vec::new());
        collect(layer.table(), "", &mut parameters, &mut faults);
        parameters.sort_by(|a, b| a.key.cmp(&b.key));
        faults.extend(parameters.iter().filter_map(|parameter| parameter.fault(&file, base)));
        let twice = parameters.windows(2).filter(|pair| pair[0].key == pair[1].key);
        faults.extend(twice.map(|pair| format!("{}: it is named twice", pair[0].key)));
        if parameters.is_empty() && faults.is_empty() {
            faults.push(format!("it names no key; {FORM}"));
        }
        if parameters.len() > MOST_PARAMETERS {
            faults.push(format!("{} keys are more than {MOST_PARAMETERS}", parameters.len()));
        }
        let named = |fault: String| if fault.starts_with(&file) { fault } else { format!("{file}: {fault}") };
        UsageError::check(faults.into_iter().map(named).collect())?;
        Ok(Self(parameters))
    }

    /// Returns the values at a point; one coordinate in `[0, 1]` per key.
    pub fn values(&self, point: &[f64]) -> Vec<Value> {
        self.0.iter().zip(point).map(|(parameter, at)| parameter.domain.at(*at)).collect()
    }

    /// Returns the number of points of the grid; `None` where a key has neither a list nor `steps`.
    pub fn grid_size(&self) -> Option<usize> {
        self.0.iter().try_fold(1_usize, |size, parameter| size.checked_mul(parameter.domain.levels()?))
    }

    /// Lays the values of a trial over a configuration and checks the result.
    ///
    /// # Errors
    /// Every fault, with the trial and its values.
    pub fn config(&self, base: &RunConfig, trial: usize, values: &[Value]) -> Result<RunConfig, UsageError> {
        let mut layer = Layer::new(format!("trial {trial}"));
        for (parameter, value) in self.0.iter().zip(values) {
            layer.put(&parameter.key, value.clone());
        }
        resolve(base, &[layer], RunConfig::check).map_err(|error| {
            let fault = |fault: &String| format!("trial {trial} ({}): {fault}", self.line(values));
            UsageError::check(error.faults().iter().map(fault).collect()).err().unwrap_or(error)
        })
    }

    /// Returns the values as `key=value`, separated by commas.
    pub fn line(&self, values: &[Value]) -> String {
        let pairs = self.0.iter().zip(values).map(|(parameter, value)| format!("{}={}", parameter.key, text(value)));
        pairs.collect::<Vec<_>>().join(", ")
    }
}

/// Returns a value as it is written in TOML, text without its quotes.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Collects parameters from tables of any depth.
fn collect(table: &Table, prefix: &str, parameters: &mut Vec<Parameter>, faults: &mut Vec<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) if Domain::is_in(inner) => match Domain::of(inner) {
                Ok(domain) => parameters.push(Parameter { key, domain }),
                Err(fault) => faults.push(format!("{key}: {fault}")),
            },
            Value::Table(inner) if !inner.is_empty() => collect(inner, &format!("{key}."), parameters, faults),
            _ => faults.push(format!("{key}: {FORM}")),
        }
    }
}

impl Parameter {
    /// Returns the first fault of the key or of one of its values.
    fn fault(&self, file: &str, base: &RunConfig) -> Option<String> {
        let section = self.key.split('.').next().unwrap_or_default();
        if section == "run" || section == "data" || section == "evaluation" {
            return Some(format!(
                "{}: a sweep compares trials on the same sessions; it varies {}",
                self.key,
                SECTIONS.join(", ")
            ));
        }
        let tried = |value: &Value| {
            let mut layer = Layer::new(file);
            layer.put(&self.key, value.clone());
            resolve(base, &[layer], |_| Vec::new()).err().map(|error| error.to_string())
        };
        let fault = self.domain.examples().iter().find_map(tried);
        let unused = || format!("{}: it changes no training; a sweep varies {}", self.key, SECTIONS.join(", "));
        fault.or_else(|| (!SECTIONS.contains(&section)).then(unused))
    }
}

impl Domain {
    fn is_in(table: &Table) -> bool {
        ["log", "range", "choice"].iter().any(|name| table.contains_key(*name))
    }

    /// Reads `{ log = [a, b] }`, `{ range = [a, b] }` or `{ choice = [a, b, …] }`; an interval may have `steps`.
    fn of(table: &Table) -> Result<Self, String> {
        let steps = match table.get("steps") {
            None => None,
            Some(Value::Integer(steps @ 2..=10_000)) => Some(*steps as usize),
            Some(other) => return Err(format!("steps = {other}: expected a whole number, 2 to 10,000")),
        };
        let mut kinds = table.iter().filter(|(name, _)| *name != "steps");
        let (Some((kind, Value::Array(values))), None) = (kinds.next(), kinds.next()) else {
            return Err(FORM.to_owned());
        };
        match kind.as_str() {
            "choice" if steps.is_none() => Self::choice(values),
            "log" => Ok(Self::Log(Interval::of(kind, values, steps)?)),
            "range" => Ok(Self::Range(Interval::of(kind, values, steps)?)),
            _ => Err(FORM.to_owned()),
        }
    }

    fn choice(values: &[Value]) -> Result<Self, String> {
        let repeated = (1..values.len()).find(|&i| values[..i].contains(&values[i]));
        match repeated {
            _ if values.is_empty() => Err("choice: give one or more values".to_owned()),
            Some(i) => Err(format!("choice: {} is named twice", values[i])),
            None => Ok(Self::Choice(values.to_vec())),
        }
    }

    /// Returns the value at a coordinate in `[0, 1]`.
    pub fn at(&self, at: f64) -> Value {
        match self {
            Self::Choice(values) => values[((at * values.len() as f64) as usize).min(values.len() - 1)].clone(),
            Self::Range(interval) => interval.at(at, |x| x, |x| x),
            Self::Log(interval) => interval.at(at, f64::ln, f64::exp),
        }
    }

    /// Returns the number of values in a grid.
    pub fn levels(&self) -> Option<usize> {
        match self {
            Self::Choice(values) => Some(values.len()),
            Self::Range(interval) | Self::Log(interval) => interval.steps,
        }
    }

    /// Returns the coordinate of a value of a grid, from 0.
    pub fn grid_point(&self, level: usize) -> f64 {
        match self {
            Self::Choice(values) => (level as f64 + 0.5) / values.len() as f64,
            Self::Range(Interval { steps, .. }) | Self::Log(Interval { steps, .. }) => {
                level as f64 / (steps.unwrap_or(2) - 1) as f64
            }
        }
    }

    /// Returns values to try: the ends of an interval, or the whole list.
    fn examples(&self) -> Vec<Value> {
        match self {
            Self::Choice(values) => values.clone(),
            _ => vec![self.at(0.0), self.at(1.0)],
        }
    }
}

impl Interval {
    fn of(kind: &str, values: &[Value], steps: Option<usize>) -> Result<Self, String> {
        let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        let [Some(low), Some(high)] = [values.first().and_then(number), values.get(1).and_then(number)] else {
            return Err(format!("{kind}: give two numbers, the least and the largest"));
        };
        let whole = values.iter().all(Value::is_integer);
        if values.len() != 2 || !low.is_finite() || !high.is_finite() {
            return Err(format!("{kind}: give two numbers, the least and the largest"));
        }
        if low >= high {
            return Err(format!(
                "{kind} = [{low}, {high}]: the range is empty; the first number must be the smaller one"
            ));
        }
        if kind == "log" && low <= 0.0 {
            return Err(format!("log = [{low}, {high}]: a logarithm needs numbers above 0"));
        }
        if whole && steps.is_some_and(|steps| (steps - 1) as f64 > high - low) {
            return Err(format!("{kind} = [{low}, {high}]: it has fewer whole numbers than steps"));
        }
        Ok(Self { low, high, whole, steps })
    }

    /// Returns the number at a coordinate on a scale. Six digits are kept, so that no machine's logarithm shows.
    fn at(&self, at: f64, scale: fn(f64) -> f64, back: fn(f64) -> f64) -> Value {
        let on = |low: f64, high: f64| back(scale(low) + at * (scale(high) - scale(low)));
        if self.whole && self.steps.is_some() {
            return Value::Integer(on(self.low, self.high).round() as i64);
        }
        if self.whole {
            // A small margin, since the logarithm of a power is not exact.
            return Value::Integer((on(self.low, self.high + 1.0) + 1e-9).floor().clamp(self.low, self.high) as i64);
        }
        let rounded: f64 = format!("{:.5e}", on(self.low, self.high)).parse().unwrap_or(self.low);
        Value::Float(rounded.clamp(self.low, self.high))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<Space, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("S.toml");
        fs::write(&path, text).unwrap();
        let place = format!("{}/", folder.path().display());
        Space::read(&path, &RunConfig::default()).map_err(|error| error.to_string().replace(&place, ""))
    }

    #[test]
    fn keys_are_read_from_tables_and_quoted_names_and_sorted() {
        let space = read(
            "\"ppo.learning_rate\" = { log = [1e-5, 1e-3] }\n[env.reward]\nhold_tax = { range = [-0.01, 0.0] }\n\
             [policy]\nnet_arch = { choice = [[64, 64], [128]] }\n[ppo]\nn_epochs = { range = [2, 4] }\n",
        );
        let space = space.unwrap();
        let keys: Vec<&str> = space.0.iter().map(|parameter| parameter.key.as_str()).collect();
        assert_eq!(keys, ["env.reward.hold_tax", "policy.net_arch", "ppo.learning_rate", "ppo.n_epochs"]);
        let at = |at: f64| space.line(&space.values(&[at; 4]));
        let (first, last) = (at(0.0), at(1.0));
        assert_eq!(
            first,
            "env.reward.hold_tax=-0.01, policy.net_arch=[64, 64], ppo.learning_rate=0.00001, ppo.n_epochs=2"
        );
        assert_eq!(last, "env.reward.hold_tax=0.0, policy.net_arch=[128], ppo.learning_rate=0.001, ppo.n_epochs=4");
        assert!(at(0.5).contains("ppo.learning_rate=0.0001, ppo.n_epochs=3"), "{}", at(0.5));
        let config = space.config(&RunConfig::default(), 7, &space.values(&[0.5; 4])).unwrap();
        assert_eq!((config.ppo.n_epochs, config.ppo.learning_rate), (3, 1e-4));
        let same: Space = serde_json::from_str(&serde_json::to_string(&space).unwrap()).unwrap();
        assert_eq!(same, space);
    }

    #[test]
    fn every_fault_names_file_and_key() {
        let faults = [
            ("\"ppo.gama\" = { range = [0.9, 0.99] }", "S.toml: ppo.gama: unknown key; did you mean ppo.gamma?"),
            ("\"ppo.gamma\" = { range = [0.9, 0.9] }", "S.toml: ppo.gamma: range = [0.9, 0.9]: the range is empty"),
            ("\"ppo.gamma\" = { range = [0.99, 0.9] }", "S.toml: ppo.gamma: range = [0.99, 0.9]: the range is empty"),
            ("\"ppo.ent_coef\" = { log = [0, 0.1] }", "S.toml: ppo.ent_coef: log = [0, 0.1]: a logarithm needs"),
            ("\"ppo.ent_coef\" = { log = [-1, 0.1] }", "S.toml: ppo.ent_coef: log = [-1, 0.1]: a logarithm needs"),
            ("\"ppo.n_epochs\" = { range = [1.0, 9.0] }", "S.toml: ppo.n_epochs: invalid type"),
            ("\"ppo.gamma\" = { choice = [\"a\", \"b\"] }", "S.toml: ppo.gamma: invalid type"),
            ("\"ppo.gamma\" = { range = [0.9, \"b\"] }", "S.toml: ppo.gamma: range: give two numbers"),
            ("\"ppo.gamma\" = { range = [0.9] }", "S.toml: ppo.gamma: range: give two numbers"),
            ("\"ppo.gamma\" = { choice = [] }", "S.toml: ppo.gamma: choice: give one or more values"),
            ("\"ppo.gamma\" = { choice = [0.9, 0.9] }", "S.toml: ppo.gamma: choice: 0.9 is named twice"),
            ("\"ppo.gamma\" = 0.9", "S.toml: ppo.gamma: write it as { log = [a, b] }"),
            ("\"ppo.gamma\" = { lg = [0.9, 0.99] }", "S.toml: ppo.gamma.lg: write it as { log = [a, b] }"),
            ("\"ppo.gamma\" = { range = [0.9, 0.99], log = [1, 2] }", "S.toml: ppo.gamma: write it as"),
            ("\"run.seed\" = { range = [1, 9] }", "S.toml: run.seed: a sweep compares trials on the same sessions"),
            ("\"health.window\" = { range = [1, 9] }", "S.toml: health."),
            ("\"ppo.n_epochs\" = { range = [1, 3], steps = 9 }", "S.toml: ppo.n_epochs: range = [1, 3]: it has fewer"),
            ("", "S.toml: it names no key; write it as"),
            ("ppo = [", "S.toml is not valid TOML: line 1"),
        ];
        for (text, part) in faults {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let both = read("\"ppo.gama\" = { range = [0, 1] }\n\"ppo.x\" = 3\n").unwrap_err();
        assert!(both.starts_with("2 faults") && both.contains("ppo.gama") && both.contains("ppo.x"), "{both}");
    }

    #[test]
    fn whole_numbers_are_equally_likely_and_stay_inside() {
        let counts = |domain: &Domain| {
            let mut counts = [0; 9];
            (0..9_000).for_each(|i| counts[domain.at(f64::from(i) / 9_000.0).as_integer().unwrap() as usize] += 1);
            counts
        };
        let interval = Interval { low: 1.0, high: 3.0, whole: true, steps: None };
        assert_eq!(counts(&Domain::Range(interval))[..5], [0, 3_000, 3_000, 3_000, 0]);
        let log = Domain::Log(Interval { low: 1.0, high: 8.0, ..interval });
        let found = counts(&log);
        assert!(found[0] == 0 && found[1] > 2 * found[4] && found[8] > 0, "{found:?}");
        assert_eq!((log.at(0.0), log.at(1.0)), (Value::Integer(1), Value::Integer(8)));
        let grid = Domain::Range(Interval { low: 0.0, high: 1.0, whole: false, steps: Some(3) });
        let points: Vec<Value> = (0..3).map(|level| grid.at(grid.grid_point(level))).collect();
        assert_eq!(points, [0.0, 0.5, 1.0].map(Value::Float));
    }

    #[test]
    fn a_combination_that_no_training_takes_is_named_with_its_trial() {
        let space = read("\"ppo.batch_size\" = { choice = [64, 100000000] }").unwrap();
        let error = space.config(&RunConfig::default(), 3, &space.values(&[0.9])).unwrap_err().to_string();
        assert!(error.starts_with("trial 3 (ppo.batch_size=100000000): ppo.batch_size"), "{error}");
    }
}
