//! Fits the volatility models of `[market.pricing]` to real prints by robust least squares on relative price errors.
//!
//! The loss of a print is `√(e² + 0.03² + (0.01 / print)²)` with `e` the model's error over the print, so that a bad
//! day or a stale print has no more influence than a good one. Prints at the money, where entries buy, weigh most, and a
//! session's weight halves with its age. Gauss-Newton steps update the linear parameters of the
//! log-volatility, with the standardised moneyness held fixed within a round; a small ridge shrinks parameters that the
//! data does not determine towards the flat model.

use jiff::civil::Date;
use market_data::{
    OptionHistory, SessionBars, SymbolSessions, TradeMinute, VolColumns, VolSource, calendar::TRADING_MINUTES_PER_YEAR,
};
use market_env::{
    ContractSpec, LEVEL_PARAMETERS, LEVEL_REACH, PricingConfig, SMILE_PARAMETERS, SMILE_REACH, VOL_REFERENCE,
    VolInputs, VolModel, log_smile,
    option::black_scholes::{Inputs, Right},
    vol_ratio,
};
use rayon::prelude::*;
use statistics::NormalEquations;

use super::{errors::Print, measure::FIRST_SLOT};

/// Number of parameters: level first, then smile.
const PARAMETERS: usize = LEVEL_PARAMETERS + SMILE_PARAMETERS;
/// Relative error below which the loss is quadratic.
const EASY_ERROR: f64 = 0.03;
/// Error in dollars that the tick alone can cause.
const TICK_ERROR: f64 = 0.01;
/// Weight of prints at the money, where entries buy; that of prints near the money is 1.
const MONEY_WEIGHT: f64 = 3.0;
/// Weight of prints away from the money.
const FAR_WEIGHT: f64 = 0.5;
/// Ridge per print of weight 1.
const RIDGE: f64 = 1e-4;
/// Rounds, each of which recomputes the moneyness, and Gauss-Newton steps per round.
const ROUNDS: usize = 4;
const STEPS: usize = 6;
/// Prints per parallel chunk.
const CHUNK: usize = 16_384;
/// Largest change of a parameter in one step.
const LARGEST_STEP: f64 = 1.0;

/// Smallest premium fitted, in dollars; below it the tick dominates.
const LEAST_PREMIUM: f64 = 0.05;

/// One print to fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    inputs: VolInputs,
    option: Inputs,
    right: Right,
    premium: f64,
    /// Implied volatility, where the premium implies one.
    implied: Option<f64>,
    date: Date,
    near: bool,
    /// Weight by the distance from the money.
    share: f64,
    /// Ratio of the contract's volatility on an ordinary evening to the model's.
    ratio: f64,
}

/// Returns the same-day prints of a symbol, by date, on the days whose volatility input is `source`.
pub(crate) fn samples(
    sessions: &SymbolSessions,
    options: &OptionHistory,
    spec: &ContractSpec,
    source: VolSource,
    pricing: &PricingConfig,
) -> Vec<(Date, Vec<Sample>)> {
    let ratio = vol_ratio(source, spec);
    let of_day = |(bars, vol): (&SessionBars, &VolColumns)| {
        let date = bars.session.date;
        let rows = options.session(date, date).filter(|_| vol.atm_source == source)?;
        let inputs = VolInputs::of_session(bars, vol, ratio, spec, &pricing.events);
        let sample = |row: &TradeMinute| {
            let instant = usize::from(row.slot) + 1;
            let (inputs, spot) = (inputs[instant], bars.close[instant - 1]);
            if row.slot < FIRST_SLOT || row.close < LEAST_PREMIUM || inputs.minutes_left < 1.0 {
                return None;
            }
            let years = inputs.minutes_left / TRADING_MINUTES_PER_YEAR;
            let option = Inputs { spot, strike: row.strike, years, vol: 0.0, rate: pricing.rate };
            let distance = (row.strike / spot - 1.0).abs();
            let near = distance < Print::NEAR_MONEY;
            let at_the_money = distance <= Print::AT_THE_MONEY;
            let share = if at_the_money { MONEY_WEIGHT } else { [FAR_WEIGHT, 1.0][usize::from(near)] };
            let ratio = ratio * spec.option_vol * inputs.ordinary_evening();
            let implied = option.implied_vol(row.right, row.close);
            Some(Sample { inputs, option, right: row.right, premium: row.close, implied, date, near, share, ratio })
        };
        Some((date, rows.trades.iter().filter_map(sample).collect()))
    };
    let days = sessions.days.par_iter().zip(&sessions.vol).skip(sessions.warmup);
    days.filter_map(of_day).collect()
}

impl Sample {
    /// Returns the print with a model's price.
    pub(crate) fn print(&self, model: &VolModel) -> Print {
        let x = self.moneyness(model);
        let smile = log_smile(model.smile(&self.inputs), x).exp();
        let option = Inputs { vol: self.ratio * model.at_the_money(&self.inputs) * smile, ..self.option };
        let price = option.price(self.right);
        Print {
            real: self.premium,
            model: price,
            fitted: price,
            distance: option.strike / option.spot - 1.0,
            deviations: x,
            minutes_left: self.inputs.minutes_left as u16,
            right: self.right,
            vix1d: None,
        }
    }

    /// Returns the log of the implied volatility over that of a model, for a print that shows the level: see
    /// [`market_env::level_error`].
    pub(crate) fn level_error(&self, model: &VolModel) -> Option<f64> {
        let x = self.moneyness(model);
        let shows_level = x.abs() < LEVEL_REACH && self.premium >= Print::LEAST_PREMIUM;
        let vol = || {
            let smile = log_smile(model.smile(&self.inputs), x).exp();
            self.ratio * model.at_the_money(&self.inputs) * smile
        };
        Some((self.implied.filter(|_| shows_level)? / vol()).ln())
    }

    /// Returns the log-moneyness standardised by a model's at-the-money volatility.
    fn moneyness(&self, model: &VolModel) -> f64 {
        let atm = self.ratio * model.at_the_money(&self.inputs);
        (self.option.strike / self.option.spot).ln() / (atm * self.option.years.sqrt())
    }

    fn basis(&self, x: f64) -> [f64; PARAMETERS] {
        let mut basis = [0.0; PARAMETERS];
        basis[..LEVEL_PARAMETERS].copy_from_slice(&self.inputs.level_basis());
        basis[LEVEL_PARAMETERS..].copy_from_slice(&self.inputs.smile_basis(x.clamp(-SMILE_REACH, SMILE_REACH)));
        basis
    }
}

/// A print in a round of the fit.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    sample: &'a Sample,
    /// Standardised log-moneyness.
    x: f64,
    /// Weight by the distance from the money and by age.
    share: f64,
}

/// Adds a print with log-volatility `basis · parameters` to the normal equations of a step.
fn observe(
    equations: &mut NormalEquations<PARAMETERS>,
    &Placed { sample, x, share }: &Placed<'_>,
    parameters: &[f64; PARAMETERS],
) {
    let basis = sample.basis(x);
    let log_vol: f64 = basis.iter().zip(parameters).map(|(a, b)| a * b).sum();
    let vol = sample.ratio * VOL_REFERENCE * log_vol.exp();
    let option = Inputs { vol, ..sample.option };
    let vega = option.greeks_of(sample.right).vega;
    let error = option.price(sample.right) / sample.premium - 1.0;
    let slope = vega * vol / sample.premium;
    let tick = TICK_ERROR / sample.premium;
    let weight = share / (error * error + EASY_ERROR * EASY_ERROR + tick * tick).sqrt();
    equations.observe(&basis.map(|b| b * slope), -error, weight);
}

/// Fits a model to prints; without prints, returns the flat model. The weight of a session halves with every `half_life` days
/// before the last one.
pub(crate) fn fit(samples: &[Sample], half_life: u32) -> VolModel {
    let (level, smile) = VolModel::flat(0.9).parameters();
    let mut prior = [0.0; PARAMETERS];
    prior[..LEVEL_PARAMETERS].copy_from_slice(&level);
    prior[LEVEL_PARAMETERS..].copy_from_slice(&smile);
    let mut parameters = prior;
    let newest = samples.iter().map(|sample| sample.date).max();
    for _ in 0..ROUNDS {
        let model = model(&parameters);
        let placed: Vec<Placed<'_>> = samples
            .par_iter()
            .map(|sample| {
                let age = newest.map_or(0, |newest| (newest - sample.date).get_days());
                let share = sample.share * 0.5_f64.powf(f64::from(age) / f64::from(half_life));
                Placed { sample, x: sample.moneyness(&model), share }
            })
            .filter(|placed| placed.sample.near || placed.x.abs() < SMILE_REACH)
            .collect();
        for _ in 0..STEPS {
            step(&placed, &prior, &mut parameters);
        }
    }
    model(&parameters)
}

fn model(parameters: &[f64; PARAMETERS]) -> VolModel {
    let (mut level, mut smile) = ([0.0; LEVEL_PARAMETERS], [0.0; SMILE_PARAMETERS]);
    level.copy_from_slice(&parameters[..LEVEL_PARAMETERS]);
    smile.copy_from_slice(&parameters[LEVEL_PARAMETERS..]);
    VolModel::from_parameters(&level, &smile)
}

fn step(placed: &[Placed<'_>], prior: &[f64; PARAMETERS], parameters: &mut [f64; PARAMETERS]) {
    let at = *parameters;
    // Chunks of a fixed size, added in order: the result does not depend on the number of threads.
    let sums: Vec<NormalEquations<PARAMETERS>> = placed
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut equations = NormalEquations::default();
            chunk.iter().for_each(|placed| observe(&mut equations, placed, &at));
            equations
        })
        .collect();
    let mut equations = NormalEquations::default();
    sums.iter().for_each(|sum| equations.add(sum));
    let weight: f64 = placed.iter().map(|placed| placed.share).sum();
    let ridge = RIDGE * weight + 1e-9;
    let guess = std::array::from_fn(|i| (prior[i] - at[i], ridge));
    let change = equations.solve(&guess);
    parameters.iter_mut().zip(change).for_each(|(value, change)| *value += change.clamp(-LARGEST_STEP, LARGEST_STEP));
}
