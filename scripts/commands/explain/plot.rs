//! Chart of one session: the underlying with setups, entries and exits; entry probabilities; premiums; equity.

use market_env::{Action, Sale, Setup, Trade};
use plotters::prelude::*;

use super::session::Session;
use crate::{
    chart::{
        captions::{Heading, Legend, Symbol},
        panel::{Axis, Chart, axes, x_label_height},
        style::{
            Area, CALL, FAINT, GAIN, INK, LOSS, PAPER, PUT, STRONG_BUY, WIDTH, house_style, percent_label, picture,
        },
    },
    output::{
        synthetic::title_mark,
        table::{dollars, dollars_and_cents},
    },
};

const VWAP: RGBColor = STRONG_BUY;
/// Heights of the panels, in pixels.
const PRICE: u32 = 420;
const POLICY: u32 = 170;
const PREMIUM: u32 = 220;
const EQUITY: u32 = 260;
/// Minutes between two labels of the time axis.
const LABEL_MINUTES: f64 = 30.0;

/// Draws a session as SVG text, with a line at the decision of `bar`.
///
/// # Errors
/// When the drawing library fails, which no input is known to cause.
pub(crate) fn draw(session: &Session<'_>, bar: u32, heading: &[String; 2]) -> anyhow::Result<String> {
    let [title, about] = heading;
    let heading = Heading::new(title, std::slice::from_ref(about), WIDTH);
    let legend = legend();
    let top = heading.height() + legend.height() as u32 + 6;
    picture((WIDTH, top + PRICE + POLICY + PREMIUM + EQUITY), |root| {
        heading.draw(root)?;
        legend.draw(root, heading.height() as i32)?;
        let (_, rest) = root.split_vertically(top);
        let (price, rest) = rest.split_vertically(PRICE);
        let (policy, rest) = rest.split_vertically(POLICY);
        let (premium, equity) = rest.split_vertically(PREMIUM);
        let chart = SessionChart { session, decision_at: f64::from(bar) + 1.0 };
        chart.price(&price)?;
        chart.policy(&policy)?;
        chart.premium(&premium)?;
        chart.equity(&equity)
    })
}

/// Returns the legend of colours and symbols.
fn legend() -> Legend {
    let entries = [
        ("close", Symbol::Line(INK)),
        ("VWAP", Symbol::Line(VWAP)),
        ("bull-strong setup", Symbol::Area(GAIN.mix(SHADE * 2.0))),
        ("bear-strong setup", Symbol::Area(LOSS.mix(SHADE * 2.0))),
        ("buys a call", Symbol::Up(CALL)),
        ("buys a put", Symbol::Down(PUT)),
        ("exit with a gain", Symbol::Ring(GAIN)),
        ("exit with a loss", Symbol::Ring(LOSS)),
        ("part sold", Symbol::Dots(GAIN, LOSS)),
        ("this decision", Symbol::Upright(INK)),
    ];
    Legend::new(entries.map(|(label, symbol)| (label.to_owned(), symbol)), WIDTH)
}

/// Opacity of the setups' background.
const SHADE: f64 = 0.13;

fn color_of(side: Action) -> RGBColor {
    if side == Action::BuyCall { CALL } else { PUT }
}

fn result_color(trade: &Trade) -> RGBColor {
    if trade.net_pnl_cents > 0 { GAIN } else { LOSS }
}

/// Marks the sales of a position: a ring at the last, a dot at each trim.
fn sales(chart: &mut Chart<'_, '_>, trade: &Trade, at: impl Fn(&Sale) -> (f64, f64)) -> anyhow::Result<()> {
    let color = result_color(trade);
    let Some((last, trims)) = trade.sales.split_last() else { return Ok(()) };
    chart.draw_series(trims.iter().map(|sale| Circle::new(at(sale), 3, color.filled())))?;
    chart.draw_series([Circle::new(at(last), 5, PAPER.filled())])?;
    chart.draw_series([Circle::new(at(last), 5, color.stroke_width(2))])?;
    Ok(())
}

/// A session on a time axis in minutes since the open: bar `t` lasts from `t` to `t + 1`.
struct SessionChart<'a> {
    session: &'a Session<'a>,
    decision_at: f64,
}

impl SessionChart<'_> {
    /// Opens a panel and draws its axes; only the last panel has time labels.
    fn panel<'a, 'b>(
        &self,
        area: &'a Area<'b>,
        y: (f64, f64),
        name: &str,
        y_label: &dyn Fn(&f64) -> String,
        last: bool,
    ) -> anyhow::Result<Chart<'a, 'b>> {
        let x = Axis { range: 0.0..f64::from(self.session.day.bars), step: Some(LABEL_MINUTES) };
        let mut chart = axes(area, 6, if last { x_label_height(true) } else { 6 }, x, &(y.0..y.1))?;
        let clock = |minute: &f64| if last { self.session.clock(minute.round() as u32) } else { String::new() };
        let mut mesh = chart.configure_mesh();
        house_style(&mut mesh);
        mesh.y_labels(5)
            .x_label_formatter(&clock)
            .y_label_formatter(&y_label)
            .y_desc(name)
            .x_desc(if last { "New York time" } else { "" })
            .draw()?;
        Ok(chart)
    }

    /// Draws the line at the decision.
    fn mark(&self, chart: &mut Chart<'_, '_>, y: (f64, f64)) -> anyhow::Result<()> {
        chart
            .draw_series([PathElement::new([(self.decision_at, y.0), (self.decision_at, y.1)], INK.stroke_width(2))])?;
        Ok(())
    }

    /// Returns the bar of a fill, on the time axis.
    fn at(&self, ts_ns: i64) -> f64 {
        f64::from(self.session.bar_at(ts_ns))
    }

    /// Returns the first price of a bar, and after the bell the last close.
    fn spot(&self, x: f64) -> f64 {
        let bars = self.session.bars;
        bars.open.get(x as usize).or(bars.close.last()).copied().unwrap_or_default()
    }

    fn price(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let bars = self.session.bars;
        let low = bars.low.iter().chain(&self.session.vwap).fold(f64::MAX, |a, &b| a.min(b));
        let high = bars.high.iter().chain(&self.session.vwap).fold(f64::MIN, |a, &b| a.max(b));
        let pad = (high - low).max(0.01) * 0.07;
        let y = (low - pad, high + pad);
        let mut chart = self.panel(area, y, self.session.day.symbol.as_str(), &|price| format!("{price:.2}"), false)?;
        chart.draw_series(
            self.setups()
                .into_iter()
                .map(|(from, to, color)| Rectangle::new([(from, y.0), (to, y.1)], color.mix(SHADE).filled())),
        )?;
        self.mark(&mut chart, y)?;
        let line = |values: &[f64]| values.iter().enumerate().map(|(t, &v)| (t as f64 + 1.0, v)).collect::<Vec<_>>();
        chart.draw_series(LineSeries::new(line(&self.session.vwap), VWAP.stroke_width(2)))?;
        let close = std::iter::once((0.0, bars.open[0])).chain(line(&bars.close));
        chart.draw_series(LineSeries::new(close, INK.stroke_width(2)))?;
        for trade in &self.session.trades {
            let (color, from) = (color_of(trade.side), self.at(trade.entry_ts_ns));
            let to = trade.sales.last().map_or(from, |sale| self.at(sale.ts_ns));
            let closes = bars.close.iter().enumerate().map(|(t, &close)| (t as f64 + 1.0, close));
            let between = closes.filter(|at| from < at.0 && at.0 < to);
            let held = [(from, self.spot(from))].into_iter().chain(between).chain([(to, self.spot(to))]);
            chart.draw_series(LineSeries::new(held, color.stroke_width(3)))?;
            sales(&mut chart, trade, |sale| (self.at(sale.ts_ns), self.spot(self.at(sale.ts_ns))))?;
            let (size, away) = if trade.side == Action::BuyCall { (8, -1.0) } else { (-8, 1.0) };
            let at = (from, self.spot(from) + away * pad * 0.45);
            chart.draw_series([TriangleMarker::new(at, size, color.filled())])?;
        }
        Ok(())
    }

    /// Returns the stretches of strong setups with their colours.
    fn setups(&self) -> Vec<(f64, f64, RGBColor)> {
        let mut stretches: Vec<(f64, f64, RGBColor)> = Vec::new();
        for (t, row) in self.session.day.rows().enumerate() {
            let color = match self.session.market.setup(row) {
                Setup::Weak => continue,
                Setup::BullStrong => GAIN,
                Setup::BearStrong => LOSS,
            };
            let (from, to) = (t as f64, t as f64 + 1.0);
            match stretches.last_mut() {
                Some(last) if last.1 == from && last.2 == color => last.1 = to,
                _ => stretches.push((from, to, color)),
            }
        }
        stretches
    }

    /// Draws the entry probabilities of a flat account: calls upwards, puts downwards.
    fn policy(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let y = (-1.0, 1.0);
        let mut chart = self.panel(area, y, "would buy", &|share| percent_label(&(100.0 * share.abs())), false)?;
        let held = self.session.trades.iter().map(|trade| (self.at(trade.entry_ts_ns), self.at(trade.exit_ts_ns)));
        chart.draw_series(held.map(|(from, to)| Rectangle::new([(from, y.0), (to, y.1)], FAINT.mix(0.6).filled())))?;
        for (action, color, sign) in [(Action::BuyCall, CALL, 1.0), (Action::BuyPut, PUT, -1.0)] {
            let flat = self.session.steps.iter().zip(1u32..).filter(|(step, _)| step.mask.allows(action as u8));
            chart.draw_series(flat.map(|(step, x)| {
                let (x, share) = (f64::from(x), f64::from(step.prob[action.index()]));
                Rectangle::new([(x - 0.5, 0.0), (x + 0.5, sign * share)], color.mix(0.8).filled())
            }))?;
        }
        let end = f64::from(self.session.day.bars);
        chart.draw_series([PathElement::new([(0.0, 0.0), (end, 0.0)], INK)])?;
        self.mark(&mut chart, y)
    }

    /// Draws the value of contracts while held: the mid of the quote at every close.
    fn premium(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let lines: Vec<(&Trade, Vec<(f64, f64)>)> =
            self.session.trades.iter().map(|trade| (trade, self.premium_line(trade))).collect();
        let most = lines.iter().flat_map(|(_, line)| line).map(|at| at.1).fold(0.0, f64::max);
        let y = (0.0, if most > 0.0 { most * 1.12 } else { 1.0 });
        let mut chart = self.panel(area, y, "premium held", &|price| format!("${price:.2}"), false)?;
        self.mark(&mut chart, y)?;
        for (trade, line) in lines {
            let color = color_of(trade.side);
            chart.draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?;
            chart.draw_series(line.first().map(|&at| Circle::new(at, 4, color.filled())))?;
            sales(&mut chart, trade, |sale| (self.at(sale.ts_ns), sale.price))?;
        }
        Ok(())
    }

    /// Returns the entry price, the mid of the quote at every close, and the price of the last sale.
    fn premium_line(&self, trade: &Trade) -> Vec<(f64, f64)> {
        let (from, to) = (self.session.bar_at(trade.entry_ts_ns), self.session.bar_at(trade.exit_ts_ns));
        let bought = (f64::from(from), trade.entry_price);
        let worth = (from..to.min(self.session.day.bars)).filter_map(|bar| {
            let quote = self.session.quote(trade.side, trade.strike, bar)?.close;
            let ask = quote.ask.map_or(quote.bid, std::num::NonZeroU32::get);
            Some((f64::from(bar) + 1.0, f64::from(quote.bid + ask) / 200.0))
        });
        let worth = worth.filter(|at| at.0 < f64::from(to));
        let sold = trade.sales.last().map(|sale| (f64::from(to), sale.price));
        std::iter::once(bought).chain(worth).chain(sold).collect()
    }

    fn equity(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let equity: Vec<f64> = self.session.equity_cents().iter().map(|&cents| cents as f64 / 100.0).collect();
        let capital = self.session.capital_cents as f64 / 100.0;
        let low = equity.iter().fold(capital, |a, &b| a.min(b));
        let high = equity.iter().fold(capital, |a, &b| a.max(b));
        let pad = ((high - low) * 0.1).max(capital * 1e-4);
        let y = (low - pad, high + pad);
        let mut chart = self.panel(area, y, "equity", &|value| dollars(*value), true)?;
        let line: Vec<(f64, f64)> = equity.iter().enumerate().map(|(i, &value)| (i as f64 + 1.0, value)).collect();
        for (color, bound) in [(GAIN, f64::max as fn(f64, f64) -> f64), (LOSS, f64::min)] {
            let edge = line.iter().map(|&(x, value)| (x, bound(value, capital)));
            let last = line.last().map_or(0.0, |at| at.0);
            let area: Vec<(f64, f64)> = edge.chain([(last, capital), (1.0, capital)]).collect();
            chart.draw_series([Polygon::new(area, color.mix(0.25).filled())])?;
        }
        let end = f64::from(self.session.day.bars);
        chart.draw_series([PathElement::new([(0.0, capital), (end, capital)], INK)])?;
        self.mark(&mut chart, y)?;
        chart.draw_series(LineSeries::new(line, INK.stroke_width(2)))?;
        Ok(())
    }
}

/// Returns the two heading lines of a chart: session and model, then the result.
pub(crate) fn heading(session: &Session<'_>, model: &str, behaviour: &str, bar: u32, synthetic: bool) -> [String; 2] {
    let day = session.day;
    let stamp = title_mark(synthetic);
    let wins = session.trades.iter().filter(|trade| trade.net_pnl_cents > 0).count();
    let step = &session.steps[bar as usize];
    [
        format!("{} {}, {model} ({behaviour}){stamp}", day.symbol, day.date),
        format!(
            "{} positions, {wins} won, net P&L {}; at the close of the bar {} the policy chose {}",
            session.trades.len(),
            dollars_and_cents(session.net_pnl_cents()),
            session.clock(bar),
            step.action.name(),
        ),
    ]
}
