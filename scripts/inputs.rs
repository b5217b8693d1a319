//! From the configuration to the market that is replayed: load, cut into sessions, build the tapes, all of it reported.

pub mod credentials;
pub mod forecast_columns;
pub mod vendor;

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, anyhow};
use jiff::civil::Date;
use market_data::{
    DataError, DataStamp, Dataset, DateRange, History, OptionHistory, Split, Symbol, SymbolSessions, calendar, source,
};
use market_env::{Market, MarketConfig, PricingConfig, RealOptions};
use serde_json::json;

use crate::{
    artifacts::files,
    config::{DataSource, RunConfig},
    inputs::forecast_columns::ForecastColumns,
};

/// What a run reads.
#[derive(Debug)]
pub struct Inputs {
    /// The sessions of all symbols.
    pub dataset: Dataset,
    /// The option rows of the sessions, where real ones are replayed.
    options: Option<Vec<OptionHistory>>,
    /// The forecaster whose forecasts are columns of the market, if there is one.
    pub forecast_columns: Option<ForecastColumns>,
    /// What the features take for a strong setup.
    setup_threshold: u8,
    /// Their features and option tapes.
    pub market: Arc<Market>,
}

/// Loads the bars of a configuration.
///
/// # Errors
/// As for [`Inputs::load`].
pub fn history(config: &RunConfig) -> anyhow::Result<History> {
    let run = &config.run;
    Ok(match run.data_source {
        DataSource::Synthetic => source::synthetic::generate(&config.data.synthetic, &run.symbols)?,
        DataSource::Files => source::files::load(&run.data_dir, &run.symbols)?,
        DataSource::Vendor(_) => vendor::history(config)?,
    })
}

/// Loads the bars of a configuration and cuts them into sessions.
///
/// # Errors
/// As for [`Inputs::load`].
pub fn sessions(config: &RunConfig) -> anyhow::Result<Dataset> {
    let history = history(config)?;
    let mut window = config.run.window();
    if config.run.data_source.is_vendor() {
        // The last date may lie ahead, or beyond what could be fetched: days are counted from the last bar.
        let last = history.bars.iter().filter_map(|bars| bars.ts_ns().last()).max();
        window.to = window.to.min(last.map(|&last| calendar::exchange_date(last))).or(window.to);
    }
    Ok(Dataset::build(&history, &window, &config.data)?)
}

impl Inputs {
    /// Loads the bars of a configuration and builds their market.
    ///
    /// # Errors
    /// Whatever is wrong with the bars, in one sentence that names the place.
    pub fn load(config: &RunConfig) -> anyhow::Result<Self> {
        let mut dataset = sessions(config)?;
        let options = config.run.options.as_deref().map(|path| option_rows(path, &mut dataset)).transpose()?;
        let forecast_columns = config.run.forecaster.as_deref().map(ForecastColumns::load).transpose()?;
        let market = Arc::new(build(&dataset, options.as_deref(), forecast_columns.as_ref(), &config.market)?);
        Ok(Self { dataset, options, forecast_columns, market, setup_threshold: config.market.setup_threshold })
    }

    /// Builds the market of the same sessions under other settings.
    ///
    /// # Errors
    /// As [`Market::build`].
    pub fn market_under(&self, config: &MarketConfig) -> anyhow::Result<Arc<Market>> {
        Ok(Arc::new(build(&self.dataset, self.options.as_deref(), self.forecast_columns.as_ref(), config)?))
    }

    /// Returns the stamp of the data.
    pub fn stamp(&self) -> DataStamp {
        DataStamp::of(self.dataset.synthetic)
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
        let files = files::lines(&self.dataset.files).into_iter().map(|line| format!("  {line}"));
        let symbols = self.dataset.symbols.iter();
        let symbols = symbols.flat_map(|s| [format!("  {}", s.report), format!("  {}", s.volatility_report())]);
        let options = self.market.real_options().into_iter().flat_map(real_options_lines);
        let forecasts = self.forecast_columns.iter().map(|forecast_columns| format!("  {}", forecast_columns.line()));
        let notes = self
            .forecast_columns
            .iter()
            .flat_map(|forecast_columns| forecast_columns.notes(self.dataset.synthetic, self.setup_threshold));
        let notes = self.dataset.notes.iter().cloned().chain(notes).map(|note| format!("Note: {note}"));
        files.chain(symbols).chain(options).chain(forecasts).chain(notes).collect()
    }

    /// Says how many of the sessions on some dates are priced by a model that was fitted on their own prints, if any are:
    /// modelled quotes of real bars, from a day of the fit.
    pub fn pricing_line(&self, pricing: &PricingConfig, dates: &DateRange) -> Option<String> {
        let fitted = pricing.fitted_from.zip(pricing.fitted_to).map(|(first, last)| DateRange { first, last })?;
        if self.dataset.synthetic || self.options.is_some() {
            return None;
        }
        let days = self.market.days().iter().map(|day| day.date).filter(|&date| dates.contains(date));
        pricing_in_sample(days, &fitted)
    }

    /// Returns what the manifest says about the data.
    ///
    /// # Errors
    /// When a file that was read cannot be read again.
    pub fn manifest(&self, split: &Split) -> anyhow::Result<serde_json::Value> {
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
            "files": files::read_records(&self.dataset.files)?,
            "symbols": symbols.collect::<Vec<_>>(),
            "real_options": self.market.real_options(),
            "forecaster": self.forecast_columns.as_ref().map(ForecastColumns::record),
            "dates": {
                "train": dates(&split.train),
                "validation": dates(&split.validation),
                "test": dates(&split.test),
                "gap": split.gap,
            },
        }))
    }
}

fn pricing_in_sample(sessions: impl Iterator<Item = Date>, fitted: &DateRange) -> Option<String> {
    let (mut inside, mut all) = (0, 0);
    for date in sessions {
        all += 1;
        inside += usize::from(fitted.contains(date));
    }
    let sentence = || {
        format!(
            "The option prices of {inside} of {all} sessions are in sample: the pricing model was fitted on option prints of \
             {fitted}"
        )
    };
    (inside > 0).then(sentence)
}

fn build(
    dataset: &Dataset,
    options: Option<&[OptionHistory]>,
    forecast_columns: Option<&ForecastColumns>,
    config: &MarketConfig,
) -> anyhow::Result<Market> {
    let market = match options {
        None => Market::build(&dataset.symbols, config)?,
        Some(options) => Market::replay_options(&dataset.symbols, options, config)?,
    };
    match forecast_columns {
        None => Ok(market),
        Some(forecast_columns) => forecast_columns.widen(market),
    }
}

/// Loads the option minutes of one symbol.
///
/// # Errors
/// Whatever is wrong with the files, in one sentence that says that they are option files.
pub fn load_options(path: &Path, symbol: &Symbol, dates: &DateRange) -> anyhow::Result<OptionHistory> {
    source::option_files::load_options(path, symbol, dates).map_err(|error| match error {
        DataError::Folder { path, source } => anyhow!(source).context(format!("cannot list the option files {path}")),
        // Who named no date has asked for none.
        DataError::NoOptions { path, symbol, first: calendar::FIRST_DATE, last: calendar::LAST_DATE, available } => {
            let names = if available.is_empty() { "nothing".to_owned() } else { available.join(", ") };
            anyhow!("{path}: no option of {symbol} on any date; the files hold options of: {names}")
        }
        error => anyhow!(error).context("reading option files"),
    })
}

/// Loads the option minutes of all symbols, and adds their files and the loss of dates without any to the data set.
fn option_rows(path: &Path, dataset: &mut Dataset) -> anyhow::Result<Vec<OptionHistory>> {
    let (Some(&first), Some(&last)) = (dataset.dates.first(), dataset.dates.last()) else {
        anyhow::bail!("there is no session to replay")
    };
    let dates = DateRange { first, last };
    let load = |symbol: &SymbolSessions| load_options(path, &symbol.symbol, &dates);
    let options = dataset.symbols.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    for file in options.iter().flat_map(|history| &history.files) {
        if !dataset.files.contains(file) {
            dataset.files.push(file.clone());
        }
    }
    let played =
        |date: &Date| options.iter().any(|history| history.sessions.iter().any(|day| day.session.date == *date));
    dataset.dates.retain(played);
    Ok(options)
}

/// Says what tapes of real options rest on.
fn real_options_lines(real: &RealOptions) -> Vec<String> {
    let origin = &real.origin;
    let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / origin.total().max(1) as f64);
    let mut lines = vec![format!(
        "  Real options on {} sessions; quotes that orders meet, by contract-minute: own quotes {}, the surface of prints \
         {}; nothing fills on {} stale minutes, {} stale quotes, {} crossed, and on the missing side of {}",
        real.sessions,
        share(origin.quoted),
        share(origin.surface),
        share(origin.stale_surface),
        share(origin.stale_quote),
        share(origin.crossed),
        share(origin.one_sided),
    )];
    if let (Some(first), Some(last)) = (real.left_out.first(), real.left_out.last()) {
        lines.push(format!(
            "  {} sessions without option rows are left out, {} {} to {} {}",
            real.left_out.len(),
            first.0,
            first.1,
            last.0,
            last.1
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_whose_own_prints_the_pricing_was_fitted_on_are_counted() {
        let day = |d| jiff::civil::date(2025, 6, d);
        let fitted = DateRange { first: day(2), last: day(4) };
        let said = |days: [i8; 3]| pricing_in_sample(days.into_iter().map(day), &fitted);
        let sentence = "The option prices of 2 of 3 sessions are in sample: the pricing model was fitted on option prints of \
                        2025-06-02 to 2025-06-04";
        assert_eq!(said([3, 4, 5]).as_deref(), Some(sentence));
        assert_eq!(said([5, 6, 9]), None);
    }
}
