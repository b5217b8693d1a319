//! Measurements by session: real and modelled prices, put-call parity of real prices, widths of real quotes.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::{
    OptionSession, QuoteMinute, Right, SessionBars, Settles, VolColumns, VolSource, calendar,
    parity::{Residual, pairs, quoted, traded},
};
use market_env::{ContractSpec, EnvError, LevelHistory, MarketConfig, PricingConfig, SessionPricer, level_error};
use rayon::prelude::*;

use super::{errors::Print, pair::Pair, spread::Width};

/// First minute compared; at the open, prints come from auctions and VIX1D is not yet published.
pub(crate) const FIRST_SLOT: u16 = 2;

/// Measurements of one symbol's options.
#[derive(Default)]
pub(crate) struct Measured {
    /// Trades of same-day options with a real or modelled price large enough to be compared.
    pub(crate) prints: Vec<Print>,
    /// Quote midpoints of same-day options, with the same filter.
    pub(crate) mids: Vec<Print>,
    /// Trades and quote midpoints of options that expire in the next session, with the same filter.
    pub(crate) next_session: Vec<Print>,
    /// Parity of trades.
    pub(crate) traded_parity: Vec<Residual>,
    /// Parity of quote midpoints.
    pub(crate) quoted_parity: Vec<Residual>,
    /// Quote widths of all expiries.
    pub(crate) widths: Vec<Width>,
    /// Sessions compared with the model, by date.
    pub(crate) compared: Vec<Compared>,
    /// Sessions with same-day or next-session options but no bars.
    pub(crate) without_bars: Vec<Date>,
}

/// A session compared with the model.
pub(crate) struct Compared {
    pub(crate) date: Date,
    /// Source of its volatility.
    pub(crate) source: VolSource,
    /// Error of the fit's level, the correction by earlier sessions, and the stated standard deviation, as logs of volatility;
    /// `None` with too few prints.
    pub(crate) level: Option<SessionLevel>,
    /// Its range in [`Measured::prints`].
    pub(crate) prints: std::ops::Range<usize>,
}

/// Level of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLevel {
    /// Log of the volatility that prints imply over that of the fit.
    pub(crate) error: f64,
    /// Correction by the errors of earlier sessions.
    pub(crate) followed: f64,
    /// Standard deviation of `error` that the configuration states.
    pub(crate) sd: f64,
}

impl Measured {
    /// Compares all option data of one symbol with the model.
    ///
    /// # Errors
    /// [`EnvError::UnknownContract`] if the symbol has no contract specification.
    pub(crate) fn of(pair: &Pair, config: &MarketConfig) -> Result<Self, EnvError> {
        let model = Model::new(pair, config)?;
        let days: Vec<Self> = pair.options.sessions.par_iter().map(|day| model.measure(day)).collect();
        let mut whole = Self::default();
        days.into_iter().for_each(|day| whole.append(day));
        Ok(whole)
    }

    fn append(&mut self, mut other: Self) {
        let before = self.prints.len();
        self.prints.append(&mut other.prints);
        self.mids.append(&mut other.mids);
        self.next_session.append(&mut other.next_session);
        self.traded_parity.append(&mut other.traded_parity);
        self.quoted_parity.append(&mut other.quoted_parity);
        self.widths.append(&mut other.widths);
        self.without_bars.append(&mut other.without_bars);
        self.without_bars.dedup();
        let moved = |day: Compared| Compared { prints: day.prints.start + before..day.prints.end + before, ..day };
        self.compared.extend(other.compared.into_iter().map(moved));
    }

    /// Returns the prints at the money of every compared session.
    pub(crate) fn at_the_money(&self) -> impl Iterator<Item = Vec<&Print>> {
        let of =
            |day: &Compared| self.prints[day.prints.clone()].iter().filter(|print| print.is_at_the_money()).collect();
        self.compared.iter().map(of)
    }

    /// Returns the number of compared sessions by volatility source.
    pub(crate) fn sources(&self) -> BTreeMap<VolSource, usize> {
        let mut sources = BTreeMap::new();
        self.compared.iter().for_each(|day| *sources.entry(day.source).or_default() += 1);
        sources
    }
}

/// The model of one symbol's options.
pub(crate) struct Model<'a> {
    pair: &'a Pair,
    spec: ContractSpec,
    pricing: &'a PricingConfig,
    levels: LevelHistory,
}

/// One session with the model's prices.
pub(crate) struct Priced<'a> {
    pub(crate) bars: &'a SessionBars,
    pub(crate) vol: &'a VolColumns,
    pub(crate) pricer: SessionPricer<'a>,
    /// The same without the level of earlier sessions.
    fitted: SessionPricer<'a>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(pair: &'a Pair, config: &'a MarketConfig) -> Result<Self, EnvError> {
        let spec = config.contract(&pair.sessions.symbol)?;
        let pricing = &config.pricing;
        let error = |(bars, vol): (&SessionBars, &VolColumns)| {
            let date = bars.session.date;
            let model = || SessionPricer::new(bars, vol, &spec, pricing);
            (date, pair.same_day(date).and_then(|rows| level_error(&model(), bars, rows)))
        };
        let days = pair.sessions.days.par_iter().zip(&pair.sessions.vol);
        let levels: Vec<(Date, Option<f64>)> = days.map(error).collect();
        Ok(Self { pair, spec, pricing, levels: levels.into_iter().collect() })
    }

    /// Returns the bars of a date with the model's prices of an expiry, or `None` without bars.
    pub(crate) fn session(&'a self, date: Date, expiry: Date) -> Option<Priced<'a>> {
        let sessions = &self.pair.sessions;
        let at = sessions.days.binary_search_by_key(&date, |day| day.session.date).ok()?;
        let (bars, vol) = (&sessions.days[at], &sessions.vol[at]);
        let fitted = SessionPricer::expiring(expiry, bars, vol, &self.spec, self.pricing);
        let followed = if expiry == date { self.levels.before(date, self.pricing) } else { 0.0 };
        Some(Priced { bars, vol, pricer: fitted.clone().at_level(followed), fitted })
    }

    fn measure(&self, day: &OptionSession) -> Measured {
        let left = calendar::sessions(day.session.date, day.expiry).len().saturating_sub(1);
        let mut measured = Measured { widths: self.widths(day, left), ..Measured::default() };
        let date = day.session.date;
        if left > 1 || day.settles == Settles::AtOpen {
            return measured;
        }
        let Some(priced) = self.session(date, day.expiry) else {
            measured.without_bars.push(date);
            return measured;
        };
        if left == 1 {
            measured.next_session = priced.prints(traded(day).chain(quoted(day)));
            return measured;
        }
        measured.prints = priced.prints(traded(day));
        measured.mids = priced.prints(quoted(day));
        measured.traded_parity = priced.parity(traded(day));
        measured.quoted_parity = priced.parity(quoted(day));
        let (source, prints) = (priced.vol.atm_source, 0..measured.prints.len());
        let level = self.levels.on(date).map(|error| {
            let [of_source, own] = self.pricing.level_sd(source, &self.spec);
            SessionLevel { error, followed: self.levels.before(date, self.pricing), sd: of_source.hypot(own) }
        });
        measured.compared.push(Compared { date, source, level, prints });
        measured
    }

    fn widths(&self, day: &OptionSession, left: usize) -> Vec<Width> {
        let minutes = day.session.minutes();
        let spots = self.spots(day);
        let width = |quote: &QuoteMinute| {
            let spot = (*spots.get(usize::from(quote.slot))?)?;
            Width::of(quote, spot, (minutes, left), &self.spec, self.pricing)
        };
        day.quotes.iter().filter_map(width).collect()
    }

    /// Returns the underlying's price at the end of every minute: the bars' close; without bars, by the parity of the strike
    /// whose call and put are quoted nearest to each other.
    fn spots(&self, day: &OptionSession) -> Vec<Option<f64>> {
        let sessions = &self.pair.sessions.days;
        if let Ok(at) = sessions.binary_search_by_key(&day.session.date, |bars| bars.session.date) {
            return sessions[at].close.iter().copied().map(Some).collect();
        }
        let middle = |quote: &QuoteMinute| quote.sides().map(|(bid, ask)| f64::midpoint(bid, ask));
        let spot = |slot| {
            let pairs = day.quotes_at(slot).windows(2).filter(|pair| pair[0].strike == pair[1].strike);
            let differences = pairs.filter_map(|pair| Some((pair[0].strike, middle(&pair[0])? - middle(&pair[1])?)));
            let nearest = differences.min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
            Some(nearest.0 + nearest.1)
        };
        (0..day.session.minutes() as u16).map(spot).collect()
    }
}

/// One real price: slot, strike, right and dollars per share.
type Price = (u16, f64, Right, f64);

impl Priced<'_> {
    fn prints(&self, prices: impl Iterator<Item = Price>) -> Vec<Print> {
        prices.filter_map(|price| self.print(price)).collect()
    }

    /// Pairs a real price with the model's, or returns `None` if it is not comparable.
    fn print(&self, (slot, strike, right, real): Price) -> Option<Print> {
        let minutes_left = (self.bars.close.len() as u16).checked_sub(slot + 1).filter(|minutes| *minutes > 0)?;
        if slot < FIRST_SLOT {
            return None;
        }
        let t = usize::from(slot);
        let inputs = self.pricer.at_close(t, strike);
        let deviation = self.pricer.at_close(t, inputs.spot).vol * inputs.years.sqrt();
        let has_vix1d = self.vol.atm_source == VolSource::Vix1dMinute;
        let print = Print {
            real,
            model: inputs.price(right),
            fitted: self.fitted.at_close(t, strike).price(right),
            distance: strike / inputs.spot - 1.0,
            deviations: (strike / inputs.spot).ln() / deviation,
            minutes_left,
            right,
            vix1d: has_vix1d.then(|| self.vol.atm_vol[t] * 100.0),
        };
        print.is_worth_comparing_either_way().then_some(print)
    }

    /// Returns the parity of real prices sorted by slot, strike and right.
    fn parity(&self, prices: impl Iterator<Item = Price>) -> Vec<Residual> {
        let residual = |pair: &market_data::parity::Pair| {
            let inputs = self.pricer.at_close(usize::from(pair.slot), pair.strike);
            pair.residual(inputs.spot, pair.strike * (-inputs.rate * inputs.years).exp())
        };
        pairs(prices).iter().map(residual).collect()
    }
}
