//! Comments above the keys of a configuration that is written as TOML.

use toml::{Table, Value};

use crate::{config::schema::Key, output::wrap::wrap};

/// Maximum length of a comment line, in characters.
const WIDTH: usize = 110;
/// Directive that points editors to the schema in the same folder.
pub const SCHEMA_DIRECTIVE: &str = "#:schema ./schema.json";

/// Puts the description above every key of a configuration that was written as TOML, and describes the optional keys
/// that have no value at the end of their section.
pub fn annotate(toml: &str) -> String {
    let tables: Vec<Vec<String>> = toml.lines().filter(|line| line.starts_with('[')).map(path_of).collect();
    let (mut section, mut given, mut out) = (Vec::new(), Vec::new(), String::new());
    for line in toml.lines().chain([""]) {
        if line.is_empty() && !given.is_empty() {
            let maps = tables.iter().filter_map(|table| table.strip_prefix(section.as_slice())?.first());
            given.extend(maps.map(String::as_str));
            out += &optional_keys(&section, &given);
            given.clear();
        } else if line.starts_with('[') {
            section = path_of(line);
        } else if let Some((name, _)) = line.split_once(" = ")
            && let Some(key) = find(&section, name)
        {
            out += &comment(key);
            given.push(name);
        }
        out += line;
        out.push('\n');
    }
    // The empty line that ended the last section.
    out.truncate(out.len() - 1);
    out
}

fn find(section: &[String], name: &str) -> Option<Key> {
    Key::find(section.iter().map(String::as_str).chain([name]))
}

/// Returns the comments on the optional keys that a section lacks.
fn optional_keys(section: &[String], given: &[&str]) -> String {
    let names = Key::find(section.iter().map(String::as_str)).map(Key::values).unwrap_or_default();
    let absent = names.into_iter().filter(|name| !given.contains(name));
    let described = absent.filter_map(|name| Some((name, find(section, name)?.description())));
    described.map(|(name, text)| wrapped(&format!("Optional {name}: {text}"), "# ", "# ")).collect()
}

/// Returns the parts of a section's path, `[a.b]` or `[[a.b]]`, without the quotes around them.
fn path_of(header: &str) -> Vec<String> {
    let header = header.trim_matches(['[', ']']);
    let mut tables = format!("[{header}]").parse::<Table>().unwrap_or_default();
    let mut parts = Vec::new();
    while let Some((name, inner)) = tables.into_iter().next() {
        parts.push(name);
        tables = if let Value::Table(inner) = inner { inner } else { Table::new() };
    }
    parts
}

/// Returns the lines above a key: its description, then its choices, one a line.
fn comment(key: Key) -> String {
    let choices = key.choices();
    let choices = choices.iter().map(|(name, summary)| wrapped(&format!("{name}: {summary}"), "#   ", "#     "));
    wrapped(key.description(), "# ", "# ") + &choices.collect::<String>()
}

/// Breaks a text into lines of at most [`WIDTH`] characters, the first after `first` and the others after `rest`.
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let lines = wrap(text, first, rest, |line| line.chars().count() <= WIDTH);
    lines.into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;
    use crate::config::RunConfig;

    /// Maximum number of lines of a description, without its choices.
    const MOST_LINES: usize = 3;

    /// Returns the defaults with a value for every optional key.
    fn complete() -> RunConfig {
        let mut config = RunConfig::default();
        (config.run.start_date, config.run.end_date) = (Some(Date::MIN), Some(Date::MAX));
        (config.run.load_model, config.run.options) = (Some("m".into()), Some("o".into()));
        (config.run.replay_moves, config.run.forecaster) = (Some("r".into()), Some("f".into()));
        (config.ppo.target_kl, config.ppo.clip_range_vf) = (Some(0.02), Some(0.2));
        (config.data.split.train_end, config.data.split.validation_end) = (Some(Date::MIN), Some(Date::MAX));
        config.data.split.all_dates = true;
        config.market.cross = vec!["IWM".parse().unwrap()];
        config.market.option_columns = vec![market_env::OptionColumn::Skew];
        let reward = &mut config.env.reward;
        for weight in
            [&mut reward.drawdown, &mut reward.holding, &mut reward.turnover, &mut reward.spread, &mut reward.sharpe]
        {
            *weight = 1.0;
        }
        config.data.timestamp_zone = "UTC".parse().ok();
        config.data.columns = [("Last Price".to_owned(), market_data::BarColumn::Close)].into();
        config
    }

    #[test]
    fn every_key_has_a_short_comment_and_the_text_reads_back() {
        let config = complete();
        let annotated = annotate(&config.to_toml().unwrap());
        let mut above = 0;
        for line in annotated.lines() {
            if line.starts_with("# ") {
                assert!(line.chars().count() <= WIDTH, "{line}");
                above += usize::from(!line.starts_with("#   "));
            } else {
                assert!(!line.contains(" = ") || (1..=MOST_LINES).contains(&above), "{above} lines above {line}");
                above = 0;
            }
        }
        assert_eq!(toml::from_str::<RunConfig>(&annotated).unwrap(), config);
    }

    #[test]
    fn optional_keys_without_a_value_are_described_in_their_section() {
        let text = annotate(&RunConfig::default().to_toml().unwrap());
        let section = text.split("\n\n").find(|section| section.starts_with("[ppo]")).unwrap();
        assert!(section.contains("\n# Optional target_kl: KL divergence"), "{section}");
        assert!(!annotate(&complete().to_toml().unwrap()).contains("Optional "), "every key has a value");
    }

    #[test]
    fn quoted_names_and_lists_of_tables_are_sections() {
        assert_eq!(path_of(r#"[market.contracts."BRK.B"]"#), ["market", "contracts", "BRK.B"]);
        assert_eq!(path_of("[[env.exits.take_profit]]"), ["env", "exits", "take_profit"]);
        let text = annotate("[market.contracts.\"BRK.B\"]\ntick = \"penny\"\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "# Price grid.");
        assert!(lines[2].starts_with("#   penny: One cent at all prices"), "{text}");
    }
}
