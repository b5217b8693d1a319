//! Closing screen of a training: money first, then the verdict on the training, then what to do next.

use std::{io, path::Path};

use anstyle::{AnsiColor, Style};
use ppo_agent::health::Verdict;

use crate::{
    artifacts::{health_rows::WrittenVerdict, paths::Paths},
    evaluation::{
        held_out::Tested,
        money::{self, Money},
        price_level::PriceLevel,
    },
    output::{console::Console, synthetic, table::percent, wrap::wrap_for_screen},
};

/// What the closing screen is made of.
#[derive(Debug)]
pub struct Closing<'a> {
    /// Files of the run.
    pub paths: &'a Paths,
    /// True for made-up bars.
    pub synthetic: bool,
    /// What the model is, such as "model of the last step, 10,240".
    pub label: &'a str,
    /// Money on the test dates.
    pub tested: &'a Tested,
    /// Average cost of a round trip on them, as a fraction of premium.
    pub cost: f64,
    /// Last confirmed verdict; `None` for a run shorter than an interval.
    pub verdict: Option<&'a WrittenVerdict>,
}

/// Rows of the table: the name on the screen, and that of the behaviour.
const ROWS: [(&str, &str); 4] = [
    ("this policy", "greedy"),
    ("  exploring", "sampled"),
    ("random entries", "random-legal"),
    ("doing nothing", "always-HOLD"),
];

impl Closing<'_> {
    /// Prints the screen, at most 80 columns wide except for long paths. The log gets the sentences alone: it has the tables
    /// in full, and its last hundred lines must hold the last block.
    ///
    /// # Errors
    /// When log or screen cannot be written.
    pub fn print(&self, console: &mut Console) -> io::Result<()> {
        console.show(format!("\n{}\nThe {}", self.heading(), self.label))?;
        console.show(format!("\n{}", self.table().join("\n")))?;
        console.show(format!("A round trip at the money costs {} of the premium.", percent(Some(self.cost))))?;
        console.say(format!("Option prices: {}.", self.tested.prices.text()))?;
        console.show(self.beside_random().join("\n"))?;
        let level = self.tested.price_level.as_ref();
        console.say_all(level.map(|level| format!("Price level: net P&L {}.", level.interval())))?;
        console.show("")?;
        console.say_all(self.sentences())?;
        console.show(format!("\n{}", self.next().join("\n")))
    }

    fn heading(&self) -> String {
        let synthetic = synthetic::mark(self.synthetic, " (", ")");
        let dates = self.policy().map_or(0, |money| money.dates);
        format!("RESULT after all costs, {dates} test dates {}{synthetic}", self.tested.dates)
    }

    /// Returns what the policy earns and what is said of the training, in lines of at most 80 columns.
    fn sentences(&self) -> Vec<String> {
        let money = wrap_for_screen(&self.sentence()).into_iter().map(|line| self.painted(&line));
        let level = self.tested.price_level.as_ref().and_then(PriceLevel::sentence);
        let level = level.iter().flat_map(|sentence| wrap_for_screen(sentence));
        money.chain(level).chain(wrap_for_screen(&self.training_sentence())).collect()
    }

    /// Returns the money of the policy beside random-legal trades of the same sessions, in lines of at most 80 columns.
    fn beside_random(&self) -> Vec<String> {
        let clause = self.tested.over_random.map(|money| money.clause());
        wrap_for_screen(
            &clause.map_or_else(|| "Money: no trade to compare.".to_owned(), |text| format!("Money: {text}.")),
        )
    }

    fn table(&self) -> Vec<String> {
        let rows = ROWS.iter().filter_map(|(shown, name)| Some((*shown, self.tested.of(name)?)));
        money::table(rows)
    }

    fn policy(&self) -> Option<&Money> {
        self.tested.of("greedy")
    }

    fn sentence(&self) -> String {
        let Some((policy, random)) = self.policy().zip(self.tested.of("random-legal")) else { return String::new() };
        let sentence = money::sentence(policy, random, self.cost, self.tested.opportunity.as_ref());
        if self.tested.in_sample > 0 { format!("IN SAMPLE, which proves nothing: {sentence}") } else { sentence }
    }

    fn painted(&self, line: &str) -> String {
        let style = self.policy().map_or_else(Style::new, money::style);
        format!("{}{line}{}", style.render(), style.render_reset())
    }

    fn training_sentence(&self) -> String {
        let run = shown(&self.paths.run);
        match self.verdict {
            None => "The run was too short for a verdict on the training.".to_owned(),
            Some(WrittenVerdict::Known(Verdict::Healthy)) => "The training itself was sound (healthy).".to_owned(),
            Some(WrittenVerdict::Known(Verdict::HoldIsOptimal)) => {
                "The training itself was sound: it learned to HOLD (hold_is_optimal).".to_owned()
            }
            Some(WrittenVerdict::Known(Verdict::Inconclusive)) => {
                "Too few decisions or trades for a verdict on the training (inconclusive).".to_owned()
            }
            Some(WrittenVerdict::Known(Verdict::Drifting)) => {
                format!("The training drifts; zerodte diagnose {run} says where.")
            }
            Some(verdict) => format!("The training failed: {verdict}; zerodte diagnose {run} says why."),
        }
    }

    fn next(&self) -> Vec<String> {
        let model = self.paths.model.with_extension("");
        let (model, run, log) = (shown(&model), shown(&self.paths.run), shown(&self.paths.log));
        let heading = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
        vec![
            format!("{}Next{}", heading.render(), heading.render_reset()),
            format!("  zerodte backtest --model {model} --trades trades.csv"),
            "      replays dates of your choice and writes every trade".to_owned(),
            format!("  zerodte backtest --model {model} --cost-sensitivity"),
            "      shows at which cost the policy breaks even".to_owned(),
            format!("  {run}/training.svg"),
            format!("  {log}"),
            "      show the training interval by interval".to_owned(),
        ]
    }
}

/// Returns a path without the dot of the current folder.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use jiff::civil::date;
    use market_data::DateRange;
    use ppo_agent::health::TradeMoney;
    use serde_json::Value;

    use super::*;
    use crate::{
        config::RunConfig,
        evaluation::{money::tests::result, price_counts::PriceCounts, replay::ReplayResult},
    };

    fn screen(returns: &[f64], verdict: &str, in_sample: usize) -> String {
        let money = [
            ("greedy", Money::of(&result(returns))),
            ("random-legal", Money::of(&result(&[-0.04, -0.041, -0.042, -0.043]))),
            ("always-HOLD", Money::of(&ReplayResult::default())),
        ];
        let dates = DateRange { first: date(2025, 6, 24), last: date(2025, 6, 30) };
        let prices = PriceCounts { modelled: 4, real: 0 };
        let over_random =
            Some(TradeMoney { trades: 4, dates: 2, per_trade: -0.03, random: -0.041, interval: Some((-0.01, 0.03)) });
        let tested = Tested {
            dates,
            figures: Value::Null,
            money: money.into(),
            over_random,
            opportunity: None,
            prices,
            price_level: None,
            in_sample,
        };
        let config = RunConfig::default();
        let (paths, verdict) = (Paths::of(&config.run), WrittenVerdict::from(verdict));
        let (paths, tested, verdict) = (&paths, &tested, Some(&verdict));
        let closing = Closing { paths, synthetic: true, label: "model", tested, cost: 0.038, verdict };
        let parts =
            [vec![closing.heading()], closing.table(), closing.beside_random(), closing.sentences(), closing.next()];
        strip_str(&parts.concat().join("\n")).to_string()
    }

    #[test]
    fn money_comes_first_and_healthy_never_stands_alone() {
        let text = screen(&[-0.03, -0.03, -0.031, -0.031], "healthy", 0);
        let (money, training) = (text.find("Loses 3.0% per trade").unwrap(), text.find("sound (healthy)").unwrap());
        let beside = text.find("Money: -3.0% per trade after costs, random-legal -4.1% on the same").unwrap();
        assert!(beside < money && money < training, "{text}");
        assert!(
            text.starts_with("RESULT after all costs, 2 test dates 2025-06-24 to 2025-06-30 (SYNTHETIC DATA)")
                && text.contains("random entries"),
            "{text}"
        );
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }

    #[test]
    fn a_failed_training_and_dates_that_were_trained_on_are_named() {
        let text = screen(&[0.03, 0.03, 0.031, 0.031], "collapsed:BUY_CALL", 2);
        assert!(text.contains("IN SAMPLE, which proves nothing: Earns 3.0% per trade"), "{text}");
        assert!(text.contains("The training failed: collapsed:BUY_CALL; zerodte diagnose"), "{text}");
    }
}
