//! Real and modelled quote widths.

use market_data::{QuoteMinute, Right};
use market_env::{ContractSpec, Premium, PricingConfig};
use serde::Serialize;
use statistics::{finite, quantile};

use super::errors::between;

/// The width of a two-sided real quote and the modelled width at the same midpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Width {
    /// Ask minus bid, in dollars.
    pub(crate) real: f64,
    /// Modelled width, in dollars.
    pub(crate) model: f64,
    /// Midpoint of the real quote, in dollars.
    pub(crate) premium: f64,
    /// Intrinsic value in the midpoint, in dollars.
    pub(crate) intrinsic: f64,
    /// Minutes since the open at the quote.
    pub(crate) since_open: usize,
    /// Minutes to the close at the quote.
    pub(crate) to_close: usize,
    /// Sessions until expiry, 0 on the expiry date.
    pub(crate) sessions_left: usize,
}

impl Width {
    /// Returns whether the option expires soon enough to be quoted like a same-day option.
    pub(crate) fn is_near_expiry(&self) -> bool {
        self.sessions_left <= 2
    }

    /// Returns the widths at the midpoint of a tradable quote, and `None` for any other quote: with the underlying's price at that
    /// time, the minutes of the session and the sessions until expiry.
    pub(crate) fn of(
        quote: &QuoteMinute,
        spot: f64,
        (minutes, sessions_left): (usize, usize),
        spec: &ContractSpec,
        pricing: &PricingConfig,
    ) -> Option<Self> {
        let (bid, ask) = quote.sides()?;
        let premium = f64::midpoint(bid, ask);
        let since_open = usize::from(quote.slot) + 1;
        let to_close = minutes.saturating_sub(since_open);
        let intrinsic = match quote.right {
            Right::Call => (spot - quote.strike).max(0.0),
            Right::Put => (quote.strike - spot).max(0.0),
        };
        let to_expiry = to_close + FULL_SESSION * sessions_left;
        let modelled = pricing.quote(spec, Premium { premium, intrinsic }, since_open, to_expiry);
        let model = (f64::from(modelled.ask?.get()) - f64::from(modelled.bid)) / 100.0;
        Some(Self { real: ask - bid, model, premium, intrinsic, since_open, to_close, sessions_left })
    }
}

/// Real and modelled quote widths. Without quotes, every field but `count` is NaN, null in JSON.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SpreadStats {
    /// Two-sided quotes that do not cross.
    pub count: usize,
    /// Median width, in dollars.
    pub median_real_usd: f64,
    /// 90th percentile of the width, in dollars.
    pub p90_real_usd: f64,
    /// Median of the modelled width, in dollars.
    pub median_model_usd: f64,
    /// Median modelled width as a multiple of the median real one.
    pub ratio: f64,
    /// Median width in percent of the midpoint.
    pub median_real_pct: f64,
}

impl SpreadStats {
    pub(crate) fn of<'a>(widths: impl Iterator<Item = &'a Width>) -> Self {
        let (mut real, mut model, mut pct) = (Vec::new(), Vec::new(), Vec::new());
        for width in widths {
            real.push(width.real);
            model.push(width.model);
            pct.push(width.real / width.premium * 100.0);
        }
        let (median_real_usd, median_model_usd) = (quantile(&mut real, 0.5), quantile(&mut model, 0.5));
        Self {
            count: real.len(),
            median_real_usd,
            p90_real_usd: quantile(&mut real, 0.9),
            median_model_usd,
            ratio: median_model_usd / median_real_usd,
            median_real_pct: quantile(&mut pct, 0.5),
        }
    }
}

/// The widths of one bucket.
#[derive(Debug, Clone, Serialize)]
pub struct SpreadBucket {
    /// Label of the bucket.
    pub bucket: String,
    /// Widths of its quotes.
    #[serde(flatten)]
    pub spreads: SpreadStats,
}

/// Minutes of a full session.
const FULL_SESSION: usize = 390;
const PREMIUMS: [f64; 6] = [0.2, 0.5, 1.0, 3.0, 10.0, 30.0];
/// The first bucket is out of the money.
const INTRINSIC: [f64; 5] = [0.01, 5.0, 20.0, 40.0, 80.0];

/// Returns the widths by quote midpoint.
pub(crate) fn by_premium(widths: &[Width]) -> Vec<SpreadBucket> {
    let of = |width: &Width| PREMIUMS.partition_point(|edge| *edge <= width.premium);
    buckets(widths, between(&PREMIUMS, "$"), of)
}

/// Returns the widths by intrinsic value.
pub(crate) fn by_intrinsic(widths: &[Width]) -> Vec<SpreadBucket> {
    let of = |width: &Width| INTRINSIC.partition_point(|edge| *edge <= width.intrinsic);
    buckets(widths, between(&INTRINSIC, "$ in the money"), of)
}

/// Returns the widths by time of day.
pub(crate) fn by_time(widths: &[Width]) -> Vec<SpreadBucket> {
    let names = ["first 4 minutes", "to 30 minutes", "to 2 hours", "middle", "last 2 hours", "last 15 minutes"];
    let of = |width: &Width| match (width.since_open, width.to_close) {
        (_, 0..=15) => 5,
        (0..=4, _) => 0,
        (..=30, _) => 1,
        (..=120, _) => 2,
        (_, ..=120) => 4,
        _ => 3,
    };
    buckets(widths, names.map(str::to_owned).to_vec(), of)
}

/// Returns the widths by sessions until expiry; the model is built for the first bucket.
pub(crate) fn by_expiry(widths: &[Width]) -> Vec<SpreadBucket> {
    let names = ["same day", "next session", "two sessions on", "later"];
    buckets(widths, names.map(str::to_owned).to_vec(), |width| width.sessions_left.min(3))
}

fn buckets(widths: &[Width], names: Vec<String>, of: impl Fn(&Width) -> usize) -> Vec<SpreadBucket> {
    let bucket = |(i, bucket)| {
        let spreads = SpreadStats::of(widths.iter().filter(|width| of(width) == i));
        SpreadBucket { bucket, spreads }
    };
    names.into_iter().enumerate().map(bucket).filter(|bucket| bucket.spreads.count > 0).collect()
}

/// Counts of quotes by kind, and their displayed sizes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct QuoteCounts {
    /// Quoted minutes.
    pub quotes: usize,
    /// Quotes with one side missing.
    pub one_sided: usize,
    /// Quotes with the bid above the ask.
    pub crossed: usize,
    /// Quotes with the bid equal to the ask.
    pub locked: usize,
    /// Quotes with an explicit bid of zero.
    pub zero_bid: usize,
    /// Median bid size in contracts, of quotes with a bid.
    pub median_bid_size: Option<f64>,
    /// Median ask size in contracts.
    pub median_ask_size: Option<f64>,
}

impl QuoteCounts {
    pub(crate) fn of<'a>(quotes: impl Iterator<Item = &'a QuoteMinute>) -> Self {
        let mut counts = Self::default();
        let (mut bid_sizes, mut ask_sizes) = (Vec::new(), Vec::new());
        for quote in quotes {
            counts.quotes += 1;
            counts.one_sided += usize::from(quote.bid.is_none() || quote.ask.is_none());
            counts.crossed += usize::from(quote.is_crossed());
            counts.locked += usize::from(quote.bid.is_some() && quote.bid == quote.ask);
            counts.zero_bid += usize::from(quote.bid == Some(0.0));
            bid_sizes.extend(quote.bid.and(quote.bid_size).map(f64::from));
            ask_sizes.extend(quote.ask.and(quote.ask_size).map(f64::from));
        }
        let median = |sizes: &mut [f64]| finite(quantile(sizes, 0.5));
        counts.median_bid_size = median(&mut bid_sizes);
        counts.median_ask_size = median(&mut ask_sizes);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(slot: u16, bid: Option<f64>, ask: Option<f64>) -> QuoteMinute {
        QuoteMinute { slot, strike: 600.0, right: Right::Call, bid, ask, bid_size: Some(40), ask_size: None }
    }

    #[test]
    fn the_models_own_quotes_have_the_models_width() {
        let (spec, pricing) = (ContractSpec::known("SPY").unwrap(), PricingConfig::default());
        let quotes = (0..390).map(|slot| {
            let since_open = usize::from(slot) + 1;
            let own = pricing.quote(&spec, Premium { premium: 1.505, intrinsic: 0.0 }, since_open, 390 - since_open);
            quote(slot, Some(f64::from(own.bid) / 100.0), own.ask.map(|ask| f64::from(ask.get()) / 100.0))
        });
        let widths: Vec<Width> =
            quotes.filter_map(|quote| Width::of(&quote, 600.0, (390, 0), &spec, &pricing)).collect();
        assert_eq!(widths.len(), 390);
        assert!((SpreadStats::of(widths.iter()).ratio - 1.0).abs() < 1e-9);
        let times: Vec<usize> = by_time(&widths).iter().map(|bucket| bucket.spreads.count).collect();
        assert_eq!(times, [4, 26, 90, 149, 105, 16]);
        assert_eq!(by_premium(&widths)[0].bucket, "1 to 3 $");
        assert_eq!(by_expiry(&widths).len(), 1);
        assert_eq!(by_intrinsic(&widths)[0].bucket, "below 0.01 $ in the money");
    }

    #[test]
    fn quotes_that_are_no_market_are_counted_and_not_measured() {
        let quotes = [
            quote(0, Some(1.0), Some(1.1)),
            quote(0, None, Some(0.1)),
            quote(0, Some(1.2), Some(1.1)),
            quote(0, Some(1.1), Some(1.1)),
            quote(0, Some(0.0), Some(0.1)),
        ];
        let counts = QuoteCounts::of(quotes.iter());
        assert_eq!((counts.quotes, counts.one_sided, counts.crossed, counts.locked, counts.zero_bid), (5, 1, 1, 1, 1));
        assert_eq!((counts.median_bid_size, counts.median_ask_size), (Some(40.0), None));
        let (spec, pricing) = (ContractSpec::known("SPY").unwrap(), PricingConfig::default());
        assert_eq!(quotes.iter().filter_map(|quote| Width::of(quote, 600.0, (390, 0), &spec, &pricing)).count(), 2);
    }
}
