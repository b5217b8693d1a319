//! Profiles: the files of `configs/`, built into the program, so that `--config pnl` works in any folder.

use std::path::Path;

use market_env::RewardConfig;

use crate::{
    config::{
        RunConfig,
        layers::{Layer, nearest, resolve},
    },
    output::exit_code::UsageError,
};

/// Name and text of the built-in profiles; `default.toml` is generated and not one of them.
const PROFILES: [(&str, &str); 9] = [
    ("pnl", include_str!("../../configs/pnl.toml")),
    ("anti_collapse", include_str!("../../configs/anti_collapse.toml")),
    ("tune2", include_str!("../../configs/tune2.toml")),
    ("before_fixes", include_str!("../../configs/before_fixes.toml")),
    ("always_buy", include_str!("../../configs/always_buy.toml")),
    ("live_rules", include_str!("../../configs/live_rules.toml")),
    ("pricing", include_str!("../../configs/pricing.toml")),
    ("smoke", include_str!("../../configs/smoke.toml")),
    ("demo", include_str!("../../configs/demo.toml")),
];

/// Returns the names of the profiles.
pub fn names() -> Vec<&'static str> {
    PROFILES.iter().map(|(name, _)| *name).collect()
}

/// Returns a built-in profile as a layer; `None` for another name.
///
/// # Errors
/// If the profile is not TOML, which a test excludes.
pub(crate) fn built_in(name: &str) -> Result<Option<Layer>, UsageError> {
    let found = PROFILES.iter().find(|(known, _)| *known == name);
    found.map(|(name, text)| Layer::text(format!("configs/{name}.toml"), text)).transpose()
}

/// Reads a profile by its name, or a file by its path.
///
/// # Errors
/// For a name that is neither: the profiles, and the nearest of them.
pub(crate) fn named(text: &Path) -> Result<Layer, UsageError> {
    let name = text.to_str().unwrap_or_default();
    if let Some(layer) = built_in(name)? {
        return Ok(layer);
    }
    let is_name = !name.contains(['/', '.']);
    if !text.exists() && is_name {
        let known = names();
        let hint = nearest(name, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let known = known.join(", ");
        return Err(UsageError::one(format!("--config {name}: no such file, and not one of {known}{hint}")));
    }
    Layer::file(text).map_err(|error| with_built_in(text, error))
}

/// Adds to an error about a missing file that a profile of its name is built in.
fn with_built_in(path: &Path, error: UsageError) -> UsageError {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if path.exists() || !names().contains(&stem) {
        return error;
    }
    UsageError::one(format!("{error}; --config {stem} is built in and needs no file"))
}

/// Returns the name of the profile with these rewards, if there is one.
pub(crate) fn of_reward(reward: &RewardConfig) -> Option<&'static str> {
    let rewards = PROFILES.iter().filter(|(_, text)| text.contains("[env.reward]"));
    let same = |name: &&str| {
        let layer = built_in(name).ok().flatten();
        let config = layer.and_then(|layer| resolve(&RunConfig::default(), &[layer], |_| Vec::new()).ok());
        config.is_some_and(|config| config.env.reward == *reward)
    };
    rewards.map(|(name, _)| *name).find(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in_except_the_generated_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| name != "default")
            .collect();
        files.sort();
        let mut known = names();
        known.sort_unstable();
        assert_eq!(files, known);
    }

    #[test]
    fn a_profile_is_read_by_its_name_and_an_unknown_one_gets_the_nearest() {
        let pnl = resolve(&RunConfig::default(), &[named(Path::new("pnl")).unwrap()], RunConfig::check).unwrap();
        assert_eq!(pnl, RunConfig::default(), "pnl is the default, written out");
        let error = named(Path::new("tune3")).unwrap_err().to_string();
        assert!(error.starts_with("--config tune3: no such file, and not one of pnl, anti_collapse, "), "{error}");
        assert!(error.ends_with("did you mean tune2?"), "{error}");
        let error = named(Path::new("elsewhere/tune2.toml")).unwrap_err().to_string();
        assert!(error.contains("cannot read the config file elsewhere/tune2.toml"), "{error}");
        assert!(error.ends_with("--config tune2 is built in and needs no file"), "{error}");
    }

    #[test]
    fn rewards_have_the_name_of_their_profile() {
        assert_eq!(of_reward(&RewardConfig::default()), Some("pnl"));
        assert_eq!(of_reward(&RewardConfig::documented()), Some("anti_collapse"));
        assert_eq!(of_reward(&RewardConfig { hold_tax: -0.7, ..RewardConfig::default() }), None);
    }
}
