//! Fake Alpaca: bars of stocks and options.

use jiff::{Timestamp, civil::Date};
use market_data::calendar;

use super::{
    Context, DELAY_MINUTES, Fault, decode_token, encode_token, faults,
    http::{self, Reply},
    market::{self, Bar, Instrument, MINUTE_MS},
    midnight_ms, plus_days,
};

/// Answers a request for bars.
pub(crate) fn answer(context: &Context<'_>) -> Reply {
    if !context.has_key_pair() {
        return message(401, "unauthorized.");
    }
    match context.request.path.as_str() {
        "/v2/stocks/bars" => bars(context, "").unwrap_or_else(|reply| reply),
        "/v1beta1/options/bars" => bars(context, "O:").unwrap_or_else(|reply| reply),
        _ => message(404, "endpoint not found."),
    }
}

/// Returns the response to a call above the limit.
pub(crate) fn too_many() -> Reply {
    message(429, "too many requests.")
}

/// A request for bars.
#[derive(Debug)]
struct Window {
    prefix: &'static str,
    symbols: Vec<String>,
    daily: bool,
    start_ms: i64,
    end_ms: i64,
    limit: usize,
    descending: bool,
}

impl Window {
    fn parse(context: &Context<'_>, prefix: &'static str) -> Result<Self, Reply> {
        let item = |name| context.request.item(name);
        let mut symbols: Vec<String> = item("symbols").unwrap_or_default().split(',').map(str::to_owned).collect();
        symbols.sort();
        symbols.dedup();
        let unknown = symbols.iter().find(|symbol| Instrument::parse(&format!("{prefix}{symbol}")).is_none());
        if let Some(symbol) = unknown {
            return Err(message(400, &format!("invalid symbol: {symbol}")));
        }
        let daily = match item("timeframe") {
            Some("1Min") => false,
            Some("1Day") => true,
            _ => return Err(message(400, "invalid timeframe")),
        };
        let midnight = midnight_ms(context.today());
        let (start_ms, _) = instant(item("start"))?.unwrap_or((midnight, midnight));
        let known_ms = context.now_ms - DELAY_MINUTES * MINUTE_MS;
        let (_, end_ms) = instant(item("end"))?.unwrap_or((known_ms, known_ms));
        if prefix.is_empty() && item("feed").is_none_or(|feed| feed == "sip") && end_ms > known_ms {
            return Err(message(403, "subscription does not permit querying recent SIP data"));
        }
        let limit = item("limit").map_or(Some(1_000), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=10_000).contains(limit)).ok_or_else(|| message(400, "invalid limit"))?;
        let descending = item("sort") == Some("desc");
        let limit = context.rules.page_limit.min(limit);
        Ok(Self { prefix, symbols, daily, start_ms, end_ms, limit, descending })
    }

    fn bars_of(&self, symbol: &str, date: Date, now_ms: i64) -> Vec<Bar> {
        let instrument = Instrument::parse(&format!("{}{symbol}", self.prefix)).expect("symbols are checked");
        let session = calendar::session(date).expect("days come from the calendar");
        let over = session.close_ns / 1_000_000 <= now_ms;
        let mut bars: Vec<Bar> = match self.daily {
            true => market::day_bar(&instrument, date).filter(|_| over).into_iter().collect(),
            false => market::bars_of(&instrument, date),
        };
        bars.retain(|bar| (self.start_ms..=self.end_ms).contains(&bar.t_ms) && bar.t_ms + MINUTE_MS <= now_ms);
        bars
    }

    /// Returns rows from a position on, symbol by symbol, one more than the limit if there are more.
    fn rows(&self, now_ms: i64, place: Option<&(String, i64)>) -> Vec<(String, Bar)> {
        let date = |ms: i64| calendar::exchange_date(ms.saturating_mul(1_000_000));
        let mut days = calendar::sessions(date(self.start_ms), date(self.end_ms));
        if self.descending {
            days.reverse();
        }
        let mut rows = Vec::new();
        for symbol in self.symbols.iter().filter(|symbol| place.is_none_or(|(at, _)| *symbol >= at)) {
            for day in &days {
                let mut bars = self.bars_of(symbol, day.date, now_ms);
                if self.descending {
                    bars.reverse();
                }
                bars.retain(|bar| place.is_none_or(|(at, t_ms)| symbol > at || self.reached(bar.t_ms, *t_ms)));
                rows.extend(bars.into_iter().map(|bar| (symbol.clone(), bar)));
                if rows.len() > self.limit {
                    return rows;
                }
            }
        }
        rows
    }

    fn reached(&self, t_ms: i64, place_ms: i64) -> bool {
        if self.descending { t_ms <= place_ms } else { t_ms >= place_ms }
    }
}

fn bars(context: &Context<'_>, prefix: &'static str) -> Result<Reply, Reply> {
    let window = Window::parse(context, prefix)?;
    let place = match context.request.item("page_token") {
        Some(token) => Some(place_of(token).ok_or_else(|| message(400, "invalid page token"))?),
        None => None,
    };
    let mut rows = window.rows(context.now_ms, place.as_ref());
    let next = rows.get(window.limit).map(|(symbol, bar)| encode_token(&format!("symbol={symbol}&t={}", bar.t_ms)));
    rows.truncate(window.limit);
    let groups: Vec<String> = rows.chunk_by(|a, b| a.0 == b.0).map(|rows| group_text(context, &window, rows)).collect();
    let bars = match (context.has(&Fault::EmptyResults), context.has(&Fault::NullResults)) {
        (true, _) => "{}".to_owned(),
        (_, true) => "null".to_owned(),
        _ if groups.is_empty() && prefix.is_empty() => "null".to_owned(),
        _ => format!("{{{}}}", groups.join(",")),
    };
    let token = next.map_or_else(|| "null".to_owned(), |next| format!(r#""{next}""#));
    Ok(Reply::json(200, format!(r#"{{"bars":{bars},"next_page_token":{token}}}"#)))
}

fn group_text(context: &Context<'_>, window: &Window, rows: &[(String, Bar)]) -> String {
    let mut bars: Vec<Bar> = rows.iter().map(|(_, bar)| *bar).collect();
    let (symbol, first) = (&rows[0].0, bars[0].t_ms);
    faults::edit_rows(context.faults, &mut bars, || {
        let start_ms = window.start_ms;
        let days = calendar::sessions(plus_days(calendar::exchange_date(first * 1_000_000), -10), context.today());
        let all = days.iter().flat_map(|day| window.bars_of(symbol, day.date, context.now_ms));
        all.take_while(|bar| bar.t_ms < first).filter(|bar| bar.t_ms >= start_ms).last()
    });
    let name = if context.has(&Fault::WrongTicker) { "WRONG" } else { symbol };
    let texts: Vec<String> = bars.iter().map(|bar| bar_text(bar, context.has(&Fault::ScientificVolume))).collect();
    format!(r#""{name}":[{}]"#, texts.join(","))
}

fn bar_text(bar: &Bar, scientific: bool) -> String {
    let Bar { t_ms, o, h, l, c, v, n } = bar;
    let time = Timestamp::from_millisecond(*t_ms).expect("bars are within jiff's years");
    let close = if c.is_finite() { format!(r#""c":{c},"#) } else { String::new() };
    let volume = if scientific { format!("{v:e}") } else { v.to_string() };
    let mean = ((h + l + o) / 3.0 * 1e6).round() / 1e6;
    format!(r#"{{{close}"h":{h},"l":{l},"n":{n},"o":{o},"t":"{time}","v":{volume},"vw":{mean}}}"#)
}

fn place_of(token: &str) -> Option<(String, i64)> {
    let items = http::parse_query(&decode_token(token)?);
    Some((http::find(&items, "symbol")?.to_owned(), http::find(&items, "t")?.parse().ok()?))
}

/// Parses an instant or a date into its first and last millisecond.
fn instant(text: Option<&str>) -> Result<Option<(i64, i64)>, Reply> {
    let parse = |text: &str| {
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok((instant.as_millisecond(), instant.as_millisecond()));
        }
        let date: Date = text.parse().map_err(|_| message(400, "invalid time"))?;
        Ok((midnight_ms(date), midnight_ms(plus_days(date, 1)) - 1))
    };
    text.map(parse).transpose()
}

fn message(status: u16, text: &str) -> Reply {
    Reply::json(status, format!(r#"{{"message":"{text}"}}"#))
}
