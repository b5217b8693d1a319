//! Choice of a candidate by its money on the validation dates of a fold.

use std::{collections::BTreeMap, fmt};

use clap::ValueEnum;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use statistics::{DatesBySeeds, Mean, mean};

use super::session_row::{Part, SessionRow};

/// Rule that chooses a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ChoiceRule {
    /// The candidate with the highest mean P&L per date, less one standard error.
    LowerBound,
    /// The candidate that trades least, among those within one standard error of the best.
    OneSe,
}

impl fmt::Display for ChoiceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowerBound => "highest mean less one standard error",
            Self::OneSe => "fewest trades within one standard error of the best",
        })
    }
}

/// A candidate's money on the validation dates of one fold: all symbols of a date together, mean over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Candidate.
    pub candidate: String,
    /// Mean P&L per date, in dollars.
    pub mean_usd: f64,
    /// Standard error of the mean over dates and seeds, in dollars; `None` for a single date.
    pub error_usd: Option<f64>,
    /// Trades per date and seed.
    pub trades: f64,
    /// True for the chosen one.
    pub chosen: bool,
}

/// Scores candidates by the validation rows of one fold, and marks the chosen one; equal candidates go to the first.
pub(super) fn choose(rule: ChoiceRule, candidates: &[String], rows: &[SessionRow]) -> Vec<Score> {
    let mut scores: Vec<Score> = candidates.iter().map(|name| score(name, rows)).collect();
    let lower = |score: &Score| score.mean_usd - score.error_usd.unwrap_or(0.0);
    let first_best = |value: &dyn Fn(&Score) -> f64, among: &dyn Fn(&Score) -> bool| {
        let better = |best: Option<usize>, (i, score): (usize, &Score)| match best {
            Some(best) if value(score) <= value(&scores[best]) => Some(best),
            _ => Some(i),
        };
        scores.iter().enumerate().filter(|(_, score)| among(score)).fold(None, better)
    };
    let chosen = match rule {
        ChoiceRule::LowerBound => first_best(&lower, &|_| true),
        ChoiceRule::OneSe => {
            let best = first_best(&|score| score.mean_usd, &|_| true);
            let bound = best.map_or(f64::NEG_INFINITY, |best| lower(&scores[best]));
            first_best(&|score| -score.trades, &|score| score.mean_usd >= bound)
        }
    };
    if let Some(chosen) = chosen {
        scores[chosen].chosen = true;
    }
    scores
}

fn score(candidate: &str, rows: &[SessionRow]) -> Score {
    let own = || rows.iter().filter(|row| row.candidate == candidate && row.part == Part::Validation);
    let pnl = by_date_and_seed(own());
    let cells = pnl.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    Score {
        candidate: candidate.to_owned(),
        mean_usd: pnl.iter().flatten().sum::<f64>() / cells,
        error_usd: error_of_mean(&pnl),
        trades: own().map(|row| f64::from(row.trades)).sum::<f64>() / cells,
        chosen: false,
    }
}

/// Returns the standard error of the mean over dates and seeds; over dates alone for one seed.
pub(crate) fn error_of_mean(pnl: &[Vec<f64>]) -> Option<f64> {
    let table = DatesBySeeds { pnl: pnl.to_vec(), fold: vec![0; pnl.len()] };
    let of_dates = || Mean::of(&pnl.iter().map(mean).collect::<Vec<_>>()).map(|mean| mean.error);
    table.components().map(|found| found.error()).or_else(of_dates)
}

/// Returns P&L in dollars, one row per date and one column per seed, all symbols of a date together.
pub(super) fn by_date_and_seed<'a>(rows: impl Iterator<Item = &'a SessionRow>) -> Vec<Vec<f64>> {
    let mut cents: BTreeMap<Date, BTreeMap<u64, i64>> = BTreeMap::new();
    for row in rows {
        *cents.entry(row.date).or_default().entry(row.seed).or_default() += row.net_cents;
    }
    let usd = |cents: &i64| *cents as f64 / 100.0;
    cents.values().map(|seeds| seeds.values().map(usd).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P&L of one symbol by date, in dollars, for two equal seeds.
    fn rows(candidate: &str, trades: u32, usd: &[i64]) -> Vec<SessionRow> {
        let row = |seed: u64, (day, usd): (i8, &i64)| SessionRow {
            candidate: candidate.to_owned(),
            seed,
            fold: 1,
            part: Part::Validation,
            date: jiff::civil::date(2025, 6, day),
            symbol: "SPY".to_owned(),
            net_cents: usd * 100,
            fees_cents: 0,
            trades,
            premium_cents: 0,
            held_minutes: 0,
        };
        (0..2).flat_map(|seed| (1..).zip(usd).map(move |cell| row(seed, cell))).collect()
    }

    fn chosen(rule: ChoiceRule, rows: &[SessionRow]) -> String {
        let names = ["steady", "lucky", "quiet"].map(str::to_owned);
        let scores = choose(rule, &names, rows);
        assert_eq!(scores.iter().filter(|score| score.chosen).count(), 1);
        scores.into_iter().find(|score| score.chosen).unwrap().candidate
    }

    #[test]
    fn one_lucky_date_does_not_win_against_many_good_ones() {
        let all = [
            rows("steady", 9, &[10, 12, 9, 11, 10]),
            rows("lucky", 9, &[-40, -35, 190, -30, -25]),
            rows("quiet", 2, &[9, 12, 8, 11, 11]),
        ]
        .concat();
        assert_eq!(chosen(ChoiceRule::LowerBound, &all), "steady");
        assert_eq!(
            chosen(ChoiceRule::OneSe, &all),
            "quiet",
            "the lucky one has the best mean, 12, and the widest error"
        );
    }

    #[test]
    fn symbols_of_a_date_are_one_observation_and_the_mean_is_over_dates_and_seeds() {
        let mut both = rows("steady", 3, &[10, 20]);
        both.extend(rows("steady", 1, &[1, 2]).into_iter().map(|row| SessionRow { symbol: "QQQ".into(), ..row }));
        let score = score("steady", &both);
        assert_eq!((score.mean_usd, score.trades), (16.5, 4.0));
        assert_eq!(by_date_and_seed(both.iter()), [[11.0, 11.0], [22.0, 22.0]]);
    }
}
