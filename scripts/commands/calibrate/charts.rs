//! Charts of a calibration: errors through the day and by strike, one typical session, and spreads.

use std::ops::Range;

use jiff::civil::Date;
use market_data::{OptionSession, Right, calendar::session_time};
use market_env::MarketConfig;
use plotters::style::RGBColor;
use statistics::quantile;

use super::{
    errors::{ErrorStats, Print},
    measure::{Compared, Measured, Model},
    pair::Pair,
    spread::Width,
};
use crate::{
    chart::{
        panel::{Axis, Mark, Panel, Series, Ticks, level_line, page},
        style::{CALL, PUT, STRONG_BUY, percent_label},
    },
    output::table::significant,
};

const MODEL: RGBColor = STRONG_BUY;
const REAL: RGBColor = CALL;
const WORST: RGBColor = PUT;
/// Fewest values in a bin for its quantiles to be drawn.
const LEAST_COUNT: usize = 30;
/// Largest error shown, in percent.
const LARGEST_PCT: f64 = 120.0;
/// Width of a time bin, in minutes.
const BIN_MINUTES: f64 = 10.0;
/// The bar that ends at noon.
const NOON: usize = 149;
/// Width of a moneyness bin and reach of the bins, in standard deviations.
const BIN_DEVIATIONS: f64 = 0.25;
const REACH: f64 = 3.0;

/// Panels below a title.
struct Figure {
    title: String,
    panels: Vec<Panel>,
}

impl Figure {
    fn draw(&self) -> anyhow::Result<String> {
        page(&self.title, &self.panels)
    }
}

/// Draws all charts that have data; returns the name and the SVG text of each.
///
/// # Errors
/// When the drawing library fails, or a symbol has no contract specification.
pub(crate) fn draw(
    pairs: &[Pair],
    measured: &[Measured],
    config: &MarketConfig,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut figures = Vec::new();
    let prints = || measured.iter().flat_map(|of| &of.prints);
    if let Some(figure) = by_time(prints().filter(|print| print.is_near_money())) {
        figures.push(("error_by_time.svg", figure.draw()?));
    }
    if let Some(figure) = by_moneyness(prints().filter(|print| print.is_out_of_the_money())) {
        figures.push(("error_by_moneyness.svg", figure.draw()?));
    }
    if let (Some(pair), Some(of)) = (pairs.first(), measured.first())
        && let Some(figure) = typical_session(pair, of, config)?
    {
        figures.push(("typical_session.svg", figure.draw()?));
    }
    if let Some(figure) = spreads(measured.iter().flat_map(|of| &of.widths).filter(|width| width.is_near_expiry())) {
        figures.push(("spread_by_premium.svg", figure.draw()?));
    }
    Ok(figures)
}

/// Quantiles of the errors of a bin.
struct Bin {
    x: f64,
    /// 10th, 25th, 50th, 75th and 90th percentile of the signed error, in percent.
    signed: [f64; 5],
    /// Median and 90th percentile of the absolute error, in percent.
    size: [f64; 2],
}

fn bins<'a>(
    prints: impl Iterator<Item = &'a Print>,
    x: Range<f64>,
    width: f64,
    of: impl Fn(&Print) -> f64,
) -> Vec<Bin> {
    let count = ((x.end - x.start) / width).ceil() as usize;
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); count];
    for print in prints {
        let place = of(print);
        if x.contains(&place) {
            errors[((place - x.start) / width) as usize].push(print.error_pct());
        }
    }
    let bin = |(i, mut errors): (usize, Vec<f64>)| {
        let signed = [0.1, 0.25, 0.5, 0.75, 0.9].map(|share| quantile(&mut errors, share));
        errors.iter_mut().for_each(|error| *error = error.abs());
        let size = [0.5, 0.9].map(|share| quantile(&mut errors, share));
        Bin { x: x.start + (i as f64 + 0.5) * width, signed, size }
    };
    errors.into_iter().enumerate().filter(|(_, errors)| errors.len() >= LEAST_COUNT).map(bin).collect()
}

/// Returns two panels: the signed error with its quantiles, and the absolute error.
fn error_panels(bins: &[Bin], x: &Axis, x_title: &'static str, x_ticks: Ticks) -> Vec<Panel> {
    let cut = |value: f64| value.clamp(-LARGEST_PCT, LARGEST_PCT);
    let band = |name: &str, low: usize, high: usize, opacity: f64| {
        let points = bins.iter().map(|bin| (bin.x, cut(bin.signed[low]), cut(bin.signed[high])));
        Series::new(name, REAL, Mark::Band(points.collect(), opacity))
    };
    let line = |name: &str, of: &dyn Fn(&Bin) -> f64, color| {
        Series::new(name, color, Mark::Line(bins.iter().map(|bin| (bin.x, cut(of(bin)))).collect()))
    };
    let signed = || bins.iter().flat_map(|bin| [bin.signed[0], bin.signed[4]]).map(cut);
    let (low, high) = (signed().fold(-5.0, f64::min) * 1.08, signed().fold(5.0, f64::max) * 1.08);
    let largest = bins.iter().map(|bin| cut(bin.size[1])).fold(5.0, f64::max);
    let panel = |y_title, y: Range<f64>, series| Panel {
        x: x.clone(),
        x_title,
        y_title,
        x_ticks,
        y_ticks: Ticks::Text(percent_label),
        ..Panel::new("", x.range.clone(), y, series)
    };
    let quantiles = vec![
        band("10th to 90th percentile", 0, 4, 0.2),
        band("25th to 75th", 1, 3, 0.4),
        line("median", &|bin| bin.signed[2], REAL),
        level_line(0.0, &x.range, &(low..high)),
    ];
    let sizes = vec![line("median", &|bin| bin.size[0], MODEL), line("90th percentile", &|bin| bin.size[1], WORST)];
    vec![panel("model minus print", low..high, quantiles), panel("absolute error", 0.0..largest * 1.08, sizes)]
}

fn by_time<'a>(prints: impl Iterator<Item = &'a Print>) -> Option<Figure> {
    // Minutes to the close decrease, so that the day runs from left to right.
    let x = -390.0..0.0;
    let bins = bins(prints, x.clone(), BIN_MINUTES, |print| -f64::from(print.minutes_left));
    let minutes = Ticks::Text(|minutes| format!("{:.0}", -minutes + 0.0));
    let x = Axis { range: x, step: Some(60.0) };
    (!bins.is_empty()).then(|| Figure {
        title: "Error in % of premium through the day, prints within 0.5 % of the money".to_owned(),
        panels: error_panels(&bins, &x, "minutes to the close", minutes),
    })
}

fn by_moneyness<'a>(prints: impl Iterator<Item = &'a Print>) -> Option<Figure> {
    let x = -REACH..REACH;
    let bins = bins(prints, x.clone(), BIN_DEVIATIONS, |print| print.deviations);
    let x = Axis { range: x, step: None };
    (!bins.is_empty()).then(|| Figure {
        title: "Error in % of premium by strike out of the money (puts left), real or modelled price at least $0.20"
            .to_owned(),
        panels: error_panels(
            &bins,
            &x,
            "ln(strike / spot) in standard deviations until the close",
            Ticks::Text(|deviations| format!("{deviations:.1}")),
        ),
    })
}

/// Draws the session with the median error nearest to the overall one, at the traded strike nearest to spot at noon.
fn typical_session(pair: &Pair, measured: &Measured, config: &MarketConfig) -> anyhow::Result<Option<Figure>> {
    let near = |prints: Range<usize>| measured.prints[prints].iter().filter(|print| print.is_near_money());
    let whole = ErrorStats::of(near(0..measured.prints.len())).median_abs_pct;
    let distance = |day: &Compared| (ErrorStats::of(near(day.prints.clone())).median_abs_pct - whole).abs();
    let candidates = measured.compared.iter().filter(|day| near(day.prints.clone()).count() >= LEAST_COUNT);
    let typical = candidates.map(|day| (distance(day), day.date)).min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, date)) = typical else { return Ok(None) };
    let model = Model::new(pair, config)?;
    let day = pair.options.session(date, date);
    let Some((day, priced)) = day.zip(model.session(date, date)) else { return Ok(None) };
    let minutes = priced.bars.close.len();
    let Some(strike) = nearest_strike(day, priced.bars.close[NOON.min(minutes - 1)]) else { return Ok(None) };
    let panel = |right: Right, y_title| {
        let prints: Vec<(f64, f64)> = day
            .trades
            .iter()
            .filter(|row| row.strike == strike && row.right == right)
            .map(|row| (f64::from(row.slot) + 1.0, row.close))
            .collect();
        let line = (0..minutes).map(|t| (t as f64 + 1.0, priced.pricer.at_close(t, strike).price(right)));
        let line: Vec<(f64, f64)> = line.collect();
        let highest = prints.iter().chain(&line).map(|point| point.1).fold(Print::LEAST_PREMIUM, f64::max);
        let series = vec![
            Series::new("last print of the minute", REAL, Mark::Dots(prints)),
            Series::new("model", MODEL, Mark::Line(line)),
        ];
        Panel {
            x: Axis { range: 0.0..minutes as f64, step: Some(30.0) },
            x_title: "New York time",
            y_title,
            x_ticks: Ticks::Text(|minutes| session_time(minutes.round() as usize)),
            y_ticks: Ticks::Text(|dollars| format!("${dollars:.2}")),
            ..Panel::new("", 0.0..minutes as f64, 0.0..highest * 1.08, series)
        }
    };
    Ok(Some(Figure {
        title: title_of(pair, date, strike),
        panels: vec![panel(Right::Call, "call"), panel(Right::Put, "put")],
    }))
}

fn title_of(pair: &Pair, date: Date, strike: f64) -> String {
    format!("A typical session: {} on {date}, strike {strike}", pair.sessions.symbol)
}

/// Returns the traded strike nearest to a spot price.
fn nearest_strike(day: &OptionSession, spot: f64) -> Option<f64> {
    let distance = |strike: &f64| (strike - spot).abs();
    day.trades.iter().map(|row| row.strike).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// Draws widths by quote midpoint, both axes logarithmic.
fn spreads<'a>(widths: impl Iterator<Item = &'a Width>) -> Option<Figure> {
    let (first, step, count) = (-1.5, 0.125, 30);
    let mut of: Vec<[Vec<f64>; 2]> = vec![Default::default(); count];
    for width in widths.filter(|width| width.real > 0.0 && width.model > 0.0) {
        let place = (width.premium.log10() - first) / step;
        if (0.0..count as f64).contains(&place) {
            let [real, model] = &mut of[place as usize];
            real.push(width.real.log10());
            model.push(width.model.log10());
        }
    }
    let held = of.iter_mut().enumerate().filter(|(_, [real, _])| real.len() >= LEAST_COUNT);
    let (mut band, mut middle, mut model) = (Vec::new(), Vec::new(), Vec::new());
    for (i, [real, modelled]) in held {
        let x = first + (i as f64 + 0.5) * step;
        band.push((x, quantile(real, 0.1), quantile(real, 0.9)));
        middle.push((x, quantile(real, 0.5)));
        model.push((x, quantile(modelled, 0.5)));
    }
    let (left, right) = (band.first()?.0, band.last()?.0);
    let edges = || band.iter().flat_map(|&(_, low, high)| [low, high]).chain(model.iter().map(|point| point.1));
    let (low, high) = (edges().fold(f64::MAX, f64::min), edges().fold(f64::MIN, f64::max));
    let series = vec![
        Series::new("real, 10th to 90th percentile", REAL, Mark::Band(band, 0.2)),
        Series::new("real, median", REAL, Mark::Line(middle)),
        Series::new("model, median", MODEL, Mark::Line(model)),
    ];
    Some(Figure {
        title: "Quote width (ask minus bid) by quote midpoint, expiries within two sessions".to_owned(),
        panels: vec![Panel {
            x_title: "quote midpoint",
            y_title: "width",
            x_ticks: Ticks::Text(exponent),
            y_ticks: Ticks::Text(exponent),
            ..Panel::new("", left - step..right + step, low - 0.1..high + 0.1, series)
        }],
    })
}

/// Formats an amount in dollars given as its decimal logarithm, to two digits.
fn exponent(log: &f64) -> String {
    format!("${}", significant((10_f64.powf(log - log.floor()) * 10.0).round() / 10.0 * 10_f64.powf(log.floor())))
}
