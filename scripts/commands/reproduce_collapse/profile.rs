//! Profiles to train: the files of `configs/`, built into the program, or a file of the user.

use std::{path::Path, str::FromStr};

use crate::{
    config::{
        RunConfig,
        layers::{nearest, resolve},
        profiles,
    },
    output::exit_code::UsageError,
};

/// Profiles with a story about a collapse.
const STORIES: [&str; 4] = ["before_fixes", "anti_collapse", "tune2", "always_buy"];

/// Profiles in display order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiles(Vec<String>);

impl Profiles {
    /// Default value of the flag: the profiles of the earlier collapses, in order.
    pub const USUAL: &str = "before_fixes,anti_collapse,tune2";

    /// Returns each name with its configuration, laid over the defaults and unchecked.
    ///
    /// # Errors
    /// A file that cannot be read, is not TOML, or names an unknown key.
    pub(crate) fn configs(&self) -> Result<Vec<(String, RunConfig)>, UsageError> {
        self.0.iter().map(|name| config(name)).collect()
    }
}

/// Returns a profile's name in tables, and its configuration.
fn config(named: &str) -> Result<(String, RunConfig), UsageError> {
    let path = Path::new(named);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, resolve(&RunConfig::default(), &[profiles::named(path)?], |_| Vec::new())?))
}

impl FromStr for Profiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(format!("{name} is named twice"));
            }
            if !STORIES.contains(&name.as_str()) && !name.ends_with(".toml") {
                let hint = nearest(name, &STORIES).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(format!("\"{name}\" is not one of {} or a .toml file{hint}", STORIES.join(", ")));
            }
        }
        Ok(Self(names))
    }
}

#[cfg(test)]
mod tests {
    use market_env::RewardConfig;

    use super::*;
    use crate::config::layers::Layer;

    #[test]
    fn shipped_profiles_are_the_files_and_others_are_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        for name in STORIES {
            let path = folder.join(format!("{name}.toml"));
            let file = resolve(&RunConfig::default(), &[Layer::file(&path).unwrap()], RunConfig::check).unwrap();
            assert_eq!(config(name).unwrap(), (name.to_owned(), file.clone()));
            assert_eq!(config(path.to_str().unwrap()).unwrap(), (name.to_owned(), file));
        }
        let parse = |text: &str| text.parse::<Profiles>();
        assert_eq!(parse("tune2, before_fixes").unwrap().0, ["tune2", "before_fixes"]);
        assert!(parse("tune3").unwrap_err().ends_with("did you mean tune2?"));
        assert!(parse("").unwrap_err().contains("not one of before_fixes"));
        assert_eq!(parse("tune2,tune2").unwrap_err(), "tune2 is named twice");
        let missing = parse("/nowhere/x.toml").unwrap().configs().unwrap_err();
        assert!(missing.to_string().contains("/nowhere/x.toml"), "{missing}");
    }

    #[test]
    fn the_profiles_tell_the_stories_that_the_documents_name() {
        let of = |name: &str| config(name).unwrap().1;
        let entropy = ["before_fixes", "anti_collapse", "tune2"].map(|name| of(name).ppo.ent_coef);
        assert_eq!(entropy, [0.02, 0.06, 0.08]);
        assert_eq!(of("anti_collapse").env.reward, RewardConfig::documented());
        let reverse = of("always_buy");
        assert_eq!((reverse.env.reward.pnl_scale, reverse.market.setup_threshold), (1.0, 3));
    }
}
