//! The sections of the page, one file each.

mod baselines;
mod costs;
mod equity;
mod folds;
mod heat;
mod placebo;
mod provenance;
mod seeds;
mod selection;
mod training;
mod verdict;

use maud::Markup;

use super::{
    Page, Series, explorer,
    text::{absent, p_text, result_rows, short_dollars, with_ends},
};

/// One section.
#[derive(Debug)]
pub(super) struct Section {
    /// Anchor.
    pub(super) id: &'static str,
    /// Title, without its number.
    pub(super) title: &'static str,
    /// Content.
    pub(super) body: Markup,
}

/// Returns all sections, in their order.
///
/// # Errors
/// When the trades cannot be packed.
pub(super) fn all(page: &Page, series: &Series) -> anyhow::Result<Vec<Section>> {
    let section = |id, title, body| Section { id, title, body };
    Ok(vec![
        section("verdict", "Verdict", verdict::body(page)),
        section("equity", "Equity and drawdown", equity::body(page, series)),
        section("folds", "Folds", folds::body(page, series)),
        section("baselines", "Policies without information", baselines::body(page)),
        section("selection", "Choice among trials", selection::body(page, series)),
        section("placebo", "Markets without direction", placebo::body(page)),
        section("costs", "Costs and capacity", costs::body(page, series)),
        section("breakdown", "Hours, symbols, setups, regimes", heat::body(page)),
        section("training", "Training", training::body(page)),
        section("seeds", "Seeds", seeds::body(page, series)),
        section("trades", "Trades", explorer::body(page, series)?),
        section("provenance", "Provenance", provenance::body(page)),
    ])
}
