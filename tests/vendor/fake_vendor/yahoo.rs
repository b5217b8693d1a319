//! Fake chart service of Yahoo, with null rows, markers and refusals.

use market_data::calendar::{self, Session};

use super::{
    Context, Fault, faults,
    http::Reply,
    market::{self, Bar, Instrument, MINUTE_MS},
    midnight_ms,
};

const DAY_S: i64 = 86_400;

/// Answers a request.
pub(crate) fn answer(context: &Context<'_>) -> Reply {
    if !context.request.header("user-agent").is_some_and(|agent| agent.starts_with("Mozilla")) {
        return too_many();
    }
    let symbol = context.request.path.strip_prefix("/v8/finance/chart/");
    match symbol.and_then(|symbol| Some((symbol, ticker_of(symbol)?))) {
        Some((symbol, ticker)) => chart(context, symbol, &ticker).unwrap_or_else(|reply| reply),
        None => error(404, "Not Found", "No data found, symbol may be delisted"),
    }
}

/// Returns the response to a call above the limit, or to a client that is no browser.
pub(crate) fn too_many() -> Reply {
    Reply::new(429, "text/plain", "Too Many Requests\r\n")
}

/// Returns true if the row of a minute bar is `null`, about one in a hundred.
pub(crate) fn is_null(symbol: &str, t_ms: i64) -> bool {
    market::hash(market::hash_text(symbol) ^ t_ms.unsigned_abs()).is_multiple_of(97)
}

/// Returns the ticker of a Yahoo symbol in the generated market.
fn ticker_of(symbol: &str) -> Option<String> {
    let ticker = match symbol {
        "^GSPC" => "I:SPX",
        "^NDX" => "I:NDX",
        "^VIX" => "I:VIX",
        "^VIX1D" => "I:VIX1D",
        stock => stock,
    };
    Instrument::parse(ticker).filter(|_| ticker.starts_with("I:") == symbol.starts_with('^'))?;
    Some(ticker.to_owned())
}

fn chart(context: &Context<'_>, symbol: &str, ticker: &str) -> Result<Reply, Reply> {
    let item = |name| context.request.item(name);
    let daily = match item("interval") {
        Some("1m") => false,
        Some("1d") | None => true,
        Some(other) => {
            let text = format!("Invalid input - interval={other} is not supported. Valid intervals: [1m, 1d]");
            return Err(error(400, "Bad Request", &text));
        }
    };
    let (from_s, to_s) = period(context)?;
    if !daily {
        check_minutes(context.now_ms / 1_000, from_s, to_s)?;
    }
    let extended = item("includePrePost") == Some("true");
    let instrument = Instrument::parse(ticker).expect("tickers are checked");
    let mut rows = Vec::new();
    let date = |seconds: i64| calendar::exchange_date(seconds.saturating_mul(1_000_000_000));
    let days = calendar::sessions(date(from_s), date(to_s));
    for day in &days {
        rows.extend(day_rows(context, &instrument, day, (daily, extended)));
    }
    rows.retain(|bar| (from_s * 1_000..to_s * 1_000).contains(&bar.t_ms));
    if !daily {
        mark(context, &mut rows, &days, to_s);
    }
    faults::edit_rows(context.faults, &mut rows, || None);
    let empty = context.has(&Fault::EmptyResults) || context.has(&Fault::NullResults);
    if empty {
        rows.clear();
    }
    Ok(Reply::json(200, body(context, symbol, &rows, daily)))
}

fn day_rows(context: &Context<'_>, instrument: &Instrument, day: &Session, kind: (bool, bool)) -> Vec<Bar> {
    let (open_ms, close_ms) = (day.open_ns / 1_000_000, day.close_ns / 1_000_000);
    let (daily, extended) = kind;
    if daily {
        let bar = market::day_bar(instrument, day.date).filter(|_| close_ms <= context.now_ms);
        return bar.map(|bar| Bar { t_ms: open_ms, ..bar }).into_iter().collect();
    }
    let mut bars = market::bars_of(instrument, day.date);
    let inside = |bar: &Bar| extended || (open_ms..close_ms).contains(&bar.t_ms);
    bars.retain(|bar| inside(bar) && bar.t_ms + MINUTE_MS <= context.now_ms);
    bars
}

/// Removes the volume of the first row and adds the closing marker after the last session.
fn mark(context: &Context<'_>, rows: &mut Vec<Bar>, days: &[Session], to_s: i64) {
    if let Some(first) = rows.first_mut() {
        first.v = 0.0;
    }
    let mut closes = days.iter().rev().map(|day| day.close_ns / 1_000_000);
    let past = closes.find(|close| *close <= context.now_ms && *close < to_s * 1_000);
    let last = rows.last().copied();
    if let Some((t_ms, Bar { c, .. })) = past.zip(last).filter(|(close, bar)| bar.t_ms < *close) {
        rows.push(Bar { t_ms, o: c, h: c, l: c, c, v: 0.0, n: 0 });
    }
}

/// Returns the start and the end in seconds, from `period1` and `period2` or from `range`.
fn period(context: &Context<'_>) -> Result<(i64, i64), Reply> {
    let bad = || error(400, "Bad Request", "Invalid input - start date cannot be after end date.");
    let number = |name| context.request.item(name).and_then(|text| text.parse::<i64>().ok());
    let now_s = context.now_ms / 1_000;
    let range = context.request.item("range").map(|range| match range.strip_suffix("mo") {
        Some(months) => months.parse::<i64>().map(|months| months * 30),
        None => range.trim_end_matches('d').parse(),
    });
    let (from_s, to_s) = match range {
        Some(days) => {
            let midnight_s = midnight_ms(context.today()) / 1_000;
            (midnight_s - (days.map_err(|_| bad())? - 1) * DAY_S, now_s)
        }
        None => (number("period1").ok_or_else(bad)?, number("period2").unwrap_or(now_s)),
    };
    if from_s > to_s { Err(bad()) } else { Ok((from_s, to_s)) }
}

fn check_minutes(now_s: i64, from_s: i64, to_s: i64) -> Result<(), Reply> {
    let refuse = |why: &str| {
        let text = format!("1m data not available for startTime={from_s} and endTime={to_s}. {why}");
        Err(error(422, "Unprocessable Entity", &text))
    };
    if to_s - from_s > 8 * DAY_S {
        return refuse("Only 8 days worth of 1m granularity data are allowed to be fetched per request.");
    }
    if from_s < now_s - 30 * DAY_S {
        return refuse("The requested range must be within the last 30 days.");
    }
    Ok(())
}

fn body(context: &Context<'_>, symbol: &str, rows: &[Bar], daily: bool) -> String {
    let meta = meta(context, symbol, rows, daily);
    if rows.is_empty() {
        return format!(r#"{{"chart":{{"result":[{{"meta":{meta},"indicators":{{"quote":[{{}}]}}}}],"error":null}}}}"#);
    }
    let null = |bar: &Bar| !daily && is_null(symbol, bar.t_ms);
    let column = |value: &dyn Fn(&Bar) -> String| {
        let texts: Vec<String> =
            rows.iter().map(|bar| if null(bar) { "null".to_owned() } else { value(bar) }).collect();
        texts.join(",")
    };
    let price = |price: f64| if price.is_finite() { price.to_string() } else { "null".to_owned() };
    let volume = |bar: &Bar| match context.has(&Fault::ScientificVolume) {
        true => format!("{:e}", bar.v.floor()),
        false => bar.v.floor().to_string(),
    };
    let times: Vec<String> = rows.iter().map(|bar| (bar.t_ms / 1_000).to_string()).collect();
    format!(
        r#"{{"chart":{{"result":[{{"meta":{meta},"timestamp":[{}],
        "indicators":{{"quote":[{{"open":[{}],"high":[{}],"low":[{}],
        "close":[{}],"volume":[{}]}}]}}}}],"error":null}}}}"#,
        times.join(","),
        column(&|bar| price(bar.o)),
        column(&|bar| price(bar.h)),
        column(&|bar| price(bar.l)),
        column(&|bar| price(bar.c)),
        column(&volume),
    )
}

fn meta(context: &Context<'_>, symbol: &str, rows: &[Bar], daily: bool) -> String {
    let name = if context.has(&Fault::WrongTicker) { "WRONG" } else { symbol };
    let date = calendar::exchange_date(rows.last().map_or(context.now_ms, |bar| bar.t_ms) * 1_000_000);
    let offset = super::new_york(midnight_ms(date) + DAY_S * 500).offset().seconds();
    let midnight_s = midnight_ms(date) / 1_000;
    let session = calendar::session(date);
    let open = session.map_or(midnight_s + 34_200, |day| day.open_ns / 1_000_000_000);
    let close = session.map_or(midnight_s + 57_600, |day| day.close_ns / 1_000_000_000);
    let zone = if offset == -14_400 { "EDT" } else { "EST" };
    let part = |name: &str, start: i64, end: i64| {
        format!(r#""{name}":{{"timezone":"{zone}","start":{start},"end":{end},"gmtoffset":{offset}}}"#)
    };
    let periods =
        [part("pre", open - 19_800, open), part("regular", open, close), part("post", close, close + 14_400)].join(",");
    let kind = if symbol.starts_with('^') { "INDEX" } else { "ETF" };
    let (span, price) = (if daily { "1d" } else { "1m" }, rows.last().map_or(0.0, |bar| bar.o));
    format!(
        r#"{{"currency":"USD","symbol":"{name}","exchangeName":"PCX","instrumentType":"{kind}",
        "regularMarketTime":{close},"gmtoffset":{offset},"timezone":"{zone}","exchangeTimezoneName":"America/New_York",
        "regularMarketPrice":{price},"priceHint":2,"currentTradingPeriod":{{{periods}}},
        "dataGranularity":"{span}","range":"","validRanges":["1d","5d","1mo"]}}"#
    )
}

fn error(status: u16, code: &str, text: &str) -> Reply {
    let error = format!(r#"{{"code":"{code}","description":"{text}"}}"#);
    Reply::json(status, format!(r#"{{"chart":{{"result":null,"error":{error}}}}}"#))
}
