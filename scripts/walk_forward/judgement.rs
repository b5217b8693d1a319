//! Judgement of a walk-forward test: its stitched test dates beside policies without information, and the verdict.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::Fold;
use market_env::{Ceilings, PriceOrigin, Trade, baselines::Scripted};
use rayon::prelude::*;

use super::{
    WalkForwardResult,
    candidate::Candidate,
    choice::by_date_and_seed,
    plan::Plan,
    session_row::{Part, SessionRow},
};
use crate::{
    config::evaluation::EvaluationConfig,
    evaluation::{
        edge::{Beside, Evaluation, Looks, MatchedRandom},
        matched_random::MatchedSegment,
        sessions::{Baseline, SessionSeries, Trial},
    },
};

/// A finished test, and what it is judged with.
#[derive(Debug)]
pub struct Judgement<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its candidates with their markets.
    pub candidates: &'a [Candidate],
    /// The result.
    pub result: &'a WalkForwardResult,
    /// Thresholds of the verdict.
    pub config: &'a EvaluationConfig,
    /// Draws of matched random entries; 0 = none.
    pub matched_draws: usize,
}

impl Judgement<'_> {
    /// Evaluates the test dates; `looks` are those of the registry.
    ///
    /// # Errors
    /// When sessions cannot be replayed with the baselines.
    pub fn evaluate(&self, looks: Option<Looks>) -> anyhow::Result<Evaluation> {
        let sessions = self.sessions()?;
        let beside = Beside {
            judged: Some(0),
            looks,
            at_wider_spread_usd: self.mean_per_date(Part::WiderSpread),
            matched_random: self.matched_random(&sessions)?,
            ceiling_usd: Some(self.ceiling(sessions.dates.len())?),
            composed: self.plan.diagnose_selection,
            ..Beside::default()
        };
        Evaluation::of(&sessions, &beside, self.config, self.seed()?)
    }

    /// Returns the stitched test series of the procedure, then, after a diagnosis of the choice, those of every candidate; and of
    /// every scripted policy.
    ///
    /// # Errors
    /// When the sessions cannot be replayed.
    pub fn sessions(&self) -> anyhow::Result<SessionSeries> {
        let fold_of =
            |date: &Date| self.plan.folds.iter().position(|fold| fold.test.contains(*date)).unwrap_or_default();
        let dates = self.dates();
        let capital = self.candidates.first().context("a plan has a candidate")?.config.env.account.capital;
        let trades = || self.result.trades.iter().flatten();
        Ok(SessionSeries {
            folds: dates.iter().map(fold_of).collect(),
            symbols: self.plan.symbols.clone(),
            capital_usd: capital * self.plan.symbols.len() as f64,
            data: self.plan.data,
            modelled_prices: trades().any(|trade: &Trade| trade.prices == PriceOrigin::Modelled),
            in_sample_dates: 0,
            trials: self.trials(trades().count() as u64),
            baselines: self.baselines(&dates)?,
            dates,
        })
    }

    fn trials(&self, trades: u64) -> Vec<Trial> {
        let seeds = || self.plan.seeds.clone();
        let mut trials =
            vec![Trial { name: "walk-forward".to_owned(), seeds: seeds(), pnl_usd: self.series(Part::Test), trades }];
        let candidates = self.plan.candidates.iter().filter(|_| self.plan.diagnose_selection);
        trials.extend(candidates.map(|candidate| {
            let own = || self.rows(Part::Diagnosis).filter(|row| row.candidate == candidate.name);
            let trades = own().map(|row| u64::from(row.trades)).sum();
            Trial { name: candidate.name.clone(), seeds: seeds(), pnl_usd: self.by_seed(own()), trades }
        }));
        trials
    }

    /// Returns the test dates of all folds on which a session was played.
    fn dates(&self) -> Vec<Date> {
        let dates: BTreeSet<Date> = self.rows(Part::Test).map(|row| row.date).collect();
        dates.into_iter().collect()
    }

    fn rows(&self, part: Part) -> impl Iterator<Item = &SessionRow> {
        self.result.rows().filter(move |row| row.part == part)
    }

    /// Returns P&L in dollars by seed and date, `[S][n]`.
    fn series(&self, part: Part) -> Vec<Vec<f64>> {
        self.by_seed(self.rows(part))
    }

    fn by_seed<'r>(&self, rows: impl Iterator<Item = &'r SessionRow>) -> Vec<Vec<f64>> {
        let cells = by_date_and_seed(rows);
        (0..self.plan.seeds.len()).map(|seed| cells.iter().map(|of_date| of_date[seed]).collect()).collect()
    }

    fn mean_per_date(&self, part: Part) -> Option<f64> {
        let cells = self.series(part).concat();
        (!cells.is_empty()).then(|| statistics::mean(&cells))
    }

    /// Returns the seed of resamples and draws: the first bytes of the plan's hash.
    fn seed(&self) -> anyhow::Result<u64> {
        let hash = self.plan.sha256()?;
        u64::from_str_radix(&hash[..16], 16).context("a hash is hexadecimal")
    }

    /// Returns the test folds with the candidate chosen in each.
    fn chosen(&self) -> impl Iterator<Item = (&Fold, &Candidate)> {
        let of = |name: &str| self.candidates.iter().find(|candidate| candidate.name == name);
        self.result.folds.iter().filter_map(move |result| Some((&result.fold, of(result.chosen())?)))
    }

    /// Replays the test dates of every fold with the scripted policies, in the market and under the rules of the candidate that was
    /// chosen.
    fn baselines(&self, dates: &[Date]) -> anyhow::Result<Vec<Baseline>> {
        let mode = self.candidates.first().context("a plan has a candidate")?.config.env.exits.mode;
        let series = |policy: Scripted| {
            let mut cents: BTreeMap<Date, i64> = dates.iter().map(|date| (*date, 0)).collect();
            for (fold, candidate) in self.chosen() {
                let (market, config) = (&candidate.market, &candidate.config);
                let played = policy.play(market, &market.days_in(&fold.test), &config.env, config.run.seed)?;
                for episode in played.episodes {
                    *cents.entry(market.days()[episode.day as usize].date).or_default() += episode.net_pnl_cents;
                }
            }
            let pnl_usd = cents.into_values().map(|cents| cents as f64 / 100.0).collect();
            anyhow::Ok(Baseline { name: policy.to_string(), pnl_usd })
        };
        Scripted::family(mode).into_par_iter().map(series).collect()
    }

    /// Returns the mean P&L of a date with perfect foresight, in dollars.
    fn ceiling(&self, dates: usize) -> anyhow::Result<f64> {
        let mut cents = 0;
        for (fold, candidate) in self.chosen() {
            let market = &candidate.market;
            let found = Ceilings::of(market, &market.days_in(&fold.test), &candidate.config.env)?;
            cents += found.iter().map(|ceilings| ceilings.any.net_pnl_cents).sum::<i64>();
        }
        Ok(cents as f64 / 100.0 / dates as f64)
    }

    fn matched_random(&self, sessions: &SessionSeries) -> anyhow::Result<Option<MatchedRandom>> {
        if self.matched_draws == 0 || self.result.trades.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let seed = self.seed()?;
        let mut total = vec![0.0; self.matched_draws];
        for (fold, candidate) in self.chosen() {
            let within = |trades: &Vec<Trade>| {
                trades.iter().filter(|trade| fold.test.contains(trade.date)).cloned().collect::<Vec<Trade>>()
            };
            let trades: Vec<Vec<Trade>> = self.result.trades.iter().map(within).collect();
            let segment = MatchedSegment {
                market: &candidate.market,
                config: &candidate.config.env,
                days: candidate.market.days_in(&fold.test),
                trades: trades.iter().map(Vec::as_slice).collect(),
            };
            let drawn = segment.draw(self.matched_draws, seed.wrapping_add(fold.number as u64))?;
            total.iter_mut().zip(drawn).for_each(|(sum, usd)| *sum += usd);
        }
        let dates = sessions.dates.len() as f64;
        let own = statistics::mean(sessions.trials[0].mean_pnl()) * dates;
        let as_good = total.iter().filter(|usd| **usd >= own).count();
        Ok(Some(MatchedRandom {
            p: (1 + as_good) as f64 / (1 + self.matched_draws) as f64,
            mean: statistics::mean(&total) / dates,
        }))
    }
}
