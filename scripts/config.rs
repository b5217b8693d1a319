//! Complete configuration of a run: one section per consumer, one set of defaults, checked once.

pub mod annotate;
pub(crate) mod context;
pub(crate) mod data_folder;
pub(crate) mod decision_time;
pub mod evaluation;
pub mod flag_help;
pub mod flags;
pub mod keep;
pub mod layers;
pub mod number_list;
pub mod profiles;
pub mod schema;

use std::{borrow::Cow, collections::BTreeSet, fmt, path::PathBuf, sync::LazyLock};

use anyhow::bail;
use jiff::civil::Date;
use market_data::{
    DataConfig, Symbol, Window,
    source::vendor::{VENDORS, VendorProfile},
};
use market_env::{EnvConfig, MarketConfig};
use ppo_agent::{
    DeviceChoice, EntropySchedule, PolicyConfig, PolicyKind, PpoConfig, forecast::ForecastConfig, health::HealthConfig,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::{
    annotate::{SCHEMA_DIRECTIVE, annotate},
    evaluation::EvaluationConfig,
    keep::Keep,
};

/// Source of the bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSource {
    /// `<SYMBOL>_1m.parquet` or `.csv` files in `run.data_dir`.
    Files,
    /// A generated market; every result is stamped SYNTHETIC.
    Synthetic,
    /// A vendor, through the cache in `run.data_dir`.
    Vendor(&'static VendorProfile),
}

impl DataSource {
    /// Returns true if bars are fetched, so that "the last 60 days" means other dates tomorrow.
    pub fn is_vendor(self) -> bool {
        matches!(self, Self::Vendor(_))
    }

    /// Returns true if the source is the vendor of this name.
    pub fn is(self, vendor: &str) -> bool {
        matches!(self, Self::Vendor(profile) if profile.name == vendor)
    }

    /// Returns the source that a name or an alias stands for.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "files" => Some(Self::Files),
            "synthetic" => Some(Self::Synthetic),
            vendor => VendorProfile::named(vendor).map(Self::Vendor),
        }
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Files => "files",
            Self::Synthetic => "synthetic",
            Self::Vendor(vendor) => vendor.name,
        })
    }
}

impl Serialize for DataSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DataSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
            let vendors = VENDORS.iter().flat_map(|vendor| [&[vendor.name][..], vendor.aliases].concat());
            ["files", "synthetic"].into_iter().chain(vendors).collect()
        });
        let text = String::deserialize(deserializer)?;
        Self::named(&text).ok_or_else(|| de::Error::unknown_variant(&text, &NAMES))
    }
}

impl JsonSchema for DataSource {
    fn schema_name() -> Cow<'static, str> {
        "DataSource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let choice = |name: &str, text: &str| json_schema!({ "const": name, "description": text, "type": "string" });
        let own = [
            choice("files", "`<SYMBOL>_1m.parquet` or `.csv` files in `run.data_dir`."),
            choice("synthetic", "A made-up market, `[data.synthetic]`. Every result is stamped SYNTHETIC."),
        ];
        let vendors = VENDORS.iter().map(|vendor| choice(vendor.name, &format!("A vendor: {}.", vendor.offers)));
        let choices: Vec<Schema> = own.into_iter().chain(vendors).collect();
        json_schema!({ "oneOf": choices })
    }
}

/// Returns the names of the vendors with their aliases, such as "massive (also: polygon), alpaca or yahoo".
pub(crate) fn vendor_list() -> String {
    or_list(VENDORS.iter().map(VendorProfile::name_with_aliases))
}

/// Returns the names of the vendors, such as "massive, alpaca or yahoo".
pub(crate) fn vendor_names() -> String {
    or_list(VENDORS.iter().map(|vendor| vendor.name.to_owned()))
}

fn or_list(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} or {last}", names.join(", ")) }
}

/// Data, length and output of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunSection {
    /// Name of the model, its log and its run folder. 1 to 100 letters, digits, `_`, `-` and `.`, safe as part of a
    /// file name.
    pub model_name: String,
    /// Steps of training, summed over lanes; rounded up to whole iterations. 1 to 10^12.
    pub timesteps: u64,
    /// Symbols whose sessions are replayed, each once. SPY and QQQ have options that expire every day.
    pub symbols: Vec<Symbol>,
    /// Seed of every random stream, 0 to 2^63 - 1. The same seed, configuration and data give the same numbers.
    pub seed: u64,
    /// Source of the bars.
    pub data_source: DataSource,
    /// Folder of SYMBOL_1m.parquet or .csv files; for a vendor, its cache. Where the default does not exist, the folder
    /// that the variable ZERODTE_DATA names is used, or ~/.local/share/zerodte/bars.
    pub data_dir: PathBuf,
    /// Folder or file of option minutes to replay; none = quotes from the pricing model. An empty path also means none,
    /// so that a later layer can undo an earlier one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "path_or_none")]
    pub options: Option<PathBuf>,
    /// First session date, YYYY-MM-DD. Absent: as early as the bars and the other limits allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub start_date: Option<Date>,
    /// Last session date, YYYY-MM-DD. Absent: the date of the last bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub end_date: Option<Date>,
    /// Calendar days up to and including the last date; 0 = no limit. With `start_date`, the later start holds. 60: as
    /// in the documented command.
    pub intraday_days: u32,
    /// Folder under which models/, logs/ and runs/ are written.
    pub out_dir: PathBuf,
    /// Steps between checkpoints, 1 to 10^12. One is written at the end of the iteration that reaches a multiple.
    pub checkpoint_freq: u64,
    /// Newest checkpoints that are kept; older ones are removed, except the best. 0 = all. One takes 180 KB with the default
    /// networks.
    pub keep_checkpoints: usize,
    /// Policy that becomes the model: the last one, or the best checkpoint by the money of the most likely actions on the
    /// validation dates (the lower end of the 95 % interval of the mean P&L per date). last: on some ten dates the best is
    /// mostly luck, and dates that choose no longer test.
    pub keep: Keep,
    /// Validations, one per checkpoint, without a gain in that lower bound after which the training ends; 0 = never.
    pub stop_after_no_gain: u64,
    /// Steps between diagnostics blocks, 1 to 10^12. Where an iteration is longer, there is one block per iteration.
    pub diagnostics_freq: u64,
    /// Threads of environment and trainer, up to 1024; 0 = one per core. The results do not depend on it.
    pub num_threads: usize,
    /// Device that trains the networks: auto, cpu, cuda or cuda:N. auto takes a GPU where libtorch finds one.
    #[schemars(with = "String")]
    pub device: DeviceChoice,
    /// Model whose parameters the training starts from, with a fresh optimiser, at step 0. It needs the same
    /// observations and network. Absent: random parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_model: Option<PathBuf>,
    /// Forecaster whose forecasts become columns of the observation; none = no such columns. It must have seen no date
    /// from the training's first on.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "path_or_none")]
    pub forecaster: Option<PathBuf>,
    /// Start of the actor from the layers of the forecaster's encoder. Needs `run.forecaster` and the same activation.
    pub forecaster_transfer: bool,
    /// File `moves.jsonl` of an earlier run, whose changes of settings are repeated at the same steps. No other change
    /// is made then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_moves: Option<PathBuf>,
}

fn path_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = Option::<PathBuf>::deserialize(deserializer)?;
    Ok(path.filter(|path| !path.as_os_str().is_empty() && path.as_os_str() != "none"))
}

impl Default for RunSection {
    fn default() -> Self {
        Self {
            model_name: "mike_historical_model".to_owned(),
            timesteps: 1_000_000,
            symbols: ["SPY", "QQQ"].iter().filter_map(|symbol| symbol.parse().ok()).collect(),
            seed: 0,
            data_source: DataSource::Files,
            data_dir: PathBuf::from(data_folder::DEFAULT_FOLDER),
            options: None,
            start_date: None,
            end_date: None,
            intraday_days: 60,
            out_dir: PathBuf::from("."),
            checkpoint_freq: 50_000,
            keep_checkpoints: 5,
            keep: Keep::Last,
            stop_after_no_gain: 0,
            diagnostics_freq: 5_000,
            num_threads: 0,
            device: DeviceChoice::Auto,
            load_model: None,
            forecaster: None,
            forecaster_transfer: false,
            replay_moves: None,
        }
    }
}

impl RunSection {
    /// Returns whether checkpoints are compared by their money on the validation dates.
    pub fn compares(&self) -> bool {
        self.keep == Keep::Best || self.stop_after_no_gain > 0
    }

    /// Returns the dates of the run.
    pub fn window(&self) -> Window {
        let intraday_days = Some(self.intraday_days).filter(|&days| days > 0);
        Window { from: self.start_date, to: self.end_date, intraday_days }
    }

    fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(error) = check_name(&self.model_name) {
            faults.push(format!("run.model_name: {error}"));
        }
        let distinct: BTreeSet<&Symbol> = self.symbols.iter().collect();
        if self.symbols.is_empty() || distinct.len() < self.symbols.len() {
            faults.push("run.symbols: give at least one symbol, each only once".to_owned());
        }
        let positive = [
            ("timesteps", self.timesteps),
            ("checkpoint_freq", self.checkpoint_freq),
            ("diagnostics_freq", self.diagnostics_freq),
        ];
        for (name, value) in positive {
            if !(1..=1_000_000_000_000).contains(&value) {
                faults.push(format!("run.{name}: {value} is not between 1 and 10^12"));
            }
        }
        if i64::try_from(self.seed).is_err() {
            faults.push(format!("run.seed: {} is larger than 2^63 - 1", self.seed));
        }
        if self.num_threads > 1024 {
            faults.push(format!("run.num_threads: {} is more than 1024", self.num_threads));
        }
        if let (Some(start), Some(end)) = (self.start_date, self.end_date)
            && start > end
        {
            faults.push(format!("run.start_date: {start} is after run.end_date {end}"));
        }
        if self.options.is_some() && self.data_source == DataSource::Synthetic {
            faults.push(
                "run.options: real options do not match synthetic bars; use --data-source files, or --options none"
                    .to_owned(),
            );
        }
        if self.forecaster_transfer && self.forecaster.is_none() {
            faults.push("run.forecaster_transfer: name the forecaster with run.forecaster".to_owned());
        }
        faults
    }
}

/// The configuration of a run, as `configs/*.toml` and `--set` name it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// The training: its data, its length and the place of its results.
    pub run: RunSection,
    /// Sessions, splits, vendors and the made-up market.
    pub data: DataConfig,
    /// Features and option prices.
    pub market: MarketConfig,
    /// Account, exits, reward and costs.
    pub env: EnvConfig,
    /// The networks.
    pub policy: PolicyConfig,
    /// The algorithm.
    pub ppo: PpoConfig,
    /// The verdict on a training and its consequence.
    pub health: HealthConfig,
    /// A forecaster and its training.
    pub forecast: ForecastConfig,
    /// The verdict on an edge.
    pub evaluation: EvaluationConfig,
}

impl RunConfig {
    /// Returns every fault of every section, each with the path of its key.
    pub fn check(&self) -> Vec<String> {
        let mut faults = self.run.check();
        faults.extend(self.data.check());
        faults.extend(self.market.check());
        faults.extend(self.env.check());
        faults.extend(self.policy.check());
        faults.extend(self.ppo.check());
        faults.extend(self.health.check());
        faults.extend(self.forecast.check());
        faults.extend(self.evaluation.check());
        if self.run.replay_moves.is_some() && self.ppo.ent_schedule == EntropySchedule::Auto {
            faults.push(
                "run.replay_moves: ppo.ent_schedule auto would change settings too; replay with constant".to_owned(),
            );
        }
        if self.policy.kind != PolicyKind::Mlp {
            faults.extend(self.ppo.check_sequences());
        }
        faults
    }

    /// Writes the configuration as TOML; reading it back gives the same configuration.
    ///
    /// # Errors
    /// If a value cannot be written as TOML.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Writes the configuration as TOML with the description above every key; the defaults give `configs/default.toml`.
    ///
    /// # Errors
    /// As for [`RunConfig::to_toml`].
    pub fn to_annotated_toml(&self) -> anyhow::Result<String> {
        Ok(format!("{SCHEMA_DIRECTIVE}\n\n{}", annotate(&self.to_toml()?)))
    }
}

/// Refuses a name that is not safe as part of a file name.
///
/// # Errors
/// A sentence with the permitted characters.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 100 || name.starts_with(['.', '-']) || !name.chars().all(plain) {
        bail!(
            "\"{name}\" is no valid file name: use 1 to 100 letters, digits, '_', '-', '.', not starting with '.' or '-'"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::{Layer, resolve};

    #[test]
    fn the_old_name_of_a_key_is_still_read() {
        let layer = crate::config::layers::Layer::assignments(&["policy.hidden=[32]".into()]).unwrap();
        let config = crate::config::layers::resolve(&RunConfig::default(), &[layer], RunConfig::check).unwrap();
        assert_eq!(config.policy.net_arch, [32]);
    }

    #[test]
    fn printed_configurations_read_back_the_same() {
        let mut config = RunConfig::default();
        config.run.start_date = Some(jiff::civil::date(2025, 1, 2));
        config.run.load_model = Some(PathBuf::from("models/a.safetensors"));
        for config in [config, RunConfig::default()] {
            assert_eq!(config.check(), Vec::<String>::new());
            let text = config.to_toml().unwrap();
            assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn a_partial_section_keeps_the_other_defaults() {
        let mut layer = Layer::new("profile");
        layer.put("env.reward.hold_tax", 0.0);
        let config = resolve(&RunConfig::default(), &[layer], RunConfig::check).unwrap();
        assert_eq!(config.env.reward.hold_tax, 0.0);
        assert_eq!(config.env.reward.good_buy_call, RunConfig::default().env.reward.good_buy_call);
        assert_eq!(config.market, RunConfig::default().market);
    }

    #[test]
    fn every_configuration_that_comes_with_the_program_is_sound() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let mut read = std::collections::BTreeMap::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let config = resolve(&RunConfig::default(), &[Layer::file(&path).unwrap()], RunConfig::check);
            read.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), config.unwrap());
        }
        assert_eq!(read["default"], RunConfig::default());
        assert_eq!(read["pricing"].market.pricing, RunConfig::default().market.pricing, "the fit's own file");
        assert_eq!(read["live_rules"].env.exits.take_profit, RunConfig::default().env.exits.take_profit);
        assert_eq!((read["live_rules"].env.guards.max_trades, read["live_rules"].env.exits.trail_sell), (10, 0.8));
    }

    #[test]
    fn real_options_can_be_taken_back_and_do_not_belong_to_made_up_bars() {
        let mut trained = RunConfig::default();
        trained.run.options = Some(PathBuf::from("options"));
        let resolved = |assignments: &[&str]| {
            let texts: Vec<String> = assignments.iter().map(ToString::to_string).collect();
            resolve(&trained, &[Layer::assignments(&texts).unwrap()], RunConfig::check)
        };
        for none in ["run.options=none", "run.options=\"\"", "run.options="] {
            assert_eq!(resolved(&[none, "run.data_source=synthetic"]).unwrap().run.options, None, "{none}");
        }
        assert_eq!(resolved(&[]).unwrap().run.options, trained.run.options);
        let error = resolved(&["run.data_source=synthetic"]).unwrap_err().to_string();
        assert!(error.starts_with("run.options: real options do not match synthetic bars"), "{error}");
    }

    #[test]
    fn faults_of_all_sections_come_at_once() {
        let mut config = RunConfig::default();
        config.run.model_name = "../x".to_owned();
        config.run.symbols.clear();
        config.run.start_date = Some(jiff::civil::date(2025, 3, 1));
        config.run.end_date = Some(jiff::civil::date(2025, 2, 1));
        config.market.frames = 0;
        (config.run.replay_moves, config.ppo.ent_schedule) = (Some(PathBuf::from("moves")), EntropySchedule::Auto);
        let text = config.check().join("\n");
        for path in ["run.model_name", "run.symbols", "run.start_date", "market.frames", "auto would"] {
            assert!(text.contains(path), "{path} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_device_that_is_none_is_refused_with_its_path_and_the_choices() {
        let resolved = |device: &str| {
            let mut layer = Layer::new("--set");
            layer.put("run.device", device);
            resolve(&RunConfig::default(), &[layer], RunConfig::check)
        };
        let error = resolved("tpu").unwrap_err().to_string();
        assert!(error.contains("run.device: `tpu` is not a device; use auto, cpu, cuda or cuda:1"), "{error}");
        let config = resolved("cuda:1").unwrap();
        assert!(config.to_toml().unwrap().contains("device = \"cuda:1\""));
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        assert!(check_name("tune1_v2.3-b").is_ok());
        for odd in ["", "..", "a/b", "-x", "a b", "é"] {
            assert!(check_name(odd).is_err(), "{odd:?} passed");
        }
    }
}
