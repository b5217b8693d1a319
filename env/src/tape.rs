//! The option tape of one session: quotes of calls and puts on a strike grid, at the open and at the close of every bar.
//!
//! The environment never prices: it replays these columns without knowing where they came from.

use std::num::NonZeroU32;

use market_data::{SessionBars, VolColumns, calendar::TRADING_MINUTES_PER_YEAR};

use crate::{
    ContractSpec, PricingConfig, SessionPricer,
    option::{Greeks, Right},
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
}

/// Returns the index of the strike nearest to a price, in strike steps.
pub(crate) fn nearest_strike(price: f64, spec: &ContractSpec) -> u32 {
    (price / spec.strike_step).round().max(1.0) as u32
}

impl OptionTape {
    /// Prices one session. The grid spans the session's range, which only bounds storage: a bar reaches its own strikes
    /// alone, and no observation shows how many there are.
    pub(crate) fn build(
        bars: &SessionBars,
        vol: &VolColumns,
        spec: &ContractSpec,
        pricing: &PricingConfig,
        with_greeks: bool,
    ) -> Self {
        let lowest = nearest_strike(bars.low.iter().fold(f64::MAX, |a, &b| a.min(b)), spec);
        let highest = nearest_strike(bars.high.iter().fold(f64::MIN, |a, &b| a.max(b)), spec);
        let (n, strikes) = (bars.close.len(), highest - lowest + 1);
        let cells = 2 * strikes as usize * n;
        let pricer = SessionPricer::new(bars, vol, spec, pricing);
        let mut tape = Self {
            lowest,
            strikes,
            quotes: vec![QuotePair::default(); cells],
            greeks: vec![[0.0; 4]; if with_greeks { cells } else { 0 }],
        };
        for k in 0..strikes as usize {
            let strike = f64::from(lowest + k as u32) * spec.strike_step;
            for t in 0..n {
                let (open, close) = (pricer.at_open(t, strike), pricer.at_close(t, strike));
                let (opens, closes) = (open.prices(), close.prices());
                let at_open = |premium| pricing.quote(spec, premium, t, n - t);
                let at_close = |premium| pricing.quote(spec, premium, t + 1, n - t - 1);
                let (call, put) = (2 * k * n + t, (2 * k + 1) * n + t);
                tape.quotes[call] = QuotePair { open: at_open(opens.0), close: at_close(closes.0) };
                tape.quotes[put] = QuotePair { open: at_open(opens.1), close: at_close(closes.1) };
                if with_greeks {
                    let (of_call, of_put) = close.greeks();
                    tape.greeks[call] = greek_row(of_call, closes.0, bars.close[t]);
                    tape.greeks[put] = greek_row(of_put, closes.1, bars.close[t]);
                }
            }
        }
        tape
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
