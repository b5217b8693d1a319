//! Flags as the user types them: every one optional, each the name of a configuration key.

use std::{collections::BTreeSet, path::PathBuf, str::FromStr};

use clap::{Args, Parser};
use jiff::civil::Date;
use market_env::RewardConfig;

use crate::{
    artifacts::manifest,
    config::{
        RunConfig,
        flags::{ConfigFlags, DataFlags, RunOutputFlags, ScreenFlags},
        layers::Layer,
    },
    output::exit_code::UsageError,
    sweep::trial_config::TrialName,
    training::track::Tracker,
};

/// Trains a masked PPO policy on historical minute bars and replays it out of sample.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "train_historical_model", version = manifest::VERSION.as_str(), args_override_self = true)]
pub struct TrainFlags {
    /// Which bars to use.
    #[command(flatten)]
    pub data: DataFlags,
    /// Sets `data.split.train_end` [default: 70 % of the session dates]
    #[arg(long, value_name = "DATE", help_heading = "Data")]
    pub train_end: Option<Date>,
    /// Last validation date, after --train-end [default: by the shares of `data.split`]
    #[arg(long, value_name = "DATE", help_heading = "Data")]
    pub validation_end: Option<Date>,
    /// Trains on every session date and holds none out
    #[arg(long, help_heading = "Data", conflicts_with_all = ["train_end", "validation_end"])]
    pub all_dates: bool,
    /// Sets `run.timesteps`, such as 100000, 100_000 or 1e5
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = count)]
    pub timesteps: Option<u64>,
    /// Sets `run.seed`.
    #[arg(long, value_name = "N", help_heading = "Run", conflicts_with = "seeds")]
    pub seed: Vec<u64>,
    /// Trains these seeds side by side, such as 0,1,2, each as <model name>-seed<N>; the threads are divided
    #[allow(rustdoc::invalid_html_tags, reason = "the help shows placeholders")]
    #[arg(long, value_name = "LIST", help_heading = "Run")]
    pub seeds: Option<SeedList>,
    /// Sets `run.device`.
    #[arg(long, help_heading = "Run")]
    pub device: Option<String>,
    /// Sets `run.num_threads`.
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub num_threads: Option<usize>,
    /// Sets `run.checkpoint_freq`.
    #[arg(long, value_name = "N", help_heading = "Run", value_parser = count)]
    pub checkpoint_freq: Option<u64>,
    /// Sets `run.keep_checkpoints`.
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub keep_checkpoints: Option<u64>,
    /// Sets `run.keep`.
    #[arg(long, value_name = "WHICH", help_heading = "Run")]
    pub keep: Option<String>,
    /// Sets `run.stop_after_no_gain`.
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub stop_after_no_gain: Option<u64>,
    /// Starts from the settings of a trial of a sweep, such as sweep:17; other flags win over them
    #[arg(long, value_name = "FOLDER:N", help_heading = "Run", conflicts_with = "human_momentum")]
    pub from_trial: Option<TrialName>,
    /// Sets `run.load_model`.
    #[arg(long, value_name = "MODEL", help_heading = "Run", conflicts_with = "resume")]
    pub load_model: Option<PathBuf>,
    /// Sets `run.forecaster`.
    #[arg(long, value_name = "MODEL", help_heading = "Run")]
    pub forecaster: Option<PathBuf>,
    /// Sets `run.forecaster_transfer`.
    #[arg(long, help_heading = "Run", requires = "forecaster")]
    pub forecaster_transfer: bool,
    /// Continues a run from a checkpoint: its path, or the newest good one of the model name; auto starts a new run where
    /// there is none. The configuration of the run folder takes the place of the defaults
    #[arg(long, value_name = "PATH|latest|auto", num_args = 0..=1, default_missing_value = "latest", help_heading = "Run")]
    pub resume: Option<PathBuf>,
    /// Replays the test dates at the end, prints the result, and counts it as a look at them; false leaves them unseen
    /// [default: true]
    #[arg(long = "final", value_name = "true|false", num_args = 0..=1, default_missing_value = "true", help_heading = "Run")]
    pub show_test: Option<bool>,
    /// Checks configuration, data, folders and the model to start from, says what would run, and exits
    #[arg(long, help_heading = "Run")]
    pub dry_run: bool,
    /// The documented rewards of the Python system (as --config anti_collapse), below --config and --set; its features
    /// are always on
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", help_heading = "Market")]
    pub human_momentum: Option<bool>,
    /// Sets `market.use_greeks`.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", help_heading = "Market")]
    pub use_greeks: Option<bool>,
    /// The 500-feature observation of the Python system; not part of this one
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", hide = true)]
    pub use_features: Option<bool>,
    /// Draws training sessions so that the VIX regimes calm < 18 <= normal < 25 <= storm < 35 <= crash, as far as they
    /// occur, are equally likely, instead of every session [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", help_heading = "Market")]
    pub regime_balanced: Option<bool>,
    /// Sets `env.reward.shaping_final`.
    #[arg(long, value_name = "X", help_heading = "Market")]
    pub shaping_final: Option<f64>,
    /// Sets `health.on_collapse`.
    #[arg(long, value_name = "WHAT", help_heading = "Health")]
    pub on_collapse: Option<String>,
    /// Sets `run.replay_moves`.
    #[arg(long, value_name = "FILE", help_heading = "Health")]
    pub replay_moves: Option<PathBuf>,
    /// The networks.
    #[command(flatten)]
    pub policy: PolicyFlags,
    /// The algorithm's parameters.
    #[command(flatten)]
    pub ppo: PpoFlags,
    /// Amount of text on the screen.
    #[command(flatten)]
    pub screen: ScreenFlags,
    /// Copies the finished run to a tracker, through the Python packages zerodte and mlflow or wandb
    #[arg(long, value_name = "WHERE", value_enum, help_heading = "Output", conflicts_with = "seeds")]
    pub track: Option<Tracker>,
    /// Writes a page of training and test, one HTML file that a browser opens
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// Places of what is written.
    #[command(flatten)]
    pub output: RunOutputFlags,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// The networks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyFlags {
    /// Sets `policy.kind`.
    #[arg(long, value_name = "KIND")]
    pub policy: Option<String>,
    /// Sets `policy.net_arch`, separated by commas
    #[arg(long, value_name = "LIST")]
    pub net_arch: Option<String>,
    /// Sets `policy.activation`.
    #[arg(long, value_name = "NAME")]
    pub activation: Option<String>,
    /// Sets `policy.trunk`.
    #[arg(long, value_name = "NAME")]
    pub trunk: Option<String>,
    /// Sets `policy.recurrent_size`.
    #[arg(long, value_name = "N")]
    pub recurrent_size: Option<u64>,
    /// Sets `policy.precision`.
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,
}

/// Value of `--ent-coef`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EntCoef {
    /// This weight.
    Weight(f64),
    /// A weight that follows the policy's entropy.
    Auto,
}

impl FromStr for EntCoef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Weight).map_err(|_| "expected a number, or auto".to_owned()),
        }
    }
}

/// Value of `--seeds`: two or more seeds, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedList(pub Vec<u64>);

impl FromStr for SeedList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seeds: Result<Vec<u64>, _> = text.split(',').map(|seed| seed.trim().parse()).collect();
        let seeds = seeds.map_err(|_| "expected whole numbers, such as 0,1,2".to_owned())?;
        let distinct: BTreeSet<&u64> = seeds.iter().collect();
        if distinct.len() < seeds.len() || seeds.len() < 2 {
            return Err("expected two or more seeds, each once".to_owned());
        }
        Ok(Self(seeds))
    }
}

/// Reads a whole number that may have separators or an exponent, such as 100_000, 100,000 or 1e5.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let digits = text.replace(['_', ','], "");
    if let Ok(count) = digits.parse() {
        return Ok(count);
    }
    let number = digits.parse::<f64>().ok().filter(|number| number.fract() == 0.0 && (0.0..=1e15).contains(number));
    number
        .map(|number| number as u64)
        .ok_or_else(|| "expected a whole number, such as 100000, 100_000 or 1e5".to_owned())
}

/// Parameters of the algorithm.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "PPO")]
pub struct PpoFlags {
    /// Sets `ppo.learning_rate`.
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// Sets `ppo.ent_coef`; auto = it follows the policy, slowly, towards ppo.ent_target
    #[arg(long, value_name = "X|auto")]
    pub ent_coef: Option<EntCoef>,
    /// Sets `ppo.gamma`.
    #[arg(long, value_name = "X")]
    pub gamma: Option<f64>,
    /// Sets `ppo.n_steps`.
    #[arg(long, value_name = "N")]
    pub n_steps: Option<u64>,
    /// Sets `ppo.n_envs`.
    #[arg(long, value_name = "N")]
    pub n_envs: Option<u64>,
    /// Sets `ppo.batch_size`.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<u64>,
    /// Sets `ppo.n_epochs`.
    #[arg(long, value_name = "N")]
    pub n_epochs: Option<u64>,
    /// Sets `ppo.gae_lambda`.
    #[arg(long, value_name = "X")]
    pub gae_lambda: Option<f64>,
    /// Sets `ppo.clip_range`.
    #[arg(long, value_name = "X")]
    pub clip_range: Option<f64>,
    /// Sets `ppo.vf_coef`.
    #[arg(long, value_name = "X")]
    pub vf_coef: Option<f64>,
    /// Sets `ppo.max_grad_norm`.
    #[arg(long, value_name = "X")]
    pub max_grad_norm: Option<f64>,
    /// Sets `ppo.target_kl`.
    #[arg(long, value_name = "X")]
    pub target_kl: Option<f64>,
    /// Sets `ppo.sequence_length`.
    #[arg(long, value_name = "N")]
    pub sequence_length: Option<u64>,
}

impl PolicyFlags {
    fn put(&self, layer: &mut Layer) -> Result<(), UsageError> {
        if let Some(list) = &self.net_arch {
            let units = list.split(',').map(|units| units.trim().parse::<u32>());
            let units: Vec<u32> = units.collect::<Result<_, _>>().map_err(|_| {
                UsageError::one(format!(
                    "--net-arch {list}: write it as the units of each hidden layer, such as 128,128"
                ))
            })?;
            layer.put("policy.net_arch", units.into_iter().map(toml::Value::from).collect::<Vec<_>>());
        }
        layer.put_some("policy.kind", self.policy.clone());
        layer.put_some("policy.activation", self.activation.clone());
        layer.put_some("policy.trunk", self.trunk.clone());
        layer.put_some("policy.precision", self.precision.clone());
        Ok(())
    }
}

impl TrainFlags {
    /// Returns the configuration that the layers of a new run are laid over.
    ///
    /// # Errors
    /// For a trial that does not exist.
    pub fn base(&self) -> anyhow::Result<RunConfig> {
        if let Some(trial) = &self.from_trial {
            return trial.config();
        }
        let mut config = RunConfig::default();
        if self.human_momentum == Some(true) {
            config.env.reward = RewardConfig::documented();
        }
        Ok(config)
    }

    /// Lays files, flags and assignments over `base` and checks the result. Sentences about what was understood
    /// differently than typed are added to `notes`.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, base: &RunConfig, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        if self.use_features == Some(true) {
            return Err(UsageError::one(
                "--use-features: the 500-feature observation is not part of this product; use --human-momentum",
            )
            .into());
        }
        if self.use_features == Some(false) {
            notes.push("--use-features has no effect: there is one observation".to_owned());
        }
        Ok(self.config.resolve(base, self.layer(notes)?)?)
    }

    fn put_split(&self, layer: &mut Layer) {
        layer.put_some("data.split.all_dates", self.all_dates.then_some(true));
        layer.put_some("data.split.train_end", self.train_end.map(|date| date.to_string()));
        layer.put_some("data.split.validation_end", self.validation_end.map(|date| date.to_string()));
    }

    fn layer(&self, notes: &mut Vec<String>) -> anyhow::Result<Layer> {
        if let [_, _, ..] = self.seed[..] {
            let list = self.seed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let fault = format!("--seed is given {} times; --seeds {list} trains them side by side", self.seed.len());
            return Err(UsageError::one(fault).into());
        }
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        self.put_split(&mut layer);
        self.policy.put(&mut layer)?;
        let ppo = &self.ppo;
        let whole = [
            ("run.timesteps", self.timesteps),
            ("run.seed", self.seed.first().copied()),
            ("run.checkpoint_freq", self.checkpoint_freq),
            ("run.keep_checkpoints", self.keep_checkpoints),
            ("run.stop_after_no_gain", self.stop_after_no_gain),
            ("run.num_threads", self.num_threads.map(|n| n as u64)),
            ("ppo.n_steps", ppo.n_steps),
            ("ppo.n_envs", ppo.n_envs),
            ("ppo.batch_size", ppo.batch_size),
            ("ppo.n_epochs", ppo.n_epochs),
            ("ppo.sequence_length", ppo.sequence_length),
            ("policy.recurrent_size", self.policy.recurrent_size),
        ];
        for (path, value) in whole {
            if let Some(value) = value {
                let value = i64::try_from(value).map_err(|_| UsageError::one(format!("{path}: {value} is too large")));
                layer.put(path, value?);
            }
        }
        let real = [
            ("env.reward.shaping_final", self.shaping_final),
            ("ppo.learning_rate", ppo.learning_rate),
            ("ppo.gamma", ppo.gamma),
            ("ppo.gae_lambda", ppo.gae_lambda),
            ("ppo.clip_range", ppo.clip_range),
            ("ppo.vf_coef", ppo.vf_coef),
            ("ppo.max_grad_norm", ppo.max_grad_norm),
            ("ppo.target_kl", ppo.target_kl),
        ];
        real.into_iter().for_each(|(path, value)| layer.put_some(path, value));
        match ppo.ent_coef {
            Some(EntCoef::Weight(weight)) => layer.put("ppo.ent_coef", weight),
            Some(EntCoef::Auto) => layer.put("ppo.ent_schedule", "auto"),
            None => {}
        }
        layer.put_some("health.on_collapse", self.on_collapse.clone());
        layer.put_some("run.replay_moves", self.replay_moves.as_ref().map(|path| path.display().to_string()));
        layer.put_some("run.keep", self.keep.clone());
        layer.put_some("run.device", self.device.clone());
        self.output.put(&mut layer);
        layer.put_some("run.load_model", self.load_model.as_ref().map(|path| path.display().to_string()));
        layer.put_some("run.forecaster", self.forecaster.as_ref().map(|path| path.display().to_string()));
        layer.put_some("run.forecaster_transfer", self.forecaster_transfer.then_some(true));
        layer.put_some("market.use_greeks", self.use_greeks);
        let draw = self.regime_balanced.map(|balanced| if balanced { "regime_balanced" } else { "uniform" });
        layer.put_some("env.draw", draw);
        Ok(layer)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use ppo_agent::{Activation, EntropySchedule, PolicyConfig, PolicyKind, Precision, Trunk, health::OnCollapse};

    use super::*;
    use crate::config::{DataSource, flag_help::tests::assert_flags_set_their_keys};

    fn resolved(line: &str) -> anyhow::Result<RunConfig> {
        let flags = TrainFlags::try_parse_from(line.split_whitespace())?;
        flags.resolve(&flags.base().unwrap(), &mut Vec::new())
    }

    #[test]
    fn the_documented_rewards_lie_below_profiles_and_settings() {
        let reward = |line: &str| resolved(&format!("train {line}")).unwrap().env.reward;
        assert_eq!(reward(""), RewardConfig::default());
        assert_eq!(reward("--human-momentum"), RewardConfig::documented());
        assert_eq!(reward("--human-momentum false"), RewardConfig::default());
        assert_eq!(reward("--human-momentum --config tune2").good_buy_call, 0.12);
        assert_eq!(reward("--human-momentum --set env.reward.hold_tax=-0.5").hold_tax, -0.5);
    }

    #[test]
    fn counts_may_have_separators_and_exponents() {
        for text in ["100000", "100_000", "100,000", "1e5", "0.1e6"] {
            assert_eq!(count(text), Ok(100_000), "{text}");
        }
        for text in ["1.5", "-1", "1e99", "many", "", "nan"] {
            assert!(count(text).unwrap_err().starts_with("expected a whole number"), "{text}");
        }
    }

    #[test]
    fn the_old_command_line_is_understood() {
        TrainFlags::command().debug_assert();
        let config = resolved(
            "train --symbols SPY,QQQ,SPX --timesteps 100000 --model-name tune1 --human-momentum --data-source files \
             --data-dir b --intraday-days 60 --learning-rate 3e-5 --ent-coef 0.06 --gamma 0.92 --n-steps 512 \
             --use-greeks false --regime-balanced --target-kl 0.02 --policy gru --net-arch 128,32 --activation relu \
             --on-collapse adapt --trunk shared --recurrent-size 48 --sequence-length 32 --precision bf16 --shaping-final 0",
        )
        .unwrap();
        assert_eq!(config.run.symbols.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["SPY", "QQQ", "SPX"]);
        assert_eq!((config.run.timesteps, config.run.model_name.as_str()), (100_000, "tune1"));
        assert_eq!((config.market.use_greeks, config.env.draw), (false, market_env::Draw::RegimeBalanced));
        assert_eq!((config.ppo.target_kl, config.env.reward.shaping_final), (Some(0.02), 0.0));
        assert_eq!(config.run.intraday_days, 60);
        assert_eq!((config.ppo.ent_coef, config.health.on_collapse), (0.06, OnCollapse::Adapt));
        assert_eq!(config.env.reward, RewardConfig { shaping_final: 0.0, ..RewardConfig::documented() });
        assert_eq!(resolved("train --ent-coef auto").unwrap().ppo.ent_schedule, EntropySchedule::Auto);
        let policy = PolicyConfig {
            kind: PolicyKind::Gru,
            net_arch: vec![128, 32],
            activation: Activation::Relu,
            trunk: Trunk::Shared,
            recurrent_size: 48,
            precision: Precision::Bf16,
            ..PolicyConfig::default()
        };
        assert_eq!((config.policy, config.ppo.sequence_length), (policy, 32));
    }

    #[test]
    fn every_flag_sets_the_key_that_its_help_names() {
        let resolve = |line: &[String]| resolved(&format!("train {}", line.join(" "))).unwrap();
        assert_flags_set_their_keys(&TrainFlags::command(), resolve);
    }

    #[test]
    fn flags_win_over_defaults_later_ones_over_earlier_and_set_over_flags() {
        let config = resolved(
            "train --gamma 0.4 --gamma 0.5 --seed 7 --set ppo.gamma=0.6 --start-date 2025-01-02 --set ppo.n_steps=64",
        )
        .unwrap();
        assert_eq!(config.ppo.gamma, 0.6);
        assert_eq!((config.run.seed, config.run.intraday_days), (7, 0));
        assert_eq!((config.run.data_source, config.ppo.n_steps), (DataSource::Files, 64));
    }

    #[test]
    fn invalid_flags_are_usage_errors() {
        for (line, part) in [
            ("train --use-features", "--human-momentum"),
            ("train --set data.massive.calls_per_minute=20000", "is not between 0 and 10000"),
            ("train --data-source flies", "did you mean files?"),
            ("train --symbols SPY,,a/b", "not a symbol"),
            ("train --n-envs 0", "ppo.n_envs"),
            ("train --seed 6 --seed 7", "--seed is given 2 times; --seeds 6,7 trains them side by side"),
            ("train --keep bets", "did you mean best?"),
            ("train --on-collapse stopp", "did you mean stop?"),
            ("train --shaping-final 1.5", "env.reward.shaping_final: 1.5 is not in 0..=1"),
            ("train --net-arch 64x64", "--net-arch 64x64: write it as"),
            ("train --policy lsmt", "did you mean lstm?"),
            ("train --policy lstm --sequence-length 100", "ppo.sequence_length: 100 does not divide ppo.n_steps 512"),
        ] {
            let error = resolved(line).unwrap_err();
            assert!(error.to_string().contains(part), "{line}: {error}");
            assert!(error.downcast_ref::<UsageError>().is_some(), "{line}");
        }
        for seeds in ["0", "0,1,0", "0,x", "0,-1"] {
            let refusal = TrainFlags::try_parse_from(["train", "--seeds", seeds]).unwrap_err().to_string();
            assert!(refusal.contains("expected "), "{refusal}");
        }
        assert!(TrainFlags::try_parse_from(["train", "--seeds", "0,1", "--seed", "2"]).is_err());
        let unknown = TrainFlags::try_parse_from(["train", "--timestep", "5"]).unwrap_err();
        assert!(unknown.to_string().contains("--timesteps"), "{unknown}");
    }
}
