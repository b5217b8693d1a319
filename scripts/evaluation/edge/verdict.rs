//! Verdict on an edge: one word, one sentence, and the evidence for it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    config::evaluation::EvaluationConfig,
    evaluation::{
        edge::{Beside, Evaluation, WIDER_SPREAD},
        sessions::SessionSeries,
    },
    output::table::{counted, dollars},
};

/// Further session dates above which the sentence says "more than five years".
const FIVE_YEARS: u64 = 1_260;
/// Share of the perfect-foresight ceiling above which a result is too good.
const CEILING_SHARE: f64 = 0.5;

/// Verdict in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The dates were trained on, or others have looked at them.
    Contaminated,
    /// Too little evidence for any other word.
    #[default]
    Inconclusive,
    /// A leak is more likely than such an edge.
    TooGood,
    /// It loses after costs.
    Loses,
    /// It has no edge of interest.
    NoEdge,
    /// An edge survives every test that was made.
    EdgeSurvives,
}

impl Word {
    /// Every word with its text.
    pub const ALL: [(Self, &str); 6] = [
        (Self::Contaminated, "contaminated"),
        (Self::Inconclusive, "inconclusive"),
        (Self::TooGood, "too_good"),
        (Self::Loses, "loses"),
        (Self::NoEdge, "no_edge"),
        (Self::EdgeSurvives, "edge_survives"),
    ];

    /// Fails if another verdict is required.
    ///
    /// # Errors
    /// A sentence with both.
    pub fn require(self, required: Option<Self>) -> anyhow::Result<()> {
        match required {
            Some(required) if required != self => anyhow::bail!("--require {required}: the verdict is {self}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Self::ALL.iter().find(|(word, _)| word == self).map_or("", |(_, text)| *text);
        f.pad(text)
    }
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || Self::ALL.map(|(_, text)| text).join(", ");
        let found = Self::ALL.iter().find(|(_, known)| *known == text).map(|(word, _)| *word);
        found.ok_or_else(|| format!("expected one of {}", words()))
    }
}

/// Verdict on an edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The word.
    pub word: Word,
    /// The sentence.
    pub sentence: String,
    /// Conditions that were checked, each with its figure; those that could not be checked are named.
    pub evidence: Vec<String>,
}

/// What a verdict rests on.
pub(super) struct Evidence<'a> {
    pub(super) evaluation: &'a Evaluation,
    pub(super) sessions: &'a SessionSeries,
    /// Index of the judged trial.
    pub(super) judged: usize,
    /// Its P&L by date.
    pub(super) pnl: &'a [f64],
    /// Trials, those outside of the evaluation included.
    pub(super) trials: usize,
    pub(super) beside: &'a Beside,
    pub(super) config: &'a EvaluationConfig,
}

/// A condition of a surviving edge: met or not, or `None` where it was not measured.
struct Condition {
    text: String,
    met: Option<bool>,
}

impl Evidence<'_> {
    /// Returns the first verdict whose conditions hold, from the gravest fault down.
    pub(super) fn verdict(&self) -> Verdict {
        let conditions = self.conditions();
        // A choice on dates that others looked at flatters a result, so it cannot excuse a loss.
        let (word, sentence) = self
            .trained_on()
            .or_else(|| self.too_little())
            .or_else(|| self.loses())
            .or_else(|| self.no_edge())
            .or_else(|| self.looked_at())
            .or_else(|| self.too_good())
            .unwrap_or_else(|| self.survives(&conditions));
        let evidence = conditions.into_iter().map(|condition| {
            let state = match condition.met {
                Some(true) => "yes",
                Some(false) => "no",
                None => "not measured",
            };
            format!("{}: {state}", condition.text)
        });
        Verdict { word, sentence, evidence: evidence.collect() }
    }

    fn trained_on(&self) -> Option<(Word, String)> {
        let (inside, n) = (self.sessions.in_sample_dates, self.pnl.len());
        let sentence = || format!("{inside} of {n} dates lie within training dates: nothing here is evidence.");
        (inside > 0).then(|| (Word::Contaminated, sentence()))
    }

    fn looked_at(&self) -> Option<(Word, String)> {
        let outside = self.beside.looks.map_or(0, |looks| looks.outside);
        let sentence = || {
            format!(
                "{outside} other {} looked at these dates and {} not among the reports: a choice among them cannot be \
                 corrected for.",
                if outside == 1 { "configuration" } else { "configurations" },
                if outside == 1 { "is" } else { "are" },
            )
        };
        (outside > self.config.max_outside_looks).then(|| (Word::Contaminated, sentence()))
    }

    fn too_little(&self) -> Option<(Word, String)> {
        let (n, least) = (self.pnl.len(), self.config.min_dates);
        let sentence = if self.evaluation.unit.trades == 0 {
            format!("No trade on {n} session dates: there is nothing to judge.")
        } else if n < least {
            format!("{n} session dates are too few to judge, {least} are the least: figures only.")
        } else {
            return None;
        };
        Some((Word::Inconclusive, sentence))
    }

    fn too_good(&self) -> Option<(Word, String)> {
        let config = self.config;
        let annual = self.evaluation.sharpe.map_or(0.0, |sharpe| sharpe.annual);
        let share =
            self.beside.ceiling_usd.filter(|ceiling| *ceiling > 0.0).map_or(0.0, |ceiling| self.mean() / ceiling);
        let sentence = if self.pnl.len() < config.too_good_dates {
            return None;
        } else if annual > config.too_good_sharpe {
            format!("An annual Sharpe ratio of {annual:.1} is too good: look for a leak first.")
        } else if share > CEILING_SHARE {
            format!("{:.0}% of what perfect foresight earns is too good: look for a leak first.", 100.0 * share)
        } else {
            return None;
        };
        Some((Word::TooGood, sentence))
    }

    fn loses(&self) -> Option<(Word, String)> {
        let high = self.evaluation.mean_per_date_usd.high?;
        (high < 0.0).then(|| (Word::Loses, format!("Loses after costs: {}.", self.money())))
    }

    fn no_edge(&self) -> Option<(Word, String)> {
        let edge = self.smallest_edge();
        let high = self.evaluation.mean_per_date_usd.high?;
        let sentence = || format!("No edge of {} a date or more after costs: {}.", dollars(edge), self.money());
        (high < edge).then(|| (Word::NoEdge, sentence()))
    }

    fn survives(&self, conditions: &[Condition]) -> (Word, String) {
        let failed = conditions.iter().any(|condition| condition.met == Some(false));
        let (seeds, least) = (self.evaluation.unit.seeds, self.config.min_seeds);
        if failed {
            return (Word::Inconclusive, self.needs());
        }
        if seeds < least {
            let sentence = format!(
                "These networks earn {}; {seeds} of {least} seeds say nothing on a new training.",
                self.money()
            );
            return (Word::Inconclusive, sentence);
        }
        let unmeasured = conditions.iter().filter(|condition| condition.met.is_none()).count();
        let open = if unmeasured > 0 { format!(" {unmeasured} conditions were not measured.") } else { String::new() };
        (Word::EdgeSurvives, format!("An edge survives: {}.{open}", self.money()))
    }

    fn needs(&self) -> String {
        let dates = match self.evaluation.needed_dates {
            Some(0) | None => "The edge, if there is one, depends on few dates or trials".to_owned(),
            Some(more) if more > FIVE_YEARS => "Needs more than five further years of session dates".to_owned(),
            Some(more) => format!("Needs about {more} more session dates"),
        };
        format!("{dates}: {}.", self.money())
    }

    fn mean(&self) -> f64 {
        self.evaluation.mean_per_date_usd.value
    }

    fn smallest_edge(&self) -> f64 {
        self.config.smallest_edge * self.sessions.capital_usd
    }

    /// Returns the mean with its interval and its basis.
    fn money(&self) -> String {
        let mean = &self.evaluation.mean_per_date_usd;
        let interval = mean.low.zip(mean.high).map(|(low, high)| format!(" [{}, {}]", dollars(low), dollars(high)));
        let seeds = counted(self.evaluation.unit.seeds, "seed");
        let prices = if self.sessions.modelled_prices { ", modelled option prices" } else { "" };
        format!(
            "{} a date{}, {}, {seeds}{prices}",
            dollars(mean.value),
            interval.unwrap_or_default(),
            counted(self.pnl.len(), "date")
        )
    }

    /// Returns the conditions of a surviving edge.
    fn conditions(&self) -> Vec<Condition> {
        let (evaluation, config) = (self.evaluation, self.config);
        let low = evaluation.mean_per_date_usd.low;
        let joint = self.joint_p();
        let best = config.best_dates_left_out;
        let without_dates = self.without_best_dates();
        let without_fold = self.without_best_fold();
        let earns = |usd: Option<f64>| usd.map(|usd| usd > 0.0);
        let shown = |usd: Option<f64>| usd.map_or_else(|| "-".to_owned(), dollars);
        let mut conditions = vec![
            Condition {
                text: format!(
                    "Romano-Wolf p {}, {} in all, is {} or less",
                    joint.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}")),
                    counted(self.trials, "trial"),
                    config.alpha
                ),
                met: joint.map(|p| p <= config.alpha),
            },
            Condition { text: format!("the interval starts above zero ({})", shown(low)), met: earns(low) },
            Condition {
                text: format!("earns without its {best} best dates ({} a date)", shown(without_dates)),
                met: earns(without_dates).or(Some(false)),
            },
        ];
        if self.sessions.fold_count() > 1 {
            let text = format!("earns without its best fold ({} a date)", shown(without_fold));
            conditions.push(Condition { text, met: earns(without_fold) });
        }
        let wider = self.beside.at_wider_spread_usd;
        conditions.push(Condition {
            text: format!("earns at {WIDER_SPREAD} x the spread ({} a date)", shown(wider)),
            met: earns(wider),
        });
        let random = self.beside.matched_random.map(|random| random.p);
        let text = format!(
            "beats matched random entries (p {})",
            random.map_or_else(|| "-".to_owned(), |p| format!("{p:.3}"))
        );
        conditions.push(Condition { text, met: random.map(|p| p <= config.alpha) });
        conditions
    }

    /// Returns the adjusted p-value of the judged trial, for the trials without a series too (Bonferroni).
    fn joint_p(&self) -> Option<f64> {
        let rows = &self.evaluation.romano_wolf;
        let row = rows.get(self.judged)?;
        Some((row.p_adjusted * self.trials as f64 / rows.len() as f64).min(1.0))
    }

    /// Returns the mean P&L of a date without the best dates; `None` if none is left.
    fn without_best_dates(&self) -> Option<f64> {
        let mut pnl = self.pnl.to_vec();
        pnl.sort_by(f64::total_cmp);
        let left = pnl.len().saturating_sub(self.config.best_dates_left_out);
        (left > 0).then(|| statistics::mean(&pnl[..left]))
    }

    /// Returns the mean P&L of a date without the fold that earned most; `None` for one fold.
    fn without_best_fold(&self) -> Option<f64> {
        let sum = |fold: usize| -> f64 {
            self.sessions.folds.iter().zip(self.pnl).filter(|(of, _)| **of == fold).map(|(_, x)| x).sum()
        };
        let best = (0..self.sessions.fold_count()).max_by(|a, b| sum(*a).total_cmp(&sum(*b)))?;
        let rest: Vec<f64> =
            self.sessions.folds.iter().zip(self.pnl).filter(|(of, _)| **of != best).map(|(_, x)| *x).collect();
        (!rest.is_empty()).then(|| statistics::mean(&rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{
        edge::{Looks, MatchedRandom},
        sessions::tests::{noise, series},
    };

    /// A series of 80 dates with this mean and a deviation of about 24 dollars, for `seeds` seeds.
    fn sessions(mean: f64, seeds: usize) -> SessionSeries {
        series(vec![("a", noise(seeds, 80, mean))])
    }

    fn judge(sessions: &SessionSeries, beside: &Beside) -> Verdict {
        let config = EvaluationConfig { resamples: 499, ..EvaluationConfig::default() };
        Evaluation::of(sessions, beside, &config, 1).unwrap().verdict
    }

    fn word(sessions: &SessionSeries, beside: &Beside) -> Word {
        judge(sessions, beside).word
    }

    #[test]
    fn money_gives_its_word() {
        let of = |mean: f64| judge(&sessions(mean, 5), &Beside::default());
        let loses = of(-20.0);
        assert_eq!(loses.word, Word::Loses);
        assert!(loses.sentence.starts_with("Loses after costs: -$2") && loses.sentence.ends_with("80 dates, 5 seeds."));
        assert_eq!(of(-1.0).word, Word::NoEdge, "{}", of(-1.0).sentence);
        let unclear = judge(&series(vec![("a", noise(5, 25, 5.0))]), &Beside::default());
        assert_eq!(unclear.word, Word::Inconclusive);
        assert!(unclear.sentence.starts_with("Needs about "), "{}", unclear.sentence);
        let edge = of(8.0);
        assert_eq!(edge.word, Word::EdgeSurvives, "{edge:?}");
        assert!(edge.sentence.ends_with("2 conditions were not measured."), "{}", edge.sentence);
        assert_eq!(of(60.0).word, Word::TooGood);
    }

    #[test]
    fn faults_of_the_dates_come_before_money() {
        let mut trained_on = sessions(-20.0, 5);
        trained_on.in_sample_dates = 3;
        let found = judge(&trained_on, &Beside::default());
        assert_eq!(found.word, Word::Contaminated);
        assert_eq!(found.sentence, "3 of 80 dates lie within training dates: nothing here is evidence.");
        let looks =
            |outside| Beside { looks: Some(Looks { configurations: 1 + outside, outside }), ..Beside::default() };
        assert_eq!(word(&sessions(8.0, 5), &looks(1)), Word::Contaminated);
        assert_eq!(word(&sessions(8.0, 5), &looks(0)), Word::EdgeSurvives);
        assert_eq!(word(&sessions(-20.0, 5), &looks(1)), Word::Loses, "a choice flatters, and it loses nevertheless");
        let mut idle = sessions(0.0, 5);
        idle.trials[0].trades = 0;
        assert!(judge(&idle, &Beside::default()).sentence.starts_with("No trade on 80 session dates"));
        let few = series(vec![("a", vec![vec![-5.0, -6.0]; 5])]);
        assert!(judge(&few, &Beside::default()).sentence.starts_with("2 session dates are too few to judge, 20 are"));
    }

    #[test]
    fn an_edge_must_meet_every_condition_that_was_measured() {
        let earns = sessions(8.0, 5);
        let spread = |usd| Beside { at_wider_spread_usd: Some(usd), ..Beside::default() };
        assert_eq!((word(&earns, &spread(1.0)), word(&earns, &spread(-1.0))), (Word::EdgeSurvives, Word::Inconclusive));
        let random = |p| Beside { matched_random: Some(MatchedRandom { p, mean: 0.0 }), ..Beside::default() };
        assert_eq!((word(&earns, &random(0.01)), word(&earns, &random(0.2))), (Word::EdgeSurvives, Word::Inconclusive));
        let one_seed = judge(&sessions(9.5, 1), &Beside::default());
        assert!(
            one_seed.word == Word::Inconclusive && one_seed.sentence.contains("1 of 5 seeds say nothing"),
            "{one_seed:?}"
        );
        // All of the gain lies on three dates.
        let mut lucky = sessions(-0.5, 5);
        lucky.trials[0].pnl_usd.iter_mut().for_each(|pnl| pnl[..3].iter_mut().for_each(|x| *x = 900.0));
        let found = judge(&lucky, &Beside::default());
        assert_eq!(found.word, Word::Inconclusive, "{found:?}");
        assert!(
            found
                .evidence
                .iter()
                .any(|text| text.starts_with("earns without its 5 best dates") && text.ends_with("no"))
        );
    }

    #[test]
    fn a_fold_that_earned_everything_is_no_edge() {
        let mut folded = sessions(0.0, 5);
        folded.folds = (0..80).map(|date| date / 40).collect();
        let shift = |date: usize| if date < 40 { 25.0 } else { -9.0 };
        for pnl in &mut folded.trials[0].pnl_usd {
            pnl.iter_mut().enumerate().for_each(|(date, x)| *x += shift(date));
        }
        let found = judge(&folded, &Beside::default());
        let fold = found.evidence.iter().find(|text| text.starts_with("earns without its best fold")).unwrap();
        assert!(fold.ends_with(": no") && found.word == Word::Inconclusive, "{found:?}");
    }

    #[test]
    fn words_are_read_and_written() {
        for (word, text) in Word::ALL {
            assert_eq!((text.parse(), word.to_string().as_str()), (Ok(word), text));
            assert_eq!(serde_json::to_value(word).unwrap(), text);
        }
        assert!("edge".parse::<Word>().unwrap_err().contains("edge_survives"));
    }
}
