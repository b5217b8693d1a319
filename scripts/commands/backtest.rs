//! `zerodte backtest`: replays sessions in order with a trained model and reports its earnings.

pub mod flags;
mod page;
pub mod report;

pub use flags::BacktestFlags;

use std::sync::Arc;

use market_data::{DataStamp, DateRange};
use market_env::{Market, Trade};
use ppo_agent::{Behaviour, Policy};
use statistics::Moments;

use crate::{
    artifacts::{
        paths::model_path,
        registry::{Kind, Registry, Row, identity::configuration_hash, looks_line},
        saved_model::{self, ModelMeta, count_dates_before, count_dates_in, ranges_text},
        trades::{self, TradeLog, TradesFormat},
    },
    commands::backtest::report::BacktestReport,
    config::{RunConfig, context::CommandContext},
    evaluation::{
        audit::{Audit, Claims, Terms},
        baselines::{Baselines, explain_staying_out, stays_out},
        cost_sensitivity::{self, CostSensitivity},
        performance::Performance,
        price_counts::PriceCounts,
        price_level::{PriceLevel, Replayed},
        replay::{ReplayResult, replay},
    },
    inputs::Inputs,
    output::{
        console::Console, exit_code::UsageError, output_file::OutputFile, synthetic::training_notice,
        wrap::wrap_for_screen,
    },
};

/// Runs a backtest and prints its report.
///
/// # Errors
/// A model, bars or a configuration that cannot be used, a file that cannot be written, or an audit with findings.
pub fn run(flags: &BacktestFlags, console: &mut Console) -> anyhow::Result<()> {
    if let Some(path) = &flags.output.trades {
        TradesFormat::of(path).map_err(|error| UsageError::one(format!("--trades: {error}")))?;
    }
    let (policy, meta) = saved_model::load(&flags.model)?;
    let resolved = CommandContext::open(&flags.config, console, |notes| {
        let config = flags.resolve(&meta.config, notes)?;
        notes.extend(saved_model::unsealed_note(&flags.model)?);
        notes.extend(meta.changed_inputs(&config)?);
        Ok(config)
    })?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    if flags.cost_sensitivity.is_some() {
        cost_sensitivity::check_spread(config.market.pricing.spread_multiplier)?;
    }
    let json = flags.output.report.json("Report")?;
    let trades = OutputFile::requested("Trades", flags.output.trades.as_ref())?;
    let page = OutputFile::requested("Page", flags.output.page.as_ref())?;
    let inputs = Inputs::load(&config)?;
    context.notes.extend(meta.changed_forecaster(inputs.forecaster_record()));
    let backtest = Backtest { flags, policy: &policy, meta: &meta, config: &config, inputs: &inputs };
    let report = backtest.report((trades.as_ref(), page.as_ref()), &mut context)?.signed()?;
    if let Some(file) = json {
        file.save_json(&report, context.console)?;
    }
    report.audit.map_or(Ok(()), |audit| audit.verdict())
}

/// Replays as a backtest with these flags does; returns its report, its trades and the stamp of its data.
///
/// # Errors
/// As for [`run`].
pub(crate) fn replayed(flags: &BacktestFlags) -> anyhow::Result<(BacktestReport, Vec<Trade>, DataStamp)> {
    let (policy, meta) = saved_model::load(&flags.model)?;
    let config = flags.resolve(&meta.config, &mut Vec::new())?;
    let inputs = Inputs::load(&config)?;
    let backtest = Backtest { flags, policy: &policy, meta: &meta, config: &config, inputs: &inputs };
    let played = backtest.play(&inputs.market, backtest.behaviour())?;
    Ok((backtest.summary(&played)?, played.trades, inputs.stamp()))
}

/// A model and the data of its replay.
struct Backtest<'a> {
    flags: &'a BacktestFlags,
    policy: &'a Policy,
    meta: &'a ModelMeta,
    config: &'a RunConfig,
    inputs: &'a Inputs,
}

impl Backtest<'_> {
    fn behaviour(&self) -> Behaviour {
        if self.flags.stochastic { Behaviour::Sampled } else { Behaviour::Greedy }
    }

    fn play(&self, market: &Arc<Market>, behaviour: Behaviour) -> anyhow::Result<ReplayResult> {
        let days: Vec<u32> = (0..market.days().len() as u32).collect();
        replay(self.policy, market, &days, &self.config.env, behaviour, self.config.run.seed)
    }

    /// Replays, prints everything that the flags request, and writes trades and page.
    fn report(
        &self,
        (file, page): (Option<&OutputFile>, Option<&OutputFile>),
        context: &mut CommandContext<'_>,
    ) -> anyhow::Result<BacktestReport> {
        let (flags, inputs) = (self.flags, self.inputs);
        let played = self.play(&inputs.market, self.behaviour())?;
        let mut report = self.summary(&played)?;
        context.say_notes()?;
        context.say_synthetic(inputs.dataset.synthetic)?;
        let console = &mut *context.console;
        console.say_all(self.heading(&report).into_iter().chain(report.figures.lines()))?;
        console.say(format!("{:<21}{}", "Option prices", report.prices.text()))?;
        console.say(format!("{:<21}{}", "Looks", self.record(&report)?))?;
        report.price_level = self.price_level(&played, report.dates)?;
        if let Some(level) = &report.price_level {
            console.say(format!("{:<21}net {} (sd {:.1} %)", "Price level", level.interval(), level.sd_pct))?;
            console.say_all(level.sentence().iter().flat_map(|text| wrap_for_screen(text)))?;
        }
        console.say_all(&report.staying_out)?;
        if let Some(multiples) = &flags.cost_sensitivity {
            let costs = CostSensitivity::of(multiples, |multiple| self.play_at(multiple, &played))?;
            console.say_all(costs.lines())?;
            report.cost_sensitivity = Some(costs);
        }
        if let Some(file) = file {
            file.save(trades::encode(file.path(), &played.trades, inputs.stamp())?, console)?;
        }
        if flags.audit {
            let audit = self.audit(&played, &report)?;
            console.say_all(audit.lines())?;
            report.audit = Some(audit);
        }
        if let Some(page) = page {
            page.save(self.page(&played, &report)?.html()?, console)?;
        }
        Ok(report)
    }

    fn summary(&self, played: &ReplayResult) -> anyhow::Result<BacktestReport> {
        let (inputs, run, meta) = (self.inputs, &self.config.run, self.meta);
        let dates = &inputs.dataset.dates;
        let (Some(&first), Some(&last)) = (dates.first(), dates.last()) else {
            anyhow::bail!("there is no session to replay")
        };
        Ok(BacktestReport {
            model: self.flags.model.display().to_string(),
            data: inputs.stamp(),
            configuration: self.configuration()?,
            training_seed: meta.config.run.seed,
            behaviour: if self.flags.stochastic { "sampled" } else { "greedy" },
            seed: run.seed,
            symbols: run.symbols.iter().map(ToString::to_string).collect(),
            dates: DateRange { first, last },
            trained_on: meta.trained_on.clone(),
            in_sample_dates: count_dates_in(dates.iter().copied(), &meta.trained_on),
            dates_before_training: count_dates_before(dates.iter().copied(), &meta.trained_on),
            prices: PriceCounts::of(&played.trades),
            capital_usd: self.config.env.account.capital,
            figures: Performance::of(played)?,
            staying_out: stays_out(&played.ledger).then(|| self.staying_out(played)).transpose()?,
            daily_pnl_usd: played.daily_pnl().into_iter().map(|(date, pnl)| (date.to_string(), pnl)).collect(),
            real_options: inputs.market.real_options().cloned(),
            price_level: None,
            cost_sensitivity: None,
            trades_sha256: trades::sha256(&played.trades, inputs.stamp()),
            audit: None,
            sha256: None,
        })
    }

    /// Returns the hash of the settings that matter: those of the replay, with the training's dates.
    fn configuration(&self) -> anyhow::Result<String> {
        let mut config = self.config.clone();
        let trained = &self.meta.config.run;
        (config.run.start_date, config.run.end_date) = (trained.start_date, trained.end_date);
        config.run.intraday_days = trained.intraday_days;
        configuration_hash(&config)
    }

    /// Records the look in the registry beside the model, and returns how many configurations have looked at these dates; a
    /// note where it cannot be recorded.
    fn record(&self, report: &BacktestReport) -> anyhow::Result<String> {
        let registry = Registry::of_model(&model_path(&self.flags.model));
        let daily: Vec<f64> = report.daily_pnl_usd.values().copied().collect();
        let name = report.model.as_str();
        let row = Row::new(Kind::Backtest, name, &report.configuration, report.data);
        let recorded = registry.append(Row {
            seed: Some(report.training_seed),
            looked_at: Some(report.dates),
            sharpe_per_date: Moments::of(&daily).map(|moments| moments.sharpe()),
            dates: Some(daily.len()),
            ..row
        });
        if let Err(error) = recorded {
            return Ok(format!("Note: this look was not recorded: {error:#}"));
        }
        let others = registry.read()?.lookers(report.dates, report.data).len().saturating_sub(1);
        Ok(looks_line("these dates", others))
    }

    /// Replays at other levels of the modelled prices.
    fn price_level(&self, played: &ReplayResult, dates: DateRange) -> anyhow::Result<Option<PriceLevel>> {
        let Self { policy, config, inputs, .. } = *self;
        let replayed = Replayed { policy, inputs, market: &config.market, env: &config.env, seed: config.run.seed };
        Ok(replayed.price_levels(&dates, &[(self.behaviour(), played)])?.remove(0))
    }

    /// Explains a policy that almost never buys.
    fn staying_out(&self, played: &ReplayResult) -> anyhow::Result<String> {
        let (market, config) = (&self.inputs.market, self.config);
        let days: Vec<u32> = (0..market.days().len() as u32).collect();
        let baselines = Baselines::measure(market, &days, &config.env, config.run.seed)?;
        Ok(explain_staying_out(&played.ledger, &baselines.opportunity()))
    }

    /// Replays with every spread at a multiple of the configuration's; the multiple 1 reuses `played`.
    fn play_at(&self, multiple: f64, played: &ReplayResult) -> anyhow::Result<(Arc<Market>, ReplayResult)> {
        if multiple == 1.0 {
            return Ok((Arc::clone(&self.inputs.market), played.clone()));
        }
        let mut config = self.config.market.clone();
        config.pricing.spread_multiplier *= multiple;
        let market = self.inputs.market_under(&config)?;
        let played = self.play(&market, self.behaviour())?;
        Ok((market, played))
    }

    /// Audits the file of trades if one was written, otherwise the trades in memory.
    fn audit(&self, played: &ReplayResult, report: &BacktestReport) -> anyhow::Result<Audit> {
        let days = self.inputs.market.days();
        let claims = Claims::of_report(report.clone().signed()?.value()?)?
            .with_sessions(played, |day| days[day as usize].symbol.to_string());
        let log = match &self.flags.output.trades {
            Some(path) => trades::read(path)?,
            None => TradeLog::of(played.trades.clone(), self.inputs.stamp()),
        };
        Ok(Audit::of(&log, &Terms::of(self.config), Some(&claims)))
    }

    fn heading(&self, report: &BacktestReport) -> Vec<String> {
        let (meta, inputs) = (self.meta, self.inputs);
        let mut lines: Vec<String> = training_notice("The model", meta.data).into_iter().collect();
        lines.push(format!(
            "Backtest of {} ({}) on {}: {}",
            report.model,
            report.behaviour,
            report.symbols.join(", "),
            report.dates
        ));
        lines.extend(inputs.lines());
        lines.extend(inputs.pricing_line(&self.config.market.pricing, &report.dates));
        let trained_on = ranges_text(&report.trained_on);
        lines.push(report.sample_line(inputs.dataset.dates.len(), &trained_on));
        lines
    }
}
