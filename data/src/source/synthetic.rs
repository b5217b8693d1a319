//! Synthetic market for tests, demonstrations and experiments with a known answer.
//!
//! Each minute's log return is Gaussian around zero drift, with a volatility that follows a slow component (over weeks)
//! and a fast one (over a session) that rises when prices fall, times a U-shaped profile of the day. Jumps come at
//! random; a gap separates two sessions; symbols share one market factor. VIX and VIX1D are the expected volatility of
//! the model over 21 sessions and over one.
//!
//! Prices are a martingale up to tick rounding, so that nothing can be predicted, unless `planted_edge` is set: then each
//! symbol has a regime, up or down, that adds a drift while it lasts. The regime is hidden in the noise of the returns,
//! unless `edge_visibility` is set: then the shape of a finished bar reveals its regime.

mod model;

use jiff::civil::{Date, date};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::model::{Path, SymbolParameters, mean_decay, revert, shape_bar, u_shape};
use super::check_symbols;
use crate::{
    BarColumns, Bars, DataError, History, Symbol, Volatility,
    calendar::{self, MINUTE_NS, Session},
    columns::ColumnInputs,
};

/// Mean length of a hidden regime in minutes.
const REGIME_MINUTES: f64 = 30.0;
/// Share of a day's variance that falls into the session; the rest is the gap between two sessions.
const SESSION_VARIANCE_SHARE: f64 = 0.75;
/// Sessions in which the slow component of log volatility decays by a factor e, and its standard deviation.
const SLOW: (f64, f64) = (20.0, 0.30);
/// The same for the fast component.
const FAST: (f64, f64) = (1.0, 0.20);
/// Correlation of the fast component's shocks with the market's: falling prices raise volatility.
const LEVERAGE: f64 = -0.6;
/// Standard deviation of a jump in units of an average minute's.
const JUMP_SIZE: f64 = 6.0;
const SESSIONS_PER_YEAR: f64 = 252.0;
const FULL_SESSION: f64 = 390.0;

/// Parameters of the synthetic market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Seed of the made-up bars; the same seed gives the same bars.
    pub seed: u64,
    /// First made-up date, YYYY-MM-DD, within the calendar's years.
    #[schemars(with = "String")]
    pub sessions_from: Date,
    /// Last made-up date, YYYY-MM-DD.
    #[schemars(with = "String")]
    pub sessions_to: Date,
    /// Drift per minute in standard deviations of that minute, with the sign of a hidden regime; 0 to 2. 0 plants
    /// nothing; 0.5 is plain to any method.
    pub planted_edge: f64,
    /// Share of minutes whose bar shows its regime, 0 to 1; 0 = hidden. An upward bar then has no wicks, a downward one
    /// two wicks at least as long as its body. Only high and low depend on it.
    pub edge_visibility: f64,
    /// Median annualised volatility as a fraction, 0.01 to 2. 0.15 is a calm to normal S&P 500.
    pub annual_vol: f64,
    /// Scale of the movement of volatility, 0 (constant) to 3. 1 moves VIX by about a quarter of its level.
    pub vol_of_vol: f64,
    /// Mean number of market-wide jumps per full session, 0 to 20. 0.2 is one a week.
    pub jumps_per_session: f64,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            sessions_from: date(2024, 1, 2),
            sessions_to: date(2024, 12, 31),
            planted_edge: 0.0,
            edge_visibility: 0.0,
            annual_vol: 0.15,
            vol_of_vol: 1.0,
            jumps_per_session: 0.2,
        }
    }
}

impl SyntheticConfig {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let known = calendar::FIRST_DATE..=calendar::LAST_DATE;
        for (name, day) in [("sessions_from", self.sessions_from), ("sessions_to", self.sessions_to)] {
            if !known.contains(&day) {
                faults.push(format!(
                    "data.synthetic.{name}: {day} is not between {} and {}",
                    known.start(),
                    known.end()
                ));
            }
        }
        if faults.is_empty() && calendar::sessions(self.sessions_from, self.sessions_to).is_empty() {
            let (from, to) = (self.sessions_from, self.sessions_to);
            faults.push(format!("data.synthetic.sessions_to: there is no session from {from} to {to}"));
        }
        for (name, value, low, high) in [
            ("planted_edge", self.planted_edge, 0.0, 2.0),
            ("edge_visibility", self.edge_visibility, 0.0, 1.0),
            ("annual_vol", self.annual_vol, 0.01, 2.0),
            ("vol_of_vol", self.vol_of_vol, 0.0, 3.0),
            ("jumps_per_session", self.jumps_per_session, 0.0, 20.0),
        ] {
            if !(low..=high).contains(&value) {
                faults.push(format!("data.synthetic.{name}: {value} is not between {low} and {high}"));
            }
        }
        faults
    }
}

/// Generates minute bars of `symbols`, and the matching VIX and VIX1D.
///
/// The bars of a symbol depend on the configuration and on its own name only, not on the other symbols.
///
/// # Errors
/// [`DataError::Config`] for values out of range, [`DataError::NoSymbols`] or [`DataError::DuplicateSymbol`].
pub fn generate(config: &SyntheticConfig, symbols: &[Symbol]) -> Result<History, DataError> {
    let faults = config.check();
    if !faults.is_empty() {
        return Err(DataError::Config { faults });
    }
    check_symbols(symbols)?;
    let market = Market::simulate(config);
    let bars = symbols.iter().map(|symbol| market.bars(config, symbol)).collect::<Result<Vec<_>, _>>()?;
    let (vix1d, vix) = (market.index("VIX1D", 1.0)?, market.index("VIX", 21.0)?);
    Ok(History {
        bars,
        volatility: Volatility::new(Some(&vix1d), Some(&vix), None),
        files: Vec::new(),
        synthetic: true,
        notes: Vec::new(),
        columns: ColumnInputs::default(),
    })
}

/// Sessions of the market factor and its volatility, which all symbols share.
struct Market {
    origin: String,
    median_vol: f64,
    days: Vec<MarketDay>,
}

struct MarketDay {
    session: Session,
    /// Standard deviation of the overnight log return of a symbol with beta 1, and the market's shock.
    gap: (f64, f64),
    slow: f64,
    minutes: Vec<MarketMinute>,
}

struct MarketMinute {
    /// Fast component of log volatility at the END of the minute.
    fast: f64,
    /// Standard deviation of the minute's log return for beta 1.
    sigma: f64,
    shock: f64,
    /// Standard deviation of a jump and its shock; zero in nearly all minutes.
    jump: (f64, f64),
    /// Volume relative to the day's mean.
    activity: f64,
}

impl Market {
    fn simulate(config: &SyntheticConfig) -> Self {
        let mut rng = stream(config.seed, "the market");
        let [slow_sd, fast_sd] = [SLOW.1, FAST.1].map(|sd| sd * config.vol_of_vol);
        let mut slow = slow_sd * normal(&mut rng);
        let mut fast = fast_sd * normal(&mut rng);
        let mut days = Vec::new();
        for session in calendar::sessions(config.sessions_from, config.sessions_to) {
            slow = revert(slow, 1.0 / SLOW.0, slow_sd, normal(&mut rng));
            let vol = config.annual_vol * (slow + fast).exp();
            let gap = (vol * ((1.0 - SESSION_VARIANCE_SHARE) / SESSIONS_PER_YEAR).sqrt(), normal(&mut rng));
            let mut minutes = Vec::with_capacity(session.minutes());
            for profile in u_shape(session.minutes()) {
                let vol = config.annual_vol * (slow + fast).exp();
                let average = vol * (SESSION_VARIANCE_SHARE / (SESSIONS_PER_YEAR * FULL_SESSION)).sqrt();
                let shock = normal(&mut rng);
                let own = normal(&mut rng);
                let jumps = rng.random::<f64>() < config.jumps_per_session / FULL_SESSION;
                let jump = (if jumps { JUMP_SIZE * average } else { 0.0 }, normal(&mut rng));
                let fast_shock = LEVERAGE * shock + (1.0 - LEVERAGE * LEVERAGE).sqrt() * own;
                fast = revert(fast, 1.0 / (FAST.0 * FULL_SESSION), fast_sd, fast_shock);
                minutes.push(MarketMinute { fast, sigma: average * profile, shock, jump, activity: profile * profile });
            }
            days.push(MarketDay { session, gap, slow, minutes });
        }
        Self { origin: format!("synthetic market, seed {}", config.seed), median_vol: config.annual_vol, days }
    }

    fn bars(&self, config: &SyntheticConfig, symbol: &Symbol) -> Result<Bars, DataError> {
        let parameters = SymbolParameters::of(symbol);
        let mut rng = stream(config.seed, symbol.as_str());
        // A separate random stream: the shape of bars must not change prices. The text is part of the seed.
        let mut shape_rng = stream(config.seed, &format!("what the bars of {symbol} tell"));
        let mut columns = BarColumns::default();
        let mut log_price = parameters.level.ln();
        for (index, day) in self.days.iter().enumerate() {
            let (gap_sd, gap_shock) = day.gap;
            let gap = parameters.log_return(gap_sd, gap_shock, normal(&mut rng));
            log_price += if index == 0 { 0.0 } else { gap };
            let mut regime = if rng.random::<bool>() { 1.0 } else { -1.0 };
            for (minute, start_ns) in day.minutes.iter().zip((day.session.open_ns..).step_by(MINUTE_NS as usize)) {
                let drift = config.planted_edge * minute.sigma * parameters.scale() * regime;
                let path = Path {
                    from: log_price,
                    to: log_price
                        + drift
                        + parameters.log_return(minute.sigma, minute.shock, normal(&mut rng))
                        + parameters.jump(minute.jump),
                };
                let (high, low) = path.extremes(minute.sigma * parameters.scale(), rng.random(), rng.random());
                let busy = minute.activity * (0.35 * normal(&mut rng) + 0.2 * minute.shock.abs()).exp();
                let mut prices = [path.from, high, low, path.to].map(|log_price| to_tick(log_price.exp()));
                if shape_rng.random::<f64>() < config.edge_visibility {
                    prices = shape_bar(regime, prices);
                }
                push(&mut columns, start_ns, prices, (parameters.volume * busy).round());
                log_price = path.to;
                if rng.random::<f64>() < 1.0 / REGIME_MINUTES {
                    regime = -regime;
                }
            }
        }
        Bars::new(symbol.clone(), &self.origin, columns)
    }

    /// Returns minute bars of 100 times the volatility expected over the next `horizon` sessions, published from the
    /// minute before the open on.
    fn index(&self, name: &str, horizon: f64) -> Result<Bars, DataError> {
        let (slow_part, fast_part) = (mean_decay(horizon, SLOW.0), mean_decay(horizon, FAST.0));
        let mut columns = BarColumns::default();
        let mut last = None;
        for day in &self.days {
            let starts = (day.session.open_ns - MINUTE_NS..).step_by(MINUTE_NS as usize);
            for (minute, start_ns) in day.minutes.iter().zip(starts) {
                let log_vol = slow_part * day.slow + fast_part * minute.fast;
                let close = 100.0 * self.median_vol * log_vol.exp();
                let open = last.replace(close).unwrap_or(close);
                push(&mut columns, start_ns, [open, open.max(close), open.min(close), close], 0.0);
            }
        }
        Bars::new(Symbol::new(name)?, &self.origin, columns)
    }
}

/// Appends a bar of open, high, low and close; rounding to ticks keeps their order.
fn push(columns: &mut BarColumns, start_ns: i64, prices: [f64; 4], volume: f64) {
    let [open, high, low, close] = prices.map(to_tick);
    columns.ts_ns.push(start_ns);
    columns.open.push(open);
    columns.high.push(high);
    columns.low.push(low);
    columns.close.push(close);
    columns.volume.push(volume);
}

fn to_tick(price: f64) -> f64 {
    ((price * 100.0).round() / 100.0).max(0.01)
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

/// Returns the random stream of `name`: one seed, one stream per name (FNV-1a of its bytes).
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(hash);
    rng
}

#[cfg(test)]
mod tests {
    use statistics::{Mean, correlation, mean};

    use super::*;
    use crate::{DataConfig, Dataset, VolSource, Window};

    fn symbols(names: &[&str]) -> Vec<Symbol> {
        names.iter().map(|name| Symbol::new(name).unwrap()).collect()
    }

    fn year(seed: u64, planted_edge: f64) -> History {
        generate(&SyntheticConfig { seed, planted_edge, ..SyntheticConfig::default() }, &symbols(&["SPY"])).unwrap()
    }

    /// Returns the t statistic of the hypothesis that the next half hour continues the last one.
    fn continuation(history: &History) -> f64 {
        let bars = &history.bars[0];
        let starts = (0..bars.len() - 60).step_by(60);
        let signed: Vec<f64> = starts
            .filter(|row| bars.ts_ns()[row + 59] - bars.ts_ns()[*row] == 59 * MINUTE_NS)
            .map(|row| {
                let move_of = |from: usize| (bars.close()[from + 29] / bars.open()[from]).ln();
                move_of(row).signum() * move_of(row + 30)
            })
            .collect();
        Mean::of(&signed).unwrap().t()
    }

    #[test]
    fn nothing_is_predictable_unless_an_edge_is_planted() {
        for seed in 1..=5 {
            let t = continuation(&year(seed, 0.0));
            assert!(t.abs() < 3.0, "seed {seed}: t = {t}");
        }
        let t = continuation(&year(1, 0.5));
        assert!(t > 5.0, "t = {t}");
    }

    /// Returns the t statistic of the hypothesis that the next minute follows the shape of this bar, over bars with a body.
    fn shape_edge_t(history: &History) -> f64 {
        let bars = &history.bars[0];
        let moves: Vec<f64> = (0..bars.len() - 1)
            .filter(|&row| {
                bars.open()[row] != bars.close()[row] && bars.ts_ns()[row + 1] - bars.ts_ns()[row] == MINUTE_NS
            })
            .map(|row| {
                let body = (bars.close()[row] - bars.open()[row]).abs();
                let up = body > 0.5 * (bars.high()[row] - bars.low()[row]);
                (bars.close()[row + 1] / bars.close()[row]).ln() * if up { 1.0 } else { -1.0 }
            })
            .collect();
        Mean::of(&moves).unwrap().t()
    }

    #[test]
    fn a_visible_edge_shows_in_wicks_and_changes_no_other_column() {
        let with = |planted_edge, edge_visibility| {
            let config = SyntheticConfig { planted_edge, edge_visibility, ..SyntheticConfig::default() };
            generate(&config, &symbols(&["SPY"])).unwrap()
        };
        let (hidden, visible) = (with(0.2, 0.0), with(0.2, 1.0));
        let prices = |history: &History| {
            let bars = &history.bars[0];
            (bars.open().to_vec(), bars.close().to_vec(), bars.volume().to_vec())
        };
        assert_eq!(prices(&hidden), prices(&visible));
        assert_eq!(hidden.volatility, visible.volatility);
        let t = [
            shape_edge_t(&hidden),
            shape_edge_t(&visible),
            shape_edge_t(&with(0.2, 0.3)),
            shape_edge_t(&with(0.0, 1.0)),
        ];
        assert!(t[0].abs() < 3.0 && t[1] > 30.0 && t[3].abs() < 3.0, "{t:?}");
        assert!((5.0..t[1]).contains(&t[2]), "a third of the bars reveal less than all: {t:?}");
    }

    #[test]
    fn random_streams_depend_on_seed_and_name_only() {
        let config = SyntheticConfig { sessions_to: date(2024, 1, 31), ..SyntheticConfig::default() };
        let alone = generate(&config, &symbols(&["QQQ"])).unwrap();
        let among = generate(&config, &symbols(&["SPY", "QQQ", "TSLA"])).unwrap();
        assert_eq!(alone.bars[0], among.bars[1]);
        assert_eq!(alone.volatility, among.volatility);
        let other = generate(&SyntheticConfig { seed: 2, ..config.clone() }, &symbols(&["QQQ"])).unwrap();
        assert_ne!(alone.bars[0].close(), other.bars[0].close());
        assert!(matches!(generate(&config, &symbols(&["SPY", "spy"])), Err(DataError::DuplicateSymbol { .. })));
        assert!(matches!(generate(&config, &[]), Err(DataError::NoSymbols)));
    }

    /// Returns the mean of VIX over the sessions of the first symbol, which must come from the synthetic VIX minutes.
    fn market_vix(history: &History) -> f64 {
        let dataset = Dataset::build(history, &Window::default(), &DataConfig::default()).unwrap();
        let days = &dataset.symbols[0].vol[1..];
        assert!(
            days.iter().all(|day| day.vix_source == VolSource::VixMinute && day.atm_source == VolSource::Vix1dMinute)
        );
        let values: Vec<f64> = days.iter().flat_map(|day| day.vix.iter().copied()).collect();
        mean(&values)
    }

    #[test]
    fn prices_and_volumes_resemble_a_market() {
        let history = generate(&SyntheticConfig::default(), &symbols(&["SPY", "QQQ", "SPX", "ABC"])).unwrap();
        let [spy, qqq, spx, abc] = &history.bars[..] else { panic!("four series") };
        let sessions = calendar::sessions(date(2024, 1, 2), date(2024, 12, 31));
        assert_eq!(spy.len(), sessions.iter().map(Session::minutes).sum::<usize>());
        assert_eq!((spy.open()[0], qqq.open()[0], spx.open()[0], abc.open()[0]), (500.0, 450.0, 5000.0, 100.0));
        assert!(spx.volume().iter().all(|volume| *volume == 0.0));

        let returns = |bars: &Bars| -> Vec<f64> { bars.close().windows(2).map(|p| (p[1] / p[0]).ln()).collect() };
        let (spy_returns, qqq_returns) = (returns(spy), returns(qqq));
        let annual = spy_returns.iter().map(|r| r * r).sum::<f64>().sqrt();
        assert!((0.08..0.30).contains(&annual), "realised volatility of the year: {annual}");
        let pairs: Vec<(f64, f64)> = spy_returns.iter().copied().zip(qqq_returns.iter().copied()).collect();
        let correlation = correlation(&pairs).unwrap();
        assert!((0.85..0.98).contains(&correlation), "correlation {correlation}");

        let vix = market_vix(&history);
        assert!((0.5..2.0).contains(&(vix / (100.0 * annual))), "VIX {vix} at a realised volatility of {annual}");

        let at_minute = |minute: usize| -> f64 {
            let time = |session: &Session| session.open_ns + minute as i64 * MINUTE_NS;
            let rows = sessions.iter().filter_map(|session| spy.ts_ns().binary_search(&time(session)).ok());
            rows.map(|row| spy.volume()[row]).sum()
        };
        assert!(at_minute(0) > 2.0 * at_minute(200), "the open is busier than midday");
        assert!(at_minute(389) > 1.2 * at_minute(200), "so is the close");
    }
}
