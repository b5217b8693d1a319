//! The option tape of one session: quotes of calls and puts on a strike grid, at the open and at the close of every bar.
//!
//! The environment never prices: it replays these columns without knowing where they came from.

use std::num::NonZeroU32;

use market_data::{OptionSession, SessionBars, VolColumns, calendar::TRADING_MINUTES_PER_YEAR};

use crate::{
    ContractSpec, MarketConfig, SessionPricer,
    option::{Greeks, Right},
    overlay::{self, QuoteOrigin},
    surface,
};

/// One side's best prices, in cents per share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// What a seller gets; nothing where nobody bids.
    pub bid: u32,
    /// What a buyer pays; `None` where nobody offers.
    pub ask: Option<NonZeroU32>,
}

/// Quotes of one contract at the two ends of one bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotePair {
    /// At the bar's open: orders decided at the last close fill here.
    pub open: Quote,
    /// At the bar's close: positions are marked here.
    pub close: Quote,
}

/// Greeks as a policy sees them, all bounded: delta; delta's change per 0.1 % of spot; premium lost per minute, as a
/// fraction; premium gained per volatility point, as a fraction.
pub(crate) type GreekRow = [f32; 4];

/// Contracts on display at the bid and at the ask, or [`UNKNOWN_SIZE`].
pub(crate) type SizeRow = [u16; 2];

/// A size that the tape does not know; the contract's usual one holds.
pub(crate) const UNKNOWN_SIZE: u16 = u16::MAX;

/// The option tape of one session, contract-major: cell `contract · bars + bar`, contract `2 · strike + (0 call | 1 put)`.
#[derive(Debug)]
pub(crate) struct OptionTape {
    /// Index of the lowest strike, in strike steps.
    pub(crate) lowest: u32,
    /// Number of strikes.
    pub(crate) strikes: u32,
    pub(crate) quotes: Vec<QuotePair>,
    /// Empty when greeks are off.
    pub(crate) greeks: Vec<GreekRow>,
    /// Displayed bid and ask sizes at the open; empty when the tape is a model's.
    pub(crate) sizes: Vec<SizeRow>,
    /// The call and the put that an order at the close of each bar buys.
    pub(crate) chosen: Vec<[u32; 2]>,
    /// Where the open quotes come from; all zero when the tape is a model's.
    pub(crate) origin: QuoteOrigin,
}

/// Returns the index of the strike nearest to a price, in strike steps.
pub(crate) fn nearest_strike(price: f64, spec: &ContractSpec) -> u32 {
    (price / spec.strike_step).round().max(1.0) as u32
}

/// One session on its way to a tape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TapeBuilder<'a> {
    pub(crate) bars: &'a SessionBars,
    pub(crate) vol: &'a VolColumns,
    pub(crate) spec: &'a ContractSpec,
    pub(crate) config: &'a MarketConfig,
    /// What really traded and was quoted; without it the tape is the model's alone.
    pub(crate) options: Option<&'a OptionSession>,
}

impl TapeBuilder<'_> {
    /// Prices the session.
    ///
    /// The strike grid spans the session's range and what orders may reach from it, which only bounds storage: a bar
    /// reaches its own strikes alone, and no observation shows how many there are. Real rows never widen or thin it.
    pub(crate) fn build(&self) -> OptionTape {
        let Self { bars, vol, spec, config, options } = *self;
        let model = SessionPricer::expiring(config.expiry, bars, vol, spec, &config.pricing);
        let surface = options.map(|rows| surface::follow(&model, bars, spec, rows, &config.surface));
        let pricer = match &surface {
            Some(points) => model.corrected(points.iter().map(|point| point.correction)),
            None => model,
        };
        let n = bars.close.len();
        let chosen: Vec<[u32; 2]> = (0..n).map(|t| config.strike.choose(&pricer, bars.close[t], t, spec)).collect();
        let reached = bars.low.iter().chain(&bars.high).map(|&price| nearest_strike(price, spec));
        let (lowest, highest) = reached
            .chain(chosen.iter().flatten().copied())
            .fold((u32::MAX, 0), |(low, high), strike| (low.min(strike), high.max(strike)));
        let strikes = highest - lowest + 1;
        let cells = 2 * strikes as usize * n;
        let mut tape = OptionTape {
            lowest,
            strikes,
            quotes: vec![QuotePair::default(); cells],
            greeks: vec![[0.0; 4]; if config.use_greeks { cells } else { 0 }],
            sizes: Vec::new(),
            chosen: chosen.iter().map(|[call, put]| [2 * (call - lowest), 2 * (put - lowest) + 1]).collect(),
            origin: QuoteOrigin::default(),
        };
        for k in 0..strikes {
            self.price(&pricer, k, &mut tape);
        }
        if let (Some(rows), Some(points)) = (options, &surface) {
            overlay::lay(rows, points, spec, config, &mut tape);
        }
        tape
    }

    /// Fills the cells of one strike's call and put.
    fn price(&self, pricer: &SessionPricer<'_>, k: u32, tape: &mut OptionTape) {
        let Self { bars, spec, config, .. } = *self;
        let n = bars.close.len();
        let strike = f64::from(tape.lowest + k) * spec.strike_step;
        let (calls, puts) = (2 * k as usize * n, (2 * k as usize + 1) * n);
        for t in 0..n {
            let (open, close) = (pricer.at_open(t, strike), pricer.at_close(t, strike));
            let (opens, closes) = (open.prices(), close.prices());
            let at_open = |premium| config.pricing.quote(spec, premium, t, n - t);
            let at_close = |premium| config.pricing.quote(spec, premium, t + 1, n - t - 1);
            tape.quotes[calls + t] = QuotePair { open: at_open(opens.0), close: at_close(closes.0) };
            tape.quotes[puts + t] = QuotePair { open: at_open(opens.1), close: at_close(closes.1) };
            if config.use_greeks {
                let (of_call, of_put) = close.greeks();
                tape.greeks[calls + t] = greek_row(of_call, closes.0, bars.close[t]);
                tape.greeks[puts + t] = greek_row(of_put, closes.1, bars.close[t]);
            }
        }
    }
}

impl OptionTape {
    /// Returns whether the contracts chosen at the close of the bar before `t` are offered at its open: bits 0 and 1.
    pub(crate) fn quoted(&self, t: usize) -> u8 {
        let bars = self.chosen.len();
        if t >= bars {
            return 0;
        }
        let offered = |contract: u32| u8::from(self.quotes[contract as usize * bars + t].open.ask.is_some());
        let [call, put] = self.chosen[t - 1];
        offered(call) | offered(put) << 1
    }
}

fn greek_row(greeks: Greeks, premium: f64, spot: f64) -> GreekRow {
    // A cent of premium keeps the fractions of nearly worthless options finite.
    let premium = premium.max(0.01);
    [
        greeks.delta,
        (greeks.gamma * spot * 0.001).tanh(),
        (greeks.theta / TRADING_MINUTES_PER_YEAR / premium * 10.0).tanh(),
        (greeks.vega * 0.01 / premium * 5.0).tanh(),
    ]
    .map(|x| x as f32)
}

/// Returns which contract of a strike pays this way: the low bit of a contract index.
pub(crate) const fn right_bit(right: Right) -> u32 {
    match right {
        Right::Call => 0,
        Right::Put => 1,
    }
}
