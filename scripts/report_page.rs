//! The report page: one HTML file with everything that a test found, which needs nothing but a browser.
//!
//! A [`Page`] holds the facts of a test, [`Page::html`] lays them out. Every figure comes from the evaluation or from all session
//! rows and trades; only lines of charts are thinned. The page makes no request to any host, holds no bars, follows the light or
//! dark look of its reader, prints, and shows its twelve sections without JavaScript, except for the table of all trades.
//!
//! - [`folder`] reads a page from the folder of a walk-forward test.
//! - [`replayed`] makes one of a replay: a backtest, or the test of a training.
//! - [`sweep`] is the page of a sweep, with sections of its own.
//! - `figure` draws charts, `sections` holds one file per section, `explorer` the table of trades.

mod against_test;
mod explorer;
mod figure;
pub mod folder;
mod layout;
pub mod replayed;
mod sections;
pub mod sweep;
mod text;

use jiff::civil::Date;
use market_env::Trade;

use crate::{
    artifacts::{health_rows::HealthRow, records::Row},
    evaluation::{edge::Evaluation, market_facts::MarketFacts},
    walk_forward::{FoldResult, plan::Plan},
};

/// One replayed session of the test. Money is in cents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Played {
    /// Number of the seed, from 0.
    pub seed: usize,
    /// Date.
    pub date: Date,
    /// P&L after spread and fees.
    pub net_cents: i64,
    /// Commissions and exchange fees.
    pub fees_cents: i64,
    /// Positions opened and closed.
    pub trades: u32,
}

/// Folds of a walk-forward test.
#[derive(Debug, Clone)]
pub struct Folds {
    /// The plan.
    pub plan: Plan,
    /// The folds, in the order of time.
    pub results: Vec<FoldResult>,
    /// Mean P&L of a date in dollars on every placebo market.
    pub placebo_usd: Vec<f64>,
}

/// Course of one training.
#[derive(Debug, Clone, Default)]
pub struct Training {
    /// Diagnostics rows by step.
    pub rows: Vec<Row>,
    /// Verdicts by step.
    pub verdicts: Vec<HealthRow>,
}

/// Everything that a page shows.
#[derive(Debug, Clone)]
pub struct Page {
    /// Title, such as "Walk-forward of pnl on SPY".
    pub title: String,
    /// Evaluation of the test.
    pub evaluation: Evaluation,
    /// Seeds of the judged trainings.
    pub seeds: Vec<u64>,
    /// All sessions of the test, of all seeds and symbols.
    pub sessions: Vec<Played>,
    /// All trades of the test, one list per seed.
    pub trades: Vec<Vec<Trade>>,
    /// Facts of the market at its dates.
    pub facts: MarketFacts,
    /// Folds of a walk-forward test.
    pub folds: Option<Folds>,
    /// Course of the training behind the policy.
    pub training: Option<Training>,
    /// Origin of everything: label and value.
    pub provenance: Vec<(String, String)>,
}

impl Page {
    /// Returns the page as HTML.
    ///
    /// # Errors
    /// When the trades cannot be packed.
    pub fn html(&self) -> anyhow::Result<String> {
        let series = Series::of(self);
        let sections = sections::all(self, &series)?;
        Ok(layout::document(&self.title, self.is_synthetic(), &sections))
    }

    fn is_synthetic(&self) -> bool {
        self.evaluation.unit.data.is_synthetic()
    }

    /// Returns the name of a page that a program chooses.
    pub fn file_name(&self) -> &'static str {
        file_name(self.is_synthetic())
    }
}

/// Returns the name of a page that a program chooses.
fn file_name(is_synthetic: bool) -> &'static str {
    if is_synthetic { "report-SYNTHETIC.html" } else { "report.html" }
}

/// P&L by date, from the sessions.
#[derive(Debug)]
struct Series {
    dates: Vec<Date>,
    /// P&L in dollars by seed and date, `[S][n]`.
    seeds: Vec<Vec<f64>>,
    /// Mean over seeds, `[n]`.
    mean: Vec<f64>,
    /// Fees in dollars of each date, mean over seeds, `[n]`.
    fees: Vec<f64>,
    /// P&L of all seeds, in cents.
    net_cents: i64,
}

impl Series {
    fn of(page: &Page) -> Self {
        let mut dates: Vec<Date> = page.sessions.iter().map(|session| session.date).collect();
        dates.sort();
        dates.dedup();
        let mut net = vec![vec![0i64; dates.len()]; page.seeds.len()];
        let mut fees = vec![0i64; dates.len()];
        for session in &page.sessions {
            if let Ok(date) = dates.binary_search(&session.date) {
                net[session.seed][date] += session.net_cents;
                fees[date] += session.fees_cents;
            }
        }
        let count = page.seeds.len().max(1) as f64;
        let usd = |cents: i64| cents as f64 / 100.0;
        let seeds: Vec<Vec<f64>> = net.iter().map(|row| row.iter().map(|cents| usd(*cents)).collect()).collect();
        let mean = (0..dates.len()).map(|date| usd(net.iter().map(|row| row[date]).sum()) / count).collect();
        let fees = fees.into_iter().map(|cents| usd(cents) / count).collect();
        Self { dates, seeds, mean, fees, net_cents: net.iter().flatten().sum() }
    }
}
