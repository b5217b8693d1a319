//! Section 11: a table of all trades that the reader sorts and filters, and its packed columns.
//!
//! Columns are little-endian numbers one after another, compressed and in base 64; names of symbols and reasons stand in the head.
//! Without JavaScript the best and the worst trades are shown.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use market_env::{Action, ExitReason, Trade};
use maud::{Markup, PreEscaped, html};
use serde_json::json;

use super::{Page, Series, figure::table, text::absent};
use crate::{
    artifacts::trades::setup_name,
    evaluation::groups::new_york,
    output::table::{dollars_and_cents, percent, thousands},
};

/// Most trades that a page holds.
const MOST_TRADES: usize = 250_000;
/// Best and worst trades that are printed.
const PRINTED: usize = 20;

/// Returns the section.
///
/// # Errors
/// When the columns cannot be compressed.
pub(super) fn body(page: &Page, series: &Series) -> anyhow::Result<Markup> {
    let count: usize = page.trades.iter().map(Vec::len).sum();
    if count == 0 {
        return Ok(absent("There is no trade."));
    }
    if count > MOST_TRADES {
        let text = format!(
            "{} trades are too many for a page (at most {}): the files of trades hold them.",
            thousands(count as i64),
            thousands(MOST_TRADES as i64)
        );
        return Ok(html! { (absent(&text)) (extremes(page)) });
    }
    let packed = Columns::of(page, series).pack(page, series)?;
    Ok(html! {
        div #explorer hidden {
            div #filters role="group" aria-label="Filters" {}
            p #summary role="status" {}
            div #grid role="table" aria-label="Trades" tabindex="0" {}
        }
        noscript { p.absent { "The table of all " (thousands(count as i64)) " trades needs JavaScript." } }
        (extremes(page))
        script type="application/json" id="trades-data" { (PreEscaped(packed)) }
    })
}

/// Columns of the trades, by seed and time.
#[derive(Debug, Default)]
struct Columns {
    seed: Vec<u8>,
    date: Vec<u8>,
    symbol: Vec<u8>,
    side: Vec<u8>,
    setup: Vec<u8>,
    reason: Vec<u8>,
    entry_minute: Vec<u8>,
    held: Vec<u8>,
    contracts: Vec<u8>,
    strike: Vec<u8>,
    entry_price: Vec<u8>,
    exit_price: Vec<u8>,
    fees: Vec<u8>,
    net: Vec<u8>,
}

impl Columns {
    fn of(page: &Page, series: &Series) -> Self {
        let (mut columns, zone) = (Self::default(), new_york());
        let symbols = &page.evaluation.unit.symbols;
        for (seed, trade) in
            page.trades.iter().enumerate().flat_map(|(seed, of)| of.iter().map(move |trade| (seed, trade)))
        {
            let entry =
                Timestamp::from_nanosecond(i128::from(trade.entry_ts_ns)).unwrap_or_default().to_zoned(zone.clone());
            let minute = 60 * i64::from(entry.hour()) + i64::from(entry.minute());
            let index = |found: Option<usize>| found.unwrap_or(usize::from(u8::MAX)) as u8;
            columns.seed.push(index(Some(seed)));
            let date = series.dates.binary_search(&trade.date).unwrap_or(usize::from(u16::MAX));
            columns.date.extend((date as u16).to_le_bytes());
            columns.symbol.push(index(symbols.iter().position(|of| *of == trade.symbol)));
            columns.side.push(u8::from(trade.side == Action::BuyPut));
            columns.setup.push(trade.setup as u8);
            columns.reason.push(index(ExitReason::ALL.iter().position(|of| *of == trade.reason)));
            columns.entry_minute.extend((minute as u16).to_le_bytes());
            columns.held.extend((trade.minutes_held().clamp(0, i64::from(u16::MAX)) as u16).to_le_bytes());
            columns.contracts.extend(trade.contracts.to_le_bytes());
            columns.strike.extend((trade.strike as f32).to_le_bytes());
            columns.entry_price.extend((trade.entry_price as f32).to_le_bytes());
            columns.exit_price.extend((trade.exit_price as f32).to_le_bytes());
            columns.fees.extend((trade.fees_cents as i32).to_le_bytes());
            columns.net.extend((trade.net_pnl_cents as i32).to_le_bytes());
        }
        columns
    }

    /// Returns head and columns as JSON.
    fn pack(&self, page: &Page, series: &Series) -> anyhow::Result<String> {
        let columns = [
            ("seed", "u8", &self.seed),
            ("date", "u16", &self.date),
            ("symbol", "u8", &self.symbol),
            ("side", "u8", &self.side),
            ("setup", "u8", &self.setup),
            ("reason", "u8", &self.reason),
            ("entry", "u16", &self.entry_minute),
            ("held", "u16", &self.held),
            ("contracts", "u32", &self.contracts),
            ("strike", "f32", &self.strike),
            ("paid", "f32", &self.entry_price),
            ("sold", "f32", &self.exit_price),
            ("fees", "i32", &self.fees),
            ("net", "i32", &self.net),
        ];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
        for (_, _, bytes) in columns {
            gzip.write_all(bytes)?;
        }
        let data = STANDARD.encode(gzip.finish()?);
        let head: Vec<[&str; 2]> = columns.iter().map(|(name, kind, _)| [*name, *kind]).collect();
        let json = json!({
            "rows": self.seed.len(),
            "columns": head,
            "dates": series.dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "seeds": page.seeds,
            "symbols": page.evaluation.unit.symbols,
            "sides": ["call", "put"],
            "setups": ["weak", "bull_strong", "bear_strong"],
            "reasons": ExitReason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>(),
            "cents": series.net_cents,
            "data": data,
        });
        Ok(json.to_string().replace('<', "\\u003c"))
    }
}

/// Returns the best and the worst trades.
fn extremes(page: &Page) -> Markup {
    let mut all: Vec<(u64, &Trade)> =
        page.trades.iter().zip(&page.seeds).flat_map(|(of, seed)| of.iter().map(move |trade| (*seed, trade))).collect();
    all.sort_by_key(|(seed, trade)| (std::cmp::Reverse(trade.net_pnl_cents), trade.entry_ts_ns, *seed));
    let zone = new_york();
    let row = |(seed, trade): &(u64, &Trade)| {
        let entry =
            Timestamp::from_nanosecond(i128::from(trade.entry_ts_ns)).unwrap_or_default().to_zoned(zone.clone());
        vec![
            format!("{} {}", trade.date, entry.strftime("%H:%M")),
            seed.to_string(),
            trade.symbol.clone(),
            if trade.side == Action::BuyPut { "put" } else { "call" }.to_owned(),
            format!("{}", trade.strike),
            setup_name(trade.setup).to_owned(),
            trade.contracts.to_string(),
            format!("{:.2}", trade.entry_price),
            format!("{:.2}", trade.exit_price),
            trade.minutes_held().to_string(),
            trade.reason.name().to_owned(),
            dollars_and_cents(trade.net_pnl_cents),
            percent(Some(trade.net_return)),
        ]
    };
    let heading = [
        "entry, New York",
        "seed",
        "symbol",
        "side",
        "strike",
        "setup",
        "contracts",
        "paid",
        "sold",
        "minutes",
        "exit",
        "net",
        "return",
    ];
    let best: Vec<Vec<String>> = all.iter().take(PRINTED).map(row).collect();
    let worst: Vec<Vec<String>> = all.iter().rev().take(PRINTED).map(row).collect();
    html! {
        details { summary { "Best and worst trades" }
            (table("Best trades", &heading, &best))
            (table("Worst trades", &heading, &worst))
        }
    }
}
