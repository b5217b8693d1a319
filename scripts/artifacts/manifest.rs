//! `manifest.json`: command, data, seed and versions of a run, so that its result can be traced and repeated.

use std::sync::LazyLock;

use market_data::{DataStamp, Dataset, Split};
use ppo_agent::HAS_LIBTORCH;
use serde_json::{Value, json};
use toml::Table;

use crate::{artifacts::files, config::RunConfig, output::clock};

/// The lock file that this program was built with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Packages whose version can change a number.
const PACKAGES: [&str; 8] =
    ["arrow", "jiff", "polars-core", "rand", "rand_chacha", "rand_distr", "rayon", "safetensors"];

/// Further ones of a build with libtorch.
const PACKAGES_WITH_LIBTORCH: [&str; 3] = ["forust-ml", "ndarray", "tch"];

/// Major and minor version of the PyTorch that this build links, which the tch of the lock file binds to; `None` without libtorch.
pub const LIBTORCH: Option<&str> = if HAS_LIBTORCH { Some("2.11") } else { None };

/// Returns the commit that this program was built from, with `-dirty` appended if files differed; `None` if built without git.
pub fn revision() -> Option<&'static str> {
    Some(env!("ZERODTE_REVISION")).filter(|revision| !revision.is_empty())
}

/// Version of the program and the first ten digits of its commit, for `--version`.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    let Some(revision) = revision() else { return version.to_owned() };
    let (commit, dirty) = revision.split_once('-').map_or((revision, ""), |(commit, _)| (commit, ", changed"));
    format!("{version} (commit {}{dirty})", &commit[..commit.len().min(10)])
});

fn packages_of_this_build() -> impl Iterator<Item = &'static str> {
    PACKAGES.into_iter().chain(PACKAGES_WITH_LIBTORCH.into_iter().filter(|_| HAS_LIBTORCH))
}

/// Returns the versions of this program and of the packages that can change its numbers.
fn versions() -> Value {
    let lock: Table = LOCK.parse().unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut versions = serde_json::Map::new();
    versions.insert("zerodte".to_owned(), env!("CARGO_PKG_VERSION").into());
    versions.insert("libtorch".to_owned(), LIBTORCH.into());
    for package in packages {
        let text = |key| package.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        if packages_of_this_build().any(|name| name == text("name")) {
            versions.insert(text("name"), text("version").into());
        }
    }
    Value::Object(versions)
}

/// Returns the manifest of a run that starts now; `dataset` is the part about its data.
pub fn of_training(model: &str, seed: u64, device: &str, data: DataStamp, dataset: &Value) -> Value {
    json!({
        "model": model,
        "data": data,
        "command": std::env::args().collect::<Vec<_>>(),
        "started": clock::timestamp(),
        "finished": null,
        "seed": seed,
        "device": device,
        "threads": rayon::current_num_threads(),
        "git_revision": revision(),
        "versions": versions(),
        "dataset": dataset,
    })
}

/// Returns the manifest of a finished forecaster run.
///
/// # Errors
/// When a file that was read cannot be read again.
pub fn of_forecaster(config: &RunConfig, dataset: &Dataset, split: &Split) -> anyhow::Result<Value> {
    Ok(json!({
        "forecaster": config.run.model_name,
        "data": DataStamp::of(dataset.synthetic),
        "command": std::env::args().collect::<Vec<_>>(),
        "seed": config.run.seed,
        "device": config.run.device,
        "git_revision": revision(),
        "versions": versions(),
        "dataset": {
            "files": files::manifest_entries(&dataset.files)?,
            "dates": { "train": split.train, "validation": split.validation, "test": split.test, "gap": split.gap },
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_that_of_the_build() {
        let Some(revision) = revision() else { return };
        let commit = revision.strip_suffix("-dirty").unwrap_or(revision);
        assert!(commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{revision}");
    }

    #[test]
    fn every_package_that_matters_is_in_the_lock_file() {
        let versions = versions();
        for package in packages_of_this_build() {
            assert!(versions[package].is_string(), "{package} is not in Cargo.lock");
        }
        // tch 0.24 binds PyTorch 2.11; another tch needs another constant.
        let bound = versions["tch"].as_str().is_some_and(|version| version.starts_with("0.24."));
        assert_eq!((versions["libtorch"].as_str(), bound), (LIBTORCH, HAS_LIBTORCH));
    }
}
