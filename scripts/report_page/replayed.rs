//! The page of a single replay: a backtest, or the test of a training.

use jiff::civil::Date;
use market_env::{PriceOrigin, Trade};

use super::{Page, Played, Training};
use crate::{
    artifacts::files,
    config::RunConfig,
    evaluation::{
        cost_sensitivity::CostSensitivity,
        details::{Described, Details},
        edge::{Beside, Evaluation, Looks},
        market_facts::MarketFacts,
        replay::ReplayResult,
        sessions::{SessionSeries, Trial},
    },
    inputs::Inputs,
};

/// A replay, and what its page tells beside it.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// Title of the page.
    pub title: String,
    /// Name of the policy.
    pub name: &'a str,
    /// Seed of its training.
    pub seed: u64,
    /// The replay.
    pub played: &'a ReplayResult,
    /// Its bars and market.
    pub inputs: &'a Inputs,
    /// Settings under which it was replayed.
    pub config: &'a RunConfig,
    /// Dates among the replayed ones on which the policy was trained.
    pub in_sample_dates: usize,
    /// Looks at the dates; absent without a registry.
    pub looks: Option<Looks>,
    /// Course of the training.
    pub training: Option<Training>,
    /// The same replay at several multiples of the spread.
    pub costs: Option<CostSensitivity>,
    /// Origin of the policy: label and value.
    pub provenance: Vec<(String, String)>,
}

impl Replayed<'_> {
    /// Evaluates the replay and returns its page.
    ///
    /// # Errors
    /// When there is no session, or a trade of no session.
    pub fn page(self) -> anyhow::Result<Page> {
        let (played, inputs) = (self.played, self.inputs);
        let sessions = self.series();
        let beside = Beside { judged: Some(0), looks: self.looks, ..Beside::default() };
        let mut evaluation = Evaluation::of(&sessions, &beside, &self.config.evaluation, self.seed)?;
        let (env, events) = (&self.config.env, &self.config.market.pricing.events);
        let mut facts = MarketFacts::regimes(&inputs.dataset, &inputs.market, events, sessions.range().first);
        facts.add_trades(0, &inputs.market, &env.execution, &played.trades)?;
        let trades = vec![played.trades.clone()];
        evaluation.set_details(self.details(&sessions, &trades, &facts));
        let mut provenance = self.provenance;
        provenance.extend(files::lines(&inputs.dataset.files).into_iter().map(|line| ("Bars".to_owned(), line)));
        let session = |(date, session): &(Date, market_env::Episode)| Played {
            seed: 0,
            date: *date,
            net_cents: session.net_pnl_cents,
            fees_cents: session.fees_cents,
            trades: session.trades,
        };
        Ok(Page {
            title: self.title,
            evaluation,
            seeds: vec![self.seed],
            sessions: played.sessions.iter().map(session).collect(),
            trades,
            facts,
            folds: None,
            training: self.training,
            provenance,
        })
    }

    fn details(&self, sessions: &SessionSeries, trades: &[Vec<Trade>], facts: &MarketFacts) -> Details {
        let lines = self.costs.iter().flat_map(|costs| &costs.multiples);
        let again: Vec<(f64, Vec<f64>)> = lines.map(|line| (line.multiple, line.daily_usd.clone())).collect();
        Described {
            dates: &sessions.dates,
            mean_usd: &sessions.trials[0].pnl_usd[0],
            trades,
            symbols: &sessions.symbols,
            capital_usd: sessions.capital_usd,
            facts,
            decided_again: &again,
        }
        .details()
    }

    fn series(&self) -> SessionSeries {
        let (dates, pnl): (Vec<Date>, Vec<f64>) = self.played.daily_pnl().into_iter().unzip();
        let symbols: Vec<String> = self.inputs.dataset.symbols.iter().map(|symbol| symbol.symbol.to_string()).collect();
        SessionSeries {
            folds: vec![0; dates.len()],
            dates,
            capital_usd: self.config.env.account.capital * symbols.len() as f64,
            symbols,
            data: self.inputs.stamp(),
            modelled_prices: self.played.trades.iter().any(|trade| trade.prices == PriceOrigin::Modelled),
            in_sample_dates: self.in_sample_dates,
            trials: vec![Trial {
                name: self.name.to_owned(),
                seeds: vec![self.seed],
                pnl_usd: vec![pnl],
                trades: self.played.trades.len() as u64,
            }],
            baselines: Vec::new(),
        }
    }
}
