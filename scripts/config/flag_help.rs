//! Help of flags that set a configuration key, taken from the key's description.
//!
//! The doc comment of such a flag names the key alone: ``Sets `ppo.gamma`.`` The help is then the first sentence of the
//! key's description, and its default. Text after the key's name is kept, such as
//! ``Sets `run.symbols` [default: the model's]``, if another default applies.

use std::sync::LazyLock;

use clap::{Arg, ArgAction, Command, Parser};
use toml::{Table, Value};

use crate::config::{RunConfig, schema::Key};

/// Beginning of the help of a flag that sets a key.
const MARK: &str = "Sets `";

/// The default configuration, for the defaults in the help.
static DEFAULTS: LazyLock<Table> = LazyLock::new(|| {
    // Through text, which has the short digits of single precision.
    RunConfig::default().to_toml().ok().and_then(|text| text.parse().ok()).unwrap_or_default()
});

/// Parses the command line; exits with clap's message for an invalid line or a request for help.
pub fn parse<T: Parser>() -> T {
    let matches = describe(T::command()).get_matches();
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Replaces the help of flags that set a key by the help of that key, in a command and its subcommands.
pub fn describe(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| command.mut_subcommand(name, describe));
    command.mut_args(|arg| match help_of(&arg) {
        Some(help) => arg.help(help),
        None => arg,
    })
}

fn help_of(arg: &Arg) -> Option<String> {
    let written = arg.get_help()?.to_string();
    let (path, rest) = key_of(&written)?;
    let key = Key::find(path.split('.'))?;
    let mut help = key.summary().replace('`', "") + rest;
    if !rest.contains("[default: ")
        && !matches!(arg.get_action(), ArgAction::SetTrue)
        && let Some(default) = default_of(path)
    {
        help += &format!(" [default: {default}]");
    }
    let choices: Vec<&str> = key.choices().into_iter().map(|(name, _)| name).collect();
    if !choices.is_empty() {
        help += &format!(" [possible values: {}]", choices.join(", "));
    }
    Some(help)
}

/// Returns the key that a help text names, and the text after it.
fn key_of(help: &str) -> Option<(&str, &str)> {
    help.strip_prefix(MARK)?.split_once('`')
}

/// Returns the default of a key in the form of a flag's value; `None` if the key has none.
fn default_of(path: &str) -> Option<String> {
    let (section, name) = path.rsplit_once('.')?;
    let section = section.split('.').try_fold(&*DEFAULTS, |table, part| table.get(part)?.as_table())?;
    Some(plain(section.get(name)?))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Args;

    use super::*;
    use crate::config::layers::differences;

    /// Asserts that every flag whose help names a key sets that key. `resolve` reads a command line without its
    /// command.
    pub(crate) fn assert_flags_set_their_keys(command: &Command, resolve: impl Fn(&[String]) -> RunConfig) {
        let mut named = 0;
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let Some((path, _)) = key_of(&help) else { continue };
            assert!(Key::find(path.split('.')).is_some(), "{} names {path}, which is no key", arg.get_id());
            let mut line = vec![format!("--{}", arg.get_long().unwrap())];
            match arg.get_action() {
                ArgAction::SetTrue => line.extend(["--forecaster".to_owned(), "model".to_owned()]),
                _ => line.push(other_value(path)),
            }
            let changed = differences(&resolve(&[]), &resolve(&line)).unwrap();
            let of_key = |key: &str| key == path || key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
            assert!(changed.iter().any(|change| of_key(&change.key)), "{line:?} leaves {path} as it was");
            named += 1;
        }
        assert!(named > 5, "only {named} flags name a key");
    }

    /// Returns a value other than the key's default, in the form of a flag's value.
    fn other_value(path: &str) -> String {
        let default = default_of(path);
        let choices = Key::find(path.split('.')).unwrap().choices();
        if let Some((name, _)) = choices.iter().rev().find(|(name, _)| Some(*name) != default.as_deref()) {
            return (*name).to_owned();
        }
        match (path, default.as_deref()) {
            ("run.start_date" | "run.end_date" | "data.split.train_end", _) => "2025-01-02".to_owned(),
            ("run.device", _) => "cpu".to_owned(),
            ("data.columns", _) => "Datetime=timestamp".to_owned(),
            ("data.timestamp_zone", _) => "UTC".to_owned(),
            ("run.symbols", _) => "IWM".to_owned(),
            ("forecast.horizons", _) => "10".to_owned(),
            ("forecast.loss.huber_delta" | "forecast.output_init" | "ppo.target_kl", _) => "0.02".to_owned(),
            ("env.reward.shaping_final", _) => "0.5".to_owned(),
            (_, Some("true")) => "false".to_owned(),
            (_, Some("false")) => "true".to_owned(),
            (_, Some(number)) if number.parse::<u64>().is_ok() => {
                (2 * number.parse::<u64>().unwrap()).max(1).to_string()
            }
            (_, Some(number)) if number.parse::<f64>().is_ok() => (0.5 * number.parse::<f64>().unwrap()).to_string(),
            ("policy.net_arch", _) => "8,8".to_owned(),
            _ => "other".to_owned(),
        }
    }

    #[derive(Debug, Parser)]
    struct Toy {
        #[command(flatten)]
        flags: ToyFlags,
    }

    #[derive(Debug, Args)]
    struct ToyFlags {
        /// Sets `ppo.gamma`.
        #[arg(long)]
        gamma: Option<f64>,
        /// Sets `policy.kind` [default: the model's]
        #[arg(long)]
        policy: Option<String>,
        /// Sets `run.start_date`; lifts the limit of days
        #[arg(long)]
        start_date: Option<String>,
        /// Prints
        #[arg(long)]
        print: bool,
    }

    #[test]
    fn the_help_of_a_flag_is_that_of_its_key() {
        let command = describe(<Toy as clap::CommandFactory>::command());
        let help = |name: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == name).unwrap();
            arg.get_help().unwrap().to_string()
        };
        assert_eq!(help("gamma"), "Discount per decision, 0 to 1 [default: 0.92]");
        assert_eq!(help("policy"), "Memory of the policy [default: the model's] [possible values: mlp, lstm, gru]");
        assert_eq!(help("start_date"), "First session date, YYYY-MM-DD; lifts the limit of days");
        assert_eq!(help("print"), "Prints");
        assert_eq!(default_of("env.reward.good_buy_call").unwrap(), "0.03");
        assert_eq!(default_of("run.symbols").unwrap(), "SPY,QQQ");
    }
}
