//! Notes at the start of a training: settings that have no effect under the others, and requests that are not met to the letter.

use jiff::civil::Date;
use market_data::calendar;
use market_env::{AtTheBell, ExitMode, Settlement, StrikeRule};
use ppo_agent::{EntropySchedule, PolicyKind, health::OnCollapse};

use crate::{
    config::{DataSource, RunConfig, layers::differences},
    output::table::{counted, thousands},
};

/// Settings without effect while a condition holds.
struct Idle {
    /// Key, or first part of the keys.
    key: &'static str,
    /// Reason, as a clause.
    because: &'static str,
    /// The condition.
    holds: fn(&RunConfig) -> bool,
}

const BY_AGENT: (&str, fn(&RunConfig) -> bool) =
    ("env.exits.mode is agent", |config| config.env.exits.mode == ExitMode::Agent);
const NOT_AUTO: (&str, fn(&RunConfig) -> bool) =
    ("ppo.ent_schedule is not auto", |config| config.ppo.ent_schedule != EntropySchedule::Auto);
const NO_MEMORY: (&str, fn(&RunConfig) -> bool) =
    ("policy.kind is mlp", |config| config.policy.kind == PolicyKind::Mlp);
const NO_FILES: (&str, fn(&RunConfig) -> bool) =
    ("run.data_source is not files", |config| config.run.data_source != DataSource::Files);
const SYNTHETIC: (&str, fn(&RunConfig) -> bool) = ("the bars are made up", is_synthetic);
const NO_OPTIONS: (&str, fn(&RunConfig) -> bool) =
    ("no real options are replayed (run.options)", |config| config.run.options.is_none());

/// Every setting that others can make idle.
const IDLE: [Idle; 36] = [
    idle("env.exits.take_profit", BY_AGENT),
    idle("env.exits.trail_from", BY_AGENT),
    idle("env.exits.trail_drop", BY_AGENT),
    idle("env.exits.trail_sell", BY_AGENT),
    idle("env.exits.max_minutes", BY_AGENT),
    idle("env.guards.cooldown_after_trail", BY_AGENT),
    idle("env.exits.at_the_bell", ("no symbol is settled in cash", |config| !settles(config))),
    idle(
        "env.guards.no_entry_before_close",
        ("env.exits.flat_before_close ends entries earlier", |config| {
            let (exits, guards) = (&config.env.exits, &config.env.guards);
            exits.at_the_bell == AtTheBell::Flat && guards.no_entry_before_close <= exits.flat_before_close
        }),
    ),
    idle("env.reward.shaping_final", ("no shaping term has a weight", |config| !shapes(config))),
    idle(
        "ppo.ent_coef_final",
        ("ppo.ent_schedule is not linear", |config| config.ppo.ent_schedule != EntropySchedule::Linear),
    ),
    idle("ppo.ent_target", NOT_AUTO),
    idle("ppo.ent_coef_min", NOT_AUTO),
    idle("ppo.ent_coef_max", NOT_AUTO),
    idle("ppo.ent_rate", NOT_AUTO),
    idle("ppo.sequence_length", NO_MEMORY),
    idle("policy.recurrent_size", NO_MEMORY),
    idle(
        "market.strike.delta",
        ("market.strike.rule is not delta", |config| config.market.strike.rule != StrikeRule::Delta),
    ),
    idle(
        "market.strike.offset",
        ("market.strike.rule is not offset", |config| config.market.strike.rule != StrikeRule::Offset),
    ),
    idle("market.surface.", NO_OPTIONS),
    idle("data.options_stamp", NO_OPTIONS),
    idle("market.listed_only", SYNTHETIC),
    idle("run.data_dir", SYNTHETIC),
    idle("data.synthetic.", ("run.data_source is not synthetic", |config| !is_synthetic(config))),
    idle("data.massive.", ("run.data_source is not massive", |config| !config.run.data_source.is("massive"))),
    idle("data.alpaca.", ("run.data_source is not alpaca", |config| !config.run.data_source.is("alpaca"))),
    idle("data.yahoo.", ("run.data_source is not yahoo", |config| !config.run.data_source.is("yahoo"))),
    idle("data.bar_stamp", NO_FILES),
    idle("data.timestamp_zone", NO_FILES),
    idle("data.columns.", NO_FILES),
    idle("data.allow_suspicious", NO_FILES),
    idle(
        "health.patience",
        ("health.on_collapse is not adapt", |config| config.health.on_collapse != OnCollapse::Adapt),
    ),
    idle("health.on_collapse", ("run.replay_moves makes every change", |config| config.run.replay_moves.is_some())),
    idle("run.forecaster_transfer", ("run.load_model gives the parameters", |config| config.run.load_model.is_some())),
    idle("ppo.clip_range_vf", ("ppo.vf_coef is 0", |config| config.ppo.vf_coef == 0.0)),
    idle("ppo.target_kl", ("ppo.n_epochs is 1: there is no later pass", |config| config.ppo.n_epochs == 1)),
    idle("forecast.", ("zerodte forecast train reads it", |_| true)),
];

const fn idle(key: &'static str, (because, holds): (&'static str, fn(&RunConfig) -> bool)) -> Idle {
    Idle { key, because, holds }
}

fn is_synthetic(config: &RunConfig) -> bool {
    config.run.data_source == DataSource::Synthetic
}

/// Returns whether a contract of the run is settled in cash; a symbol without a known contract is refused later.
fn settles(config: &RunConfig) -> bool {
    let mut contracts = config.run.symbols.iter().map(|symbol| config.market.contract(symbol));
    contracts.any(|contract| contract.is_ok_and(|contract| contract.settlement == Settlement::Cash))
}

/// Returns the weights of a reward, money first.
fn weights(config: &RunConfig) -> Vec<f32> {
    let reward = &config.env.reward;
    let bonuses = [reward.good_buy_call, reward.good_buy_put];
    let flat = [reward.pnl_scale, bonuses[0], bonuses[1], reward.missed_opportunity, reward.hold_tax, reward.bad_chase];
    flat.into_iter().chain(reward.own().map(|(_, weight)| weight)).collect()
}

fn shapes(config: &RunConfig) -> bool {
    weights(config)[1..].iter().any(|&weight| weight != 0.0)
}

/// Returns a sentence for every setting without effect, and for every request that a training with these session dates does not
/// meet to the letter. `config` is as asked for, before dates were filled in.
///
/// # Errors
/// When the configuration cannot be written as TOML.
pub(super) fn notes(config: &RunConfig, dates: &[Date]) -> anyhow::Result<Vec<String>> {
    let reward = weights(config).iter().all(|&weight| weight == 0.0);
    let reward = reward.then(|| "env.reward: every weight is 0, so that there is nothing to learn".to_owned());
    let idle = idle_settings(config)?;
    Ok(reward.into_iter().chain(idle).chain(dates_beyond(config, dates)).chain(rounded(config)).collect())
}

/// Returns the settings that differ from the defaults and have no effect.
fn idle_settings(config: &RunConfig) -> anyhow::Result<Vec<String>> {
    let changed = differences(&RunConfig::default(), config)?;
    let note = |key: &str| {
        let applies = |idle: &&Idle| key == idle.key || (idle.key.ends_with('.') && key.starts_with(idle.key));
        let idle = IDLE.iter().find(|idle| applies(idle) && (idle.holds)(config))?;
        Some(format!("{key} has no effect: {}", idle.because))
    };
    Ok(changed.iter().filter_map(|found| note(&found.key)).collect())
}

/// Returns the dates asked for that lie beyond the bars. Sessions that warm up the indicators are not counted.
fn dates_beyond(config: &RunConfig, dates: &[Date]) -> Vec<String> {
    let (run, Some((&first, &last))) = (&config.run, dates.first().zip(dates.last())) else { return Vec::new() };
    let count = |from: Date, to: Date| calendar::sessions(from, to).len();
    let before = run.start_date.filter(|&start| start < first && run.intraday_days == 0).and_then(|start| {
        let missing = count(start, first.yesterday().ok()?).checked_sub(config.data.warmup_sessions + 1)? + 1;
        Some(format!("run.start_date {start}: the bars begin {} later, on {first}", counted(missing, "session")))
    });
    let after = run.end_date.filter(|&end| end > last).and_then(|end| {
        let missing = Some(count(last.tomorrow().ok()?, end)).filter(|&missing| missing > 0)?;
        Some(format!("run.end_date {end}: the bars end {} earlier, on {last}", counted(missing, "session")))
    });
    before.into_iter().chain(after).collect()
}

/// Returns the numbers that whole iterations and minibatches change.
fn rounded(config: &RunConfig) -> Vec<String> {
    let (rollout, steps) = (config.ppo.rollout_size() as u64, config.run.timesteps);
    let whole = |number: u64| thousands(number as i64);
    let total = steps.div_ceil(rollout) * rollout;
    let steps = (total != steps).then(|| {
        let (steps, total, rollout) = (whole(steps), whole(total), whole(rollout));
        format!("run.timesteps {steps} become {total}: whole iterations of {rollout} steps")
    });
    let (batch, last) = (config.ppo.batch_size as u64, rollout % config.ppo.batch_size as u64);
    let batch = (last > 0).then(|| {
        format!("ppo.batch_size {}: the last minibatch of every pass has {} samples", whole(batch), whole(last))
    });
    steps.into_iter().chain(batch).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::config::layers::{Layer, resolve};

    fn config(set: &[&str]) -> RunConfig {
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        resolve(&RunConfig::default(), &[Layer::assignments(&set).unwrap()], |_| Vec::new()).unwrap()
    }

    /// An assignment that has no effect alone, and one beside which it has.
    const CASES: [(&str, &str); 23] = [
        ("env.exits.take_profit=[]", "env.exits.mode=rules"),
        ("env.exits.trail_from=0.5", "env.exits.mode=rules"),
        ("env.exits.trail_drop=0.5", "env.exits.mode=rules"),
        ("env.exits.trail_sell=0.5", "env.exits.mode=rules"),
        ("env.exits.max_minutes=30", "env.exits.mode=rules"),
        ("env.guards.cooldown_after_trail=5", "env.exits.mode=rules"),
        ("env.exits.at_the_bell=settle", "run.symbols=[\"SPX\"]"),
        ("env.guards.no_entry_before_close=4", "env.exits.flat_before_close=2"),
        ("ppo.ent_coef_final=0.01", "ppo.ent_schedule=linear"),
        ("ppo.ent_target=0.5", "ppo.ent_schedule=auto"),
        ("ppo.ent_coef_min=0.001", "ppo.ent_schedule=auto"),
        ("ppo.ent_coef_max=0.3", "ppo.ent_schedule=auto"),
        ("ppo.ent_rate=0.1", "ppo.ent_schedule=auto"),
        ("ppo.sequence_length=8", "policy.kind=lstm"),
        ("policy.recurrent_size=32", "policy.kind=gru"),
        ("market.strike.delta=0.2", "market.strike.rule=delta"),
        ("market.strike.offset=1.0", "market.strike.rule=offset"),
        ("data.options_stamp=instant", "run.options=options"),
        ("data.synthetic.seed=5", "run.data_source=synthetic"),
        ("data.massive.calls_per_minute=6", "run.data_source=massive"),
        ("data.alpaca.calls_per_minute=6", "run.data_source=alpaca"),
        ("data.yahoo.calls_per_minute=6", "run.data_source=yahoo"),
        ("health.patience=2", "health.on_collapse=adapt"),
    ];

    #[test]
    fn settings_without_effect_are_named_and_others_are_not() {
        let named = |set: &[&str]| idle_settings(&config(set)).unwrap();
        assert_eq!(named(&[]), Vec::<String>::new());
        for (assignment, awake) in CASES {
            let key = assignment.split_once('=').unwrap().0;
            let found = named(&[assignment]);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("{key} has no effect: ")),
                "{assignment}: {found:?}"
            );
            let found = named(&[assignment, awake]);
            assert!(found.iter().all(|note| !note.starts_with(key)), "{assignment} {awake}: {found:?}");
        }
    }

    #[test]
    fn settings_that_another_one_puts_to_sleep_are_named_with_it_alone() {
        let silent: [&str; 5] = [
            "env.reward.good_buy_call=0.0",
            "env.reward.good_buy_put=0.0",
            "env.reward.missed_opportunity=0.0",
            "env.reward.hold_tax=0.0",
            "env.reward.bad_chase=0.0",
        ];
        let cases: [(&str, &[&str]); 9] = [
            ("market.listed_only=false", &["run.data_source=synthetic"]),
            ("run.data_dir=elsewhere", &["run.data_source=synthetic"]),
            ("data.bar_stamp=end", &["run.data_source=yahoo"]),
            ("data.allow_suspicious=true", &["run.data_source=synthetic"]),
            ("health.on_collapse=stop", &["run.replay_moves=moves.jsonl"]),
            ("run.forecaster_transfer=true", &["run.load_model=m"]),
            ("ppo.clip_range_vf=0.2", &["ppo.vf_coef=0.0"]),
            ("ppo.target_kl=0.02", &["ppo.n_epochs=1"]),
            ("env.reward.shaping_final=0.5", &silent),
        ];
        for (assignment, sleep) in cases {
            let key = assignment.split_once('=').unwrap().0;
            let names = |set: &[&str]| idle_settings(&config(set)).unwrap().iter().any(|note| note.starts_with(key));
            assert!(!names(&[assignment]) && names(&[&[assignment], sleep].concat()), "{assignment}");
        }
        assert_eq!(idle_settings(&config(&["forecast.hidden_size=17"])).unwrap().len(), 1);
    }

    #[test]
    fn requests_beyond_bars_iterations_and_minibatches_are_named() {
        let dates = [date(2024, 3, 4), date(2024, 6, 28)];
        let of = |set: &[&str]| notes(&config(&[&["run.timesteps=40960"], set].concat()), &dates).unwrap();
        assert_eq!(of(&[]), Vec::<String>::new());
        let cases: [(&[&str], &str); 6] = [
            (
                &["run.start_date=2024-02-26", "run.intraday_days=0"],
                "run.start_date 2024-02-26: the bars begin 4 sessions later, on 2024-03-04",
            ),
            (&["run.end_date=2024-07-01"], "run.end_date 2024-07-01: the bars end 1 session earlier, on 2024-06-28"),
            (&["run.timesteps=100000"], "run.timesteps 100,000 become 102,400: whole iterations of 4,096 steps"),
            (&["ppo.batch_size=100"], "ppo.batch_size 100: the last minibatch of every pass has 96 samples"),
            (&["env.exits.max_minutes=30"], "env.exits.max_minutes has no effect: env.exits.mode is agent"),
            (
                &[
                    "env.reward.pnl_scale=0.0",
                    "env.reward.good_buy_call=0.0",
                    "env.reward.good_buy_put=0.0",
                    "env.reward.missed_opportunity=0.0",
                    "env.reward.bad_chase=0.0",
                ],
                "env.reward: every weight is 0, so that there is nothing to learn",
            ),
        ];
        for (set, expected) in cases {
            assert_eq!(of(set), [expected], "{set:?}");
        }
        for near in ["run.start_date=2024-03-01", "run.end_date=2024-06-30"] {
            assert_eq!(of(&[near, "run.intraday_days=0"]), Vec::<String>::new(), "{near}: warm-up, and a weekend");
        }
    }
}
