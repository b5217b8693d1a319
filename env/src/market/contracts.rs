//! Contracts that the sessions of a symbol trade, by the listing calendar.

use jiff::civil::Date;
use market_data::{OptionSession, SessionBars, SymbolSessions, calendar};

use crate::{Expiry, MarketConfig, option::listing};

/// The contracts of a played session: their expiry, and their rows if real options are replayed.
pub(crate) type Contracts<'a> = (Date, Option<&'a OptionSession>);

/// Returns the contracts of every played session of one symbol; `None` where none was listed or the calendar ends.
pub(crate) fn listed_contracts<'a>(symbol: &SymbolSessions, config: &MarketConfig) -> Vec<Option<Contracts<'a>>> {
    let name = symbol.symbol.as_str();
    let of_day = |bars: &SessionBars| {
        let date = bars.session.date;
        let expiry = match config.expiry {
            Expiry::Nearest if config.listed_only => return listing::nearest(name, date),
            Expiry::SameDay | Expiry::Nearest => date,
            Expiry::NextDay => calendar::next_session(date)?.date,
        };
        (!config.listed_only || listing::expires(name, expiry)).then_some(expiry)
    };
    symbol.days[symbol.warmup..].iter().map(|bars| Some((of_day(bars)?, None))).collect()
}
