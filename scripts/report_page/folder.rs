//! The page of a walk-forward test, from the files of its folder.

use std::path::Path;

use anyhow::Context as _;

use super::{Folds, Page, Played};
use crate::{
    artifacts::files,
    evaluation::market_facts::MarketFacts,
    inputs::Inputs,
    output::{
        console::Console,
        output_file::{OutputFile, json_text, write_file},
    },
    walk_forward::{
        WalkForwardResult,
        candidate::Candidate,
        finished,
        placebo::PlaceboWorlds,
        plan::Plan,
        session_row::{Part, SessionRow},
    },
};

/// File with the facts of the market at the test dates.
const FACTS: &str = "market_facts.json";

/// Reads the page of a finished test.
///
/// # Errors
/// When a file is missing or damaged, or belongs to another plan.
pub fn read(folder: &Path) -> anyhow::Result<Page> {
    let plan = Plan::read(folder)?;
    let result = finished::read(folder, &plan)?;
    let evaluation = finished::evaluation(folder)?;
    let placebo = PlaceboWorlds::read(folder, &plan)?;
    let facts = read_facts(&folder.join(FACTS))?;
    let names: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    Ok(Page {
        title: format!("Walk-forward of {} on {}", names.join(", "), plan.symbols.join(", ")),
        evaluation,
        seeds: plan.seeds.clone(),
        sessions: result.rows().filter(|row| row.part == Part::Test).filter_map(|row| played(row, &plan)).collect(),
        facts,
        training: None,
        costs: None,
        provenance: provenance(&plan, &result)?,
        trades: result.trades,
        folds: Some(Folds {
            results: result.folds,
            placebo_usd: placebo.mean_per_date_usd.into_values().collect(),
            plan,
        }),
    })
}

/// Writes the facts of the market and the page of a test that has just finished, and prints the page's path.
///
/// # Errors
/// As for [`read`], and when a file cannot be written.
pub fn write(
    folder: &Path,
    (plan, candidates): (&Plan, &[Candidate]),
    result: &WalkForwardResult,
    inputs: &Inputs,
    console: &mut Console,
) -> anyhow::Result<()> {
    let facts = facts(plan, candidates, result, inputs)?;
    write_file(&folder.join(FACTS), json_text(&facts)?.as_bytes())?;
    rewrite(folder, console)
}

/// Writes the page of a finished test again, and prints its path.
///
/// # Errors
/// As for [`write()`].
pub fn rewrite(folder: &Path, console: &mut Console) -> anyhow::Result<()> {
    let page = read(folder)?;
    OutputFile::checked("Page", &folder.join(page.file_name()))?.save(page.html()?, console)
}

fn read_facts(path: &Path) -> anyhow::Result<MarketFacts> {
    if !path.exists() {
        return Ok(MarketFacts::default());
    }
    files::read_json(path)
}

fn facts(
    plan: &Plan,
    candidates: &[Candidate],
    result: &WalkForwardResult,
    inputs: &Inputs,
) -> anyhow::Result<MarketFacts> {
    let first = plan.folds.first().context("a plan has a fold")?.test.first;
    let mut facts = MarketFacts::regimes(&inputs.dataset, &inputs.market, first);
    for fold in &result.folds {
        let chosen = candidates.iter().find(|candidate| candidate.name == fold.chosen());
        let market = &chosen.context("the chosen candidate is one of the plan's")?.market;
        for (seed, trades) in result.trades.iter().enumerate() {
            let inside = trades.iter().filter(|trade| fold.fold.test.contains(trade.date)).cloned();
            facts.add_spreads(seed, market, &inside.collect::<Vec<_>>())?;
        }
    }
    Ok(facts)
}

fn played(row: &SessionRow, plan: &Plan) -> Option<Played> {
    let seed = plan.seeds.iter().position(|seed| *seed == row.seed)?;
    let SessionRow { date, net_cents, fees_cents, trades, .. } = *row;
    Some(Played { seed, date, net_cents, fees_cents, trades })
}

fn provenance(plan: &Plan, result: &WalkForwardResult) -> anyhow::Result<Vec<(String, String)>> {
    let mut lines = vec![
        ("SHA-256 of the plan".to_owned(), plan.sha256()?),
        ("Dates of the bars".to_owned(), plan.dates.to_string()),
        ("Steps of a training".to_owned(), plan.timesteps.to_string()),
        ("Behaviour".to_owned(), format!("{:?}", plan.behaviour).to_lowercase()),
    ];
    for candidate in &plan.candidates {
        lines.push((format!("Candidate {}", candidate.name), candidate.config_sha256.clone()));
    }
    for file in plan.files.as_array().into_iter().flatten() {
        let text = |key: &str| file[key].as_str().unwrap_or_default();
        let name = Path::new(text("path")).file_name().map_or_else(String::new, |name| name.display().to_string());
        lines.push((format!("Bars {name}"), format!("{} rows, {}", file["rows"], text("sha256"))));
    }
    for (path, sha256) in result.folds.iter().flat_map(|fold| &fold.models) {
        lines.push((format!("Model {}", path.display()), sha256.clone()));
    }
    Ok(lines)
}
