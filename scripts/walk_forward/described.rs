//! Details of a finished walk-forward test: facts of the market at its test dates, and what its trades earned by group, cost and
//! capital.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::civil::Date;

use super::{
    WalkForwardResult,
    candidate::Candidate,
    choice::by_date_and_seed,
    plan::Plan,
    session_row::{Part, SessionRow},
};
use crate::{
    evaluation::{
        details::{Described, Details},
        edge::{Evaluation, WIDER_SPREAD},
        market_facts::MarketFacts,
    },
    inputs::Inputs,
};

/// Reads the facts of the market at the test dates.
///
/// # Errors
/// For a trade of a session that the market lacks.
pub fn facts(
    plan: &Plan,
    candidates: &[Candidate],
    result: &WalkForwardResult,
    inputs: &Inputs,
) -> anyhow::Result<MarketFacts> {
    let first = plan.folds.first().context("a plan has a fold")?.test.first;
    let shared = &candidates.first().context("a plan has a candidate")?.config;
    let mut facts = MarketFacts::regimes(&inputs.dataset, &inputs.market, &shared.market.pricing.events, first);
    for fold in &result.folds {
        let chosen = candidates.iter().find(|candidate| candidate.name == fold.chosen());
        let chosen = chosen.context("the chosen candidate is one of the plan's")?;
        for (seed, trades) in result.trades.iter().enumerate() {
            let inside = trades.iter().filter(|trade| fold.fold.test.contains(trade.date)).cloned();
            facts.add_trades(seed, &chosen.market, &chosen.config.env.execution, &inside.collect::<Vec<_>>())?;
        }
    }
    Ok(facts)
}

/// Computes the details of a test that was evaluated.
pub fn details(result: &WalkForwardResult, evaluation: &Evaluation, facts: &MarketFacts) -> Details {
    let rows = |part: Part| result.rows().filter(move |row| row.part == part);
    let dates: BTreeSet<Date> = rows(Part::Test).map(|row| row.date).collect();
    let dates: Vec<Date> = dates.into_iter().collect();
    let wider = (WIDER_SPREAD, means(rows(Part::WiderSpread)));
    Described {
        dates: &dates,
        mean_usd: &means(rows(Part::Test)),
        trades: &result.trades,
        symbols: &evaluation.unit.symbols,
        capital_usd: evaluation.unit.capital_usd,
        facts,
        decided_again: &[wider],
    }
    .details()
}

/// Returns the P&L of each date in dollars, mean over seeds.
fn means<'a>(rows: impl Iterator<Item = &'a SessionRow>) -> Vec<f64> {
    by_date_and_seed(rows).iter().map(statistics::mean).collect()
}
