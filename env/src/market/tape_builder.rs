//! Construction of a session's tape: model prices, corrected by prints of real options, overlaid with their quotes.

use jiff::{ToSpan as _, civil::Date};
use market_data::{
    OptionSession, SessionBars, Symbol, VolColumns,
    calendar::{self, Session, TRADING_MINUTES_PER_YEAR},
};

use crate::{
    ContractSpec, EnvError, MarketConfig, Premium, QuoteOrigin, QuotePair, SessionPricer,
    market::{
        option_columns, quote_overlay,
        strike_grid::StrikeGrid,
        tape::{GreekRow, OptionTape},
    },
    option::{black_scholes::Greeks, surface},
};

/// The inputs of one session's tape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TapeBuilder<'a> {
    pub(crate) symbol: &'a Symbol,
    pub(crate) bars: &'a SessionBars,
    pub(crate) vol: &'a VolColumns,
    pub(crate) spec: &'a ContractSpec,
    pub(crate) config: &'a MarketConfig,
    /// Expiry of the contracts.
    pub(crate) expiry: Date,
    /// Shift of the model's log volatility.
    pub(crate) level: f64,
    /// Trades and quotes of real options; without them the tape is modelled.
    pub(crate) options: Option<&'a OptionSession>,
}

impl TapeBuilder<'_> {
    /// Prices the session.
    ///
    /// The strike grid spans the session's range and the strikes that orders may reach from it. It only bounds storage: a bar
    /// uses its own strikes alone, and no observation depends on their number. Real rows never widen or thin the grid.
    ///
    /// # Errors
    /// A grid of more strikes than a session may have; nothing is allocated then.
    pub(crate) fn build(&self) -> Result<OptionTape, EnvError> {
        let Self { symbol, bars, vol, spec, config, expiry, level, options } = *self;
        let model = SessionPricer::expiring(expiry, bars, vol, spec, &config.pricing).at_level(level);
        let surface = options.map(|rows| surface::follow(&model, bars, spec, rows, &config.surface));
        let pricer = match &surface {
            Some(surface) => model.corrected(surface.points.iter().map(|point| point.correction)),
            None => model,
        };
        let n = bars.close.len();
        let chosen: Vec<[u32; 2]> = (0..n).map(|t| config.strike.choose(&pricer, bars.close[t], t, spec)).collect();
        let StrikeGrid { lowest, strikes } = StrikeGrid::of(symbol, bars, chosen.iter().flatten().copied(), spec)?;
        let cells = 2 * strikes as usize * n;
        let mut tape = OptionTape {
            lowest,
            strikes,
            quotes: vec![QuotePair::default(); cells],
            greeks: vec![[0.0; 4]; if config.use_greeks { cells } else { 0 }],
            sizes: Vec::new(),
            own: Vec::new(),
            chosen: chosen.iter().map(|[call, put]| [2 * (call - lowest), 2 * (put - lowest) + 1]).collect(),
            origin: QuoteOrigin::default(),
            far_rows: surface.as_ref().map_or(0, |surface| surface.idle_trades),
            columns: options.map_or_else(Vec::new, |rows| {
                option_columns::of_session(&config.option_columns, &pricer, bars, rows, spec)
            }),
        };
        for k in 0..strikes {
            self.price(&pricer, k, &mut tape);
        }
        if let (Some(rows), Some(surface)) = (options, &surface) {
            quote_overlay::lay(rows, &surface.points, spec, config, &mut tape);
        }
        Ok(tape)
    }

    /// Fills the cells of one strike's call and put.
    fn price(&self, pricer: &SessionPricer<'_>, k: u32, tape: &mut OptionTape) {
        let Self { bars, spec, config, expiry, .. } = *self;
        let n = bars.close.len();
        // Minutes of the sessions after this one until the expiry.
        let later = calendar::sessions(bars.session.date.saturating_add(1.day()), expiry);
        let later: usize = later.iter().map(Session::minutes).sum();
        let strike = f64::from(tape.lowest + k) * spec.strike_step;
        let (calls, puts) = (2 * k as usize * n, (2 * k as usize + 1) * n);
        for t in 0..n {
            let (open, close) = (pricer.at_open(t, strike), pricer.at_close(t, strike));
            let opens = open.prices();
            let closes = if config.use_greeks {
                let (prices, greeks) = close.prices_and_greeks();
                let [of_call, of_put] = greek_rows(greeks, prices, bars.close[t]);
                (tape.greeks[calls + t], tape.greeks[puts + t]) = (of_call, of_put);
                prices
            } else {
                close.prices()
            };
            let at_open = |price| config.pricing.quote(spec, price, t, n - t + later);
            let at_close = |price| config.pricing.quote(spec, price, t + 1, n - t - 1 + later);
            let pair = |prices: [f64; 2], inside: [f64; 2]| {
                let [open, close] = [0, 1].map(|i| Premium { premium: prices[i], intrinsic: inside[i].max(0.0) });
                QuotePair { open: at_open(open), close: at_close(close) }
            };
            let (above, below) = ([open, close].map(|at| at.spot - strike), [open, close].map(|at| strike - at.spot));
            tape.quotes[calls + t] = pair([opens.0, closes.0], above);
            tape.quotes[puts + t] = pair([opens.1, closes.1], below);
        }
    }
}

/// Returns the rows of a call and a put with the same strike; their gamma is the same.
fn greek_rows((of_call, of_put): (Greeks, Greeks), (call, put): (f64, f64), spot: f64) -> [GreekRow; 2] {
    let gamma = (of_call.gamma * spot * 0.001).tanh();
    [(of_call, call), (of_put, put)].map(|(greeks, premium)| {
        // A cent of premium keeps the fractions of nearly worthless options finite.
        let premium = premium.max(0.01);
        let theta = (greeks.theta / TRADING_MINUTES_PER_YEAR / premium * 10.0).tanh();
        let vega = (greeks.vega * 0.01 / premium * 5.0).tanh();
        [greeks.delta, gamma, theta, vega].map(|x| x as f32)
    })
}
