//! Page of a backtest.

use super::{Backtest, report::BacktestReport};
use crate::{
    artifacts::{paths::model_path, registry::Registry, saved_model::ranges_text},
    evaluation::{edge::Looks, replay::ReplayResult},
    report_page::{Page, replayed::Replayed},
};

impl Backtest<'_> {
    /// Returns the page of a replay.
    ///
    /// # Errors
    /// As for [`Replayed::page`].
    pub(super) fn page(&self, played: &ReplayResult, report: &BacktestReport) -> anyhow::Result<Page> {
        let replayed = Replayed {
            title: format!("Backtest of {} on {}", report.model, report.symbols.join(", ")),
            name: &report.model,
            seed: report.training_seed,
            played,
            inputs: self.inputs,
            config: self.config,
            in_sample_dates: report.in_sample_dates,
            looks: self.looks(report),
            training: None,
            costs: report.cost_sensitivity.clone(),
            provenance: vec![
                ("Model".to_owned(), report.model.clone()),
                ("Behaviour".to_owned(), report.behaviour.to_owned()),
                ("Trained on".to_owned(), ranges_text(&report.trained_on)),
                ("SHA-256 of the settings".to_owned(), report.configuration.clone()),
            ],
        };
        replayed.page()
    }

    /// Returns the looks at the dates; `None` where the registry cannot be read.
    fn looks(&self, report: &BacktestReport) -> Option<Looks> {
        let content = Registry::of_model(&model_path(&self.flags.model)).read().ok()?;
        let lookers = content.lookers(report.dates, report.data);
        Some(Looks::of(&lookers, &[report.configuration.as_str()].into()))
    }
}
