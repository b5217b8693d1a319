//! Held-out replays after a training: the policy on validation and test dates, beside baselines without information.

use market_data::DateRange;
use ppo_agent::{Behaviour, Policy, health::TradeMoney};
use serde_json::Value;

use crate::{
    artifacts::saved_model::{count_dates_in, ranges_text},
    config::RunConfig,
    evaluation::{
        baselines::{Baselines, Opportunity, explain_staying_out, stays_out},
        money::Money,
        performance::Performance,
        price_counts::PriceCounts,
        price_level::{PriceLevel, Replayed},
        random_legal,
        replay::{ReplayResult, replay},
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
    /// What the policy is, such as "model of the last step, 10,240".
    pub label: String,
}

/// Result of a test on dates that the training never saw.
#[derive(Debug)]
pub struct Tested {
    /// The dates.
    pub dates: DateRange,
    /// The figures of every behaviour, for the manifest.
    pub figures: Value,
    /// Money of every behaviour, by name.
    pub money: Vec<(&'static str, Money)>,
    /// Money of the most likely actions beside random-legal trades of the same sessions; `None` without trades.
    pub over_random: Option<TradeMoney>,
    /// What policies without information earn on these dates; measured for a policy that stays out.
    pub opportunity: Option<Opportunity>,
    /// Trades of the most likely actions by the origin of their prices.
    pub prices: PriceCounts,
    /// P&L of the most likely actions over draws of the price level; absent without trades, and for real options and made-up bars.
    pub price_level: Option<PriceLevel>,
    /// Dates among them on which the policy or its parents were trained.
    pub in_sample: usize,
}

impl Tested {
    /// Returns the money of a behaviour.
    pub fn of(&self, name: &str) -> Option<&Money> {
        self.money.iter().find(|(known, _)| *known == name).map(|(_, money)| money)
    }
}

impl HeldOut<'_> {
    /// Replays the validation dates, which serve to choose settings, with the policy alone; returns the figures.
    ///
    /// # Errors
    /// When the dates cannot be replayed or the table cannot be written.
    pub fn validation(&self, dates: DateRange, console: &mut Console) -> anyhow::Result<Value> {
        let replays = self.replays(dates, &BEHAVIOURS[..2])?;
        Ok(self.table("Validation", dates, &replays, console)?.0)
    }

    /// Replays the test dates with the policy and its baselines, and explains a policy that stays out; returns the figures.
    ///
    /// # Errors
    /// As for [`HeldOut::validation`].
    pub fn test(&self, dates: DateRange, console: &mut Console) -> anyhow::Result<Tested> {
        let replays = self.replays(dates, &BEHAVIOURS)?;
        let (figures, price_level) = self.table("Out of sample", dates, &replays, console)?;
        let greedy = &replays[1].1.ledger;
        let opportunity = if stays_out(greedy) {
            let (market, config) = (&self.inputs.market, self.config);
            let baselines = Baselines::measure(market, &market.days_in(&dates), &config.env, config.run.seed)?;
            let opportunity = baselines.opportunity();
            console.detail(explain_staying_out(greedy, &opportunity))?;
            Some(opportunity)
        } else {
            None
        };
        let money = replays.iter().map(|(name, result)| (*name, Money::of(result))).collect();
        let (prices, in_sample) = (PriceCounts::of(&replays[1].1.trades), self.in_sample(dates).0);
        let over_random = random_legal::compare(&replays[1].1, &replays[3].1);
        Ok(Tested { dates, figures, money, over_random, opportunity, prices, price_level, in_sample })
    }

    fn replays(
        &self,
        dates: DateRange,
        behaviours: &[(&'static str, Behaviour)],
    ) -> anyhow::Result<Vec<(&'static str, ReplayResult)>> {
        let (market, config) = (&self.inputs.market, self.config);
        let days = market.days_in(&dates);
        let play = |behaviour| replay(self.policy, market, &days, &config.env, behaviour, config.run.seed);
        behaviours.iter().map(|&(name, behaviour)| Ok((name, play(behaviour)?))).collect()
    }

    /// Replays the policy's two behaviours at other levels of the modelled prices.
    fn price_levels(
        &self,
        dates: DateRange,
        replays: &[(&str, ReplayResult)],
    ) -> anyhow::Result<Vec<Option<PriceLevel>>> {
        let Self { policy, inputs, config, .. } = *self;
        let points: Vec<_> =
            BEHAVIOURS[..2].iter().zip(replays).map(|((_, behaviour), (_, played))| (*behaviour, played)).collect();
        Replayed { policy, inputs, market: &config.market, env: &config.env, seed: config.run.seed }
            .price_levels(&dates, &points)
    }

    /// Prints the figures of replays as a table, with the P&L over draws of the price level; returns them, and that of the most
    /// likely actions.
    fn table(
        &self,
        heading: &str,
        dates: DateRange,
        replays: &[(&'static str, ReplayResult)],
        console: &mut Console,
    ) -> anyhow::Result<(Value, Option<PriceLevel>)> {
        let mut levels = self.price_levels(dates, replays)?;
        let (mut rows, mut results) = (Vec::new(), serde_json::Map::new());
        for (index, (name, result)) in replays.iter().enumerate() {
            let figures = Performance::of(result)?;
            rows.push(figures.cells(name));
            let mut value = serde_json::to_value(&figures)?;
            if let Some(level) = levels.get(index).and_then(Option::as_ref) {
                value["price_level"] = serde_json::to_value(level)?;
            }
            results.insert(name.to_lowercase().replace('-', "_"), value);
        }
        let synthetic = synthetic::mark(self.inputs.dataset.synthetic, " (", ")");
        console.detail(format!("\n{heading}{synthetic}, {dates}, {}:", self.label))?;
        console.detail(columns(&Performance::HEADINGS, &rows))?;
        for ((name, _), level) in replays.iter().zip(&levels) {
            console
                .detail_all(level.iter().map(|level| format!("Price level, {name}: net P&L {}", level.interval())))?;
        }
        let (seen, all) = self.in_sample(dates);
        if seen > 0 {
            console.say(format!(
                "IN SAMPLE: {seen} of these {all} dates lie within training dates of this model and its parents ({}); these \
                 figures prove nothing",
                ranges_text(&self.trained_on)
            ))?;
        }
        let greedy = levels.pop().flatten();
        Ok((Value::Object(results), greedy))
    }

    /// Returns how many of the session dates in a range were trained on, and how many there are.
    pub fn in_sample(&self, dates: DateRange) -> (usize, usize) {
        let inside: Vec<_> = self.inputs.dataset.dates.iter().copied().filter(|&date| dates.contains(date)).collect();
        (count_dates_in(inside.iter().copied(), &self.trained_on), inside.len())
    }
}
