//! The replayed market: feature rows, setup classes and option tapes of all sessions, read-only and shared.

mod added;
mod at_strike;
mod cells;
pub(crate) mod config;
mod contracts;
pub(crate) mod day;
mod levels;
pub(crate) mod option_columns;
pub(crate) mod quote_overlay;
pub(crate) mod real_options;
mod strike_grid;
pub(crate) mod tape;
pub(crate) mod tape_builder;

use std::sync::Arc;

use jiff::civil::Date;
use market_data::{DateRange, OptionHistory, SessionBars, Symbol, SymbolSessions, VolColumns, calendar::MINUTE_NS};
use rayon::prelude::*;

pub use self::cells::CELL_BYTES;
use crate::{
    ContractSpec, EnvConfig, EnvError, Levels, MarketConfig, PriceOrigin, QuotePair, Sale, Setup,
    account::{self, execution::Terms},
    features::{FEATURES, FeatureRow, session_features, setup::SetupScore},
    market::{
        cells::Cells,
        contracts::{Contracts, listed_contracts},
        day::Day,
        levels::SymbolLevels,
        real_options::{RealOptions, option_rows},
        tape::{GreekRow, OptionTape, SizeRow, UNKNOWN_SIZE},
        tape_builder::TapeBuilder,
    },
    option::{black_scholes::Right, quote::Size},
};

/// The setup and the tradable contracts of a bar, known at its close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signal {
    pub(crate) setup: Setup,
    pub(crate) bull_chase: bool,
    pub(crate) bear_chase: bool,
    /// Availability of the entry's call (bit 0) and put (bit 1).
    pub(crate) buyable: u8,
    /// The call and the put that an entry buys.
    pub(crate) contracts: [u16; 2],
    /// False where the minute had no bar: nothing traded in it.
    pub(crate) has_bar: bool,
}

/// All sessions of all symbols. Splits are lists of day indices into one market.
///
/// ```
/// use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
/// use market_env::{EnvConfig, FEATURES, Market, MarketConfig};
///
/// let mut config = DataConfig::default();
/// config.synthetic.sessions_to = "2024-01-12".parse()?;
/// let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
/// let dataset = Dataset::build(&history, &Window::default(), &config)?;
/// let market = Market::build(&dataset.symbols, &MarketConfig::default())?;
///
/// let day = &market.days()[0];
/// assert_eq!((day.symbol.as_str(), day.bars), ("SPY", 390));
/// let last_row = market.row(day.rows().end - 1);
/// assert_eq!(last_row.len(), FEATURES.len());
/// let cost = market.round_trip_cost(&[0], &EnvConfig::default());
/// assert!(cost > 0.0 && cost < 0.5, "a round trip costs {:.1} % of the premium", 100.0 * cost);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Market {
    frames: usize,
    /// Names of the columns after [`FEATURES`].
    more: Vec<String>,
    features: Vec<f32>,
    signals: Vec<Signal>,
    cells: Arc<Cells>,
    sizes: Vec<SizeRow>,
    /// Cells whose open quote is the contract's own, up to the last session that has any.
    own: Vec<bool>,
    days: Vec<Day>,
    real: Option<RealOptions>,
    unlisted: Vec<(Symbol, Date)>,
}

/// One session before it joins the tapes.
struct SessionTape {
    rows: Vec<(FeatureRow, SetupScore)>,
    /// Columns after the features, `[bars, C]`.
    added: Vec<f32>,
    tape: OptionTape,
    spec: ContractSpec,
    expiry: Date,
}

impl Market {
    /// Builds the tapes of all symbols' sessions; warm-up sessions only warm the indicators. Sessions without a listed contract of
    /// the configured expiry are left out.
    ///
    /// # Errors
    /// A configuration fault, a symbol without a contract, prices whose strikes are too many for a session's grid, or no
    /// session at all.
    pub fn build(symbols: &[SymbolSessions], config: &MarketConfig) -> Result<Self, EnvError> {
        Self::assemble(symbols, None, config, Levels::Model)
    }

    /// Builds the tapes of modelled options at other levels of volatility.
    ///
    /// # Errors
    /// As for [`Market::build`].
    pub fn build_at(symbols: &[SymbolSessions], config: &MarketConfig, levels: Levels) -> Result<Self, EnvError> {
        Self::assemble(symbols, None, config, levels)
    }

    /// Builds the tapes from trades and quotes of real options; sessions without a row are left out. Rows of earlier sessions
    /// correct the level of a session before its first print.
    ///
    /// # Errors
    /// As for [`Market::build`], or a symbol without option rows.
    pub fn replay_options(
        symbols: &[SymbolSessions],
        options: &[OptionHistory],
        config: &MarketConfig,
    ) -> Result<Self, EnvError> {
        Self::assemble(symbols, Some(options), config, Levels::Model)
    }

    fn assemble(
        symbols: &[SymbolSessions],
        options: Option<&[OptionHistory]>,
        config: &MarketConfig,
        levels: Levels,
    ) -> Result<Self, EnvError> {
        let faults = config.check();
        if !faults.is_empty() {
            return Err(EnvError::Config(faults));
        }
        let mut market = Self {
            frames: config.frames,
            more: added::of_symbols(symbols, options, config)?,
            features: Vec::new(),
            signals: Vec::new(),
            cells: Arc::new(Cells::reserve(0).map_err(EnvError::Memory)?),
            sizes: Vec::new(),
            own: Vec::new(),
            days: Vec::new(),
            real: options.map(|_| RealOptions::default()),
            unlisted: Vec::new(),
        };
        let mut prepared = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let (contracts, unused) = match options {
                Some(options) => {
                    let (rows, unused) = option_rows(symbol, options, config)?;
                    let contracts = rows.into_iter().map(|rows| rows.map(|rows| (rows.expiry, Some(rows)))).collect();
                    (contracts, Some(unused))
                }
                None => (listed_contracts(symbol, config), None),
            };
            if let Some((real, unused)) = market.real.as_mut().zip(unused) {
                real.unused += unused;
            }
            let levels = SymbolLevels::of(symbol, options, config, levels)?;
            prepared.push((symbol, sheets(symbol, &contracts, config, &levels)?));
        }
        let tapes = prepared.iter().flat_map(|(_, sheets)| sheets.iter().flatten());
        let mut cells = Cells::reserve(tapes.map(|sheet| sheet.tape.quotes.len()).sum()).map_err(EnvError::Memory)?;
        for (symbol, sheets) in prepared {
            let played = symbol.days.iter().zip(&symbol.vol).skip(symbol.warmup);
            for ((bars, vol), sheet) in played.zip(sheets) {
                let left_out = market.real.as_mut().map_or(&mut market.unlisted, |real| &mut real.left_out);
                match sheet {
                    Some(sheet) => market.append(&symbol.symbol, bars, vol, sheet, &mut cells, config),
                    None => left_out.push((symbol.symbol.clone(), bars.session.date)),
                }
            }
        }
        market.cells = Arc::new(cells);
        match (market.days.is_empty(), market.unlisted.first(), market.unlisted.last()) {
            (false, ..) => Ok(market),
            (true, Some(first), Some(last)) => Err(EnvError::NoneListed { first: first.clone(), last: last.clone() }),
            (true, ..) => Err(EnvError::NoDays),
        }
    }

    fn append(
        &mut self,
        symbol: &Symbol,
        bars: &SessionBars,
        vol: &VolColumns,
        sheet: SessionTape,
        cells: &mut Cells,
        config: &MarketConfig,
    ) {
        let buyable = |t: usize| match &self.real {
            // An order at the close of bar t fills at the next open's quote, whose absence is known at that close.
            Some(_) => sheet.tape.quoted(t + 1),
            None => 0b11,
        };
        let signal = |(t, (_, score)): (usize, &(FeatureRow, SetupScore))| Signal {
            setup: score.classify(config.setup_threshold),
            bull_chase: score.bull_chase,
            bear_chase: score.bear_chase,
            buyable: buyable(t),
            contracts: sheet.tape.chosen[t].map(|contract| contract as u16),
            has_bar: !bars.filled[t],
        };
        let signals: Vec<Signal> = sheet.rows.iter().enumerate().map(signal).collect();
        self.append_features(&sheet.rows, &sheet.added);
        self.signals.resize(self.signals.len() + self.frames - 1, Signal::default());
        let first_cell = cells.len();
        self.days.push(Day {
            symbol: symbol.clone(),
            date: bars.session.date,
            expiry: sheet.expiry,
            open_ns: bars.session.open_ns,
            bars: sheet.rows.len() as u32,
            vix_at_open: vol.vix[0],
            first_row: self.signals.len() as u32,
            lowest_strike: sheet.tape.lowest,
            strikes: sheet.tape.strikes,
            first_cell,
            settlement_cents: (bars.close[bars.close.len() - 1] * 100.0).round() as u32,
            level_sd: config.pricing.level_sd(vol.atm_source, &sheet.spec),
            spec: sheet.spec.on(bars.session.date),
        });
        self.signals.extend(signals);
        cells.extend(&sheet.tape);
        if !sheet.tape.sizes.is_empty() {
            self.sizes.resize(first_cell, [UNKNOWN_SIZE; 2]);
            self.sizes.extend(sheet.tape.sizes);
        }
        if !sheet.tape.own.is_empty() {
            self.own.resize(first_cell, false);
            self.own.extend(sheet.tape.own);
        }
        if let Some(real) = &mut self.real {
            real.sessions += 1;
            real.origin += sheet.tape.origin;
            real.unused.far += sheet.tape.far_rows;
        }
    }

    /// Appends the features of a session. A window at its open repeats its first row instead of reaching into another session.
    fn append_features(&mut self, rows: &[(FeatureRow, SetupScore)], added: &[f32]) {
        let width = self.more.len();
        let row = |t: usize| rows[t].0.iter().chain(&added[t * width..(t + 1) * width]);
        for _ in 1..self.frames {
            self.features.extend(row(0));
        }
        self.features.extend((0..rows.len()).flat_map(row));
    }

    /// Returns the feature tape, row-major `[T, F]`.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// Returns the names of the feature columns, in order: [`FEATURES`], then the added ones.
    pub fn feature_names(&self) -> Vec<String> {
        FEATURES.iter().map(|(name, _)| (*name).to_owned()).chain(self.more.iter().cloned()).collect()
    }

    /// Returns the features of a tape row. `[F]`
    pub fn row(&self, row: usize) -> &[f32] {
        let width = FEATURES.len() + self.more.len();
        &self.features[row * width..(row + 1) * width]
    }

    /// Adds columns to the features, such as forecasts. Their values are `[T, C]`; the caller guarantees that each is known at the
    /// close of its row's bar.
    ///
    /// # Panics
    /// If there is not one value per name and row.
    #[must_use]
    pub fn with_columns(mut self, names: Vec<String>, values: &[f32]) -> Self {
        let (width, rows) = (FEATURES.len() + self.more.len(), self.signals.len());
        assert_eq!(values.len(), rows * names.len(), "the values are [{rows}, {}]", names.len());
        if !names.is_empty() {
            let pairs = self.features.chunks_exact(width).zip(values.chunks_exact(names.len()));
            self.features = pairs.flat_map(|(row, more)| row.iter().chain(more)).copied().collect();
        }
        self.more.extend(names);
        self
    }

    /// Returns the tape rows of an observation.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Returns all sessions, by symbol and then by date.
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// Returns the indices of the sessions on these dates, by symbol and then by date.
    pub fn days_in(&self, dates: &DateRange) -> Vec<u32> {
        let inside = |(i, day): (usize, &Day)| dates.contains(day.date).then_some(i as u32);
        self.days.iter().enumerate().filter_map(inside).collect()
    }

    /// Returns the setup class of a tape row.
    pub fn setup(&self, row: usize) -> Setup {
        self.signals[row].setup
    }

    /// Returns the setup class of every tape row and the index of the day that it belongs to. `[T]`
    pub fn rows(&self) -> impl Iterator<Item = (Setup, u32)> + '_ {
        let of_day =
            |(index, day): (usize, &Day)| std::iter::repeat_n(index as u32, self.frames - 1 + day.bars as usize);
        let days = self.days.iter().enumerate().flat_map(of_day);
        self.signals.iter().map(|signal| signal.setup).zip(days)
    }

    /// Returns the shares of bull-strong and bear-strong bars in these sessions.
    pub fn strong_shares(&self, days: &[u32]) -> (f64, f64) {
        let rows = days.iter().flat_map(|&day| self.days[day as usize].rows());
        let (mut bull, mut bear, mut all) = (0u64, 0u64, 0u64);
        for row in rows {
            all += 1;
            bull += u64::from(self.signals[row].setup == Setup::BullStrong);
            bear += u64::from(self.signals[row].setup == Setup::BearStrong);
        }
        let share = |count: u64| count as f64 / all.max(1) as f64;
        (share(bull), share(bear))
    }

    /// Returns the coverage of real options, if the tapes replay them.
    pub fn real_options(&self) -> Option<&RealOptions> {
        self.real.as_ref()
    }

    /// Returns the sessions that are left out because no contract of the configured expiry was listed, by symbol and then by date.
    pub fn unlisted(&self) -> &[(Symbol, Date)] {
        &self.unlisted
    }

    /// Returns the mean cost of buying an entry's contracts and selling them at once, as a fraction of the premium paid,
    /// over all bars at which an entry can fill: the return that an entry has to exceed.
    ///
    /// It holds spread, fees, slippage and impact of an order of the usual size: as many contracts as an account with its
    /// full capital buys. Delays are left out.
    pub fn round_trip_cost(&self, days: &[u32], config: &EnvConfig) -> f64 {
        let (mut sum, mut count) = (0.0, 0u64);
        for day in days.iter().map(|&day| &self.days[day as usize]) {
            let terms = Terms::new(&day.spec, &config.costs, &config.execution);
            let until = day.bars.saturating_sub(config.exits.flat_before_close);
            for bar in (1..until).filter(|&bar| self.has_bar(day, bar)) {
                for contract in self.signals[(day.first_row + bar - 1) as usize].contracts.map(u32::from) {
                    let offer = (self.quote(day, contract, bar).open, self.size(day, contract, bar));
                    let Some(cost) = account::round_trip_cost(offer, &config.account, &terms) else { continue };
                    sum += cost;
                    count += 1;
                }
            }
        }
        if count == 0 { 0.0 } else { sum / count as f64 }
    }

    /// Returns the quotes of a contract in a bar of a day.
    #[inline]
    pub fn quote(&self, day: &Day, contract: u32, bar: u32) -> QuotePair {
        self.cells.quotes(day.cells(contract) + bar as usize)
    }

    /// Returns the sizes displayed at the best prices of a contract in a bar of a day; where the tape has none, the contract's
    /// usual size.
    pub fn size(&self, day: &Day, contract: u32, bar: u32) -> Size {
        let [bid, ask] = self.sizes.get(day.cells(contract) + bar as usize).copied().unwrap_or([UNKNOWN_SIZE; 2]);
        let or_usual = |shown: u16| if shown == UNKNOWN_SIZE { day.spec.quoted_size } else { u32::from(shown) };
        Size { bid: or_usual(bid), ask: or_usual(ask) }
    }

    /// Returns the origin of a position's prices: real where the entry and every sale filled on the contract's own quote.
    pub(crate) fn price_origin(&self, day: &Day, contract: u32, entry: u32, sales: &[Sale]) -> PriceOrigin {
        let is_own = |bar: u32| self.own.get(day.cells(contract) + bar as usize).copied().unwrap_or(false);
        let orders = sales.iter().filter(|sale| !sale.reason.is_settlement());
        let mut bars = orders.map(|sale| ((sale.ts_ns - day.open_ns) / MINUTE_NS) as u32).chain([entry]);
        if bars.all(is_own) { PriceOrigin::Real } else { PriceOrigin::Modelled }
    }

    /// Removes a quote, as on a tape of real options.
    #[cfg(test)]
    pub(crate) fn forget_open_quote(&mut self, day: usize, contract: u32, bar: u32) {
        let cell = self.days[day].cells(contract) + bar as usize;
        let cells = Arc::get_mut(&mut self.cells).expect("no other market shares the cells");
        cells.change(cell, |quotes| quotes.open = crate::Quote::default());
    }

    /// Returns the strike that an entry decided at the close of a bar buys, in dollars.
    pub fn entry_strike(&self, day: &Day, bar: u32, right: Right) -> f64 {
        let contracts = self.signal(day.first_row + bar).contracts;
        day.strike(u32::from(contracts[usize::from(right == Right::Put)]))
    }

    /// Returns whether a contract lies on the day's tape.
    pub(crate) fn holds_contract(&self, day: &Day, contract: u32) -> bool {
        contract < 2 * day.strikes
    }

    /// Returns whether a minute of a day had a bar. Orders fill in such minutes only. Known at the minute's close.
    #[inline]
    pub(crate) fn has_bar(&self, day: &Day, bar: u32) -> bool {
        self.signal(day.first_row + bar).has_bar
    }

    pub(crate) fn signal(&self, row: u32) -> Signal {
        self.signals[row as usize]
    }

    #[inline]
    pub(crate) fn greeks(&self, day: &Day, contract: u32, bar: u32) -> GreekRow {
        self.cells.greeks(day.cells(contract) + bar as usize)
    }
}

/// Returns the played sessions of one symbol, computed in parallel; `None` for sessions without contracts.
fn sheets(
    symbol: &SymbolSessions,
    contracts: &[Option<Contracts<'_>>],
    config: &MarketConfig,
    levels: &SymbolLevels<'_>,
) -> Result<Vec<Option<SessionTape>>, EnvError> {
    let spec = config.contract(&symbol.symbol)?;
    if symbol.days.len() != symbol.vol.len() {
        return Err(EnvError::Misaligned {
            symbol: symbol.symbol.clone(),
            days: symbol.days.len(),
            volatility: symbol.vol.len(),
        });
    }
    for bars in &symbol.days[symbol.warmup..] {
        strike_grid::check_prices(&symbol.symbol, bars, &spec)?;
    }
    let sheet = |day: usize| {
        let Some((expiry, options)) = contracts[day - symbol.warmup] else { return Ok(None) };
        let (bars, vol) = (&symbol.days[day], &symbol.vol[day]);
        let before = day.checked_sub(1).map(|before| &symbol.days[before]);
        let features = session_features(before, bars, vol, config.setup_threshold);
        let (user, bars_of_day) = (&symbol.added, bars.close.len());
        let (symbol, level) = (&symbol.symbol, levels.on(bars.session.date, expiry, vol.atm_source));
        let tape = TapeBuilder { symbol, bars, vol, spec: &spec, config, expiry, level, options }.build()?;
        let added = added::rows(user, day, &tape.columns, bars_of_day);
        Ok(Some(SessionTape { rows: features, added, tape, spec: spec.clone(), expiry }))
    };
    (symbol.warmup..symbol.days.len()).into_par_iter().map(sheet).collect()
}
