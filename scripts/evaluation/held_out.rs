//! Held-out replays after a training: the policy on validation and test dates, beside baselines without information.

use market_data::DateRange;
use market_env::Ledger;
use ppo_agent::{Behaviour, Policy};
use serde_json::Value;

use crate::{
    artifacts::saved_model::{count_dates_in, ranges_text},
    config::RunConfig,
    evaluation::{
        baselines::{Baselines, explain_staying_out, stays_out},
        performance::Performance,
        replay::replay,
    },
    inputs::Inputs,
    output::{console::Console, synthetic, table::columns},
};

/// Behaviours of the trained policy, and its baselines.
const BEHAVIOURS: [(&str, Behaviour); 4] = [
    ("sampled", Behaviour::Sampled),
    ("greedy", Behaviour::Greedy),
    ("always-HOLD", Behaviour::AlwaysHold),
    ("random-legal", Behaviour::RandomLegal),
];

/// A trained policy, and the market whose held-out dates it replays.
#[derive(Debug)]
pub struct HeldOut<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The market.
    pub inputs: &'a Inputs,
    /// The configuration of the training.
    pub config: &'a RunConfig,
    /// The training dates of the run and of the models that it started from.
    pub trained_on: Vec<DateRange>,
}

impl HeldOut<'_> {
    /// Replays the validation dates, which serve to choose settings, with the policy alone; returns the figures.
    ///
    /// # Errors
    /// When the dates cannot be replayed or the table cannot be written.
    pub fn validation(&self, dates: DateRange, console: &mut Console) -> anyhow::Result<Value> {
        Ok(self.table("Validation", dates, &BEHAVIOURS[..2], console)?.0)
    }

    /// Replays the test dates with the policy and its baselines, and explains a policy that stays out; returns the figures.
    ///
    /// # Errors
    /// As for [`HeldOut::validation`].
    pub fn test(&self, dates: DateRange, console: &mut Console) -> anyhow::Result<Value> {
        let (figures, greedy) = self.table("Out of sample", dates, &BEHAVIOURS, console)?;
        if stays_out(&greedy) {
            let (market, config) = (&self.inputs.market, self.config);
            let baselines = Baselines::measure(market, &market.days_in(&dates), &config.env, config.run.seed)?;
            console.say(explain_staying_out(&greedy, &baselines.opportunity()))?;
        }
        Ok(figures)
    }

    /// Returns the figures of all behaviours, and the counters of the greedy one.
    fn table(
        &self,
        heading: &str,
        dates: DateRange,
        behaviours: &[(&str, Behaviour)],
        console: &mut Console,
    ) -> anyhow::Result<(Value, Ledger)> {
        let (inputs, config) = (self.inputs, self.config);
        let days = inputs.market.days_in(&dates);
        let (mut rows, mut results) = (Vec::new(), serde_json::Map::new());
        let mut greedy = Ledger::default();
        for &(name, behaviour) in behaviours {
            let result = replay(self.policy, &inputs.market, &days, &config.env, behaviour, config.run.seed)?;
            let figures = Performance::of(&result)?;
            rows.push(figures.cells(name));
            results.insert(name.to_lowercase().replace('-', "_"), serde_json::to_value(&figures)?);
            if behaviour == Behaviour::Greedy {
                greedy = result.ledger;
            }
        }
        let synthetic = synthetic::mark(inputs.dataset.synthetic, " (", ")");
        console.say(format!("\n{heading}{synthetic}, {dates}:"))?;
        console.say(columns(&Performance::HEADINGS, &rows))?;
        let inside: Vec<_> = inputs.dataset.dates.iter().copied().filter(|&date| dates.contains(date)).collect();
        let seen = count_dates_in(inside.iter().copied(), &self.trained_on);
        if seen > 0 {
            console.say(format!(
                "IN SAMPLE: {seen} of these {} dates lie within training dates of this model and its parents ({}); these \
                 figures prove nothing",
                inside.len(),
                ranges_text(&self.trained_on)
            ))?;
        }
        Ok((Value::Object(results), greedy))
    }
}
