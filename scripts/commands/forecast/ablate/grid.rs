//! Grid of settings of an ablation.

use crate::{
    config::{
        RunConfig,
        context::{PrintConfig, titled},
        layers::{Layer, resolve},
    },
    output::exit_code::UsageError,
};

/// One combination of settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// Changed settings, such as `temporal_frames=5 loss.kind=huber`; `base` for none.
    pub(crate) name: String,
    /// The whole configuration.
    pub(crate) config: RunConfig,
}

impl PrintConfig for Vec<Variant> {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        self.iter().map(|variant| titled(&variant.name, &variant.config)).collect()
    }
}

/// Short names of common settings and the keys of the section `forecast` that they set; `#` stands for the value.
const SHORT: [(&str, &[&str]); 6] = [
    ("frames", &["temporal_frames=#"]),
    ("lambda", &["loss.variance_term=variance", "loss.variance_weight=#"]),
    ("init", &["output_init=#"]),
    ("overweight", &["loss.overweight=#"]),
    ("ssl", &["pretrain.enabled=#"]),
    ("loss", &["loss.kind=#"]),
];

/// Default grid, one change at a time.
const USUAL: [(&str, &str); 6] = [
    ("frames", "1,3,5,7"),
    ("lambda", "0,0.5,2"),
    ("init", "default,0.5,0.1,0.01"),
    ("overweight", "1,1.5"),
    ("ssl", "false,true"),
    ("loss", "mse,mae,huber"),
];

/// Returns the base and its variants; a combination equal to the base is not repeated.
///
/// # Errors
/// [`UsageError`] with all faults of a grid.
pub(super) fn variants(base: &RunConfig, grids: &[String]) -> Result<Vec<Variant>, UsageError> {
    let mut variants = vec![Variant { name: "base".to_owned(), config: base.clone() }];
    let names = if grids.is_empty() { one_at_a_time() } else { products(grids)? };
    let mut faults = Vec::new();
    for name in names {
        match configured(base, &name) {
            Ok(config) if variants.iter().all(|known| known.config.forecast != config.forecast) => {
                variants.push(Variant { name: name.join(" "), config });
            }
            Ok(_) => {}
            Err(usage) => {
                faults.extend(usage.faults().iter().map(|fault| {
                    // The assignments come from the code above, not from the user.
                    format!("--grid {}: {}", name.join(" "), fault.trim_start_matches("--set: "))
                }))
            }
        }
    }
    faults.dedup();
    UsageError::check(faults).map(|()| variants)
}

fn one_at_a_time() -> Vec<Vec<String>> {
    let values =
        |(key, list): &(&str, &str)| list.split(',').map(|value| vec![format!("{key}={value}")]).collect::<Vec<_>>();
    USUAL.iter().flat_map(values).collect()
}

/// Returns every combination of one value from each grid.
fn products(grids: &[String]) -> Result<Vec<Vec<String>>, UsageError> {
    let mut products: Vec<Vec<String>> = vec![Vec::new()];
    for grid in grids {
        let (key, list) = grid
            .split_once('=')
            .filter(|(key, list)| !key.trim().is_empty() && list.split(',').all(|value| !value.trim().is_empty()))
            .ok_or_else(|| {
                UsageError::one(format!("--grid {grid}: write it as key=value,value, such as frames=1,3,5"))
            })?;
        let values: Vec<String> = list.split(',').map(|value| format!("{}={}", key.trim(), value.trim())).collect();
        let longer = |product: &Vec<String>| {
            values.iter().map(|value| [product.clone(), vec![value.clone()]].concat()).collect::<Vec<_>>()
        };
        products = products.iter().flat_map(longer).collect();
    }
    Ok(products)
}

fn configured(base: &RunConfig, settings: &[String]) -> Result<RunConfig, UsageError> {
    let assignments: Vec<String> = settings.iter().flat_map(|setting| keys(setting)).collect();
    resolve(base, &[Layer::assignments(&assignments)?], RunConfig::check)
}

/// Returns the assignments of a setting.
fn keys(setting: &str) -> Vec<String> {
    let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
    if (key, value) == ("lambda", "0") {
        return vec!["forecast.loss.variance_term=none".to_owned()];
    }
    match SHORT.iter().find(|(short, _)| *short == key) {
        Some((_, keys)) => keys.iter().map(|key| format!("forecast.{}", key.replace('#', value))).collect(),
        None => vec![format!("forecast.{}={value}", key.strip_prefix("forecast.").unwrap_or(key))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(grids: &[&str]) -> Vec<String> {
        let grids: Vec<String> = grids.iter().map(ToString::to_string).collect();
        variants(&RunConfig::default(), &grids).unwrap().into_iter().map(|variant| variant.name).collect()
    }

    #[test]
    fn without_a_grid_one_thing_is_changed_at_a_time() {
        let names = names(&[]);
        assert_eq!(names[..4], ["base", "frames=1", "frames=5", "frames=7"]);
        assert_eq!(names[4..6], ["lambda=0.5", "lambda=2"], "zero is the base");
        assert_eq!(
            names[6..],
            ["init=0.5", "init=0.1", "init=0.01", "overweight=1.5", "ssl=true", "loss=mae", "loss=huber"]
        );
    }

    #[test]
    fn grids_are_multiplied_and_the_base_is_not_repeated() {
        let found = names(&["frames=1,3", "hidden_size=64,32"]);
        assert_eq!(found, ["base", "frames=1 hidden_size=64", "frames=1 hidden_size=32", "frames=3 hidden_size=32"]);
        let all = variants(&RunConfig::default(), &["lambda=2".to_owned()]).unwrap();
        assert_eq!(all[1].config.forecast.loss.variance_weight, 2.0);
    }

    #[test]
    fn what_cannot_be_varied_is_named() {
        let fault = |grid: &str| variants(&RunConfig::default(), &[grid.to_owned()]).unwrap_err().to_string();
        assert!(fault("frames").contains("write it as key=value"), "{}", fault("frames"));
        assert!(fault("frames=1,,2").contains("write it as key=value"));
        assert!(fault("framse=1").contains("unknown key"), "{}", fault("framse=1"));
        assert!(fault("frames=0").contains("forecast.temporal_frames: 0"), "{}", fault("frames=0"));
        let odd = fault("loss=hubr");
        assert!(
            odd.starts_with("--grid loss=hubr: forecast.loss.kind") && odd.contains("did you mean huber?"),
            "{odd}"
        );
    }
}
