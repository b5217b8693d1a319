//! `zerodte audit-reward`: tests whether a shaped reward pays policies without information for losing money.
//!
//! Such a policy can earn only by luck, so a reward that ranks it above doing nothing teaches the agent to trade for
//! the shaping alone. The audited weights are those at the start of a training, when shaping is strongest.

mod flags;
mod report;

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use market_data::{DateRange, source::synthetic::SyntheticConfig};
use market_env::RewardConfig;
use serde::Serialize;

use crate::{
    config::{DataSource, RunConfig, context::CommandContext},
    evaluation::baselines::Baselines,
    inputs::Inputs,
    output::{console::Console, table::percent},
};

pub use self::{
    flags::AuditRewardFlags,
    report::{PayingTerm, Probe, RewardAudit},
};

/// Report written by `zerodte audit-reward --json`.
#[derive(Debug, Clone, Serialize)]
pub struct AuditReport {
    /// The audited weights.
    pub reward: RewardConfig,
    /// One entry per data set: made-up bars without drift, then real ones, if given.
    pub audits: Vec<RewardAudit>,
    /// Verdict as a sentence.
    pub verdict: String,
}

/// Audits the reward of a configuration and prints the verdict.
///
/// # Errors
/// Bars or a configuration that cannot be used, a file that cannot be written, or a policy that is rewarded for losing
/// money.
pub fn run(flags: &AuditRewardFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.config, console, |notes| flags.resolve(notes))?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    let json = flags.output.json("Audit")?;
    context.say_notes()?;
    let console = context.console;
    console.say_all(weights_lines(&config.env.reward))?;
    let configs = [Some(made_up(&config)), flags.has_bars().then_some(config.clone())].into_iter().flatten();
    // All bars are loaded before the first policy, so that their faults are reported at once.
    let sets = configs.map(|config| Ok((Inputs::load(&config)?, config))).collect::<anyhow::Result<Vec<_>>>()?;
    let mut audits = Vec::new();
    for (inputs, config) in &sets {
        let audit = audit(inputs, config)?;
        console.say_all(audit.lines())?;
        audits.push(audit);
    }
    let flagged: BTreeSet<String> = audits.iter().flat_map(RewardAudit::flagged).map(Probe::name).collect();
    let report = AuditReport { reward: config.env.reward.clone(), verdict: verdict(&audits), audits };
    console.say(format!("\n{}", report.verdict))?;
    if let Some(file) = json {
        file.save_json(&report, console)?;
    }
    ensure!(
        flagged.is_empty(),
        "the reward pays policies without information for losing money: {} of them",
        flagged.len()
    );
    Ok(())
}

/// Plays the policies on bars, under the rules and the reward of a configuration.
///
/// # Errors
/// Bars without a session, or a configuration that does not fit them.
pub fn audit(inputs: &Inputs, config: &RunConfig) -> anyhow::Result<RewardAudit> {
    let market = &inputs.market;
    let days: Vec<u32> = (0..market.days().len() as u32).collect();
    let baselines = Baselines::measure(market, &days, &config.env, config.run.seed)?;
    let dates = &inputs.dataset.dates;
    let (first, last) = dates.first().copied().zip(dates.last().copied()).context("there is no session to replay")?;
    Ok(RewardAudit::of(&baselines, inputs.stamp(), &config.run.symbols, DateRange { first, last }))
}

/// Returns the same configuration on made-up bars without an edge.
pub fn made_up(config: &RunConfig) -> RunConfig {
    let mut config = config.clone();
    let run = &mut config.run;
    (run.data_source, run.options) = (DataSource::Synthetic, None);
    (run.start_date, run.end_date, run.intraday_days) = (None, None, 0);
    // Columns of the user belong to other bars, and the scripted policies do not read them.
    (config.data.own_columns, config.data.column_files) = (Vec::new(), Vec::new());
    (config.market.cross, config.market.option_columns) = (Vec::new(), Vec::new());
    config.data.synthetic = SyntheticConfig { planted_edge: 0.0, edge_visibility: 0.0, ..config.data.synthetic };
    config
}

fn weights_lines(reward: &RewardConfig) -> Vec<String> {
    let mut lines = vec![format!("Reward: {reward}")];
    if reward.shaping_final < 1.0 {
        let left = percent(Some(f64::from(reward.shaping_final)));
        lines.push(format!("Shaping fades to {left} by the end of a training; the audit uses its start"));
    }
    lines
}

fn verdict(audits: &[RewardAudit]) -> String {
    let found: Vec<String> = audits
        .iter()
        .filter(|audit| audit.flagged().next().is_some())
        .map(|audit| format!("{} of {} on {}", audit.flagged().count(), audit.traders(), audit.name))
        .collect();
    if found.is_empty() {
        return "SOUND: no policy without information has more reward than always-HOLD for losing money".to_owned();
    }
    format!(
        "HACKABLE: policies without information have more reward than always-HOLD for losing money: {}",
        found.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_bars_hold_nothing_to_know_whatever_the_profile_says() {
        let mut config = RunConfig::default();
        (config.run.options, config.run.start_date) = (Some("o".into()), Some(jiff::civil::date(2025, 1, 2)));
        (config.data.synthetic.planted_edge, config.data.synthetic.seed) = (0.5, 9);
        let made_up = made_up(&config);
        assert_eq!(made_up.check(), Vec::<String>::new());
        assert_eq!((made_up.run.data_source, made_up.run.window().from), (DataSource::Synthetic, None));
        assert_eq!((made_up.data.synthetic.planted_edge, made_up.data.synthetic.seed), (0.0, 9));
        assert_eq!(made_up.env, config.env);
    }
}
