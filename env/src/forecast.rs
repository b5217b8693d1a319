//! Training data of a return forecaster: feature rows of all sessions, with the realised targets after each.
//!
//! A sample is the close of a bar. Its features use bars up to that close, its targets the closes after it; a trade at the next
//! open captures only part of a target. Targets of minute bars end within their session, targets of daily bars within the
//! given dates; a target that would end later is not a number.

mod daily;
mod horizon;
mod path;

use jiff::civil::Date;
use market_data::{DateRange, Symbol, SymbolSessions};
use rayon::prelude::*;

use self::{daily::DAILY_FEATURES, path::Path};
pub use self::{
    horizon::{BarSize, Horizon},
    path::Move,
};
use crate::{EnvError, FEATURES, features::session_features};

/// The moment of a forecast: the close of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Newest tape row that the forecast may see.
    pub row: u32,
    /// Oldest tape row that it may see: the first of the session, or of the symbol for daily bars.
    pub first_row: u32,
    /// Index of the symbol.
    pub symbol: u32,
    /// The session's date.
    pub date: Date,
}

/// Features and targets of all sessions of all symbols; warm-up sessions only warm the indicators.
#[derive(Debug, Clone)]
pub struct ForecastTape {
    symbols: Vec<Symbol>,
    names: Vec<String>,
    features: Vec<f32>,
    horizons: Vec<Horizon>,
    samples: Vec<Sample>,
    /// Realised targets of a sample, per horizon. `[N, H]`
    ahead: Vec<Option<FutureTarget>>,
    /// Past moves of a sample over the same horizons. `[N, H]`
    behind: Vec<Move>,
}

/// Returns the names of the features of minute bars, then of the user's columns.
fn minute_names(symbols: &[SymbolSessions]) -> Vec<String> {
    let added = symbols.first().map_or(&[][..], |sessions| &sessions.added.names[..]);
    FEATURES.iter().map(|(name, _)| (*name).to_owned()).chain(added.iter().cloned()).collect()
}

/// A target, and the session in which it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FutureTarget {
    change: Move,
    known: Date,
}

impl ForecastTape {
    /// Computes features and targets for the given horizons. Minute rows equal those of [`crate::Market::build`] with the same
    /// setup threshold.
    ///
    /// # Errors
    /// [`EnvError::Config`] for horizons that do not belong to such bars, [`EnvError::NoTargets`] when there is no sample at all.
    pub fn build(
        symbols: &[SymbolSessions],
        bars: BarSize,
        horizons: &[Horizon],
        setup_threshold: u8,
    ) -> Result<Self, EnvError> {
        let faults = Horizon::check(horizons, bars);
        if !faults.is_empty() {
            return Err(EnvError::Config(faults));
        }
        let names = match bars {
            BarSize::Minute => minute_names(symbols),
            BarSize::Day => DAILY_FEATURES.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        let mut tape = Self {
            symbols: symbols.iter().map(|sessions| sessions.symbol.clone()).collect(),
            names,
            features: Vec::new(),
            horizons: horizons.to_vec(),
            samples: Vec::new(),
            ahead: Vec::new(),
            behind: Vec::new(),
        };
        for (index, sessions) in (0..).zip(symbols) {
            match bars {
                BarSize::Minute => tape.append_minutes(index, sessions, setup_threshold),
                BarSize::Day => tape.append_days(index, sessions),
            }
        }
        if tape.samples.is_empty() {
            let horizons = horizons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(EnvError::NoTargets { horizons });
        }
        Ok(tape)
    }

    fn rows(&self) -> u32 {
        (self.features.len() / self.names.len()) as u32
    }

    fn append_minutes(&mut self, symbol: u32, sessions: &SymbolSessions, setup_threshold: u8) {
        for (index, (bars, vol)) in sessions.days.iter().zip(&sessions.vol).enumerate().skip(sessions.warmup) {
            let before = index.checked_sub(1).map(|before| &sessions.days[before]);
            let rows = session_features(before, bars, vol, setup_threshold);
            let (first_row, date, path) = (self.rows(), bars.session.date, Path::new(bars.open[0], &bars.close));
            let row = |bar: usize| rows[bar].0.iter().chain(sessions.added.row(index, bar)).copied();
            self.features.extend((0..rows.len()).flat_map(row));
            for bar in 0..rows.len() {
                let sample = Sample { row: first_row + bar as u32, first_row, symbol, date };
                self.append(sample, &path, bar, |_| date);
            }
        }
    }

    fn append_days(&mut self, symbol: u32, sessions: &SymbolSessions) {
        let closes: Vec<f64> = sessions.days.iter().map(|day| day.close[day.close.len() - 1]).collect();
        let Some(first) = sessions.days.first() else { return };
        let (path, first_row) = (Path::new(first.open[0], &closes), self.rows());
        let rows = (0..sessions.days.len()).into_par_iter().map(|index| daily::row(sessions, index));
        self.features.extend(rows.collect::<Vec<_>>().iter().flatten());
        for (index, bars) in sessions.days.iter().enumerate().skip(sessions.warmup) {
            let sample = Sample { row: first_row + index as u32, first_row, symbol, date: bars.session.date };
            self.append(sample, &path, index, |end| sessions.days[end].session.date);
        }
    }

    /// Adds a sample at one point of a path if at least one of its targets is known at some time.
    fn append(&mut self, sample: Sample, path: &Path, at: usize, date: impl Fn(usize) -> Date) {
        let ahead = |horizon: &Horizon| {
            let end = horizon.end(at, path.len())?;
            Some(FutureTarget { change: path.between(at, end), known: date(end) })
        };
        let found: Vec<_> = self.horizons.iter().map(ahead).collect();
        if found.iter().any(Option::is_some) {
            let length = |horizon: &Horizon| horizon.end(at, path.len()).map_or(horizon.bars(), |end| end - at);
            self.behind.extend(self.horizons.iter().map(|horizon| path.before(at, length(horizon))));
            self.ahead.extend(found);
            self.samples.push(sample);
        }
    }

    /// Returns the symbols; [`Sample::symbol`] is an index into them.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// Returns the names of the feature columns.
    pub fn feature_names(&self) -> &[String] {
        &self.names
    }

    /// Returns the feature rows, row-major `[T, F]`.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// Returns the horizons of the targets.
    pub fn horizons(&self) -> &[Horizon] {
        &self.horizons
    }

    /// Returns all samples, by symbol and then by time.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Returns the samples on these dates.
    pub fn samples_in(&self, dates: &DateRange) -> Vec<u32> {
        let inside = |(index, sample): (u32, &Sample)| dates.contains(sample.date).then_some(index);
        (0..).zip(&self.samples).filter_map(inside).collect()
    }

    /// Returns a sample's realised target per horizon; `None` where the session ends earlier, or where the target is known only
    /// after the date `last`: the purge of López de Prado (2018), section 7.4, by which no target reaches into the next split.
    pub fn ahead(&self, sample: u32, last: Date) -> impl Iterator<Item = Option<Move>> + '_ {
        let known =
            move |ahead: &Option<FutureTarget>| ahead.filter(|ahead| ahead.known <= last).map(|ahead| ahead.change);
        self.of(sample, &self.ahead).iter().map(known)
    }

    /// Returns a sample's past move per horizon, over the horizon's length: the last-value forecast. Early in a session it is the
    /// move since the open, with its volatility scaled to the horizon's length.
    pub fn behind(&self, sample: u32) -> &[Move] {
        self.of(sample, &self.behind)
    }

    fn of<'a, T>(&self, sample: u32, values: &'a [T]) -> &'a [T] {
        let count = self.horizons.len();
        &values[sample as usize * count..(sample as usize + 1) * count]
    }
}

#[cfg(test)]
mod tests {
    use market_data::{DataConfig, Dataset, Window, source::synthetic};

    use super::*;
    use crate::{Market, MarketConfig};

    fn dataset(symbols: &[&str]) -> Dataset {
        let config = DataConfig::default();
        let symbols: Vec<Symbol> = symbols.iter().map(|name| Symbol::new(name).unwrap()).collect();
        let history = synthetic::generate(&config.synthetic, &symbols).unwrap();
        Dataset::build(&history, &Window { intraday_days: Some(40), ..Window::default() }, &config).unwrap()
    }

    fn horizons(texts: &[&str]) -> Vec<Horizon> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn minute_rows_are_those_of_the_market_and_targets_end_with_the_session() {
        let data = dataset(&["SPY", "QQQ"]);
        let tape = ForecastTape::build(&data.symbols, BarSize::Minute, &horizons(&["5", "close"]), 4).unwrap();
        let market = Market::build(&data.symbols, &MarketConfig::default()).unwrap();
        assert_eq!((tape.features(), tape.feature_names()), (market.features(), &market.feature_names()[..]));
        for (index, sample) in (0..).zip(tape.samples()) {
            let day = market.days().iter().find(|day| day.rows().contains(&(sample.row as usize))).unwrap();
            assert_eq!((day.date, day.rows().start), (sample.date, sample.first_row as usize));
            let left = day.rows().end - 1 - sample.row as usize;
            let known: Vec<bool> = tape.ahead(index, sample.date).map(|ahead| ahead.is_some()).collect();
            assert_eq!(known, [left >= 5, left >= 1], "{left} bars are left");
        }
        // Every bar but the last of a session has a target.
        let bars: u32 = market.days().iter().map(|day| day.bars - 1).sum();
        assert_eq!(tape.samples().len(), bars as usize);
    }

    #[test]
    fn targets_are_those_of_the_closes() {
        let data = dataset(&["SPY"]);
        let tape = ForecastTape::build(&data.symbols, BarSize::Minute, &horizons(&["3", "close"]), 4).unwrap();
        let day = &data.symbols[0].days[data.symbols[0].warmup];
        let log = |i: usize, j: usize| 1e4 * (day.close[j] / day.close[i]).ln();
        let last = day.close.len() - 1;
        let ahead: Vec<Move> = tape.ahead(100, day.session.date).flatten().collect();
        let steps = [log(100, 101), log(101, 102), log(102, 103)];
        assert!((f64::from(ahead[0].log_return) - log(100, 103)).abs() < 1e-3);
        let volatility = steps.iter().map(|r| r * r).sum::<f64>().sqrt();
        assert!((f64::from(ahead[0].volatility) - volatility).abs() < 1e-3);
        assert!((f64::from(ahead[1].log_return) - log(100, last)).abs() < 1e-3);
        let behind = tape.behind(100);
        assert!((f64::from(behind[0].log_return) - log(97, 100)).abs() < 1e-3);
    }

    #[test]
    fn a_daily_row_is_the_same_whatever_the_first_date() {
        let config = DataConfig::default();
        let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
        let of = |from: Option<Date>| {
            let data = Dataset::build(&history, &Window { from, ..Window::default() }, &config).unwrap();
            ForecastTape::build(&data.symbols, BarSize::Day, &horizons(&["1d", "5d"]), 4).unwrap()
        };
        let all = of(None);
        let (samples, width) = (all.samples().len(), all.feature_names().len());
        for back in [5, 40] {
            let first = all.samples()[samples - back];
            let late = of(Some(first.date));
            assert_eq!((late.samples()[0].date, late.samples().len()), (first.date, back));
            for frame in 0..60 {
                let row = |sample: Sample, tape: &ForecastTape| {
                    let at = (sample.row - frame) as usize * width;
                    tape.features()[at..at + width].to_vec()
                };
                assert_eq!(row(late.samples()[0], &late), row(first, &all), "{back} samples, frame {frame}");
            }
            let mut before = all.behind((samples - back) as u32).iter().zip(late.behind(0));
            assert!(before.all(|(all, late)| (all.log_return - late.log_return).abs() < 1e-2));
        }
    }

    #[test]
    fn a_daily_target_that_is_known_only_after_the_part_is_purged() {
        let data = dataset(&["SPY"]);
        let tape = ForecastTape::build(&data.symbols, BarSize::Day, &horizons(&["1d", "5d"]), 4).unwrap();
        let dates: Vec<Date> = tape.samples().iter().map(|sample| sample.date).collect();
        assert_eq!(dates, data.dates[..data.dates.len() - 1], "the last session has no tomorrow");
        let last = dates[9];
        let known = |sample: u32| tape.ahead(sample, last).map(|ahead| ahead.is_some()).collect::<Vec<_>>();
        assert_eq!(
            [known(4), known(5), known(8), known(9)],
            [[true, true], [true, false], [true, false], [false, false]]
        );
    }

    #[test]
    fn what_comes_later_changes_no_feature_and_nothing_behind() {
        let data = dataset(&["SPY"]);
        let mut changed = data.clone();
        let days = &mut changed.symbols[0].days;
        let cut = days.len() - 2;
        for day in &mut days[cut..] {
            for column in [&mut day.open, &mut day.high, &mut day.low, &mut day.close] {
                column.iter_mut().for_each(|price| *price *= 1.07);
            }
        }
        let date = days[cut].session.date;
        for (bars, texts) in [(BarSize::Minute, ["5", "close"]), (BarSize::Day, ["1d", "5d"])] {
            let of = |data: &Dataset| ForecastTape::build(&data.symbols, bars, &horizons(&texts), 4).unwrap();
            let (before, after) = (of(&data), of(&changed));
            let rows = before.samples().iter().filter(|sample| sample.date < date).map(|sample| sample.row as usize);
            let seen = (rows.max().unwrap() + 1) * before.feature_names().len();
            assert_eq!(before.features()[..seen], after.features()[..seen]);
            assert_ne!(before.features()[seen..], after.features()[seen..]);
            for (index, _) in (0..).zip(before.samples()).filter(|(_, sample)| sample.date < date) {
                assert_eq!(before.behind(index), after.behind(index));
            }
        }
    }

    #[test]
    fn horizons_that_do_not_fit_the_bars_are_refused() {
        let data = dataset(&["SPY"]);
        let refused = |bars, texts: &[&str]| {
            ForecastTape::build(&data.symbols, bars, &horizons(texts), 4).unwrap_err().to_string()
        };
        assert!(refused(BarSize::Minute, &["5", "1d"]).contains("forecast.horizons: 1d spans sessions"));
        assert!(refused(BarSize::Day, &["close"]).contains("forecast.horizons: close lies within a session"));
        assert!(refused(BarSize::Minute, &["5", "5"]).contains("5 is named twice"));
        assert!(refused(BarSize::Minute, &[]).contains("at least one"));
        assert!(
            refused(BarSize::Day, &["60d"])
                .contains("no session in the given dates has a known target for the horizons 60d")
        );
    }
}
