//! Black-Scholes prices and greeks of European options, as pure functions.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility};

pub use market_data::Right;

/// The inputs of a price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    /// Price of the underlying, in dollars.
    pub spot: f64,
    /// Strike, in dollars.
    pub strike: f64,
    /// Time to expiry, in years (of [`market_data::calendar::TRADING_MINUTES_PER_YEAR`] minutes here).
    pub years: f64,
    /// Volatility per square root of a year.
    pub vol: f64,
    /// Risk-free rate per year, continuously compounded.
    pub rate: f64,
}

/// Sensitivities of one option, in dollars per share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Greeks {
    /// Change of price per dollar of spot; negative for puts.
    pub delta: f64,
    /// Change of delta per dollar of spot.
    pub gamma: f64,
    /// Change of price per year of passing time; negative for a long option.
    pub theta: f64,
    /// Change of price per 1.00 of volatility (100 points).
    pub vega: f64,
}

/// Returns the standard normal distribution function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

fn normal_pdf(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

impl Inputs {
    /// Returns the terms of price and greeks; `None` where the price is the intrinsic value.
    fn terms(&self) -> Option<Terms> {
        let deviation = self.vol * self.years.max(0.0).sqrt();
        (deviation > 0.0).then(|| {
            let drift = self.rate * self.years + 0.5 * deviation * deviation;
            let d1 = ((self.spot / self.strike).ln() + drift) / deviation;
            let d2 = d1 - deviation;
            Terms { d1, d2, below: [d1, d2].map(normal_cdf), discount: (-self.rate * self.years).exp() }
        })
    }

    /// Returns the prices of the call and the put, in dollars per share; the intrinsic values at expiry.
    ///
    /// # Source
    /// Black and Scholes 1973, eq. 13; the put by parity.
    ///
    /// ```
    /// use market_env::option::black_scholes::Inputs;
    /// // One hour before the close, spot 680, 22.1 % volatility, 4 % rate.
    /// let inputs = Inputs { spot: 680.0, strike: 680.0, years: 1.0 / (252.0 * 6.5), vol: 0.221, rate: 0.04 };
    /// let (call, put) = inputs.prices();
    /// assert!((call - 1.490).abs() < 5e-4 && (put - 1.473).abs() < 5e-4);
    /// ```
    pub fn prices(&self) -> (f64, f64) {
        self.prices_of(self.terms().as_ref())
    }

    fn prices_of(&self, terms: Option<&Terms>) -> (f64, f64) {
        let Some(Terms { below: [below_d1, below_d2], discount, .. }) = terms else {
            return ((self.spot - self.strike).max(0.0), (self.strike - self.spot).max(0.0));
        };
        let discounted = self.strike * discount;
        let call = self.spot * below_d1 - discounted * below_d2;
        (call.max(0.0), (call - self.spot + discounted).max(0.0))
    }

    /// Returns the implied volatility of one option at `price` dollars per share, given the other inputs; `None` where it
    /// does not exist: at expiry, at or below the intrinsic value, above the spot (the discounted strike, for a put).
    ///
    /// # Source
    /// Jäckel 2015, "Let's Be Rational", in a crate; undiscounted prices on the forward.
    ///
    /// ```
    /// use market_env::option::black_scholes::{Inputs, Right};
    /// let inputs = Inputs { spot: 680.0, strike: 681.0, years: 1.0 / 1638.0, vol: 0.221, rate: 0.04 };
    /// let vol = inputs.implied_vol(Right::Put, inputs.price(Right::Put));
    /// assert!((vol.unwrap() - 0.221).abs() < 1e-9);
    /// assert_eq!(inputs.implied_vol(Right::Put, 0.9), None);
    /// ```
    pub fn implied_vol(&self, right: Right, price: f64) -> Option<f64> {
        let growth = (self.rate * self.years).exp();
        let implied = ImpliedBlackVolatility::builder()
            .option_price(price * growth)
            .forward(self.spot * growth)
            .strike(self.strike)
            .expiry(self.years)
            .is_call(right == Right::Call)
            .build()?;
        implied.calculate::<DefaultSpecialFn>().filter(|vol| vol.is_finite() && *vol > 0.0)
    }

    /// Returns the price of one option, in dollars per share.
    pub fn price(&self, right: Right) -> f64 {
        let (call, put) = self.prices();
        if right == Right::Call { call } else { put }
    }

    /// Returns the greeks of one option.
    pub fn greeks_of(&self, right: Right) -> Greeks {
        let (call, put) = self.greeks();
        if right == Right::Call { call } else { put }
    }

    /// Returns the greeks of the call and the put; at expiry only delta is left.
    ///
    /// # Source
    /// Hull, Options, Futures and Other Derivatives, chapter "The Greek Letters".
    pub fn greeks(&self) -> (Greeks, Greeks) {
        self.greeks_from(self.terms().as_ref())
    }

    /// Returns prices and greeks of the call and the put, as [`Inputs::prices`] and [`Inputs::greeks`] do, in less time.
    pub fn prices_and_greeks(&self) -> ((f64, f64), (Greeks, Greeks)) {
        let terms = self.terms();
        (self.prices_of(terms.as_ref()), self.greeks_from(terms.as_ref()))
    }

    fn greeks_from(&self, terms: Option<&Terms>) -> (Greeks, Greeks) {
        let Some(Terms { d1, d2, below: [below_d1, below_d2], discount }) = terms else {
            let call = Greeks { delta: f64::from(self.spot > self.strike), ..Greeks::default() };
            return (call, Greeks { delta: call.delta - f64::from(self.spot != self.strike), ..call });
        };
        let (root, density) = (self.years.sqrt(), normal_pdf(*d1));
        let carry = self.rate * self.strike * discount;
        let decay = -self.spot * density * self.vol / (2.0 * root);
        let call = Greeks {
            delta: *below_d1,
            gamma: density / (self.spot * self.vol * root),
            theta: decay - carry * below_d2,
            vega: self.spot * density * root,
        };
        (call, Greeks { delta: call.delta - 1.0, theta: decay + carry * normal_cdf(-d2), ..call })
    }
}

/// Terms that price and greeks share.
struct Terms {
    d1: f64,
    d2: f64,
    /// Values of the normal distribution function at both.
    below: [f64; 2],
    /// Value of a dollar at expiry.
    discount: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Inputs = Inputs { spot: 680.0, strike: 680.0, years: 1.0 / (252.0 * 6.5), vol: 0.221, rate: 0.04 };

    /// Percentage change of a price when the underlying moves by `percent`.
    fn response(percent: f64, right: Right) -> f64 {
        let moved = Inputs { spot: HOUR.spot * (1.0 + percent / 100.0), ..HOUR };
        (moved.price(right) / HOUR.price(right) - 1.0) * 100.0
    }

    #[test]
    fn prices_respond_as_options_do_and_puts_are_not_calls() {
        for (percent, call, put) in
            [(-0.72, -89.0, 242.0), (-0.2, -39.0, 53.0), (-0.1, -21.0, 25.0), (0.1, 25.0, -21.0), (0.5, 154.0, -75.0)]
        {
            assert!((response(percent, Right::Call) - call).abs() < 1.0, "call at {percent}");
            assert!((response(percent, Right::Put) - put).abs() < 1.0, "put at {percent}");
        }
        assert!(response(-0.01, Right::Put) > 0.0 && response(-0.01, Right::Call) < 0.0);
    }

    #[test]
    fn a_day_decays_to_nothing() {
        for (hours, value) in [(6.5, 3.83), (5.0, 3.35), (3.0, 2.59), (1.0, 1.49), (0.5, 1.05)] {
            let inputs = Inputs { years: hours / (252.0 * 6.5), ..HOUR };
            assert!((inputs.price(Right::Call) - value).abs() < 0.01, "{hours} h: {}", inputs.price(Right::Call));
        }
        assert_eq!(Inputs { years: 0.0, spot: 681.5, ..HOUR }.prices(), (1.5, 0.0));
        assert_eq!(Inputs { years: 0.0, spot: 678.0, ..HOUR }.prices(), (0.0, 2.0));
    }

    /// Price by another implementation, undiscounted and on the forward as it requires.
    fn price_elsewhere(at: Inputs, right: Right) -> f64 {
        let growth = (at.rate * at.years).exp();
        let price = implied_vol::PriceBlackScholes::builder()
            .forward(at.spot * growth)
            .strike(at.strike)
            .volatility(at.vol)
            .expiry(at.years)
            .is_call(right == Right::Call)
            .build()
            .unwrap();
        price.calculate::<DefaultSpecialFn>() / growth
    }

    #[test]
    fn prices_and_greeks_agree_with_another_implementation() {
        for minutes in [1.0, 30.0, 390.0, 980.0] {
            for (strike, vol) in [(640.0, 0.9), (676.0, 0.08), (680.0, 0.22), (690.0, 0.5)] {
                let at = Inputs { strike, vol, years: minutes / 98_280.0, ..HOUR };
                let (call, put) = at.greeks();
                assert_eq!(at.prices_and_greeks(), (at.prices(), (call, put)));
                for (greeks, right) in [(call, Right::Call), (put, Right::Put)] {
                    let near = |ours: f64, theirs: f64, what: &str| {
                        assert!(
                            (ours - theirs).abs() <= 2e-5 * (1.0 + theirs.abs()),
                            "{what} of {right} {at:?}: {ours}, {theirs}"
                        );
                    };
                    let slope = |up: Inputs, down: Inputs, width: f64| {
                        (price_elsewhere(up, right) - price_elsewhere(down, right)) / width
                    };
                    near(at.price(right), price_elsewhere(at, right), "price");
                    let (up, down) = (Inputs { spot: 680.01, ..at }, Inputs { spot: 679.99, ..at });
                    near(greeks.delta, slope(up, down, 0.02), "delta");
                    near(greeks.gamma * 0.01, slope(up, at, 0.01) - slope(at, down, 0.01), "gamma");
                    let (up, down) = (Inputs { vol: vol + 1e-5, ..at }, Inputs { vol: vol - 1e-5, ..at });
                    near(greeks.vega * 0.01, slope(up, down, 2e-5) * 0.01, "vega");
                    let h = at.years * 1e-4;
                    let (up, down) = (Inputs { years: at.years + h, ..at }, Inputs { years: at.years - h, ..at });
                    near(greeks.theta / 98_280.0, -slope(up, down, 2.0 * h) / 98_280.0, "theta");
                }
            }
        }
    }

    #[test]
    fn at_expiry_only_delta_is_left() {
        let (call, put) = Inputs { years: 0.0, spot: 679.0, ..HOUR }.greeks();
        assert_eq!((call.delta, put.delta), (0.0, -1.0), "a put in the money at expiry has delta -1");
        assert_eq!((call.gamma, call.theta, put.vega), (0.0, 0.0, 0.0));
    }
}
