//! Real quotes on a tape: a contract's own standing quote replaces the surface's; without one, nothing fills.
//!
//! The quote of a minute is the one at its end, so an order decided at the close of bar `t` fills on it at the open of bar
//! `t + 1`. A contract with an earlier quote is traded on its own quotes only: crossed and stale quotes fill nothing,
//! one-sided quotes nothing on the missing side. A contract without a quote of its own is traded on the surface while the
//! surface is fresh. Marks at a bar's close always have a value.
//!
//! Files of quotes must hold every strike near the money: a file cut around a later price would reveal that price through
//! the set of tradable contracts. Files of trades may lack any strikes, since they only move the surface.

use std::{collections::BTreeMap, num::NonZeroU32};

use market_data::{OptionSession, QuoteMinute};

use crate::{
    ContractSpec, MarketConfig, Quote,
    market::tape::{OptionTape, UNKNOWN_SIZE},
    option::{
        pricing::{ask_cents, bid_cents},
        quote::{nearest_strike, right_bit},
        surface::SurfacePoint,
    },
};

/// Writes a session's quotes onto its tape, and removes quotes that cannot be traded.
pub(crate) fn lay(
    rows: &OptionSession,
    surface: &[SurfacePoint],
    spec: &ContractSpec,
    config: &MarketConfig,
    tape: &mut OptionTape,
) {
    let (bars, at_open) = (surface.len() - 1, &surface[..surface.len() - 1]);
    let own = by_contract(rows, spec, tape);
    tape.far_rows += (rows.quotes.len() - own.values().map(Vec::len).sum::<usize>()) as u64;
    if !own.is_empty() {
        tape.own = vec![false; tape.quotes.len()];
    }
    if rows.quotes.iter().any(|row| row.bid_size.is_some() || row.ask_size.is_some()) {
        tape.sizes = vec![[UNKNOWN_SIZE; 2]; tape.quotes.len()];
    }
    for contract in 0..2 * tape.strikes {
        let mut quotes = own.get(&contract).into_iter().flatten().peekable();
        let mut last: Option<&QuoteMinute> = None;
        for (t, point) in at_open.iter().enumerate() {
            while let Some(&row) = quotes.next_if(|row| usize::from(row.slot) < t) {
                last = Some(row);
            }
            let cell = contract as usize * bars + t;
            match last {
                Some(row) => lay_own(row, t, cell, spec, config, tape),
                None if point.fresh => tape.origin.surface += 1,
                None => {
                    tape.quotes[cell].open = Quote::default();
                    tape.origin.stale_surface += 1;
                }
            }
            if let Some(row) = quotes.peek().filter(|row| usize::from(row.slot) == t)
                && let Some((bid, ask)) = row.sides()
            {
                tape.quotes[cell].close = config.pricing.widened(spec, bid, ask);
            }
        }
    }
}

/// Writes a contract's own newest quote to the open of bar `t`.
fn lay_own(
    row: &QuoteMinute,
    t: usize,
    cell: usize,
    spec: &ContractSpec,
    config: &MarketConfig,
    tape: &mut OptionTape,
) {
    let open = &mut tape.quotes[cell].open;
    let age = t - usize::from(row.slot);
    if age > config.surface.quote_stands as usize {
        *open = Quote::default();
        tape.origin.stale_quote += 1;
        return;
    }
    if row.is_crossed() {
        *open = Quote::default();
        tape.origin.crossed += 1;
        return;
    }
    match row.sides() {
        Some((bid, ask)) => {
            *open = config.pricing.widened(spec, bid, ask);
            tape.origin.quoted += 1;
        }
        None => {
            let (bid, ask) = (row.bid.unwrap_or(0.0), row.ask.unwrap_or(0.0));
            *open = Quote { bid: bid_cents(spec, bid), ask: NonZeroU32::new(ask_cents(spec, ask)) };
            tape.origin.one_sided += 1;
        }
    }
    tape.own[cell] = true;
    if let Some(size) = tape.sizes.get_mut(cell) {
        let shown = |size: u32| size.min(u32::from(UNKNOWN_SIZE) - 1) as u16;
        *size = [row.bid_size, row.ask_size].map(|size| size.map_or(UNKNOWN_SIZE, shown));
    }
}

/// Groups the quotes by the tape's contracts, each ascending by minute. Strikes off the grid are left out.
fn by_contract<'a>(
    rows: &'a OptionSession,
    spec: &ContractSpec,
    tape: &OptionTape,
) -> BTreeMap<u32, Vec<&'a QuoteMinute>> {
    let mut own: BTreeMap<u32, Vec<&QuoteMinute>> = BTreeMap::new();
    for row in &rows.quotes {
        let strike = nearest_strike(row.strike, spec);
        let on_grid = (f64::from(strike) * spec.strike_step - row.strike).abs() < 1e-6;
        if on_grid && (tape.lowest..tape.lowest + tape.strikes).contains(&strike) {
            own.entry(2 * (strike - tape.lowest) + right_bit(row.right)).or_default().push(row);
        }
    }
    own
}
