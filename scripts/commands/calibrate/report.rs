//! Results of the comparison, in the form of the JSON report.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::{
    DataStamp, DateRange, FileRecord,
    parity::{ParityStats, Residual},
};
use market_env::PricingConfig;
use serde::Serialize;

use super::{
    errors::{
        BY_HALF_HOUR, BY_MONEYNESS, BY_PREMIUM, BY_RIGHT, BY_TWO_HOURS, BY_VIX1D, Breakdown, Bucket, ErrorStats, Print,
        SessionBias,
    },
    level::{LevelReport, by_month},
    measure::Measured,
    pair::Pair,
    spread::{self, QuoteCounts, SpreadBucket, SpreadStats, Width},
};
use crate::config::RunConfig;

/// Comparison of the model with real options. Errors are model minus real. The level of a session follows the errors of earlier
/// sessions on file, as in a run with these files; `fit_alone` holds the errors without it.
#[derive(Debug, Clone, Serialize)]
pub struct CalibrationReport {
    /// `market`, or `SYNTHETIC` for generated bars.
    pub data: DataStamp,
    /// The underlyings.
    pub symbols: Vec<String>,
    /// First and last session with compared prices; absent without any.
    pub dates: Option<DateRange>,
    /// Sessions with compared prices, over all symbols.
    pub sessions: usize,
    /// The pricing parameters.
    pub pricing: PricingConfig,
    /// Fitting dates of the pricing parameters, as stated in the configuration.
    pub fitted_on: Option<DateRange>,
    /// Compared sessions within the fitting dates; they are in sample.
    pub in_sample_sessions: usize,
    /// Number of sessions by volatility input.
    pub volatility: BTreeMap<String, usize>,
    /// Prints of at least 0.20 within 0.5 % of the money, from the third minute to the second-to-last.
    pub near_money: ErrorStats,
    /// The same within 0.08 % of the money, where entries buy.
    pub at_the_money: ErrorStats,
    /// At the money by month.
    pub at_the_money_by_month: Vec<Bucket>,
    /// Errors of the fit alone, without the level of earlier sessions.
    pub fit_alone: FitAlone,
    /// The session's level error, and the interval that the configuration states for the fit alone.
    pub level_noise: LevelReport,
    /// Bias at the money by session, with its interval; absent with fewer than two sessions.
    pub at_the_money_by_session: Option<SessionBias>,
    /// Near the money, without the limit on the strike.
    pub all_strikes: ErrorStats,
    /// Near the money, by underlying.
    pub by_symbol: Vec<Bucket>,
    /// Near the money, by minutes to the close in two hours.
    pub by_two_hours: Vec<Bucket>,
    /// Near the money, by minutes to the close in half hours.
    pub by_half_hour: Vec<Bucket>,
    /// Near the money, by right.
    pub by_right: Vec<Bucket>,
    /// Near the money, by the level of VIX1D at the bar.
    pub by_vix1d: Vec<Bucket>,
    /// Near the money, by premium.
    pub by_premium: Vec<Bucket>,
    /// Out of the money, all strikes, by standardised moneyness: prints with a real or modelled price of at least 0.20,
    /// since a limit on the real price alone would select the overpriced prints. An option in the money is its
    /// out-of-the-money counterpart plus the parity term, and would hide the error in a large premium.
    pub by_moneyness: Vec<Bucket>,
    /// Midpoints of same-day quotes instead of prints, near the money.
    pub quoted_near_money: ErrorStats,
    /// Options that expire in the next session, prints and quote midpoints, near the money.
    pub next_session_near_money: ErrorStats,
    /// Put-call parity of the real prices, one entry per underlying.
    pub parity: Vec<Parity>,
    /// Quoted widths, one entry per underlying that has quotes.
    pub spreads: Vec<Spreads>,
    /// Option files read, and rows skipped.
    pub options: Vec<OptionFiles>,
}

/// Errors of the fit alone.
#[derive(Debug, Clone, Serialize)]
pub struct FitAlone {
    /// Near the money.
    pub near_money: ErrorStats,
    /// At the money.
    pub at_the_money: ErrorStats,
    /// At the money by month.
    pub at_the_money_by_month: Vec<Bucket>,
}

impl FitAlone {
    fn of(measured: &[Measured]) -> Self {
        let prints: Vec<Print> = measured.iter().flat_map(|of| &of.prints).map(|print| print.of_the_fit()).collect();
        Self {
            near_money: near_money(prints.iter()),
            at_the_money: ErrorStats::of(prints.iter().filter(|print| print.is_at_the_money())),
            at_the_money_by_month: by_month(measured, Print::of_the_fit),
        }
    }
}

/// Put-call parity of the real prices: `C - P - (S - K e^(-rT))`.
#[derive(Debug, Clone, Serialize)]
pub struct Parity {
    /// The underlying.
    pub symbol: String,
    /// Last trades of a minute, within 0.5 % of the money.
    pub trades_near_money: ParityStats,
    /// The same at all strikes.
    pub trades: ParityStats,
    /// Quote midpoints, within 0.5 % of the money.
    pub quotes_near_money: ParityStats,
    /// The same at all strikes.
    pub quotes: ParityStats,
}

/// Real and modelled quote widths: of same-day options where the files hold any, else of the nearest expiry within two sessions.
#[derive(Debug, Clone, Serialize)]
pub struct Spreads {
    /// The underlying.
    pub symbol: String,
    /// All quotes.
    pub all: SpreadStats,
    /// By quote midpoint.
    pub by_premium: Vec<SpreadBucket>,
    /// By intrinsic value.
    pub by_intrinsic: Vec<SpreadBucket>,
    /// By time of day.
    pub by_time: Vec<SpreadBucket>,
    /// By sessions until expiry, all expiries.
    pub by_expiry: Vec<SpreadBucket>,
    /// Quotes of all expiries, by kind.
    pub counts: QuoteCounts,
}

/// Option data read for one underlying.
#[derive(Debug, Clone, Serialize)]
pub struct OptionFiles {
    /// The underlying.
    pub symbol: String,
    /// Traded minutes.
    pub trades: usize,
    /// Quoted minutes.
    pub quotes: usize,
    /// Rows outside trading hours.
    pub outside: usize,
    /// Dates with same-day or next-session options but no bars.
    pub without_bars: Vec<Date>,
    /// Source files.
    pub files: Vec<OptionFile>,
}

/// A file of option minutes.
#[derive(Debug, Clone, Serialize)]
pub struct OptionFile {
    /// Path, as opened.
    pub path: String,
    /// Data rows, including those of other underlyings and dates.
    pub rows: usize,
    /// Rows used, and the detected format.
    pub note: String,
}

impl CalibrationReport {
    pub(crate) fn new(pairs: &[Pair], measured: &[Measured], config: &RunConfig) -> Self {
        let prints = || measured.iter().flat_map(|of| &of.prints);
        let near = || prints().filter(|print| print.is_near_money());
        let by = |breakdown: Breakdown| breakdown.buckets(near());
        let compared = || measured.iter().flat_map(|of| &of.compared);
        let dates = || compared().map(|day| day.date);
        let pricing = config.market.pricing.clone();
        let fitted_on = pricing.fitted_from.zip(pricing.fitted_to).map(|(first, last)| DateRange { first, last });
        let mut volatility: BTreeMap<String, usize> = BTreeMap::new();
        for (source, sessions) in measured.iter().flat_map(Measured::sources) {
            *volatility.entry(source.to_string()).or_default() += sessions;
        }
        Self {
            data: DataStamp::of(pairs.iter().any(|pair| pair.synthetic)),
            symbols: pairs.iter().map(|pair| pair.sessions.symbol.to_string()).collect(),
            dates: dates().min().zip(dates().max()).map(|(first, last)| DateRange { first, last }),
            sessions: compared().count(),
            in_sample_sessions: dates().filter(|date| fitted_on.is_some_and(|dates| dates.contains(*date))).count(),
            fitted_on,
            pricing,
            volatility,
            near_money: near_money(prints()),
            at_the_money: ErrorStats::of(prints().filter(|print| print.is_at_the_money())),
            at_the_money_by_month: by_month(measured, |print| print),
            fit_alone: FitAlone::of(measured),
            level_noise: LevelReport::of(measured),
            at_the_money_by_session: SessionBias::of(measured.iter().flat_map(Measured::at_the_money)),
            all_strikes: ErrorStats::of(prints().filter(|print| print.is_worth_comparing())),
            by_symbol: by_symbol(pairs, measured),
            by_two_hours: by(BY_TWO_HOURS),
            by_half_hour: by(BY_HALF_HOUR),
            by_right: by(BY_RIGHT),
            by_vix1d: by(BY_VIX1D),
            by_premium: by(BY_PREMIUM),
            by_moneyness: BY_MONEYNESS.buckets(prints().filter(|print| print.is_out_of_the_money())),
            quoted_near_money: near_money(measured.iter().flat_map(|of| &of.mids)),
            next_session_near_money: near_money(measured.iter().flat_map(|of| &of.next_session)),
            parity: pairs.iter().zip(measured).map(|(pair, of)| Parity::of(pair, of)).collect(),
            spreads: pairs.iter().zip(measured).filter_map(|(pair, of)| Spreads::of(pair, of)).collect(),
            options: pairs.iter().zip(measured).map(|(pair, of)| OptionFiles::of(pair, of)).collect(),
        }
    }
}

fn near_money<'a>(prints: impl Iterator<Item = &'a Print>) -> ErrorStats {
    ErrorStats::of(prints.filter(|print| print.is_near_money()))
}

fn by_symbol(pairs: &[Pair], measured: &[Measured]) -> Vec<Bucket> {
    let bucket = |(pair, of): (&Pair, &Measured)| Bucket {
        bucket: pair.sessions.symbol.to_string(),
        errors: near_money(of.prints.iter()),
    };
    pairs.iter().zip(measured).map(bucket).filter(|bucket| bucket.errors.count > 0).collect()
}

impl Parity {
    fn of(pair: &Pair, measured: &Measured) -> Self {
        let (trades, quotes) = (&measured.traded_parity, &measured.quoted_parity);
        let near = |residual: &&Residual| residual.near_money;
        Self {
            symbol: pair.sessions.symbol.to_string(),
            trades_near_money: ParityStats::of(trades.iter().filter(near)),
            trades: ParityStats::of(trades.iter()),
            quotes_near_money: ParityStats::of(quotes.iter().filter(near)),
            quotes: ParityStats::of(quotes.iter()),
        }
    }
}

impl Spreads {
    fn of(pair: &Pair, measured: &Measured) -> Option<Self> {
        let counts = QuoteCounts::of(pair.options.sessions.iter().flat_map(|day| &day.quotes));
        // Quotes of the nearest expiry on file: the model is that of same-day options.
        let nearest = measured.widths.iter().map(|width| width.sessions_left).min();
        let is_nearest = |width: &Width| width.is_near_expiry() && Some(width.sessions_left) == nearest;
        let widths: Vec<Width> = measured.widths.iter().copied().filter(is_nearest).collect();
        (counts.quotes > 0).then(|| Self {
            symbol: pair.sessions.symbol.to_string(),
            all: SpreadStats::of(widths.iter()),
            by_premium: spread::by_premium(&widths),
            by_intrinsic: spread::by_intrinsic(&widths),
            by_time: spread::by_time(&widths),
            by_expiry: spread::by_expiry(&measured.widths),
            counts,
        })
    }
}

impl OptionFiles {
    fn of(pair: &Pair, measured: &Measured) -> Self {
        let options = &pair.options;
        let files =
            options.files.iter().cloned().map(|FileRecord { path, rows, note, .. }| OptionFile { path, rows, note });
        Self {
            symbol: options.symbol.to_string(),
            trades: options.trades(),
            quotes: options.quotes(),
            outside: options.left_out.outside_hours,
            without_bars: measured.without_bars.clone(),
            files: files.collect(),
        }
    }
}
