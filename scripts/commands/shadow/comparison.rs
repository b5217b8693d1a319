//! Comparison of a record with the replay of the same day: every difference is a fault of the live path, of the vendor, or of ours.

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::{
    Bars, History,
    calendar::{MINUTE_NS, session_time},
};
use market_env::{ACTION_NAMES, LiveSession};
use ppo_agent::Policy;
use serde::Serialize;

use super::rows::{Heading, Recorded, Row};
use crate::{evaluation::decision::Decision, inputs::live, output::table::columns};

/// Most differences on the screen; the JSON file has all of them.
const SHOWN: usize = 20;

/// Differences between a record and the replay of the same day, as `zerodte shadow --compare --json` writes them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The underlying.
    pub symbol: String,
    /// The session.
    pub date: Date,
    /// Minutes compared.
    pub minutes: usize,
    /// The differences, by minute.
    pub differences: Vec<Difference>,
}

/// One value of one minute that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Start of the bar in New York.
    pub time: String,
    /// Name of the value: a price, a column of the observation, `legal`, `action`, a probability, `value`, or `decision`.
    pub field: String,
    /// The recorded value.
    pub recorded: String,
    /// The value of the replay.
    pub replayed: String,
}

/// Compares a record with the replay of the same day. The replay takes the recorded actions, so that a difference of one minute does
/// not repeat itself in the account of all later ones.
///
/// # Errors
/// A policy or bars that do not fit the record.
pub fn compare(policy: &Policy, heading: &Heading, rows: &[Row], history: &History) -> anyhow::Result<Comparison> {
    let session = live::session_of(heading.date)?;
    let last = session.minutes() as u32 - 1;
    let inputs = live::inputs_at(&heading.config, history, &session, last)?;
    let mut account = live::start(policy, &inputs, &heading.config, last)?;
    let bars = history.bars.first().context("there are no bars")?;
    let mut found = Vec::new();
    let mut minutes = 0;
    for bar in 0..=last {
        let mut minute = Minute { time: session_time(bar as usize), found: &mut found };
        let row = rows.get(bar as usize);
        minute.prices(row.and_then(|row| row.prices), bars, session.open_ns + i64::from(bar) * MINUTE_NS);
        minute.decision(row, policy, &account)?;
        minutes += 1;
        let over = account.is_over();
        if over || !minute.act(row, &mut account) {
            break;
        }
    }
    Ok(Comparison { symbol: heading.symbol.to_string(), date: heading.date, minutes, differences: found })
}

/// One minute of both.
struct Minute<'a> {
    time: String,
    found: &'a mut Vec<Difference>,
}

impl Minute<'_> {
    fn add(&mut self, field: impl Into<String>, recorded: impl Into<String>, replayed: impl Into<String>) {
        let (field, recorded, replayed) = (field.into(), recorded.into(), replayed.into());
        self.found.push(Difference { time: self.time.clone(), field, recorded, replayed });
    }

    fn number<T: PartialEq + std::fmt::Display>(&mut self, field: &str, recorded: &T, replayed: &T) {
        if recorded != replayed {
            self.add(field, recorded.to_string(), replayed.to_string());
        }
    }

    fn prices(&mut self, recorded: Option<[f64; 5]>, bars: &Bars, start: i64) {
        let at = bars.ts_ns().binary_search(&start).ok();
        let replayed =
            at.map(|at| [bars.open()[at], bars.high()[at], bars.low()[at], bars.close()[at], bars.volume()[at]]);
        match (recorded, replayed) {
            (Some(recorded), Some(replayed)) => {
                let names = ["open", "high", "low", "close", "volume"];
                names.iter().zip(recorded.iter().zip(&replayed)).for_each(|(name, (a, b))| self.number(name, a, b));
            }
            (None, Some(_)) => self.add("bar", "none", "one"),
            (Some(_), None) => self.add("bar", "one", "none"),
            (None, None) => {}
        }
    }

    fn decision(&mut self, row: Option<&Row>, policy: &Policy, account: &LiveSession) -> anyhow::Result<()> {
        let decision = Decision::of(policy, account)?;
        let replayed = Recorded::of(&decision);
        let Some((row, recorded)) = row.and_then(|row| Some((row, row.decision.as_ref()?))) else {
            self.add("decision", "none", decision.action.name());
            return Ok(());
        };
        let spec = account.spec();
        for (at, (a, b)) in recorded.observation.iter().zip(&replayed.observation).enumerate() {
            let window = spec.frames * spec.features.len();
            let name = if at < window { &spec.features[at % spec.features.len()] } else { &spec.account[at - window] };
            self.number(name, a, b);
        }
        if recorded.legal != replayed.legal {
            self.add("legal", recorded.legal.join(" "), replayed.legal.join(" "));
        }
        for (name, (a, b)) in ACTION_NAMES.iter().zip(recorded.probabilities.iter().zip(&replayed.probabilities)) {
            self.number(&format!("probability of {name}"), a, b);
        }
        self.number("value", &recorded.value, &replayed.value);
        self.number("action", &row.action.name(), &decision.action.name());
        self.number("over", &recorded.over, &replayed.over);
        Ok(())
    }

    /// Takes the recorded action in the replay; false where the replay does not allow it, which ends the comparison.
    fn act(&mut self, row: Option<&Row>, account: &mut LiveSession) -> bool {
        let action = row.map_or(market_env::Action::Hold, |row| row.action);
        match account.step(action) {
            Ok(()) => true,
            Err(error) => {
                self.add("action", action.name(), error.to_string());
                false
            }
        }
    }
}

impl Comparison {
    /// Returns the comparison as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let Self { symbol, date, minutes, differences } = self;
        if differences.is_empty() {
            return vec![format!("No difference: {minutes} minutes of {symbol} on {date} are those of the replay.")];
        }
        let row = |found: &Difference| {
            [&found.time, &found.field, &found.recorded, &found.replayed].map(Clone::clone).to_vec()
        };
        let rows: Vec<Vec<String>> = differences.iter().take(SHOWN).map(row).collect();
        let mut lines = vec![
            format!("{} differences in {minutes} minutes of {symbol} on {date}", differences.len()),
            String::new(),
            columns(&["time", "value", "recorded", "replayed"], &rows),
        ];
        if differences.len() > SHOWN {
            lines.push(format!("… and {} more; --json writes all", differences.len() - SHOWN));
        }
        lines
    }
}
