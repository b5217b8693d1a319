//! `train_historical_model`: configuration, data, training, model, out-of-sample replay, in this order.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use market_data::Split;
use market_env::{BatchEnv, VecEnv as _};
use ppo_agent::{Behaviour, Checkpoint, DeviceChoice, ModelFile, Normalizer, Policy, Trainer};
use serde_json::Value;

use crate::{
    backtest::ModelMeta,
    chart, clock,
    config::RunConfig,
    console::{Console, cut_log},
    flags::TrainFlags,
    inputs::Inputs,
    layers::differences,
    manifest,
    paths::{Paths, model_path},
    records::{self, Records},
    replay::replay,
    report::Figures,
    reporter::{Earlier, Reporter},
    table::{columns, percent, thousands},
    tensorboard::EventWriter,
    usage::Usage,
};

/// Does what the flags say.
///
/// # Errors
/// [`Usage`] for flags and configuration; anything else is a run that failed. Earlier results are intact either way.
pub fn run(flags: &TrainFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut notes = Vec::new();
    let config = resolve(flags, &mut notes)?;
    if flags.config.print_config {
        console.say(config.to_toml()?.trim_end())?;
        return Ok(());
    }
    let paths = Paths::of(&config.run);
    paths.ensure_writable()?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(config.run.num_threads);
    threads.build_global().context("starting the threads")?;
    let inputs = Inputs::load(&config)?;
    let split = inputs.split(&config)?;
    notes.iter().try_for_each(|note| console.say(format!("Note: {note}")))?;
    header(&config, &inputs, &split, console)?;
    let run = Run { config: &config, paths: &paths, inputs: &inputs, split: &split };
    if flags.dry_run {
        console.say("DRY RUN: configuration, data and folders are sound; nothing was trained or written")?;
        return Ok(());
    }
    let result = run.train(flags.resume.as_deref(), console);
    console.stop_bar();
    if let Err(error) = &result {
        console.log_only(format!("error: {error:#}"));
    }
    result
}

/// Resolves the configuration; for a resumed run that of its run folder takes the place of the defaults.
fn resolve(flags: &TrainFlags, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
    if flags.resume.is_none() {
        return flags.resolve(&RunConfig::default(), notes);
    }
    let named = flags.resolve(&RunConfig::default(), &mut Vec::new())?;
    let path = Paths::of(&named.run).run.join("config.toml");
    let text = fs::read_to_string(&path).map_err(|error| {
        Usage::one(format!(
            "--resume: there is no run of {} to resume: {}: {error}",
            named.run.model_name,
            path.display()
        ))
    })?;
    let earlier: RunConfig = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let config = flags.resolve(&earlier, notes)?;
    let free = ["timesteps", "checkpoint_freq", "diagnostics_freq", "num_threads", "device", "out_dir", "data_dir"];
    let changed = differences(&earlier, &config)?.into_iter();
    let changed = changed.filter(|key| !free.iter().any(|name| key.strip_prefix("run.") == Some(name)));
    Usage::check(
        changed.map(|key| format!("--resume: {key} differs from the run's; start a new run for that")).collect(),
    )?;
    Ok(config)
}

fn header(config: &RunConfig, inputs: &Inputs, split: &Split, console: &mut Console) -> anyhow::Result<()> {
    let run = &config.run;
    if inputs.dataset.synthetic {
        console.say("SYNTHETIC DATA: made-up bars; nothing here says anything about a market")?;
    }
    let symbols = run.symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    console.say(format!("Training {} on {symbols}: {} steps", run.model_name, thousands(run.timesteps as i64)))?;
    inputs.lines().into_iter().try_for_each(|line| console.say(line))?;
    for (name, dates) in [("Train", &split.train), ("Validation", &split.validation), ("Test", &split.test)] {
        let days = inputs.market.days_in(dates);
        let bars: u32 = days.iter().map(|&day| inputs.market.days()[day as usize].bars).sum();
        let (bull, bear) = inputs.market.strong_shares(&days);
        console.say(format!(
            "{name:<11}{dates}: {} sessions, {} bars, strong setups {} (bull {}, bear {})",
            days.len(),
            thousands(i64::from(bars)),
            percent(Some(bull + bear)),
            percent(Some(bull)),
            percent(Some(bear)),
        ))?;
    }
    let cost = inputs.market.round_trip_cost(&inputs.market.days_in(&split.train));
    console.say(format!("A round trip at the money costs {} of the premium on average", percent(Some(cost))))?;
    Ok(())
}

/// One training run, its configuration checked and its data loaded.
struct Run<'a> {
    config: &'a RunConfig,
    paths: &'a Paths,
    inputs: &'a Inputs,
    split: &'a Split,
}

impl Run<'_> {
    fn train(&self, resume: Option<&Path>, console: &mut Console) -> anyhow::Result<()> {
        let (mut trainer, earlier) = match resume {
            Some(which) => self.resumed(which, console)?,
            None => (self.fresh()?, None),
        };
        let mut manifest = self.manifest(&trainer)?;
        if earlier.is_some() {
            self.check_same_data(&manifest)?;
        }
        let lanes = self.config.ppo.n_envs;
        console.say(format!("{lanes} lanes, seed {}, {}", self.config.run.seed, trainer.engine()))?;
        let mut reporter = self.open(&trainer, earlier, console)?;
        self.write_manifest(&manifest)?;
        self.learn(&mut trainer, &mut reporter)?;

        let seconds = reporter.seconds();
        let svg = chart::draw(&self.title(), reporter.rows())?;
        ppo_agent::write_atomically(&self.paths.run.join("training.svg"), svg.as_bytes())?;
        self.save_model(&trainer)?;
        console.say("TRAINING COMPLETE")?;
        console.say(format!("Model saved: {}", self.paths.model.display()))?;
        console.say(format!("Training time: {}", duration(seconds)))?;
        manifest["out_of_sample"] = self.out_of_sample(trainer.policy(), console)?;
        manifest["timesteps"] = trainer.timesteps().into();
        manifest["training_seconds"] = seconds.into();
        manifest["finished"] = clock::timestamp().into();
        self.write_manifest(&manifest)?;
        console.say(format!("Run folder: {}", self.paths.run.display()))?;
        Ok(())
    }

    fn learn(&self, trainer: &mut Trainer<BatchEnv>, reporter: &mut Reporter<'_>) -> anyhow::Result<()> {
        let run = &self.config.run;
        let mut saved = trainer.timesteps();
        reporter.console().start_bar(run.timesteps, saved);
        while trainer.timesteps() < run.timesteps {
            trainer.iterate(reporter)?;
            reporter.check()?;
            let steps = trainer.timesteps();
            if steps / run.checkpoint_freq > saved / run.checkpoint_freq {
                self.save_checkpoint(trainer, reporter)?;
                saved = steps;
            }
        }
        reporter.console().stop_bar();
        Ok(())
    }

    fn env(&self) -> anyhow::Result<BatchEnv> {
        let days = self.inputs.market.days_in(&self.split.train);
        let config = self.config;
        let market = Arc::clone(&self.inputs.market);
        Ok(BatchEnv::new(market, days, config.env.clone(), config.ppo.n_envs, config.run.seed)?)
    }

    fn device(&self) -> anyhow::Result<DeviceChoice> {
        self.config.run.device.parse().map_err(anyhow::Error::msg)
    }

    fn fresh(&self) -> anyhow::Result<Trainer<BatchEnv>> {
        let (env, config) = (self.env()?, self.config);
        let policy = match &config.run.load_model {
            Some(path) => self.warm_start(path, &env)?,
            None => {
                let normalizer = Normalizer::fit(env.tape(), env.spec().features.len(), &env.visible_rows())?;
                Policy::new(env.spec(), &config.policy, normalizer, config.run.seed)?
            }
        };
        let run = &config.run;
        Ok(Trainer::new(env, policy, config.ppo.clone(), run.timesteps, run.seed, self.device()?)?)
    }

    fn warm_start(&self, path: &Path, env: &BatchEnv) -> anyhow::Result<Policy> {
        let policy = ModelFile::load(&model_path(path))?.policy;
        policy.check_spec(env.spec())?;
        if policy.config().hidden != self.config.policy.hidden {
            let (theirs, ours) = (&policy.config().hidden, &self.config.policy.hidden);
            bail!("--load-model {}: its hidden layers are {theirs:?}, this run asks for {ours:?}", path.display());
        }
        Ok(policy.with_backend(self.config.policy.backend))
    }

    /// Continues from a checkpoint: the one named, or the newest good one of this model.
    fn resumed(&self, which: &Path, console: &mut Console) -> anyhow::Result<(Trainer<BatchEnv>, Option<Earlier>)> {
        let latest = which == Path::new("latest");
        let paths = if latest {
            self.paths.checkpoints()?.into_iter().map(|(_, path)| path).collect()
        } else {
            vec![which.to_owned()]
        };
        for path in &paths {
            match self.resume_from(path) {
                Ok((trainer, earlier)) => {
                    let steps = thousands(trainer.timesteps() as i64);
                    console.say(format!("Resumed from {} at step {steps}", path.display()))?;
                    return Ok((trainer, Some(earlier)));
                }
                Err(error) if latest => console.say(format!("Skipped a checkpoint: {error:#}"))?,
                Err(error) => return Err(error),
            }
        }
        bail!(
            "--resume: there is no good checkpoint of {} in {}",
            self.config.run.model_name,
            self.paths.checkpoints.display()
        )
    }

    fn resume_from(&self, path: &Path) -> anyhow::Result<(Trainer<BatchEnv>, Earlier)> {
        let checkpoint = Checkpoint::load(path)?;
        let mark = records::mark(&self.paths.run, checkpoint.timesteps())?;
        let mut trainer = Trainer::resume(checkpoint, self.env()?, self.device()?)?;
        trainer.set_total(self.config.run.timesteps);
        let steps = trainer.timesteps();
        Ok((trainer, Earlier { rows: Vec::new(), mark: Some(mark), steps }))
    }

    /// Opens the run folder, the log and the records: from here on files are written.
    fn open<'c>(
        &self,
        trainer: &Trainer<BatchEnv>,
        earlier: Option<Earlier>,
        console: &'c mut Console,
    ) -> anyhow::Result<Reporter<'c>> {
        let Paths { log, run, .. } = self.paths;
        let resumed = earlier.is_some();
        if !resumed {
            for aside in self.paths.set_earlier_aside()? {
                console.say(format!("The earlier run of this name is kept as {}", aside.display()))?;
            }
            fs::create_dir(run).with_context(|| format!("creating {}", run.display()))?;
        } else if log.exists() {
            cut_log(log, trainer.timesteps())?;
        }
        console.attach(log, resumed)?;
        ppo_agent::write_atomically(&run.join("config.toml"), self.config.to_toml()?.as_bytes())?;
        let mut earlier = earlier.unwrap_or_default();
        let records = if resumed {
            let (records, rows) = Records::resume(run, earlier.steps)?;
            earlier.rows = rows;
            records
        } else {
            Records::create(run)?
        };
        let events = EventWriter::create(run, resumed.then_some(earlier.steps + 1))?;
        Ok(Reporter::new(console, records, events, self.config.run.diagnostics_freq, earlier))
    }

    fn save_checkpoint(&self, trainer: &Trainer<BatchEnv>, reporter: &mut Reporter<'_>) -> anyhow::Result<()> {
        reporter.save_mark(trainer.timesteps())?;
        trainer.checkpoint().save(&self.paths.checkpoint(trainer.timesteps()))?;
        Ok(())
    }

    fn save_model(&self, trainer: &Trainer<BatchEnv>) -> anyhow::Result<()> {
        let meta = ModelMeta {
            data: self.inputs.stamp().to_owned(),
            timesteps: trainer.timesteps(),
            config: self.config.clone(),
            split: self.split.clone(),
        };
        let model = ModelFile { policy: trainer.policy().clone(), meta: serde_json::to_value(meta)? };
        model.save(&self.paths.model)?;
        Ok(())
    }

    fn manifest(&self, trainer: &Trainer<BatchEnv>) -> anyhow::Result<Value> {
        let dataset = self.inputs.manifest(Some(self.split))?;
        let run = &self.config.run;
        Ok(manifest::start(&run.model_name, run.seed, &trainer.engine(), self.inputs, &dataset))
    }

    /// A resumed run must see the bars of the run that it continues.
    fn check_same_data(&self, manifest: &Value) -> anyhow::Result<()> {
        let path = self.paths.run.join("manifest.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let earlier: Value = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        let hashes = |manifest: &Value| -> Vec<Value> {
            let files = manifest["dataset"]["files"].as_array().into_iter().flatten();
            files.map(|file| file["sha256"].clone()).collect()
        };
        let (then, now) = (&earlier["dataset"], &manifest["dataset"]);
        if then["dates"] != now["dates"] || hashes(&earlier) != hashes(manifest) {
            bail!("--resume: the bars are not those that the run was started with; {} lists them", path.display());
        }
        Ok(())
    }

    fn write_manifest(&self, manifest: &Value) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(manifest)? + "\n";
        Ok(ppo_agent::write_atomically(&self.paths.run.join("manifest.json"), text.as_bytes())?)
    }

    fn title(&self) -> String {
        let run = &self.config.run;
        let symbols = run.symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let synthetic = if self.inputs.dataset.synthetic { " - SYNTHETIC DATA" } else { "" };
        format!("{} on {symbols}, {}{synthetic}", run.model_name, self.split.train)
    }

    /// Replays the test dates with the trained policy and beside it two policies that know nothing.
    fn out_of_sample(&self, policy: &Policy, console: &mut Console) -> anyhow::Result<Value> {
        let behaviours = [
            ("sampled", Behaviour::Sampled),
            ("greedy", Behaviour::Greedy),
            ("always-HOLD", Behaviour::AlwaysHold),
            ("random-legal", Behaviour::RandomLegal),
        ];
        let days = self.inputs.market.days_in(&self.split.test);
        let config = self.config;
        let (mut rows, mut results) = (Vec::new(), serde_json::Map::new());
        for (name, behaviour) in behaviours {
            let played = replay(policy, &self.inputs.market, &days, &config.env, behaviour, config.run.seed)?;
            let figures = Figures::of(&played)?;
            rows.push(figures.cells(name));
            results.insert(name.to_lowercase().replace('-', "_"), serde_json::to_value(&figures)?);
        }
        let synthetic = if self.inputs.dataset.synthetic { " (SYNTHETIC DATA)" } else { "" };
        console.say(format!("\nOut of sample{synthetic}, {}:", self.split.test))?;
        console.say(columns(&Figures::HEADINGS, &rows))?;
        Ok(Value::Object(results))
    }
}

/// Writes a duration as people say it.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} seconds"),
        s if s < 7200.0 => format!("{:.1} minutes", s / 60.0),
        s => format!("{:.2} hours", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(59.94), "59.9 seconds");
        assert_eq!(duration(600.0), "10.0 minutes");
        assert_eq!(duration(4860.0 * 2.0), "2.70 hours");
    }
}
