//! Rows of real options that a market replays, and their coverage.

use jiff::civil::Date;
use market_data::{OptionHistory, OptionSession, SessionBars, Settles, Symbol, SymbolSessions};

use crate::{
    EnvError, MarketConfig,
    market::tape::{QuoteOrigin, UnusedRows},
};

/// Coverage of tapes of real options.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct RealOptions {
    /// Sessions with option rows.
    pub sessions: usize,
    /// Sessions left out, without a row of the configured expiry.
    pub left_out: Vec<(Symbol, Date)>,
    /// Origin of the quotes at which orders fill.
    pub origin: QuoteOrigin,
    /// Rows of the replayed sessions that are not used.
    pub unused: UnusedRows,
}

/// Finds the option rows of every played session of one symbol, and counts those in other contracts.
pub(crate) fn option_rows<'a>(
    symbol: &SymbolSessions,
    options: &'a [OptionHistory],
    config: &MarketConfig,
) -> Result<(Vec<Option<&'a OptionSession>>, UnusedRows), EnvError> {
    let missing = || EnvError::NoOptions { symbol: symbol.symbol.clone() };
    let history = options.iter().find(|history| history.symbol == symbol.symbol).ok_or_else(missing)?;
    let of_day = |bars: &SessionBars| {
        let date = bars.session.date;
        history.session(date, config.expiry.among(history, date)?)
    };
    let rows: Vec<_> = symbol.days[symbol.warmup..].iter().map(of_day).collect();
    if rows.iter().all(Option::is_none) {
        return Err(missing());
    }
    let mut unused = UnusedRows::default();
    for (bars, used) in symbol.days[symbol.warmup..].iter().zip(&rows) {
        for other in
            history.on(bars.session.date).iter().filter(|day| !used.is_some_and(|used| std::ptr::eq(used, *day)))
        {
            let count = (other.trades.len() + other.quotes.len()) as u64;
            match other.settles {
                Settles::AtOpen => unused.settle_at_open += count,
                Settles::AtClose => unused.other_expiries += count,
            }
        }
    }
    Ok((rows, unused))
}
