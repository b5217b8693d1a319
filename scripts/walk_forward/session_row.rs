//! One replayed session of a walk-forward test.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_env::Market;
use polars_core::prelude::{Column, DataFrame, DataType, NamedFrom as _, Series};
use polars_io::prelude::ParquetWriter;
use serde::{Deserialize, Serialize};

use crate::{artifacts::trades::days_since_epoch, evaluation::replay::ReplayResult};

/// Part of a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The dates that choose between candidates.
    Validation,
    /// The dates that judge the choice.
    Test,
    /// The same dates at 1.5 times the spread; the policy decides again.
    WiderSpread,
    /// The same dates by every candidate, chosen or not; never trained again on validation dates.
    Diagnosis,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
            Self::WiderSpread => "wider_spread",
            Self::Diagnosis => "diagnosis",
        }
    }
}

/// Replay of one symbol on one date, by the policy of one candidate and seed. Money is in cents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRow {
    /// Candidate.
    pub candidate: String,
    /// Seed.
    pub seed: u64,
    /// Fold, from 1.
    pub fold: usize,
    /// Part of the fold.
    pub part: Part,
    /// Date.
    pub date: Date,
    /// Symbol of the underlying.
    pub symbol: String,
    /// P&L after spread and fees.
    pub net_cents: i64,
    /// Commissions and exchange fees.
    pub fees_cents: i64,
    /// Positions opened and closed.
    pub trades: u32,
    /// Premium paid at the entries.
    pub premium_cents: i64,
    /// Decisions taken in a position.
    pub held_minutes: u32,
}

/// Candidate, seed, fold and part of a replay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) candidate: &'a str,
    pub(super) seed: u64,
    pub(super) fold: usize,
    pub(super) part: Part,
}

/// Returns one row per session of a replay, by date and symbol.
pub(super) fn rows(origin: Origin<'_>, played: &ReplayResult, market: &Market) -> Vec<SessionRow> {
    let mut premium: BTreeMap<(Date, &str), i64> = BTreeMap::new();
    for trade in &played.trades {
        let cents = (trade.entry_price * 100.0 * 100.0).round() as i64 * i64::from(trade.contracts);
        *premium.entry((trade.date, &trade.symbol)).or_default() += cents;
    }
    let of = |(date, session): &(Date, market_env::Episode)| {
        let symbol = market.days()[session.day as usize].symbol.to_string();
        SessionRow {
            candidate: origin.candidate.to_owned(),
            seed: origin.seed,
            fold: origin.fold,
            part: origin.part,
            date: *date,
            net_cents: session.net_pnl_cents,
            fees_cents: session.fees_cents,
            trades: session.trades,
            premium_cents: premium.get(&(*date, symbol.as_str())).copied().unwrap_or_default(),
            held_minutes: session.held_steps,
            symbol,
        }
    };
    let mut rows: Vec<SessionRow> = played.sessions.iter().map(of).collect();
    rows.sort_by(|a, b| (a.date, &a.symbol).cmp(&(b.date, &b.symbol)));
    rows
}

/// Returns rows as a Parquet file.
///
/// # Errors
/// When Parquet cannot hold them.
pub(super) fn parquet(rows: &[SessionRow]) -> anyhow::Result<Vec<u8>> {
    let text = |name: &str, of: &dyn Fn(&SessionRow) -> String| {
        Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>())
    };
    let whole =
        |name: &str, of: &dyn Fn(&SessionRow) -> i64| Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>());
    let dates: Vec<i32> = rows.iter().map(|row| days_since_epoch(row.date)).collect();
    let series = [
        text("candidate", &|row| row.candidate.clone()),
        whole("seed", &|row| row.seed as i64),
        whole("fold", &|row| row.fold as i64),
        text("part", &|row| row.part.name().to_owned()),
        Series::new("date".into(), dates).cast(&DataType::Date)?,
        text("symbol", &|row| row.symbol.clone()),
        whole("net_cents", &|row| row.net_cents),
        whole("fees_cents", &|row| row.fees_cents),
        whole("trades", &|row| i64::from(row.trades)),
        whole("premium_cents", &|row| row.premium_cents),
        whole("held_minutes", &|row| i64::from(row.held_minutes)),
    ];
    let mut frame = DataFrame::new_infer_height(series.into_iter().map(Column::from).collect())?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}
