//! Parity of same-day options against the bars, session by session.
//!
//! Limits rest on real files. Last trades of SPY's same-day options deviate by 0.2 to 0.6 basis points of spot on nine
//! sessions in ten and by at most 2.3 on the wildest of 327 sessions; against the next or the previous minute by at least
//! 1.7 times as much, by four to seven times in the median, and against another hour by at least eight times. Middles of
//! SPX's quotes deviate by 0.6, and by 3 against the next minute. Snapshots of SPX's options on bars that are derived from
//! SPY deviate by 1.2 in the median, by up to 11.4, and fit another minute up to three times as well. Bars that are adjusted
//! for one dividend are 12 basis points and more off.

use jiff::civil::Date;
use serde::Serialize;
use statistics::quantile;

use super::{Cause, NEAR_MONEY, OptionFault, Pair, PriceKind, pairs, quoted, traded};
use crate::{OptionHistory, SessionBars, SymbolSessions};

/// Pairs of a session below which it is not judged.
const LEAST_PAIRS: usize = 20;
/// Deviation that is right whatever fits better, in basis points of spot: a cent of SPY is 0.2.
const SURELY_RIGHT: f64 = 0.5;
/// Share of the sessions that must fit another minute better. A single one may do so by chance.
const SHIFTED_SHARE: f64 = 0.25;
/// Distances of strikes from spot, as fractions: near the money, and around it where files hold nothing nearer.
const REACHES: [f64; 2] = [NEAR_MONEY, 0.03];
/// Longest shift that leaves pairs within the session, in hours.
const MOST_HOURS: i32 = 6;

/// Parity of the prices of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ParityFit {
    /// Kind of the prices.
    pub kind: PriceKind,
    /// Sessions with enough pairs.
    pub sessions: usize,
    /// Median over sessions of their median deviations, in basis points of spot.
    pub median_bp: f64,
}

/// Parity of an underlying's option prices; kinds without a session that can be judged are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ParityReport {
    /// One entry per kind of price.
    pub fits: Vec<ParityFit>,
}

impl PriceKind {
    /// Returns the deviation above which a session is wrong whatever the cause, in basis points of spot.
    fn limit(self) -> f64 {
        match self {
            Self::Quotes => 5.0,
            Self::Trades => 15.0,
        }
    }

    /// Returns the share of the deviation that may be left for a cause to explain it.
    fn explained(self) -> f64 {
        match self {
            Self::Quotes => 0.5,
            Self::Trades => 0.25,
        }
    }
}

/// Compares the same-day options of every session with its bars.
///
/// Contracts of later expiries are not judged: dividends and interest until then are unknown here.
///
/// # Errors
/// [`OptionFault::Parity`] where a session deviates by more than any right file does or fits another hour or bars at another
/// level, or where a quarter of the sessions fit another minute.
pub fn check(bars: &SymbolSessions, options: &OptionHistory) -> Result<ParityReport, OptionFault> {
    let mut report = ParityReport::default();
    for kind in [PriceKind::Quotes, PriceKind::Trades] {
        let sessions = judged(bars, options, kind);
        let mut medians: Vec<f64> = sessions.iter().map(|session| session.off_bp).collect();
        if medians.is_empty() {
            continue;
        }
        if let Some(fault) = fault(&sessions, options, kind) {
            return Err(fault);
        }
        report.fits.push(ParityFit { kind, sessions: sessions.len(), median_bp: quantile(&mut medians, 0.5) });
    }
    Ok(report)
}

/// A session with enough pairs.
struct Judged {
    date: Date,
    off_bp: f64,
    /// Likely cause of its deviation, and the deviation without it.
    cause: Option<(Cause, f64)>,
}

fn judged(bars: &SymbolSessions, options: &OptionHistory, kind: PriceKind) -> Vec<Judged> {
    let of_day = |day: &SessionBars| {
        let date = day.session.date;
        let rows = options.session(date, date)?;
        let pairs = match kind {
            PriceKind::Quotes => pairs(quoted(rows)),
            PriceKind::Trades => pairs(traded(rows)),
        };
        let compared = Compared::new(day, pairs)?;
        let off_bp = compared.deviation(0, 1.0)?;
        Some(Judged { date, off_bp, cause: compared.cause(off_bp, kind) })
    };
    bars.days.iter().filter_map(of_day).collect()
}

/// Returns the fault of the most frequent cause, if any session is at fault.
fn fault(sessions: &[Judged], options: &OptionHistory, kind: PriceKind) -> Option<OptionFault> {
    let is_minute = |cause: &Cause| matches!(cause, Cause::Minutes(_));
    let shifted = sessions.iter().filter(|session| session.cause.as_ref().is_some_and(|(cause, _)| is_minute(cause)));
    let enough = shifted.count() as f64 > SHIFTED_SHARE * sessions.len() as f64;
    let at_fault = |session: &Judged| {
        let (cause, fits_bp) = session.cause?;
        (enough || !is_minute(&cause) || session.off_bp > kind.limit()).then_some((
            session.date,
            session.off_bp,
            cause,
            fits_bp,
        ))
    };
    let found: Vec<(Date, f64, Cause, f64)> = sessions.iter().filter_map(at_fault).collect();
    let alike = |cause: Cause| found.iter().filter(|(_, _, other, _)| is_alike(cause, *other)).count();
    let &(date, off_bp, cause, fits_bp) = found.iter().rev().max_by_key(|(_, _, cause, _)| alike(*cause))?;
    Some(OptionFault::Parity {
        file: options.files.first().map(|file| file.path.clone()).unwrap_or_default(),
        symbol: options.symbol.clone(),
        kind,
        date,
        off_bp,
        fits_bp,
        cause,
        count: alike(cause),
        judged: sessions.len(),
    })
}

/// Returns whether two sessions deviate for one reason; ratios differ from dividend to dividend.
fn is_alike(first: Cause, second: Cause) -> bool {
    first == second || matches!((first, second), (Cause::Ratio(_), Cause::Ratio(_)))
}

/// The pairs of a session beside its bars.
struct Compared<'a> {
    bars: &'a SessionBars,
    pairs: Vec<Pair>,
    /// Largest distance of a strike from spot.
    reach: f64,
}

impl<'a> Compared<'a> {
    /// Returns `None` for a session with too few pairs.
    fn new(bars: &'a SessionBars, pairs: Vec<Pair>) -> Option<Self> {
        let mut compared = Self { bars, pairs, reach: 0.0 };
        compared.reach = REACHES.into_iter().find(|&reach| {
            let near = |pair: &&Pair| compared.spot(pair, 0).is_some_and(|spot| pair.distance(spot) < reach);
            compared.pairs.iter().filter(near).count() >= LEAST_PAIRS
        })?;
        Some(compared)
    }

    /// Returns the underlying's price at the end of a pair's minute, or so many minutes later.
    fn spot(&self, pair: &Pair, shift: i32) -> Option<f64> {
        let slot = usize::try_from(i32::from(pair.slot) + shift).ok()?;
        self.bars.filled.get(slot).filter(|filled| !**filled).map(|_| self.bars.close[slot])
    }

    /// Returns the median deviation from bars that are shifted by minutes and scaled, in basis points of spot.
    fn deviation(&self, shift: i32, ratio: f64) -> Option<f64> {
        let of_pair = |pair: &Pair| {
            let spot = self.spot(pair, shift)? * ratio;
            let off = (pair.implied_spot() / spot - 1.0).abs() * 1e4;
            (pair.distance(spot) < self.reach).then_some(off)
        };
        let mut off: Vec<f64> = self.pairs.iter().filter_map(of_pair).collect();
        (off.len() >= LEAST_PAIRS).then(|| quantile(&mut off, 0.5))
    }

    /// Returns the median of implied over actual spot.
    fn ratio(&self) -> f64 {
        let near = |pair: &Pair| {
            let spot = self.spot(pair, 0).filter(|spot| pair.distance(*spot) < self.reach)?;
            Some(pair.implied_spot() / spot)
        };
        quantile(&mut self.pairs.iter().filter_map(near).collect::<Vec<_>>(), 0.5)
    }

    /// Returns the likely cause of a deviation, and the deviation without it; `None` for one that is right.
    fn cause(&self, off_bp: f64, kind: PriceKind) -> Option<(Cause, f64)> {
        if off_bp <= SURELY_RIGHT {
            return None;
        }
        let minutes =
            [-1, 1].into_iter().filter_map(|shift| Some((Cause::Minutes(shift), self.deviation(shift, 1.0)?)));
        let hours = (-MOST_HOURS..=MOST_HOURS).filter(|hours| *hours != 0);
        let hours = hours.filter_map(|hours| Some((Cause::Hours(hours), self.deviation(60 * hours, 1.0)?)));
        let ratio = self.ratio();
        let scaled = ((ratio - 1.0).abs() * 1e4 > kind.limit()).then_some(ratio);
        let scaled = scaled.into_iter().filter_map(|ratio| Some((Cause::Ratio(ratio), self.deviation(0, ratio)?)));
        let best = minutes.chain(hours).chain(scaled).min_by(|a, b| a.1.total_cmp(&b.1));
        let explained = best.filter(|(_, fits_bp)| *fits_bp < kind.explained() * off_bp);
        explained.or_else(|| (off_bp > kind.limit()).then_some((Cause::Unknown, off_bp)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        DataConfig, Dataset, LeftOut, OptionSession, QuoteMinute, Right, Settles, Symbol, TradeMinute, Window,
        source::synthetic::generate,
    };

    /// Some sessions of made-up bars.
    pub(crate) fn market() -> SymbolSessions {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(14));
        let history = generate(&config.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
        Dataset::build(&history, &Window::default(), &config).unwrap().symbols.remove(0)
    }

    /// Quotes whose prices satisfy parity on the bars `stale` minutes before, multiplied by `factor`.
    pub(crate) fn quotes(bars: &SymbolSessions, stale: usize, factor: f64) -> OptionHistory {
        let session = |day: &SessionBars| {
            let mut quotes = Vec::new();
            for slot in stale..day.close.len() {
                let spot = day.close[slot - stale] * factor;
                for strike in [-1.0, 0.0, 1.0].map(|step| spot.round() + step) {
                    for (right, intrinsic) in [(Right::Call, spot - strike), (Right::Put, strike - spot)] {
                        let middle = 1.5 + intrinsic / 2.0;
                        let (bid, ask) = (Some(middle - 0.01), Some(middle + 0.01));
                        let slot = slot as u16;
                        quotes.push(QuoteMinute { slot, strike, right, bid, ask, bid_size: None, ask_size: None });
                    }
                }
            }
            let (session, expiry) = (day.session, day.session.date);
            OptionSession { session, expiry, settles: Settles::AtClose, trades: Vec::new(), quotes }
        };
        OptionHistory {
            symbol: bars.symbol.clone(),
            sessions: bars.days.iter().map(session).collect(),
            files: Vec::new(),
            left_out: LeftOut::default(),
        }
    }

    /// The same prices as trades.
    fn trades(mut options: OptionHistory) -> OptionHistory {
        for day in &mut options.sessions {
            let trade = |row: &QuoteMinute| {
                let price = row.bid.unwrap() + 0.01;
                let (slot, strike, right, spot) = (row.slot, row.strike, row.right, None);
                let (open, high, low, close) = (price, price, price, price);
                TradeMinute { slot, strike, right, open, high, low, close, vwap: price, volume: 3.0, spot }
            };
            day.trades = day.quotes.drain(..).map(|row| trade(&row)).collect();
        }
        options
    }

    fn cause(bars: &SymbolSessions, options: &OptionHistory) -> (Cause, String) {
        let fault = check(bars, options).unwrap_err();
        let OptionFault::Parity { cause, .. } = &fault else { panic!("{fault}") };
        (*cause, fault.to_string())
    }

    #[test]
    fn right_prices_pass_and_are_measured() {
        let bars = market();
        let right = quotes(&bars, 0, 1.0);
        for (kind, options) in [(PriceKind::Quotes, right.clone()), (PriceKind::Trades, trades(right.clone()))] {
            let report = check(&bars, &options).unwrap();
            let [fit] = report.fits[..] else { panic!("{report:?}") };
            assert_eq!((fit.kind, fit.sessions), (kind, bars.days.len()));
            assert!(fit.median_bp < 1e-6, "{fit:?}");
        }
        // Too few pairs are not judged.
        let mut few = quotes(&bars, 1, 1.0);
        few.sessions.iter_mut().for_each(|day| day.quotes.truncate(38));
        assert_eq!(check(&bars, &few).unwrap(), ParityReport::default());
    }

    #[test]
    fn stale_minutes_hours_and_adjusted_bars_are_told_apart() {
        let bars = market();
        let (found, message) = cause(&bars, &quotes(&bars, 1, 1.0));
        assert_eq!(found, Cause::Minutes(-1));
        assert!(message.contains("Read them with --options-stamp instant"), "{message}");
        assert_eq!(cause(&bars, &trades(quotes(&bars, 1, 1.0))).0, Cause::Minutes(-1));
        let (found, message) = cause(&bars, &quotes(&bars, 60, 1.0));
        assert_eq!(found, Cause::Hours(-1));
        assert!(message.contains("1 hour earlier it is 0.0: bars and options are on different clocks"), "{message}");
        let (found, message) = cause(&bars, &quotes(&bars, 0, 1.007));
        assert!(matches!(found, Cause::Ratio(ratio) if (ratio - 1.007).abs() < 1e-6), "{found:?}");
        assert!(message.contains("put-call parity misses by 70.0 basis points of spot"), "{message}");
        assert!(message.contains("adjusted for dividends or splits"), "{message}");
    }

    #[test]
    fn one_session_may_fit_another_minute_by_chance() {
        let bars = market();
        let (mut options, stale) = (trades(quotes(&bars, 0, 1.0)), trades(quotes(&bars, 1, 1.0)));
        let kept = bars.days.len() / 4;
        assert!(kept >= 1 && bars.days.len() > 4, "{} sessions", bars.days.len());
        options.sessions[..1].clone_from_slice(&stale.sessions[..1]);
        let one = check(&bars, &options);
        // Made-up minutes move by a few basis points, less than the limit of a lone session.
        assert!(one.is_ok(), "{one:?}");
        options.sessions[..=kept].clone_from_slice(&stale.sessions[..=kept]);
        assert_eq!(cause(&bars, &options).0, Cause::Minutes(-1));
    }
}
