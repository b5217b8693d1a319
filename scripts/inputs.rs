//! From the configuration to the market that is replayed: load, cut into sessions, build the tapes, all of it reported.

use std::sync::Arc;

use anyhow::Context as _;
use market_data::{Dataset, Split, source};
use market_env::Market;
use serde_json::json;

use crate::{
    config::{DataSource, RunConfig},
    files,
    table::thousands,
};

/// What a run reads.
#[derive(Debug)]
pub struct Inputs {
    /// The sessions of all symbols.
    pub dataset: Dataset,
    /// Their features and option tapes.
    pub market: Arc<Market>,
}

/// The word that made-up data puts on every artefact, and its counterpart.
pub fn stamp(synthetic: bool) -> &'static str {
    if synthetic { "SYNTHETIC" } else { "market" }
}

impl Inputs {
    /// Loads the bars of a configuration and builds their market.
    ///
    /// # Errors
    /// Whatever is wrong with the bars, in one sentence that names the place.
    pub fn load(config: &RunConfig) -> anyhow::Result<Self> {
        let run = &config.run;
        let history = match run.data_source {
            DataSource::Synthetic => source::synthetic::generate(&config.data.synthetic, &run.symbols)?,
            // Any other source was refused by the check of the configuration.
            _ => source::files::load(&run.data_dir, &run.symbols)?,
        };
        let dataset = Dataset::build(&history, &run.window(), &config.data)?;
        let market = Arc::new(Market::build(&dataset.symbols, &config.market)?);
        Ok(Self { dataset, market })
    }

    /// Returns the stamp of the data.
    pub fn stamp(&self) -> &'static str {
        stamp(self.dataset.synthetic)
    }

    /// Returns the dates of training, validation and test.
    ///
    /// # Errors
    /// When there are too few sessions.
    pub fn split(&self, config: &RunConfig) -> anyhow::Result<Split> {
        market_data::split(&self.dataset.dates, &config.data.split).context("splitting the sessions by date")
    }

    /// Returns what was read and what was done to it, as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let files = self.dataset.files.iter();
        let files = files.map(|file| format!("  {}: {} rows; {}", file.path, thousands(file.rows as i64), file.note));
        let symbols = self.dataset.symbols.iter();
        let symbols = symbols.flat_map(|s| [format!("  {}", s.report), format!("  {}", s.volatility_report())]);
        files.chain(symbols).collect()
    }

    /// Returns what the manifest says about the data.
    ///
    /// # Errors
    /// When a file that was read cannot be read again.
    pub fn manifest(&self, split: &Split) -> anyhow::Result<serde_json::Value> {
        let file = |file: &market_data::FileRecord| -> anyhow::Result<_> {
            let sha256 = files::sha256(file.path.as_ref())?;
            Ok(json!({ "path": file.path, "rows": file.rows, "note": file.note, "sha256": sha256 }))
        };
        let dates = |part: &market_data::DateRange| {
            let inside = self.dataset.dates.iter().filter(|&&date| part.contains(date));
            inside.map(ToString::to_string).collect::<Vec<_>>()
        };
        let symbols = self.dataset.symbols.iter().map(|symbol| {
            let report = &symbol.report;
            json!({
                "symbol": symbol.symbol,
                "sessions": symbol.days.len() - symbol.warmup,
                "warmup_sessions": symbol.warmup,
                "filled_minutes": report.filled_minutes,
                "volatility": symbol.volatility_report(),
                "refused": report.refused.iter().map(|(date, missing)| json!({ "date": date, "missing_minutes": missing })).collect::<Vec<_>>(),
                "absent": report.absent,
                "bars_outside_hours": report.outside_hours,
            })
        });
        Ok(json!({
            "data": self.stamp(),
            "files": self.dataset.files.iter().map(file).collect::<anyhow::Result<Vec<_>>>()?,
            "symbols": symbols.collect::<Vec<_>>(),
            "dates": {
                "train": dates(&split.train),
                "validation": dates(&split.validation),
                "test": dates(&split.test),
                "gap": split.gap,
            },
        }))
    }
}
