//! Black-Scholes prices and greeks of European options, as pure functions.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

pub use market_data::Right;

/// What a price depends on.
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
    /// Returns d1 and d2, or nothing where the price is the intrinsic value.
    fn d1_d2(&self) -> Option<(f64, f64)> {
        let deviation = self.vol * self.years.max(0.0).sqrt();
        (deviation > 0.0).then(|| {
            let drift = self.rate * self.years + 0.5 * deviation * deviation;
            let d1 = ((self.spot / self.strike).ln() + drift) / deviation;
            (d1, d1 - deviation)
        })
    }

    /// Returns the prices of the call and the put, in dollars per share; the intrinsic values at expiry.
    ///
    /// # Source
    /// Black and Scholes 1973, eq. 13; the put by parity.
    ///
    /// ```
    /// use market_env::option::Inputs;
    /// // One hour before the close, spot 680, 22.1 % volatility, 4 % rate.
    /// let inputs = Inputs { spot: 680.0, strike: 680.0, years: 1.0 / (252.0 * 6.5), vol: 0.221, rate: 0.04 };
    /// let (call, put) = inputs.prices();
    /// assert!((call - 1.490).abs() < 5e-4 && (put - 1.473).abs() < 5e-4);
    /// ```
    pub fn prices(&self) -> (f64, f64) {
        let Some((d1, d2)) = self.d1_d2() else {
            return ((self.spot - self.strike).max(0.0), (self.strike - self.spot).max(0.0));
        };
        let discounted = self.strike * (-self.rate * self.years).exp();
        let call = self.spot * normal_cdf(d1) - discounted * normal_cdf(d2);
        (call.max(0.0), (call - self.spot + discounted).max(0.0))
    }

    /// Returns the price of one option, in dollars per share.
    pub fn price(&self, right: Right) -> f64 {
        let (call, put) = self.prices();
        if right == Right::Call { call } else { put }
    }

    /// Returns the greeks of the call and the put; at expiry only delta is left.
    ///
    /// # Source
    /// Hull, Options, Futures and Other Derivatives, chapter "The Greek Letters".
    pub fn greeks(&self) -> (Greeks, Greeks) {
        let Some((d1, d2)) = self.d1_d2() else {
            let call = Greeks { delta: f64::from(self.spot > self.strike), ..Greeks::default() };
            return (call, Greeks { delta: call.delta - f64::from(self.spot != self.strike), ..call });
        };
        let (root, density) = (self.years.sqrt(), normal_pdf(d1));
        let carry = self.rate * self.strike * (-self.rate * self.years).exp();
        let decay = -self.spot * density * self.vol / (2.0 * root);
        let call = Greeks {
            delta: normal_cdf(d1),
            gamma: density / (self.spot * self.vol * root),
            theta: decay - carry * normal_cdf(d2),
            vega: self.spot * density * root,
        };
        (call, Greeks { delta: call.delta - 1.0, theta: decay + carry * normal_cdf(-d2), ..call })
    }
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

    #[test]
    fn greeks_are_the_derivatives_of_the_price() {
        for strike in [676.0, 680.0, 683.0] {
            let at = Inputs { strike, ..HOUR };
            let bump = |change: &dyn Fn(&mut Inputs, f64), h: f64, right: Right| {
                let (mut up, mut down) = (at, at);
                change(&mut up, h);
                change(&mut down, -h);
                (up.price(right) - down.price(right)) / (2.0 * h)
            };
            let (call, put) = at.greeks();
            for (greeks, right) in [(call, Right::Call), (put, Right::Put)] {
                let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-4 * (1.0 + b.abs()), "{a} and {b}");
                near(greeks.delta, bump(&|i, h| i.spot += h, 1e-3, right));
                near(greeks.vega, bump(&|i, h| i.vol += h, 1e-5, right));
                near(greeks.theta, -bump(&|i, h| i.years += h, 1e-8, right));
                let delta = |spot| {
                    let (call, put) = Inputs { spot, ..at }.greeks();
                    if right == Right::Call { call.delta } else { put.delta }
                };
                near(greeks.gamma, (delta(680.001) - delta(679.999)) / 0.002);
            }
        }
        let (call, put) = Inputs { years: 0.0, spot: 679.0, ..HOUR }.greeks();
        assert_eq!((call.delta, put.delta), (0.0, -1.0), "a put in the money at expiry has delta -1");
    }
}
