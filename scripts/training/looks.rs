//! Rows of a training in the registry: its look at the test dates, and its end.

use statistics::Moments;

use super::{Finished, Run};
use crate::{
    artifacts::registry::{Ending, Kind, Registry, Row, identity::configuration_hash, looks_line},
    output::exit_code::TrainingStopped,
};

impl Run<'_> {
    fn registry(&self) -> Registry {
        Registry::in_folder(&self.config.run.out_dir)
    }

    fn row(&self, kind: Kind) -> anyhow::Result<Row> {
        let run = &self.config.run;
        let row = Row::new(kind, &run.model_name, configuration_hash(self.config)?, self.inputs.stamp());
        Ok(Row { seed: Some(run.seed), train: Some(self.split.train), steps: Some(run.timesteps), ..row })
    }

    /// Records the look before any figure is shown, and returns the sentence on earlier looks by other configurations.
    pub(super) fn look(&self) -> anyhow::Result<String> {
        let registry = self.registry();
        let row = Row { looked_at: Some(self.split.test), ..self.row(Kind::Look)? };
        let (content, data) = (registry.read()?, row.data);
        let earlier = content.lookers(self.split.test, data);
        let others = earlier.iter().filter(|config| **config != row.config).count();
        registry.append(row)?;
        let line = looks_line("these test dates", others);
        let path = registry.path();
        Ok(format!("Looks: {line} ({})", path.strip_prefix(".").unwrap_or(path).display()))
    }

    /// Records the end of the training, a failed one too.
    pub(super) fn record(&self, finished: &anyhow::Result<Finished>) -> anyhow::Result<()> {
        let outcome = match finished.as_ref().map(|finished| finished.end.clone().break_value()) {
            Ok(None) => Ending::Finished,
            Ok(Some(TrainingStopped::BySignal { .. })) => Ending::Interrupted,
            Ok(Some(TrainingStopped::ByVerdict { .. })) => Ending::Stopped,
            Err(_) => Ending::Failed,
        };
        let tested = finished.as_ref().ok().and_then(|finished| finished.tested.as_ref());
        let daily: Vec<f64> = tested
            .and_then(|tested| tested.of("greedy"))
            .map(|money| money.daily.iter().map(|(_, pnl)| *pnl).collect())
            .unwrap_or_default();
        let sharpe_per_date = Moments::of(&daily).map(|moments| moments.sharpe());
        let dates = (!daily.is_empty()).then_some(daily.len());
        self.registry().append(Row { outcome, sharpe_per_date, dates, ..self.row(Kind::Training)? })
    }

    /// Returns the sentence for test dates that stay unseen.
    pub(super) fn unseen_line(&self) -> String {
        let test = self.split.test;
        format!(
            "Test dates {test} stay unseen (--final false). To look: zerodte backtest --model {} --start-date {} --end-date {}",
            self.paths.model.with_extension("").display(),
            test.first,
            test.last
        )
    }
}
