//! Identity of a configuration in the registry: the settings that make it another trial.

use serde_json::Value;

use crate::{artifacts::files::sha256_of, config::RunConfig};

/// Settings that make no other trial: names, places, the machine, vendors, and the terms of the verdict on an edge. Another
/// seed of the same settings is no other trial either, unless the best seed is taken.
const IRRELEVANT: [&str; 16] = [
    "/run/model_name",
    "/run/seed",
    "/run/out_dir",
    "/run/data_dir",
    "/run/data_source",
    "/run/checkpoint_freq",
    "/run/diagnostics_freq",
    "/run/num_threads",
    "/run/device",
    "/data/massive",
    "/data/alpaca",
    "/data/yahoo",
    "/data/columns",
    "/data/timestamp_zone",
    "/data/allow_suspicious",
    "/evaluation",
];

/// Returns the SHA-256, in hexadecimal, of the settings that matter. Two runs with the same hash are one trial with two seeds.
///
/// # Errors
/// If the configuration has no JSON form.
pub fn configuration_hash(config: &RunConfig) -> anyhow::Result<String> {
    let mut settings = serde_json::to_value(config)?;
    IRRELEVANT.iter().for_each(|pointer| remove(&mut settings, pointer));
    if config.run.forecaster.is_none() {
        remove(&mut settings, "/forecast");
    }
    // Keys of a JSON object are sorted.
    let text = serde_json::to_string(&settings)?;
    Ok(sha256_of(text))
}

/// Removes a key, given by the pointer to it, if it is there.
fn remove(settings: &mut Value, pointer: &str) {
    if let Some((parent, key)) = pointer.rsplit_once('/')
        && let Some(table) = settings.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        table.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_names_and_machines_are_no_other_trial_but_settings_are() {
        let base = configuration_hash(&RunConfig::default()).unwrap();
        let hash = |change: &dyn Fn(&mut RunConfig)| {
            let mut config = RunConfig::default();
            change(&mut config);
            configuration_hash(&config).unwrap()
        };
        assert_eq!(base.len(), 64);
        assert_eq!(hash(&|x| (x.run.seed, x.run.model_name, x.run.num_threads) = (7, "b".to_owned(), 3)), base);
        assert_eq!(hash(&|x| x.evaluation.alpha = 0.01), base);
        assert_eq!(hash(&|x| x.forecast.pretrain.epochs += 1), base, "without a forecaster its settings do nothing");
        let other = [
            hash(&|x| x.ppo.learning_rate *= 2.0),
            hash(&|x| x.run.timesteps += 1),
            hash(&|x| x.run.intraday_days = 90),
            hash(&|x| x.env.reward.hold_tax -= 0.1),
            base,
        ];
        let distinct: std::collections::BTreeSet<_> = other.iter().collect();
        assert_eq!(distinct.len(), other.len());
    }

    #[test]
    fn every_irrelevant_setting_exists() {
        let mut config = RunConfig::default();
        config.data.columns.insert("a".to_owned(), market_data::BarColumn::Open);
        config.data.timestamp_zone = Some(market_data::Zone::new("America/New_York").unwrap());
        let settings = serde_json::to_value(config).unwrap();
        for pointer in IRRELEVANT {
            assert!(settings.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
