//! The page of a sweep: the best trials with intervals, the importance of the keys, all trials as parallel coordinates, and
//! validation against test money where test dates were played.

mod charts;

use maud::{Markup, html};

use super::{
    figure::table,
    file_name, layout,
    sections::Section,
    text::{absent, p_text, with_ends},
};
use crate::{
    artifacts::manifest,
    output::table::{dollars, thousands},
    sweep::{
        SweepResult,
        final_test::Tested,
        plan::SweepPlan,
        space::text,
        summary::{Best, Luck, Summary},
        table::state,
        trial::{TrialResult, ranked},
    },
};

/// Most trials in the table; the CSV file has all.
const MOST_ROWS: usize = 1_000;

/// Everything that the page shows.
#[derive(Debug)]
pub struct SweepPage<'a> {
    /// The plan.
    pub plan: &'a SweepPlan,
    /// Its trials.
    pub result: &'a SweepResult,
    /// Their summary.
    pub summary: &'a Summary,
    /// The best trials on the test dates; empty without `--final`.
    pub tested: &'a [Tested],
}

impl SweepPage<'_> {
    /// Returns the page as HTML.
    pub fn html(&self) -> String {
        let heading = format!("Sweep on {}", self.plan.symbols.join(", "));
        layout::document(&heading, self.plan.data.is_synthetic(), &self.sections())
    }

    /// Returns the name of the page.
    pub fn file_name(&self) -> &'static str {
        file_name(self.plan.data.is_synthetic())
    }

    fn sections(&self) -> Vec<Section> {
        let section = |id, title, body| Section { id, title, body };
        vec![
            section("result", "Result", self.outcome()),
            section("best", "Best trials", self.best()),
            section("importance", "Importance of the keys", charts::importance(self.summary)),
            section("trials", "All trials", self.all()),
            section("test", "Validation against test", self.test()),
            section("provenance", "Provenance", self.provenance()),
        ]
    }

    /// Returns the finished trials, the best first.
    fn order(&self) -> Vec<&TrialResult> {
        ranked(self.result.finished(self.plan))
    }

    fn outcome(&self) -> Markup {
        let Some(best) = &self.summary.best else { return absent("No trial was trained to its end.") };
        let survives = best.p_adjusted <= 0.05;
        let (sign, class) = if survives { ("▲", "good") } else { ("●", "open") };
        let word = if survives { "above luck" } else { "not above luck" };
        html! {
            div.verdict.(class) {
                p.word { span aria-hidden="true" { (sign) } " " (word) }
                p.sentence { (sentence(best, self.summary)) }
            }
            dl.tiles { @for (name, value, note) in self.tiles(best) { div { dt { (name) } dd { (value) } dd.note { (note) } } } }
            h3 { "Limits of this result" }
            ul { @for line in self.limits() { li { (line) } } }
        }
    }

    fn tiles(&self, best: &Best) -> Vec<(&'static str, String, String)> {
        let Summary { finished, pruned, unfinished, luck, pbo, .. } = self.summary;
        let optional = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
        let ends = best.score.interval(0.95);
        let interval = ends.map_or_else(
            || "too few dates for an interval".to_owned(),
            |(low, high)| format!("95 %: {} to {}, dates and seeds", dollars(low), dollars(high)),
        );
        vec![
            (
                "Best trial",
                best.trial.to_string(),
                format!("of {finished} finished, {pruned} pruned, {unfinished} unfinished"),
            ),
            ("Net, a date", dollars(best.score.mean_usd), interval),
            ("Sharpe, a year", format!("{:.2}", best.sharpe), format!("{:.2} by luck alone", luck.best_sharpe)),
            ("DSR", optional(best.dsr), format!("over {} trials", thousands(luck.trials as i64))),
            ("p, adjusted", p_text(best.p_adjusted), "Romano-Wolf, all trials".to_owned()),
            ("PBO", optional(*pbo), "overfitting by choosing".to_owned()),
            ("Tied", best.tied.to_string(), "cannot be told from the best".to_owned()),
        ]
    }

    fn limits(&self) -> Vec<String> {
        let Luck { dates, min_backtest_years, .. } = self.summary.luck;
        let mut lines = vec![
            format!("The {dates} validation dates chose the best trial, so its money there flatters it."),
            format!(
                "Below {min_backtest_years:.1} years of dates an annual Sharpe ratio of 1 is expected by luck alone (MinBTL)."
            ),
        ];
        if self.tested.is_empty() {
            lines.push("No test date was played (--final plays them, and counts a look).".to_owned());
        }
        if self.plan.prices == "modelled" {
            lines.push("Option prices are modelled, not quotes: a real spread on a busy minute may differ.".to_owned());
        }
        for (rung, tau) in (2..).zip(&self.summary.agreement) {
            let text = tau.map_or_else(|| "undefined".to_owned(), |tau| format!("{tau:.2}"));
            lines.push(format!(
                "Kendall's τ between rung {} and {rung} is {text}: low values mean pruning by chance.",
                rung - 1
            ));
        }
        lines
    }

    fn best(&self) -> Markup {
        let order = self.order();
        let Some(first) = order.first() else { return absent("No trial was trained to its end.") };
        let row = |trial: &&TrialResult| {
            let (score, behind) = (trial.score(), trial.less(first));
            vec![
                trial.trial.to_string(),
                dollars(score.lower_usd),
                with_ends(score.mean_usd, score.interval(0.95)),
                with_ends(behind.mean_usd, behind.interval(0.95)),
                format!("{:.1}", trial.trades()),
                self.plan.space.line(&trial.values),
            ]
        };
        let heading = ["trial", "lower bound", "a date [95 %]", "less the best, paired [95 %]", "trades", "settings"];
        let rows: Vec<Vec<String>> = order.iter().take(charts::BEST).map(row).collect();
        html! {
            (charts::intervals(&order))
            details open { summary { "Numbers" } (table("Best trials by mean less one standard error", &heading, &rows)) }
        }
    }

    fn all(&self) -> Markup {
        let (order, last) = (self.order(), self.result.last());
        let heading: Vec<&str> = ["trial", "state", "a date", "lower bound", "trades"]
            .into_iter()
            .chain(self.plan.space.0.iter().map(|parameter| parameter.key.as_str()))
            .collect();
        let row = |trial: &&TrialResult| {
            let score = trial.score();
            let mut row = vec![
                trial.trial.to_string(),
                state(self.plan, self.result, trial).to_owned(),
                dollars(score.mean_usd),
                dollars(score.lower_usd),
                format!("{:.1}", trial.trades()),
            ];
            row.extend(trial.values.iter().map(text));
            row
        };
        let rows: Vec<Vec<String>> = last.iter().take(MOST_ROWS).map(row).collect();
        let caption = format!("Trials 0 to {}; trials.csv holds all", rows.len().saturating_sub(1));
        html! {
            (charts::parallel(self.plan, &order))
            details { summary { "Table of the trials" } (table(&caption, &heading, &rows)) }
        }
    }

    fn test(&self) -> Markup {
        if self.tested.is_empty() {
            return absent(
                "The test dates are unseen. --final N plays them with the N best trials and counts a look for each.",
            );
        }
        let order = self.order();
        let pair = |tested: &Tested| Some((*order.iter().find(|one| one.trial == tested.trial)?, tested.score()));
        let pairs: Vec<_> = self.tested.iter().filter_map(pair).collect();
        let row = |(trial, test): &(&TrialResult, crate::sweep::trial::Score)| {
            let score = trial.score();
            vec![
                trial.trial.to_string(),
                with_ends(score.mean_usd, score.interval(0.95)),
                with_ends(test.mean_usd, test.interval(0.95)),
            ]
        };
        let rows: Vec<Vec<String>> = pairs.iter().map(row).collect();
        html! {
            (charts::tested(&pairs))
            (table("Money of a date, all symbols, mean over seeds", &["trial", "validation [95 %]", "test [95 %]"], &rows))
        }
    }

    fn provenance(&self) -> Markup {
        let plan = self.plan;
        let mut lines = vec![
            ("Program", manifest::VERSION.to_string()),
            ("Data", plan.data.as_str().to_owned()),
            ("Option prices", plan.prices.clone()),
            ("SHA-256 of the plan", self.summary.plan_sha256.clone()),
            ("SHA-256 of the configuration", plan.config_sha256.clone()),
            ("Training dates", plan.split.train.to_string()),
            ("Validation dates", plan.split.validation.to_string()),
            ("Test dates", plan.split.test.to_string()),
            ("Points", format!("{}, seed {}", plan.sampler, plan.sampler_seed)),
            ("Seeds of a trial", plan.seeds.to_string()),
            ("Steps", plan.rungs.iter().map(|steps| thousands(*steps as i64)).collect::<Vec<_>>().join(" / ")),
        ];
        for file in plan.files.as_array().into_iter().flatten() {
            let part = |key: &str| file[key].as_str().unwrap_or_default();
            let name = std::path::Path::new(part("path")).file_name().unwrap_or_default().display().to_string();
            lines.push(("Bars", format!("{name}: {} rows, {}", file["rows"], part("sha256"))));
        }
        html! {
            dl.provenance { @for (name, value) in &lines { dt { (name) } dd { (value) } } }
            details { summary { "All figures as JSON" }
                pre tabindex="0" { (serde_json::to_string_pretty(self.summary).unwrap_or_default()) } }
        }
    }
}

/// Returns the sentence on the best trial.
fn sentence(best: &Best, summary: &Summary) -> String {
    let trials = thousands(summary.luck.trials as i64);
    let money = with_ends(best.score.mean_usd, best.score.interval(0.95));
    let start = format!("Trial {} earned {money} a date on the validation dates.", best.trial);
    let (less, end) = if best.p_adjusted <= 0.05 { ("more", "; the test dates decide") } else { ("no more", "") };
    format!(
        "{start} Chosen among {trials} trials, that is {less} than luck explains (p {}){end}.",
        p_text(best.p_adjusted)
    )
}
