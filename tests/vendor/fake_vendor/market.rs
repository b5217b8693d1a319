//! Generated prices: pure functions of a symbol and a minute, so that a test can compute the expected response.
//!
//! The prices resemble no real day; only their structure is realistic: extended hours, half days, missing minutes,
//! fractional volume, and option prices that decay towards their intrinsic value.

use std::f64::consts::PI;

use jiff::civil::Date;
use market_data::calendar::{self, Session};

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;
/// Minutes from midnight to 09:30.
const OPEN_MINUTE: i64 = 570;
/// Annualised volatility behind every option price and every greek.
pub(crate) const VOLATILITY: f64 = 0.13;
/// Contracts exist for strikes within this part of the opening spot of the expiry day.
const STRIKE_BAND: f64 = 0.03;
/// Stocks of the flat files, in the order of the rows.
pub(crate) const FILE_STOCKS: [&str; 4] = ["AAPL", "IWM", "QQQ", "SPY"];
/// Indices that exist, in the order of the flat-file rows.
pub(crate) const INDICES: [&str; 4] = ["I:NDX", "I:SPX", "I:VIX", "I:VIX1D"];
/// Underlyings of the options in the flat files, as the contract list names them.
pub(crate) const FILE_UNDERLYINGS: [&str; 4] = ["IWM", "QQQ", "SPX", "SPY"];
/// Noise octaves: length in minutes and height as a part of the price.
const OCTAVES: [(i64, f64); 6] =
    [(1, 0.000_15), (6, 0.000_4), (40, 0.001), (250, 0.002_2), (1_500, 0.006), (9_000, 0.015)];

/// One bar of a minute or a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bar {
    /// Start of the bar, unix milliseconds.
    pub(crate) t_ms: i64,
    /// Open price.
    pub(crate) o: f64,
    /// Highest price.
    pub(crate) h: f64,
    /// Lowest price.
    pub(crate) l: f64,
    /// Close price; NaN if a fault removed it.
    pub(crate) c: f64,
    /// Volume, fractional; 0 for an index.
    pub(crate) v: f64,
    /// Trades; 0 for an index.
    pub(crate) n: u32,
}

/// An option contract.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contract {
    /// Root of the ticker, `SPY` or `SPXW`.
    pub(crate) root: String,
    /// Last trading day.
    pub(crate) expiry: Date,
    /// True for a call, false for a put.
    pub(crate) call: bool,
    /// Strike price, dollars.
    pub(crate) strike: f64,
}

/// The instrument of a ticker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Instrument {
    /// A share: one to five capital letters.
    Stock(String),
    /// An index, with its `I:`.
    Index(String),
    /// An option contract, with `O:` in the ticker.
    Option(Contract),
}

impl Instrument {
    /// Returns the instrument of a ticker in the spelling of Massive, or `None` if there is none.
    pub(crate) fn parse(ticker: &str) -> Option<Self> {
        if let Some(contract) = ticker.strip_prefix("O:") {
            return Contract::parse(contract).map(Self::Option);
        }
        if ticker.starts_with("I:") {
            return INDICES.contains(&ticker).then(|| Self::Index(ticker.to_owned()));
        }
        let letters = (1..=5).contains(&ticker.len()) && ticker.bytes().all(|byte| byte.is_ascii_uppercase());
        letters.then(|| Self::Stock(ticker.to_owned()))
    }

    /// Returns the price level at the start of a unix minute; of an option, that of its underlying.
    fn level(&self, minute: i64) -> f64 {
        match self {
            Self::Stock(symbol) | Self::Index(symbol) => Path::of(symbol).at(minute),
            Self::Option(contract) => Path::of(contract.spot_symbol()).at(minute),
        }
    }
}

impl Contract {
    /// Returns the contract of a ticker without its `O:`; the strike is the last eight digits.
    pub(crate) fn parse(ticker: &str) -> Option<Self> {
        let root_len = ticker.len().checked_sub(15).filter(|len| (1..=6).contains(len) && ticker.is_ascii())?;
        let (root, rest) = ticker.split_at(root_len);
        let number = |from: usize, to: usize| rest[from..to].parse::<u32>().ok();
        let [year, month, day] = [number(0, 2)?, number(2, 4)?, number(4, 6)?];
        let expiry =
            Date::new(i16::try_from(2000 + year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let call = match &rest[6..7] {
            "C" => true,
            "P" => false,
            _ => return None,
        };
        Some(Self { root: root.to_owned(), expiry, call, strike: f64::from(number(7, 15)?) / 1_000.0 })
    }

    /// Returns the ticker without `O:`.
    pub(crate) fn symbol(&self) -> String {
        let side = if self.call { 'C' } else { 'P' };
        format!("{}{}{side}{:08.0}", self.root, self.expiry.strftime("%y%m%d"), self.strike * 1_000.0)
    }

    /// Returns the underlying in the spelling of the contract list.
    pub(crate) fn underlying(&self) -> &str {
        if self.root == "SPXW" { "SPX" } else { &self.root }
    }

    /// Returns the ticker whose price the option follows.
    pub(crate) fn spot_symbol(&self) -> &str {
        if self.root == "SPXW" { "I:SPX" } else { &self.root }
    }

    /// Returns true if the contract is one of [`contracts`].
    fn listed(&self) -> bool {
        calendar::session(self.expiry).is_some_and(|day| {
            let (low, high) = strike_range(self.spot_symbol(), &day);
            let steps = self.strike / strike_step(&self.root);
            (low..=high).contains(&self.strike) && steps.fract() == 0.0
        })
    }

    /// Returns true if the contract has bars on a day: it expires on that day or at the next session.
    fn trades_on(&self, session: &Session) -> bool {
        let next = calendar::next_session(session.date).map(|next| next.date);
        self.listed() && (session.date == self.expiry || next == Some(self.expiry))
    }

    /// Returns the trading minutes from a unix minute of a day to the close of the expiry day.
    fn minutes_left(&self, session: &Session, minute: i64) -> f64 {
        let later = calendar::sessions(session.date, self.expiry);
        let whole: usize = later.iter().skip(1).map(Session::minutes).sum();
        ((minute_of(session.close_ns) - minute).max(0) + whole as i64) as f64
    }

    /// Returns price, delta, gamma, theta (a day) and vega (a volatility point) under normally distributed moves.
    pub(crate) fn value(&self, spot: f64, minutes_left: f64) -> [f64; 5] {
        let years = minutes_left.max(0.0) / calendar::TRADING_MINUTES_PER_YEAR;
        let sign = if self.call { 1.0 } else { -1.0 };
        let moneyness = sign * (spot - self.strike);
        let spread = spot * VOLATILITY * years.sqrt();
        if spread == 0.0 {
            return [moneyness.max(0.0), 0.0, 0.0, 0.0, 0.0];
        }
        let (density, below) = normal(moneyness / spread);
        let theta = -spread * density / (2.0 * years * 252.0);
        let vega = spot * years.sqrt() * density / 100.0;
        [moneyness * below + spread * density, sign * below, density / spread, theta, vega]
    }

    /// Returns price and greeks at a unix minute of a day, or `None` if the contract has expired.
    pub(crate) fn value_at(&self, session: &Session, minute: i64) -> Option<[f64; 5]> {
        let left = self.minutes_left(session, minute);
        (left > 0.0 && session.date <= self.expiry).then(|| self.value(Path::of(self.spot_symbol()).at(minute), left))
    }
}

/// Returns the contracts of an underlying (`SPY`, `SPX`) that expire on a day, by strike, the call first.
pub(crate) fn contracts(underlying: &str, expiry: Date) -> Vec<Contract> {
    let root = if underlying == "SPX" { "SPXW" } else { underlying };
    let spot = if underlying == "SPX" { "I:SPX" } else { underlying };
    let known = matches!(Instrument::parse(underlying), Some(Instrument::Stock(_)));
    let Some(day) = calendar::session(expiry).filter(|_| known) else { return Vec::new() };
    let step = strike_step(root);
    let (low, high) = strike_range(spot, &day);
    let strikes = ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|steps| steps as f64 * step);
    let contract = |strike, call| Contract { root: root.to_owned(), expiry, call, strike };
    strikes.flat_map(|strike| [contract(strike, true), contract(strike, false)]).collect()
}

/// Returns the ticker of a flat-file or contract-list row.
pub(crate) fn option_ticker(contract: &Contract) -> String {
    format!("O:{}", contract.symbol())
}

/// Returns every bar of a day, extended hours included; none without a session.
pub(crate) fn bars_of(instrument: &Instrument, date: Date) -> Vec<Bar> {
    let Some(session) = calendar::session(date) else { return Vec::new() };
    match instrument {
        Instrument::Stock(symbol) => stock_bars(symbol, &session),
        Instrument::Index(symbol) => index_bars(symbol, &session),
        Instrument::Option(contract) => option_bars(contract, &session),
    }
}

/// Returns the bars of the regular session: those that start from 09:30 and before the close.
///
/// # Panics
///
/// If `ticker` is invalid.
pub(crate) fn regular(ticker: &str, date: Date) -> Vec<Bar> {
    let instrument = Instrument::parse(ticker).expect("a ticker as Massive spells it");
    calendar::session(date).map_or_else(Vec::new, |session| only_regular(bars_of(&instrument, date), &session))
}

/// Returns the bar of a day: prices of the regular session, volume and trades of all hours.
pub(crate) fn day_bar(instrument: &Instrument, date: Date) -> Option<Bar> {
    let session = calendar::session(date)?;
    let all = bars_of(instrument, date);
    let (v, n) = all.iter().fold((0.0, 0), |(v, n), bar| (v + bar.v, n + bar.n));
    let bars = only_regular(all, &session);
    let (first, last) = (bars.first()?, bars.last()?);
    let h = bars.iter().map(|bar| bar.h).fold(f64::MIN, f64::max);
    let l = bars.iter().map(|bar| bar.l).fold(f64::MAX, f64::min);
    let hour = if matches!(instrument, Instrument::Index(_)) { 60 } else { 0 };
    let t_ms = (minute_of(session.open_ns) - OPEN_MINUTE + hour) * MINUTE_MS;
    Some(Bar { t_ms, o: first.o, h, l, c: last.c, v: round(v, 1e6), n })
}

/// Returns the price level of a ticker at an instant in unix milliseconds.
///
/// # Panics
///
/// If `ticker` is invalid.
pub(crate) fn spot(ticker: &str, at_ms: i64) -> f64 {
    let instrument = Instrument::parse(ticker).expect("a ticker as Massive spells it");
    round(instrument.level(at_ms.div_euclid(MINUTE_MS)), 1e4)
}

/// Returns the unix minute of an instant in nanoseconds.
pub(crate) fn minute_of(ns: i64) -> i64 {
    ns.div_euclid(MINUTE_MS * 1_000_000)
}

/// Returns the hash of a number: the finaliser of splitmix64.
pub(crate) fn hash(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Returns the hash of a text.
pub(crate) fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0, |sum, byte| hash(sum ^ u64::from(byte)))
}

fn only_regular(mut bars: Vec<Bar>, session: &Session) -> Vec<Bar> {
    let hours = session.open_ns / 1_000_000..session.close_ns / 1_000_000;
    bars.retain(|bar| hours.contains(&bar.t_ms));
    bars
}

fn stock_bars(symbol: &str, session: &Session) -> Vec<Bar> {
    let (seed, open) = (hash_text(symbol), minute_of(session.open_ns));
    let (from, close) = (open - OPEN_MINUTE + 240, minute_of(session.close_ns));
    let hours = if session.minutes() <= 210 { 17 } else { 20 };
    let to = open - OPEN_MINUTE + hours * 60;
    let scale = if matches!(symbol, "SPY" | "QQQ" | "IWM") { 90_000.0 } else { 9_000.0 };
    let draw = |minute| {
        let (chance, regular) = (hash(seed ^ hash(minute as u64)), (open..close).contains(&minute));
        let missing = if regular { 5 } else { 400 };
        let busy = if regular { scale } else { scale / 40.0 };
        (chance % 1_000 >= missing).then(|| (busy * (0.3 + unit(chance)), chance))
    };
    let path = Path::of(symbol);
    path_bars(
        from..to,
        |minute| path.at(minute),
        |minute, bar| {
            let (v, chance) = draw(minute)?;
            Some(Bar { v: round(v, 1e6), n: (v / 90.0) as u32 + 1, ..widened(bar, chance, 1e4) })
        },
    )
}

fn index_bars(symbol: &str, session: &Session) -> Vec<Bar> {
    let minutes = minute_of(session.open_ns)..minute_of(session.close_ns) + 15;
    let (seed, path) = (hash_text(symbol), Path::of(symbol));
    path_bars(
        minutes,
        |minute| path.at(minute),
        |minute, bar| Some(widened(bar, hash(seed ^ hash(minute as u64)), 1e4)),
    )
}

fn option_bars(contract: &Contract, session: &Session) -> Vec<Bar> {
    if !contract.trades_on(session) {
        return Vec::new();
    }
    let open = minute_of(session.open_ns);
    let late = if contract.root == "SPXW" { 0 } else { 15 };
    let (seed, path) = (hash_text(&contract.symbol()), Path::of(contract.spot_symbol()));
    let left_at_open = contract.minutes_left(session, open);
    let over = left_at_open - session.minutes() as f64;
    let price = |minute| contract.value(path.at(minute), (left_at_open - (minute - open) as f64).max(over))[0];
    path_bars(open..minute_of(session.close_ns) + late, price, |minute, bar| {
        let chance = hash(seed ^ hash(minute as u64));
        let cent = |price: f64| round(price, 100.0).max(0.01);
        let bar = Bar { o: cent(bar.o), c: cent(bar.c), ..bar };
        let (up, down) = (f64::from((chance >> 20) as u8 % 3), f64::from((chance >> 30) as u8 % 3));
        let h = cent(bar.o.max(bar.c) + up / 100.0);
        let l = cent(bar.o.min(bar.c) - down / 100.0);
        let n = 1 + (chance >> 40) as u32 % 9;
        chance.is_multiple_of(3).then(|| Bar { h, l, v: f64::from(n * 3), n, ..bar })
    })
}

/// Returns the bars of a price path, each from the level of one minute to that of the next.
fn path_bars(
    minutes: std::ops::Range<i64>,
    price: impl Fn(i64) -> f64,
    finish: impl Fn(i64, Bar) -> Option<Bar>,
) -> Vec<Bar> {
    let mut open = price(minutes.start);
    let bar = |minute| {
        let (o, c) = (open, price(minute + 1));
        open = c;
        finish(minute, Bar { t_ms: minute * MINUTE_MS, o, h: o.max(c), l: o.min(c), c, v: 0.0, n: 0 })
    };
    minutes.filter_map(bar).collect()
}

/// Rounds open and close to a grid of `1 / digits`, and sets the high and the low slightly outside them.
fn widened(bar: Bar, chance: u64, digits: f64) -> Bar {
    let (o, c) = (round(bar.o, digits), round(bar.c, digits));
    let reach = 0.000_3 * o;
    let h = round(o.max(c) + reach * unit(hash(chance)), digits);
    let l = round(o.min(c) - reach * unit(hash(chance ^ 1)), digits);
    Bar { o, h, l, c, ..bar }
}

/// The price path of a symbol.
#[derive(Debug, Clone, Copy)]
struct Path {
    seed: u64,
    base: f64,
    scale: f64,
}

impl Path {
    fn of(symbol: &str) -> Self {
        let (name, base, scale) = match symbol {
            "SPY" => ("SPY", 600.0, 1.0),
            "QQQ" => ("QQQ", 500.0, 1.3),
            "IWM" => ("IWM", 220.0, 1.3),
            "I:SPX" => ("SPY", 6_010.0, 1.0),
            "I:NDX" => ("QQQ", 20_500.0, 1.3),
            "I:VIX" => (symbol, 16.0, 8.0),
            "I:VIX1D" => (symbol, 12.0, 10.0),
            other => (other, 20.0 + (hash_text(other) % 400) as f64, 1.5),
        };
        Self { seed: hash_text(name), base, scale }
    }

    fn at(&self, minute: i64) -> f64 {
        let slow = 0.03 * (minute as f64 / 72_000.0).sin();
        let noise: f64 = OCTAVES.iter().map(|(length, height)| height * self.noise(*length, minute)).sum();
        self.base * (1.0 + slow + self.scale * noise)
    }

    /// Returns smooth noise in `[-1, 1]`: hashes at every `length` minutes, with linear interpolation.
    fn noise(&self, length: i64, minute: i64) -> f64 {
        let (knot, part) = (minute.div_euclid(length), minute.rem_euclid(length) as f64 / length as f64);
        let value = |knot: i64| 2.0 * unit(hash(self.seed ^ (knot * 16_411 + length) as u64)) - 1.0;
        if part == 0.0 { value(knot) } else { value(knot) * (1.0 - part) + value(knot + 1) * part }
    }
}

fn strike_step(root: &str) -> f64 {
    if root == "SPXW" { 5.0 } else { 1.0 }
}

fn strike_range(spot_symbol: &str, day: &Session) -> (f64, f64) {
    let spot = Path::of(spot_symbol).at(minute_of(day.open_ns));
    (spot * (1.0 - STRIKE_BAND), spot * (1.0 + STRIKE_BAND))
}

fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn round(value: f64, digits: f64) -> f64 {
    (value * digits).round() / digits
}

/// Returns density and cumulative probability of the standard normal distribution (Abramowitz and Stegun 26.2.17).
fn normal(x: f64) -> (f64, f64) {
    let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let above = density * t * series.iter().fold(0.0, |sum, term| sum * t + term);
    (density, if x < 0.0 { above } else { 1.0 - above })
}
