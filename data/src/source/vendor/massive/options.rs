//! Options of Massive: contract reference, minute bars, chain snapshots, and greeks of past days.

use jiff::civil::Date;
use serde::Deserialize;

use super::Massive;
use crate::{
    DateRange, Symbol,
    source::vendor::{Contract, OptionMinutes, OptionVendor, Page, VendorError, root},
};

/// A contract of the reference list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ListedContract {
    /// Ticker.
    pub ticker: String,
    /// Strike, in dollars.
    pub strike_price: f64,
    /// call, put or other.
    pub contract_type: String,
    /// Last trading day.
    pub expiration_date: Date,
    /// Shares per contract; 100 unless a corporate action changed it.
    #[serde(default)]
    pub shares_per_contract: Option<f64>,
    /// american, european or bermudan.
    #[serde(default)]
    pub exercise_style: Option<String>,
}

/// One contract of a live chain. Values that an illiquid contract lacks are absent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ChainRow {
    /// The contract.
    pub details: ListedContract,
    /// Annualised implied volatility, as a fraction.
    #[serde(default)]
    pub implied_volatility: Option<f64>,
    /// Open interest, in contracts.
    #[serde(default)]
    pub open_interest: Option<f64>,
    /// Sensitivities of the price.
    #[serde(default)]
    pub greeks: Option<Greeks>,
    /// The quote, on plans that include quotes.
    #[serde(default)]
    pub last_quote: Option<Quote>,
    /// The day so far.
    #[serde(default)]
    pub day: Option<Day>,
    /// The underlying.
    #[serde(default)]
    pub underlying_asset: Option<Underlying>,
}

/// Sensitivities of an option's price, each absent if the vendor does not compute it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Greeks {
    /// Per dollar of the underlying.
    pub delta: Option<f64>,
    /// Of delta, per dollar.
    pub gamma: Option<f64>,
    /// Per day.
    pub theta: Option<f64>,
    /// Per point of volatility.
    pub vega: Option<f64>,
}

/// The standing quote of a contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Quote {
    /// Best bid.
    pub bid: Option<f64>,
    /// Best offer.
    pub ask: Option<f64>,
    /// Contracts bid for.
    pub bid_size: Option<f64>,
    /// Contracts offered.
    pub ask_size: Option<f64>,
    /// Time of the quote, nanoseconds since 1970.
    pub last_updated: Option<i64>,
}

/// The day of a contract so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Day {
    /// Last trade.
    pub close: Option<f64>,
    /// Contracts traded.
    pub volume: Option<f64>,
    /// Mean price.
    pub vwap: Option<f64>,
}

/// The underlying of a chain; an index has a value in place of a price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Underlying {
    /// Price of a stock.
    pub price: Option<f64>,
    /// Level of an index.
    pub value: Option<f64>,
}

/// Greeks and implied volatility of one contract as of 15:45 of a past day (12:45 on half days).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DayGreeks {
    /// The contract's ticker.
    pub ticker: String,
    /// The day.
    pub date: Date,
    /// Annualised implied volatility, as a fraction.
    #[serde(default)]
    pub implied_volatility: Option<f64>,
    /// Sensitivities of the price.
    #[serde(flatten)]
    pub greeks: Greeks,
}

impl Massive<'_> {
    /// Lists the contracts on `underlying` that expire on `expiry`, as they were listed on that day, between two strikes.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    pub fn contracts(
        &self,
        underlying: &Symbol,
        expiry: Date,
        low: f64,
        high: f64,
    ) -> Result<Vec<ListedContract>, VendorError> {
        let (day, low, high) = (expiry.to_string(), low.to_string(), high.to_string());
        let query = [
            ("underlying_ticker", underlying.as_str()),
            ("expiration_date", &day),
            // Without `as_of` a past day has no contracts.
            ("as_of", &day),
            ("strike_price.gte", &low),
            ("strike_price.lte", &high),
            ("limit", "1000"),
            ("sort", "strike_price"),
        ];
        let what = format!("the contracts on {underlying} that expire on {expiry}");
        let rows: Vec<ListedContract> = self.list(&what, "/v3/reference/options/contracts", &query)?;
        // The list of an index includes contracts that settle in the morning.
        let prefix = format!("O:{}", root(underlying));
        let ours = |row: &ListedContract| {
            row.ticker.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        Ok(rows.into_iter().filter(ours).collect())
    }

    /// Returns the live chain of the contracts that expire on `expiry`. Requires a plan with snapshots.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    pub fn chain(&self, underlying: &Symbol, expiry: Date) -> Result<Vec<ChainRow>, VendorError> {
        let path = format!("/v3/snapshot/options/{}", Self::ticker(underlying));
        let day = expiry.to_string();
        let query = [("expiration_date", day.as_str()), ("limit", "250"), ("sort", "strike_price")];
        self.list(&format!("the chain of {underlying} that expires on {expiry}"), &path, &query)
    }

    /// Returns implied volatility and greeks of all contracts on `underlying` as of the end of a past day. Requires a
    /// plan with analytics.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    pub fn greeks(&self, underlying: &Symbol, date: Date) -> Result<Vec<DayGreeks>, VendorError> {
        let day = date.to_string();
        let query = [("underlying_ticker", underlying.as_str()), ("date", day.as_str())];
        self.list(&format!("the greeks of {underlying} on {date}"), "/options/v1/analytics", &query)
    }
}

impl OptionVendor for Massive<'_> {
    fn batch(&self) -> usize {
        1
    }

    fn option_minutes(&self, contracts: &[Contract], date: Date) -> Result<OptionMinutes, VendorError> {
        let mut minutes = OptionMinutes::default();
        for (at, contract) in contracts.iter().enumerate() {
            let ticker = format!("O:{contract}");
            let mut on_page = |page: Page| {
                minutes.rows.extend(page.rows.into_iter().map(|row| (at, row)));
                minutes.bodies.push(page.sha256);
                Ok(())
            };
            let what = format!("minute bars of {ticker} on {date}");
            match self.aggregates(&what, &ticker, "minute", DateRange { first: date, last: date }, &mut on_page) {
                // A strike of the grid that was never listed.
                Ok(()) | Err(VendorError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(minutes)
    }
}
