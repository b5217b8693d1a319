//! Samples of a forecaster: a tape of bars with targets, split by date into training, validation and test.

use jiff::civil::Date;
use market_data::{DataError, Dataset, DateRange, Split, Symbol};
use market_env::{ForecastTape, Move};
use ppo_agent::forecast::{ForecastConfig, ForecastData, Samples};

use crate::{config::RunConfig, inputs};

/// Bars, and the features and targets computed from them.
#[derive(Debug)]
pub(crate) struct ForecastDataset {
    pub(crate) dataset: Dataset,
    pub(crate) tape: ForecastTape,
}

/// Samples of some dates, with their positions on the tape.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectedSamples {
    /// Positions on the tape.
    pub(crate) index: Vec<u32>,
    pub(crate) samples: Samples,
}

impl ForecastDataset {
    /// Loads the bars of a configuration and computes the tape and the targets of a forecaster.
    ///
    /// # Errors
    /// When the bars cannot be loaded, or when the horizons do not fit them.
    pub(crate) fn load(config: &RunConfig, forecast: &ForecastConfig) -> anyhow::Result<Self> {
        let dataset = inputs::sessions(config)?;
        let (bars, horizons) = (forecast.bars, &forecast.horizons);
        let tape = ForecastTape::build(&dataset.symbols, bars, horizons, config.market.setup_threshold)?;
        Ok(Self { dataset, tape })
    }

    /// Returns the dates of training, validation and test.
    ///
    /// # Errors
    /// When there are too few sessions, or none is held out.
    pub(crate) fn split(&self, config: &RunConfig) -> Result<Split, DataError> {
        if config.data.split.all_dates {
            let fault = "data.split.all_dates: a forecaster is chosen on validation dates and tested; leave it out";
            return Err(DataError::Config { faults: vec![fault.to_owned()] });
        }
        market_data::split(&self.dataset.dates, &config.data.split)
    }

    /// Returns the samples of the given dates with at least one target known by the last date.
    pub(crate) fn pick(&self, dates: &DateRange) -> SelectedSamples {
        let mut picked = SelectedSamples::default();
        for index in self.tape.samples_in(dates) {
            let ahead: Vec<Option<Move>> = self.tape.ahead(index, dates.last).collect();
            if ahead.iter().all(Option::is_none) {
                continue;
            }
            let sample = &self.tape.samples()[index as usize];
            picked.index.push(index);
            picked.samples.row.push(sample.row);
            picked.samples.first_row.push(sample.first_row);
            picked.samples.block.push(self.block(sample.date));
            picked.samples.actual.extend(ahead.into_iter().flat_map(targets));
        }
        picked
    }

    /// Returns the bootstrap block of a date, the same for all symbols: one session, or twice the sessions of the
    /// longest horizon if it spans more than one, since overlapping targets are correlated.
    fn block(&self, date: Date) -> u32 {
        let longest = self.tape.horizons().iter().map(|horizon| horizon.sessions()).max().unwrap_or(1);
        let sessions = if longest > 1 { 2 * longest } else { 1 };
        (self.dataset.dates.partition_point(|known| *known < date) / sessions) as u32
    }

    /// Returns the date of every sample.
    pub(crate) fn dates<'a>(&'a self, picked: &'a SelectedSamples) -> impl Iterator<Item = Date> + 'a {
        picked.index.iter().map(|&index| self.tape.samples()[index as usize].date)
    }

    /// Returns the tape with the samples of training and validation.
    pub(crate) fn data(&self, forecast: &ForecastConfig, split: &Split) -> ForecastData {
        ForecastData {
            features: self.tape.feature_names().to_vec(),
            tape: self.tape.features().to_vec(),
            targets: forecast.targets(),
            train: self.pick(&split.train).samples,
            validation: self.pick(&split.validation).samples,
        }
    }

    /// Returns last-value forecasts: return and volatility over the preceding interval of the same length, and its
    /// direction. `[N, M]`
    pub(crate) fn last_values(&self, picked: &SelectedSamples) -> Vec<f32> {
        picked
            .index
            .iter()
            .flat_map(|&index| self.tape.behind(index))
            .flat_map(|&behind| targets(Some(behind)))
            .collect()
    }

    /// Returns the symbol of every sample.
    pub(crate) fn symbols<'a>(&'a self, picked: &'a SelectedSamples) -> impl Iterator<Item = &'a Symbol> {
        picked.index.iter().map(|&index| &self.tape.symbols()[self.tape.samples()[index as usize].symbol as usize])
    }

    /// Returns the positions of one symbol's samples among the picked ones.
    pub(crate) fn of_symbol(&self, picked: &SelectedSamples, symbol: &Symbol) -> Vec<usize> {
        self.symbols(picked).enumerate().filter(|(_, of)| *of == symbol).map(|(position, _)| position).collect()
    }
}

/// Returns log return, volatility and direction of a move; NaN without one.
fn targets(change: Option<Move>) -> [f32; 3] {
    change.map_or([f32::NAN; 3], |Move { log_return, volatility }| {
        [log_return, volatility, f32::from(u8::from(log_return > 0.0))]
    })
}

impl SelectedSamples {
    /// Returns the samples at the given positions.
    pub(crate) fn subset(&self, positions: &[usize]) -> Self {
        let targets = self.samples.actual.len().checked_div(self.samples.len()).unwrap_or(0);
        let pick = |values: &[u32]| positions.iter().map(|&position| values[position]).collect();
        Self {
            index: pick(&self.index),
            samples: Samples {
                row: pick(&self.samples.row),
                first_row: pick(&self.samples.first_row),
                block: pick(&self.samples.block),
                actual: rows(&self.samples.actual, targets, positions),
            },
        }
    }
}

/// Returns the given rows of a matrix `[N, columns]`.
pub(crate) fn rows(matrix: &[f32], columns: usize, positions: &[usize]) -> Vec<f32> {
    positions.iter().flat_map(|&position| &matrix[position * columns..(position + 1) * columns]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DataSource;

    fn material(bars: &str, horizons: &[&str]) -> (RunConfig, ForecastDataset) {
        let mut config = RunConfig::default();
        (config.run.data_source, config.run.intraday_days) = (DataSource::Synthetic, 0);
        config.forecast.horizons = horizons.iter().map(|text| text.parse().unwrap()).collect();
        config.forecast.bars = if bars == "day" { market_env::BarSize::Day } else { market_env::BarSize::Minute };
        let material = ForecastDataset::load(&config, &config.forecast).unwrap();
        (config, material)
    }

    #[test]
    fn parts_share_no_date_and_no_target_looks_past_its_part() {
        for (bars, horizons) in [("minute", ["5", "close"]), ("day", ["1d", "5d"])] {
            let (config, material) = material(bars, &horizons);
            let split = material.split(&config).unwrap();
            let mut last: Option<Date> = None;
            for dates in [&split.train, &split.validation, &split.test] {
                let picked = material.pick(dates);
                let days: Vec<Date> = material.dates(&picked).collect();
                assert!(days.iter().all(|&day| Some(day) > last && dates.contains(day)), "{bars}");
                last = days.iter().max().copied();
                // Daily targets of five sessions overlap, so ten dates form one block.
                let blocks: std::collections::BTreeSet<u32> = picked.samples.block.iter().copied().collect();
                let sessions: std::collections::BTreeSet<Date> = days.into_iter().collect();
                let expected = if bars == "day" {
                    sessions.len().div_ceil(10)..=sessions.len() / 10 + 2
                } else {
                    sessions.len()..=sessions.len()
                };
                assert!(expected.contains(&blocks.len()), "{bars}: {} of {}", blocks.len(), sessions.len());
                assert_eq!(picked.samples.actual.len(), 6 * picked.samples.len());
                let known = |index: u32| material.tape.ahead(index, dates.last).all(|ahead| ahead.is_some());
                // Some samples have targets at every horizon, the last of a split at the short horizon only.
                assert!(
                    picked.index.iter().any(|&index| known(index)) && !picked.index.iter().all(|&index| known(index))
                );
            }
        }
    }

    #[test]
    fn the_last_value_of_a_return_is_the_return_before() {
        let (config, material) = material("minute", &["5"]);
        let picked = material.pick(&material.split(&config).unwrap().train);
        let (actual, last) = (&picked.samples.actual, material.last_values(&picked));
        // The target of a bar is the last value five bars later.
        assert_eq!(picked.samples.row[105] - picked.samples.row[100], 5);
        assert!((actual[300] - last[315]).abs() < 1e-3 && (actual[301] - last[316]).abs() < 1e-3);
        let positions = material.of_symbol(&picked, &material.tape.symbols()[1]);
        let second = picked.subset(&positions);
        assert_eq!(
            (second.index[0], second.samples.actual[..3].to_vec()),
            (picked.index[positions[0]], actual[3 * positions[0]..3 * positions[0] + 3].to_vec())
        );
    }
}
