//! Configuration: the sections of the program's TOML files that the package reads.

use market_data::DataConfig;
use market_env::{EnvConfig, MarketConfig};
use ppo_agent::{PolicyConfig, PpoConfig, health::HealthConfig};
use pyo3::{intern, prelude::*, types::PyDict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error;

/// Sections of the program that have no meaning here, and subsections of `data` for vendors.
const OTHER_SECTIONS: [&str; 3] = ["run", "forecast", "evaluation"];
const VENDORS: [&str; 3] = ["massive", "alpaca", "yahoo"];

/// The configuration of market, environment and training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) data: DataConfig,
    pub(crate) market: MarketConfig,
    pub(crate) env: EnvConfig,
    pub(crate) policy: PolicyConfig,
    pub(crate) ppo: PpoConfig,
    pub(crate) health: HealthConfig,
}

impl Settings {
    /// Reads a configuration: none, a dict of sections, or the path of a TOML file. What it leaves out stays as in `self`.
    ///
    /// # Errors
    /// `ValueError` for a key that does not exist or a value that is refused, `OSError` for a file that cannot be read.
    pub(crate) fn with(&self, given: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(given) = given else { return Ok(self.clone()) };
        let text: String = if given.is_instance_of::<PyDict>() {
            json(given.py())?.call_method1(intern!(given.py(), "dumps"), (given,))?.extract()?
        } else {
            from_toml(given)?
        };
        let mut changes: Value = serde_json::from_str(&text).map_err(error::value)?;
        if let Value::Object(sections) = &mut changes {
            OTHER_SECTIONS.iter().for_each(|name| drop(sections.remove(*name)));
            if let Some(Value::Object(data)) = sections.get_mut("data") {
                VENDORS.iter().for_each(|name| drop(data.remove(*name)));
            }
        }
        let mut whole = serde_json::to_value(self).map_err(error::value)?;
        merge(&mut whole, changes);
        let settings: Self = serde_json::from_value(whole).map_err(|fault| error::value(format!("config: {fault}")))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> PyResult<()> {
        let Self { data, market, env, policy, ppo, health } = self;
        let faults = [data.check(), market.check(), env.check(), policy.check(), ppo.check(), health.check()].concat();
        if faults.is_empty() { Ok(()) } else { Err(error::value(format!("config: {}", faults.join("; ")))) }
    }

    /// Returns the configuration as a dict.
    pub(crate) fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, self)
    }
}

/// Replaces the values of `whole` that `changes` names.
fn merge(whole: &mut Value, changes: Value) {
    match (whole, changes) {
        (Value::Object(whole), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(whole.entry(key).or_insert(Value::Null), change);
            }
        }
        (whole, change) => *whole = change,
    }
}

fn from_toml(path: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = path.py();
    let path: std::path::PathBuf =
        path.extract().map_err(|_| error::value("config: a dict of sections or the path of a TOML file is needed"))?;
    let text = std::fs::read_to_string(&path)?;
    let parsed = py.import(intern!(py, "tomllib"))?.call_method1(intern!(py, "loads"), (text,))?;
    let dates = PyDict::new(py);
    dates.set_item("default", py.get_type::<pyo3::types::PyString>())?;
    json(py)?.call_method(intern!(py, "dumps"), (parsed,), Some(&dates))?.extract()
}

fn json(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "json"))
}

/// Returns a value of Rust as dicts, lists, numbers and texts of Python.
///
/// # Errors
/// When memory runs out.
pub(crate) fn object<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value).map_err(error::value)?;
    json(py)?.call_method1(intern!(py, "loads"), (text,))
}
