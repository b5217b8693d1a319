//! Inputs of a run: bars, cut into sessions, and the market built from them.

pub mod column_alarm;
pub mod credentials;
pub mod forecast_columns;
pub mod live;
pub mod option_rows;
pub mod quality;
pub mod vendor;

use std::{collections::BTreeSet, io, sync::Arc};

use anyhow::{Context as _, anyhow};
use jiff::civil::Date;
use market_data::{
    DataError, DataStamp, Dataset, DateRange, History, SessionBars, Split, SymbolSessions, Window, calendar,
    source::{self, column_files},
};
use market_env::{CELL_BYTES, Expiry, FEATURES, LevelNoise, Levels, Market, MarketConfig, PricingConfig};
use ppo_agent::require_libtorch;
use serde_json::json;

use crate::{
    artifacts::{files, saved_forecaster::ForecasterRecord},
    config::{DataSource, RunConfig, data_folder},
    inputs::{forecast_columns::ForecastColumns, option_rows::OptionRows},
    output::{
        memory,
        table::{counted, thousands},
    },
};

/// Data that a run reads, and the market built from them.
#[derive(Debug)]
pub struct Inputs {
    /// The sessions of all symbols.
    pub dataset: Dataset,
    /// Option rows of the sessions, if real options are replayed.
    options: Option<OptionRows>,
    /// Forecaster whose forecasts are columns of the market, if any.
    pub forecast_columns: Option<ForecastColumns>,
    /// Setup threshold of the market's features.
    setup_threshold: u8,
    /// Expiry of the market's contracts.
    expiry: Expiry,
    /// Sentence on dates of real bars beyond the tables of events, if there are any.
    events_line: Option<String>,
    /// Features and option tapes of the sessions.
    pub market: Arc<Market>,
}

/// Loads all bars of a configuration.
///
/// # Errors
/// As for [`Inputs::load`].
pub fn history(config: &RunConfig) -> anyhow::Result<History> {
    history_of(config, &Window::default())
}

/// Loads the bars of a configuration that the dates of `window` need.
fn history_of(config: &RunConfig, window: &Window) -> anyhow::Result<History> {
    let (run, cross) = (&config.run, &config.market.cross);
    let mut history = match run.data_source {
        DataSource::Files => {
            let format = config.data.bar_format();
            source::files::load_window(&run.data_folder(), &run.symbols, cross, &format, window)
                .map_err(with_ways_to_bars)?
        }
        _ => of_all_symbols(config)?,
    };
    let (series, files) = column_files::load(&config.data.column_files, config.data.timestamp_zone.as_ref())?;
    history.columns.series.extend(series);
    history.files.extend(files);
    Ok(history)
}

/// Loads made-up bars or a vendor's, with those of the other symbols that become columns.
fn of_all_symbols(config: &RunConfig) -> anyhow::Result<History> {
    let (run, cross) = (&config.run, &config.market.cross);
    let mut all = config.clone();
    all.run.symbols.extend(cross.iter().filter(|symbol| !run.symbols.contains(symbol)).cloned());
    let history = match run.data_source {
        DataSource::Synthetic => source::synthetic::generate(&config.data.synthetic, &all.run.symbols)?,
        _ => vendor::history(&all)?,
    };
    let mut history = history.with_cross(cross);
    history.bars.truncate(run.symbols.len());
    Ok(history)
}

/// Adds the ways to bars to the error about a folder that does not exist.
fn with_ways_to_bars(error: DataError) -> anyhow::Error {
    match error {
        DataError::Folder { path, source } if source.kind() == io::ErrorKind::NotFound => {
            anyhow!("cannot list the data folder {path}: {source}; {}", data_folder::ways_to_bars())
        }
        error => error.into(),
    }
}

/// Loads the bars of a configuration and cuts them into sessions.
///
/// # Errors
/// As for [`Inputs::load`].
pub fn sessions(config: &RunConfig) -> anyhow::Result<Dataset> {
    sessions_of(config, &history_of(config, &config.run.window())?)
}

/// Cuts bars into the sessions of a configuration.
fn sessions_of(config: &RunConfig, history: &History) -> anyhow::Result<Dataset> {
    let mut window = config.run.window();
    if config.run.data_source.is_vendor() {
        // The last date may lie in the future or after the last fetched bar: days are counted from the last bar.
        let last = history.bars.iter().filter_map(|bars| bars.ts_ns().last()).max();
        window.to = window.to.min(last.map(|&last| calendar::exchange_date(last))).or(window.to);
    }
    Ok(Dataset::build(history, &window, &config.data)?)
}

/// Returns the least bytes of the tapes of a market: features, and the quotes of the strikes that each session's prices span.
fn tape_bytes(dataset: &Dataset, config: &MarketConfig) -> u64 {
    let of_symbol = |symbol: &SymbolSessions| -> u64 {
        // An unknown symbol is refused when its market is built.
        let step = config.contract(&symbol.symbol).map_or(f64::INFINITY, |spec| spec.strike_step);
        let of_day = |day: &SessionBars| {
            let high = day.high.iter().copied().fold(0.0, f64::max);
            let low = day.low.iter().copied().fold(high, f64::min);
            let strikes = ((high - low) / step).min(1e6) as usize + 1;
            (day.close.len() * (2 * strikes * CELL_BYTES + FEATURES.len() * size_of::<f32>())) as u64
        };
        symbol.days.iter().map(of_day).sum()
    };
    dataset.symbols.iter().map(of_symbol).sum()
}

impl Inputs {
    /// Loads the bars of a configuration and builds their market.
    ///
    /// # Errors
    /// When bars, options or forecaster are missing or faulty; the message names the place.
    pub fn load(config: &RunConfig) -> anyhow::Result<Self> {
        if config.run.forecaster.is_some() {
            require_libtorch("forecasters").context("run.forecaster")?;
        }
        Self::of_dataset(config, sessions(config)?)
    }

    /// Builds the market of a configuration from bars that are loaded.
    ///
    /// # Errors
    /// As for [`Inputs::load`].
    pub fn of_history(config: &RunConfig, history: &History) -> anyhow::Result<Self> {
        Self::of_dataset(config, sessions_of(config, history)?)
    }

    fn of_dataset(config: &RunConfig, mut dataset: Dataset) -> anyhow::Result<Self> {
        let options = OptionRows::load(config, &mut dataset)?;
        let forecast_columns = config.run.forecaster.as_deref().map(ForecastColumns::load).transpose()?;
        memory::require(
            tape_bytes(&dataset, &config.market),
            "the option tapes of these sessions",
            "choose fewer dates or symbols",
        )?;
        let market = Arc::new(
            Tapes::of(&dataset, options.as_ref(), forecast_columns.as_ref()).build(&config.market, Levels::Model)?,
        );
        if !market.unlisted().is_empty() {
            let played: BTreeSet<Date> = market.days().iter().map(|day| day.date).collect();
            dataset.dates.retain(|date| played.contains(date));
        }
        let MarketConfig { setup_threshold, expiry, ref pricing, .. } = config.market;
        let dates = dataset.dates.first().zip(dataset.dates.last()).filter(|_| !dataset.synthetic);
        let events_line = dates.and_then(|(&first, &last)| pricing.events.uncovered(&DateRange { first, last }));
        Ok(Self { dataset, options, forecast_columns, market, setup_threshold, expiry, events_line })
    }

    /// Builds the market of the same sessions under other settings.
    ///
    /// # Errors
    /// As [`Market::build`].
    pub fn market_under(&self, config: &MarketConfig) -> anyhow::Result<Arc<Market>> {
        Ok(Arc::new(self.tapes().build(config, Levels::Model)?))
    }

    /// Builds the market of the sessions on some dates with modelled prices at other levels.
    ///
    /// # Errors
    /// As [`Market::build`].
    pub fn market_on(&self, dates: &DateRange, config: &MarketConfig, levels: Levels) -> anyhow::Result<Arc<Market>> {
        let symbols: Vec<SymbolSessions> =
            self.dataset.symbols.iter().filter_map(|symbol| sessions_on(symbol, dates)).collect();
        Ok(Arc::new(Tapes { symbols: &symbols, ..self.tapes() }.build(config, levels)?))
    }

    fn tapes(&self) -> Tapes<'_> {
        Tapes::of(&self.dataset, self.options.as_ref(), self.forecast_columns.as_ref())
    }

    /// Returns whether the level of the option prices is uncertain: prices of real bars by the model alone. Made-up bars have
    /// made-up prices, and real options show their level.
    pub fn level_is_uncertain(&self) -> bool {
        !self.dataset.synthetic && self.options.is_none()
    }

    /// Returns a line on the draws of the price level in training, if they are on.
    pub fn noise_line(&self, pricing: &PricingConfig) -> Option<&'static str> {
        let line = if self.level_is_uncertain() {
            "Noise      the level of prices is drawn for every training session"
        } else {
            "Noise      none: market.pricing.level_noise is for modelled prices of real bars"
        };
        (pricing.level_noise == LevelNoise::On).then_some(line)
    }

    /// Returns the basis of modelled prices and the uncertainty of their level by symbol.
    fn modelled(&self) -> String {
        if !self.level_is_uncertain() {
            return "modelled".to_owned();
        }
        let mut squares: Vec<(&str, f64, f64)> = Vec::new();
        for day in self.market.days() {
            let square = day.level_sd.iter().map(|sd| sd * sd).sum::<f64>();
            match squares.last_mut().filter(|(symbol, ..)| *symbol == day.symbol.as_str()) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + square, *count + 1.0),
                None => squares.push((day.symbol.as_str(), square, 1.0)),
            }
        }
        let of = |(symbol, sum, count): &(&str, f64, f64)| format!("{symbol} {:.1} %", 100.0 * (sum / count).sqrt());
        let by_symbol: Vec<String> = squares.iter().map(of).collect();
        format!("modelled; sd of level: {}", by_symbol.join(", "))
    }

    /// Returns the stamp of the data.
    pub fn stamp(&self) -> DataStamp {
        DataStamp::of(self.dataset.synthetic)
    }

    /// Returns the basis of the option prices: `"modelled"`, or `"real options"` where option files are replayed.
    pub fn prices(&self) -> &'static str {
        if self.options.is_some() { "real options" } else { "modelled" }
    }

    /// Returns the record of the forecaster whose forecasts are columns of the market, if there is one.
    pub fn forecaster_record(&self) -> Option<&ForecasterRecord> {
        self.forecast_columns.as_ref().map(ForecastColumns::record)
    }

    /// Returns the dates of training, validation and test.
    ///
    /// # Errors
    /// When there are too few sessions.
    pub fn split(&self, config: &RunConfig) -> anyhow::Result<Split> {
        market_data::split(&self.dataset.dates, &config.data.split).context("splitting the sessions by date")
    }

    /// Returns files, symbols, options, forecasts and notes as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let files = files::lines(&self.dataset.files).into_iter().map(|line| format!("  {line}"));
        let symbols = self.dataset.symbols.iter();
        let symbols = symbols.flat_map(|symbol| {
            let always = [symbol.report.to_string(), symbol.volatility_report()];
            always.into_iter().chain(symbol.history_report()).map(|line| format!("  {line}"))
        });
        let quality = quality::line(&self.dataset).map(|line| format!("  Quality: {line}"));
        let options = self.options.iter().zip(self.market.real_options()).flat_map(|(rows, real)| rows.lines(real));
        let level = self.level_is_uncertain().then(|| format!("  Option prices {}", self.modelled()));
        let options = options.chain(level);
        let forecasts = self.forecast_columns.iter().map(|columns| format!("  {}", columns.line()));
        let listing = self.unlisted_line().into_iter().chain(self.events_line.clone()).map(|line| format!("  {line}"));
        files.chain(symbols).chain(quality).chain(options).chain(listing).chain(forecasts).chain(self.notes()).collect()
    }

    /// Returns source and size of the data and all notes, for a screen of 80 columns.
    pub fn short_lines(&self) -> Vec<String> {
        let dataset = &self.dataset;
        let cut: usize = dataset.symbols.iter().map(|symbol| symbol.days.len() - symbol.warmup).sum();
        let sessions = cut - self.market.unlisted().len();
        let refused = refused(&dataset.symbols);
        let counts = format!(
            "Data       {} of {} on {}{refused}",
            counted(sessions, "session"),
            counted(dataset.symbols.len(), "symbol"),
            counted(dataset.dates.len(), "date")
        );
        let quality = quality::short_line(dataset).map(|line| format!("Quality    {line}"));
        let prices = match self.options.as_ref().zip(self.market.real_options()) {
            Some((rows, real)) => rows.short_lines(real),
            None => vec![format!("Prices     {}", self.modelled())],
        };
        let short = dataset.symbols.iter().filter_map(SymbolSessions::history_report);
        let listing = self.unlisted_line().into_iter().chain(self.events_line.clone());
        let short = short.chain(listing).map(|line| format!("Note: {line}"));
        [counts].into_iter().chain(quality).chain(prices).chain(short).chain(self.notes()).collect()
    }

    /// Returns a sentence on the sessions left out without a listed contract, if there are any.
    fn unlisted_line(&self) -> Option<String> {
        let unlisted = self.market.unlisted();
        let ((first, first_date), (last, last_date)) = unlisted.first().zip(unlisted.last())?;
        let contract = match self.expiry {
            Expiry::SameDay => "a same-day contract",
            Expiry::NextDay => "a contract that expires in the next session",
            Expiry::Nearest => "a known expiry",
        };
        Some(format!(
            "{} sessions without {contract} are left out, first {first} {first_date}, last {last} {last_date}",
            thousands(unlisted.len() as i64)
        ))
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        let of_forecasts = self
            .forecast_columns
            .iter()
            .flat_map(|columns| columns.notes(self.dataset.synthetic, self.setup_threshold));
        self.dataset.notes.iter().cloned().chain(of_forecasts).map(|note| format!("Note: {note}"))
    }

    /// Returns a sentence on how many of the sessions on some dates are priced by a model that was fitted on their own prints, if
    /// any are. Applies to modelled quotes of real bars only.
    pub fn pricing_line(&self, pricing: &PricingConfig, dates: &DateRange) -> Option<String> {
        let fitted = pricing.fitted_from.zip(pricing.fitted_to).map(|(first, last)| DateRange { first, last })?;
        if self.dataset.synthetic || self.options.is_some() {
            return None;
        }
        let days = self.market.days().iter().map(|day| day.date).filter(|&date| dates.contains(date));
        pricing_in_sample(days, &fitted)
    }

    /// Returns the manifest's entry on the data.
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
                "refused": report.refused.iter().map(|day| json!({ "date": day.date, "missing_minutes": day.missing })).collect::<Vec<_>>(),
                "absent": report.absent,
                "bars_outside_hours": report.outside_hours,
            })
        });
        Ok(json!({
            "data": self.stamp(),
            "files": files::manifest_entries(&self.dataset.files)?,
            "symbols": symbols.collect::<Vec<_>>(),
            "prices": self.prices(),
            "real_options": self.market.real_options(),
            "option_rows": self.options.as_ref().map(OptionRows::record),
            "sessions_without_contract": self.market.unlisted().len(),
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

/// Returns a clause on the refused sessions, which names up to two of them; an empty text if there are none.
fn refused(symbols: &[SymbolSessions]) -> String {
    let days: Vec<_> = symbols.iter().flat_map(|symbol| &symbol.report.refused).collect();
    match days.len() {
        0 => String::new(),
        1 | 2 => {
            let named: Vec<String> = days.iter().map(ToString::to_string).collect();
            format!(", refused for missing minutes: {}", named.join(", "))
        }
        count => format!(", {count} refused for missing minutes (-v names them)"),
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

/// Returns the sessions of a symbol on some dates, with the session before as warm-up; `None` without one.
fn sessions_on(symbol: &SymbolSessions, dates: &DateRange) -> Option<SymbolSessions> {
    let end = symbol.days.partition_point(|day| day.session.date <= dates.last);
    let first = symbol.days.partition_point(|day| day.session.date < dates.first).max(symbol.warmup);
    let from = first.saturating_sub(1);
    (first < end).then(|| SymbolSessions {
        symbol: symbol.symbol.clone(),
        warmup: first - from,
        days: symbol.days[from..end].to_vec(),
        vol: symbol.vol[from..end].to_vec(),
        report: symbol.report.clone(),
        outliers: symbol.outliers,
        added: symbol.added.of_days(from..end),
    })
}

/// The inputs of a market's tapes.
struct Tapes<'a> {
    symbols: &'a [SymbolSessions],
    synthetic: bool,
    options: Option<&'a OptionRows>,
    forecast_columns: Option<&'a ForecastColumns>,
}

impl<'a> Tapes<'a> {
    fn of(
        dataset: &'a Dataset,
        options: Option<&'a OptionRows>,
        forecast_columns: Option<&'a ForecastColumns>,
    ) -> Self {
        Self { symbols: &dataset.symbols, synthetic: dataset.synthetic, options, forecast_columns }
    }

    fn build(&self, config: &MarketConfig, levels: Levels) -> anyhow::Result<Market> {
        // Made-up bars have made-up contracts.
        let config = MarketConfig { listed_only: config.listed_only && !self.synthetic, ..config.clone() };
        let market = match self.options {
            None => Market::build_at(self.symbols, &config, levels)?,
            Some(options) => Market::replay_options(self.symbols, options.histories(), &config)?,
        };
        match self.forecast_columns {
            None => Ok(market),
            Some(columns) => columns.add_to(market),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_within_the_fit_of_the_pricing_are_counted() {
        let day = |d| jiff::civil::date(2025, 6, d);
        let fitted = DateRange { first: day(2), last: day(4) };
        let line = |days: [i8; 3]| pricing_in_sample(days.into_iter().map(day), &fitted);
        let sentence = "The option prices of 2 of 3 sessions are in sample: the pricing model was fitted on option prints of \
                        2025-06-02 to 2025-06-04";
        assert_eq!(line([3, 4, 5]).as_deref(), Some(sentence));
        assert_eq!(line([5, 6, 9]), None);
    }
}
