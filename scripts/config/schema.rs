//! JSON schema of the configuration, made from the doc comments of its fields.
//!
//! These comments are the only descriptions of the keys. The comments of `configs/default.toml`, the help of the flags
//! and `configs/schema.json` are generated from them. After a change of a key, rewrite both files:
//!
//! ```text
//! ZERODTE_WRITE_CONFIGS=1 cargo nextest run --release --workspace -E 'test(generated_files)'
//! ```

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::RunConfig;

/// Longest list that the schema gives as a default; `configs/default.toml` holds the others.
const LONGEST_DEFAULT: usize = 8;

/// The schema of [`RunConfig`]. It has no references: every key's schema stands in its place.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    // Draft 7 is the newest that the usual TOML editors read.
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<RunConfig>().to_value();
    tidy(&mut schema);
    schema
});

/// Returns the schema as the text of `configs/schema.json`.
pub fn text() -> String {
    format!("{:#}\n", *SCHEMA)
}

/// Description of one configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Key(&'static Value);

impl Key {
    /// Finds a key by the parts of its path, such as `market`, `contracts`, `SPY`, `tick`.
    pub fn find<'a>(path: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        path.into_iter().try_fold(&*SCHEMA, child).map(Self)
    }

    /// Returns the whole description, in one line.
    pub fn description(self) -> &'static str {
        self.0["description"].as_str().unwrap_or_default()
    }

    /// Returns the first sentence of the description, without its full stop.
    pub fn summary(self) -> &'static str {
        first_sentence(self.description())
    }

    /// Returns the names of the keys of a table that hold a value or a map of values, not a table of their own.
    pub fn values(self) -> Vec<&'static str> {
        let is_map_of_values = |node: &Value| {
            let values = node.get("additionalProperties").filter(|values| values.is_object());
            values.is_some_and(|values| values["type"] != "object")
        };
        let is_table =
            |node: &Value| (node["type"] == "object" && !is_map_of_values(node)) || node["items"]["type"] == "object";
        let table = self.0.get("items").unwrap_or(self.0);
        let keys = table["properties"].as_object().into_iter().flatten();
        keys.filter(|(_, node)| !is_table(node)).map(|(name, _)| name.as_str()).collect()
    }

    /// Returns the values of a key that is a choice, each with the first sentence of its description.
    pub fn choices(self) -> Vec<(&'static str, &'static str)> {
        let variants = self.0["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
        let choice = |variant: &'static Value| {
            let name = variant["const"].as_str()?;
            Some((name, first_sentence(variant["description"].as_str().unwrap_or_default())))
        };
        variants.iter().filter_map(choice).collect()
    }
}

/// Steps from a table, a map or a list of tables to one of its keys.
fn child(node: &'static Value, part: &str) -> Option<&'static Value> {
    let table = node.get("items").unwrap_or(node);
    let named = table.get("properties").and_then(|properties| properties.get(part));
    named.or_else(|| table.get("additionalProperties").filter(|values| values.is_object()))
}

fn first_sentence(text: &str) -> &str {
    text.split(". ").next().unwrap_or_default().trim_end_matches('.')
}

/// Puts every description on one line, and removes defaults that would repeat whole tables.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(table) => {
            if let Some(Value::String(text)) = table.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            let long = |list: &Vec<Value>| list.len() > LONGEST_DEFAULT;
            if table.get("default").is_some_and(|value| value.is_object() || value.as_array().is_some_and(long)) {
                table.remove("default");
            }
            if let Some(default) = table.get_mut("default") {
                shorten(default);
            }
            table.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Formats a number of single precision with its shortest digits: 0.1, not 0.10000000149011612.
fn shorten(number: &mut Value) {
    if let Some(double) = number.as_f64().filter(|double| f64::from(*double as f32) == *double)
        && number.is_f64()
        && let Ok(short) = (double as f32).to_string().parse::<f64>()
    {
        *number = short.into();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Variable that makes the test below write the files instead of comparing them.
    const WRITE: &str = "ZERODTE_WRITE_CONFIGS";

    #[test]
    fn generated_files_are_up_to_date() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let default = RunConfig::default().to_annotated_toml().unwrap();
        for (name, text) in [("default.toml", default), ("schema.json", text())] {
            let path = folder.join(name);
            if std::env::var_os(WRITE).is_some() {
                fs::write(&path, &text).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "configs/{name} is out of date; set {WRITE}=1 and run this test again");
        }
    }

    #[test]
    fn keys_are_found_in_tables_maps_and_lists() {
        let key = |path: &str| Key::find(path.split('.')).unwrap();
        assert!(key("ppo.gamma").summary().starts_with("Discount per decision"));
        assert_eq!(key("market.contracts.XYZ.tick").choices().len(), 2);
        assert!(key("env.exits.take_profit.gain").description().contains("Gain on the cost basis"));
        assert!(Key::find(["ppo", "gama"]).is_none());
        let names: Vec<&str> = key("run.data_source").choices().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["files", "synthetic", "massive", "alpaca", "yahoo"]);
    }

    #[test]
    fn defaults_have_the_digits_of_the_configuration() {
        assert_eq!(Key::find(["env", "reward", "good_buy_call"]).unwrap().0["default"].to_string(), "0.03");
        assert_eq!(Key::find(["ppo", "gamma"]).unwrap().0["default"].to_string(), "0.92");
        assert_eq!(Key::find(["data"]).unwrap().0.get("default"), None, "it would repeat the section");
    }

    #[test]
    fn the_schema_refuses_unknown_keys_as_the_configuration_does() {
        for path in [&["ppo"][..], &["market", "contracts", "SPY"], &["env", "exits"]] {
            assert_eq!(Key::find(path.iter().copied()).unwrap().0["additionalProperties"], false, "{path:?}");
        }
    }
}
