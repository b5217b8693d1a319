//! The page of a walk-forward test, from the files of its folder.

use std::path::Path;

use super::{Folds, Page, Played};
use crate::{
    artifacts::files,
    evaluation::{edge::Evaluation, market_facts::MarketFacts},
    output::{
        console::Console,
        output_file::{OutputFile, json_text, write_file},
    },
    walk_forward::{
        WalkForwardResult, described, finished,
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
    let mut evaluation: Evaluation = finished::evaluation(folder)?;
    let placebo = PlaceboWorlds::read(folder, &plan)?;
    let facts = read_facts(&folder.join(FACTS))?;
    if evaluation.details.breakdown.is_none() {
        // An evaluation of an earlier version has no details.
        evaluation.set_details(described::details(&result, &evaluation, &facts));
    }
    let names: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    Ok(Page {
        title: format!("Walk-forward of {} on {}", names.join(", "), plan.symbols.join(", ")),
        evaluation,
        seeds: plan.seeds.clone(),
        sessions: result.rows().filter(|row| row.part == Part::Test).filter_map(|row| played(row, &plan)).collect(),
        facts,
        training: None,
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
pub fn write(folder: &Path, facts: &MarketFacts, console: &mut Console) -> anyhow::Result<()> {
    write_file(&folder.join(FACTS), json_text(facts)?.as_bytes())?;
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
