//! Fake Massive: bars, option contracts, snapshots, analytics, market status and flat files.
//!
//! Day bars appear fifteen minutes after the close; the real service also returns the unfinished day.

use std::fmt::Write;

use jiff::civil::Date;
use market_data::calendar::{self, Session};

use super::{
    Context, DELAY_MINUTES, Fault, decode_token, encode_token, faults,
    http::{self, Reply},
    market::{self, Bar, Contract, Instrument, MINUTE_MS},
    midnight_ms, new_york, plus_days,
};

const NOT_ENTITLED: &str = "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing";
const TOO_OLD: &str =
    "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing";
const TODAY: &str =
    "Attempted to request today's data before end of day. Please upgrade your plan at https://massive.com/pricing";
/// Calendar days ahead for which contracts are listed by default.
const LISTED_DAYS: i64 = 14;

/// Answers a request of the REST service.
pub(crate) fn answer(context: &Context<'_>) -> Reply {
    if !context.has_bearer() {
        return error(401, "Unknown API Key");
    }
    let parts: Vec<&str> = context.request.path.split('/').skip(1).collect();
    match parts[..] {
        ["v2", "aggs", "ticker", ticker, "range", multiplier, span, from, to] => {
            bars(context, ticker, (multiplier, span), (from, to)).unwrap_or_else(|reply| reply)
        }
        ["v3", "reference", "options", "contracts"] => contracts(context).unwrap_or_else(|reply| reply),
        ["v3", "snapshot", "options", underlying] => snapshot(context, underlying).unwrap_or_else(|reply| reply),
        ["options", "v1", "analytics"] => analytics(context).unwrap_or_else(|reply| reply),
        ["v1", "marketstatus", "now"] => status_now(context),
        ["v1", "marketstatus", "upcoming"] => status_upcoming(context),
        _ => refusal(404, "NOT_FOUND", "Not found."),
    }
}

/// Answers a request for a flat file. The signature has to be present, but is not verified.
pub(crate) fn flat_file(context: &Context<'_>) -> Reply {
    let xml = |status, code: &str| {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
        Reply::new(status, "application/xml", body)
    };
    let signed = context.request.item("X-Amz-Signature").is_some_and(|signature| !signature.is_empty());
    if !signed || !context.rules.flat_files {
        return xml(403, "AccessDenied");
    }
    let parts: Vec<&str> = context.request.path.split('/').skip(2).collect();
    let [set, span @ ("minute_aggs_v1" | "day_aggs_v1"), year, month, name] = parts[..] else {
        return xml(404, "NoSuchKey");
    };
    let date = name.strip_suffix(".csv.gz").and_then(|name| name.parse::<Date>().ok());
    let ready = |date: &Date| context.now_ms >= midnight_ms(plus_days(*date, 1)) + 11 * 60 * MINUTE_MS;
    let filed = |date: &Date| date.strftime("%Y/%m").to_string() == format!("{year}/{month}");
    let known = date.filter(|date| calendar::session(*date).is_some() && ready(date) && filed(date));
    match known.and_then(|date| Some((date, file_tickers(set, date)?))) {
        Some((date, _)) if is_too_old(context, date) => xml(403, "AccessDenied"),
        Some((date, tickers)) => {
            let text = file_text(set == "us_indices", span == "day_aggs_v1", &tickers, date);
            Reply::new(200, "application/gzip", faults::gzip(text.as_bytes()))
        }
        None => xml(404, "NoSuchKey"),
    }
}

/// One end of a window of bars.
#[derive(Debug, Clone, Copy)]
struct WindowEnd {
    date: Date,
    first_ms: i64,
    last_ms: i64,
}

impl WindowEnd {
    /// Reads a date or unix milliseconds.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(ms) = text.parse::<i64>() {
            let date = calendar::exchange_date(ms.checked_mul(1_000_000)?);
            return Some(Self { date, first_ms: ms - ms.rem_euclid(MINUTE_MS), last_ms: ms });
        }
        let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
        Some(Self { date, first_ms: midnight_ms(date), last_ms: midnight_ms(plus_days(date, 1)) - 1 })
    }
}

/// A request for bars.
#[derive(Debug)]
struct Window {
    instrument: Instrument,
    daily: bool,
    from: WindowEnd,
    to: WindowEnd,
    descending: bool,
    limit: usize,
}

impl Window {
    /// Returns the bars known at the time, one more than the limit if there are more.
    fn bars(&self, now_ms: i64) -> Vec<Bar> {
        let mut days = calendar::sessions(self.from.date, self.to.date);
        if self.descending {
            days.reverse();
        }
        let mut bars = Vec::new();
        for day in days {
            let mut of_day = self.bars_of(&day, now_ms);
            if self.descending {
                of_day.reverse();
            }
            bars.append(&mut of_day);
            if bars.len() > self.limit {
                break;
            }
        }
        bars
    }

    fn bars_of(&self, day: &Session, now_ms: i64) -> Vec<Bar> {
        let known_ms = now_ms - DELAY_MINUTES * MINUTE_MS;
        if self.daily {
            let over = day.close_ns / 1_000_000 <= known_ms;
            return market::day_bar(&self.instrument, day.date).filter(|_| over).into_iter().collect();
        }
        let mut bars = market::bars_of(&self.instrument, day.date);
        let last_ms = self.to.last_ms.min(known_ms - MINUTE_MS);
        bars.retain(|bar| (self.from.first_ms..=last_ms).contains(&bar.t_ms));
        bars
    }

    /// Returns the bar just before the window.
    fn before(&self) -> Option<Bar> {
        let earlier = Self { instrument: self.instrument.clone(), limit: usize::MAX, ..*self };
        let start = plus_days(self.from.date, -10);
        let from = WindowEnd { date: start, first_ms: midnight_ms(start), last_ms: i64::MAX };
        let bars = Self { from, to: self.from, ..earlier }.bars(i64::MAX / 2);
        bars.into_iter().rfind(|bar| bar.t_ms < self.from.first_ms)
    }
}

fn bars(context: &Context<'_>, ticker: &str, span: (&str, &str), ends: (&str, &str)) -> Result<Reply, Reply> {
    let query = items(context)?;
    let window = window(context, &query, ticker, span, ends)?;
    let paged = context.request.item("cursor").is_some();
    entitled(context, &window)?;
    if window.from.date > window.to.date && !paged {
        return Err(error(400, "The parameter 'to' cannot be a time that occurs before 'from'"));
    }
    let mut rows = window.bars(context.now_ms);
    let next = rows.get(window.limit).map(|bar| bar.t_ms);
    rows.truncate(window.limit);
    let step = if window.descending { -1 } else { MINUTE_MS };
    let after = next.or_else(|| rows.last().map(|bar| bar.t_ms + step));
    let target = next_target(&window, ticker, ends, after);
    faults::edit_rows(context.faults, &mut rows, || window.before().filter(|_| paged && !window.descending));
    Ok(Reply::json(200, bars_body(context, ticker, &rows, &next_url(context, &target, next.is_some()))))
}

fn window(
    context: &Context<'_>,
    query: &[(String, String)],
    ticker: &str,
    span: (&str, &str),
    (from, to): (&str, &str),
) -> Result<Window, Reply> {
    let moment = |text, name| {
        let why = format!("Could not parse the time parameter: '{name}'. Use YYYY-MM-DD or Unix MS Timestamps");
        WindowEnd::parse(text).ok_or_else(|| error(400, &why))
    };
    let daily = match span {
        ("1", "minute") => false,
        ("1", "day") => true,
        _ => return Err(error(400, "Only single minutes and days are supported")),
    };
    Ok(Window {
        instrument: known(ticker)?,
        daily,
        from: moment(from, "from")?,
        to: moment(to, "to")?,
        descending: http::find(query, "sort") == Some("desc"),
        limit: limit(query, 5_000, 50_000)?.min(context.rules.page_limit),
    })
}

/// Returns path and query of the page that begins at `after`; the cursor holds limit and order.
fn next_target(window: &Window, ticker: &str, (from, to): (&str, &str), after: Option<i64>) -> String {
    let ends = match (after, window.descending) {
        (Some(after), false) => format!("{after}/{to}"),
        (Some(after), true) => format!("{from}/{after}"),
        (None, _) => format!("{from}/{to}"),
    };
    let span = if window.daily { "day" } else { "minute" };
    let sort = if window.descending { "desc" } else { "asc" };
    let cursor = encode_token(&format!("limit={}&sort={sort}", window.limit));
    format!("/v2/aggs/ticker/{ticker}/range/1/{span}/{ends}?cursor={cursor}")
}

fn entitled(context: &Context<'_>, window: &Window) -> Result<(), Reply> {
    let rules = context.rules;
    let in_plan = match window.instrument {
        Instrument::Stock(_) => true,
        Instrument::Index(_) => rules.indices,
        Instrument::Option(_) => rules.options,
    };
    if !in_plan {
        return Err(not_authorized(NOT_ENTITLED));
    }
    if is_too_old(context, window.from.date) {
        return Err(not_authorized(TOO_OLD));
    }
    if rules.end_of_day && window.to.date >= context.today() {
        return Err(not_authorized(TODAY));
    }
    Ok(())
}

fn is_too_old(context: &Context<'_>, date: Date) -> bool {
    context.rules.history_days.is_some_and(|days| date < plus_days(context.today(), -days))
}

fn bars_body(context: &Context<'_>, ticker: &str, rows: &[Bar], next_url: &str) -> String {
    let index = ticker.starts_with("I:");
    let name = if context.has(&Fault::WrongTicker) { "WRONG" } else { ticker };
    let mut out = String::with_capacity(rows.len() * 120 + 300);
    let count = rows.len();
    write!(out, r#"{{"ticker":"{name}","queryCount":{count},"#).expect("a string takes text");
    if !index {
        write!(out, r#""resultsCount":{count},"adjusted":true,"#).expect("a string takes text");
    }
    let replaced = replaced_results(context);
    if let Some(text) = replaced {
        write!(out, r#""results":{text},"#).expect("a string takes text");
    } else if count > 0 {
        out.push_str(r#""results":["#);
        for row in rows {
            write_bar(&mut out, row, index, context.has(&Fault::ScientificVolume));
        }
        out.pop();
        out.push_str("],");
    }
    write!(out, r#"{},"count":{count}{next_url}}}"#, envelope(context)).expect("a string takes text");
    out
}

/// Writes a bar and a comma.
fn write_bar(out: &mut String, bar: &Bar, index: bool, scientific: bool) {
    out.push('{');
    if !index {
        let volume = if scientific { scientific_text(bar.v) } else { bar.v.to_string() };
        write!(out, r#""v":{volume},"#).expect("a string takes text");
        if bar.n > 1 {
            let mean = ((bar.h + bar.l + bar.o) / 3.0 * 1e4).round() / 1e4;
            write!(out, r#""vw":{mean},"#).expect("a string takes text");
        }
    }
    write!(out, r#""o":{},"h":{},"l":{},"#, bar.o, bar.h, bar.l).expect("a string takes text");
    if bar.c.is_finite() {
        write!(out, r#""c":{},"#, bar.c).expect("a string takes text");
    }
    write!(out, r#""t":{}"#, bar.t_ms).expect("a string takes text");
    if !index {
        write!(out, r#","n":{}"#, bar.n).expect("a string takes text");
    }
    out.push_str("},");
}

/// Returns a number in the notation of the service for large numbers, `7.06e+07`.
fn scientific_text(value: f64) -> String {
    let text = format!("{value:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{digits}e{:+03}", power.parse::<i32>().unwrap_or_default())
}

fn contracts(context: &Context<'_>) -> Result<Reply, Reply> {
    let query = items(context)?;
    if !context.rules.options {
        return Err(not_authorized(NOT_ENTITLED));
    }
    let as_of = date_item(&query, "as_of")?.unwrap_or_else(|| context.today());
    let expired = http::find(&query, "expired") == Some("true");
    let exact = date_item(&query, "expiration_date")?;
    let back = if expired { -LISTED_DAYS } else { 0 };
    let low = exact.or(date_item(&query, "expiration_date.gte")?).unwrap_or_else(|| plus_days(as_of, back));
    let high = exact.or(date_item(&query, "expiration_date.lte")?).unwrap_or_else(|| plus_days(as_of, LISTED_DAYS));
    let expiries = calendar::sessions(low, high);
    let live = expiries.iter().map(|day| day.date).filter(|date| expired || *date >= as_of);
    let underlying = http::find(&query, "underlying_ticker").unwrap_or("SPY");
    let mut rows = live.flat_map(|date| market::contracts(underlying, date)).collect();
    select(&query, &mut rows);
    let json = |contract: &Contract| contract_text(contract);
    list(context, &query, &rows, (10, 1_000), json)
}

/// Keeps the requested contracts, in the requested order.
fn select(query: &[(String, String)], rows: &mut Vec<Contract>) {
    rows.retain(|row| {
        let side = http::find(query, "contract_type").is_none_or(|side| side == side_text(row));
        side && within(query, "strike_price", &row.strike) && within(query, "expiration_date", &row.expiry)
    });
    rows.sort_by_key(Contract::symbol);
    match http::find(query, "sort") {
        Some("strike_price") => rows.sort_by(|a, b| a.strike.total_cmp(&b.strike)),
        Some("expiration_date") => rows.sort_by_key(|row| row.expiry),
        _ => {}
    }
    if http::find(query, "order") == Some("desc") {
        rows.reverse();
    }
}

fn contract_text(contract: &Contract) -> String {
    let letter = if contract.call { 'C' } else { 'P' };
    let (side, style, Contract { expiry, strike, .. }) = (side_text(contract), style_text(contract), contract);
    let (ticker, underlying) = (market::option_ticker(contract), contract.underlying());
    format!(
        r#"{{"cfi":"O{letter}ASPS","contract_type":"{side}","exercise_style":"{style}","expiration_date":"{expiry}",
        "primary_exchange":"BATO","shares_per_contract":100,"strike_price":{strike},"ticker":"{ticker}",
        "underlying_ticker":"{underlying}"}}"#
    )
}

fn style_text(contract: &Contract) -> &'static str {
    if contract.root == "SPXW" { "european" } else { "american" }
}

fn snapshot(context: &Context<'_>, underlying: &str) -> Result<Reply, Reply> {
    let query = items(context)?;
    known(underlying)?;
    if !context.rules.snapshots {
        return Err(not_authorized(NOT_ENTITLED));
    }
    let alive = |day: &Session| day.close_ns / 1_000_000 > context.now_ms;
    let days = calendar::sessions(context.today(), plus_days(context.today(), LISTED_DAYS));
    let expiries = days.into_iter().filter(alive).take(2);
    let name = match underlying {
        "I:SPX" => "SPX",
        "SPX" => return Err(refusal(404, "NOT_FOUND", "Ticker not found.")),
        other => other,
    };
    let mut rows = expiries.flat_map(|day| market::contracts(name, day.date)).collect();
    select(&query, &mut rows);
    let seen_ms = context.now_ms - DELAY_MINUTES * MINUTE_MS;
    let past = calendar::sessions(plus_days(context.today(), -10), context.today());
    let Some(day) = past.into_iter().rfind(|day| day.open_ns / 1_000_000 <= seen_ms) else {
        return list(context, &query, &[], (10, 250), String::clone);
    };
    let minute = seen_ms.div_euclid(MINUTE_MS).min(market::minute_of(day.close_ns) - 1);
    list(context, &query, &rows, (10, 250), |contract| snapshot_text(contract, &day, minute))
}

fn snapshot_text(contract: &Contract, day: &Session, minute: i64) -> String {
    let ticker = market::option_ticker(contract);
    let mut bars = market::bars_of(&Instrument::Option(contract.clone()), day.date);
    bars.retain(|bar| bar.t_ms < minute * MINUTE_MS);
    let thin = market::hash_text(&ticker).is_multiple_of(7);
    if thin {
        bars.clear();
    }
    let (greeks, volatility) = contract.value_at(day, minute).filter(|_| !thin).map_or_else(
        || ("{}".to_owned(), String::new()),
        |value| (greeks_text(&value), format!(r#""implied_volatility":{},"#, market::VOLATILITY)),
    );
    let (today, trade) = (today_text(&bars), trade_text(&bars));
    let price = bars.last().map_or(0.0, |bar| bar.c);
    let break_even = contract.strike + if contract.call { price } else { -price };
    let spot_symbol = contract.spot_symbol();
    let field = if spot_symbol.starts_with("I:") { "value" } else { "price" };
    let spot = market::spot(spot_symbol, minute * MINUTE_MS);
    let (side, style, Contract { expiry, strike, .. }) = (side_text(contract), style_text(contract), contract);
    let interest = market::hash_text(&ticker) % 5_000;
    format!(
        r#"{{"break_even_price":{break_even},"day":{today},"details":{{"contract_type":"{side}",
        "exercise_style":"{style}","expiration_date":"{expiry}","shares_per_contract":100,
        "strike_price":{strike},"ticker":"{ticker}"}},"greeks":{greeks},{volatility}"last_trade":{trade},
        "open_interest":{interest},
        "underlying_asset":{{"{field}":{spot},"ticker":"{spot_symbol}","timeframe":"DELAYED"}}}}"#
    )
}

fn today_text(bars: &[Bar]) -> String {
    let volume: f64 = bars.iter().map(|bar| bar.v).sum();
    bars.last().map_or_else(
        || "{}".to_owned(),
        |bar| format!(r#"{{"close":{},"last_updated":{},"volume":{volume}}}"#, bar.c, bar.t_ms * 1_000_000),
    )
}

fn trade_text(bars: &[Bar]) -> String {
    let text = |bar: &Bar| {
        let (price, ns) = (bar.c, bar.t_ms * 1_000_000);
        format!(r#"{{"price":{price},"sip_timestamp":{ns},"size":1,"decimal_size":"1","timeframe":"DELAYED"}}"#)
    };
    bars.last().map_or_else(|| "{}".to_owned(), text)
}

fn greeks_text([_, delta, gamma, theta, vega]: &[f64; 5]) -> String {
    let [delta, gamma, theta, vega] = [delta, gamma, theta, vega].map(|greek| (greek * 1e10).round() / 1e10);
    format!(r#"{{"delta":{delta},"gamma":{gamma},"theta":{theta},"vega":{vega}}}"#)
}

fn analytics(context: &Context<'_>) -> Result<Reply, Reply> {
    let query = items(context)?;
    if !context.rules.analytics {
        return Err(not_authorized(NOT_ENTITLED));
    }
    let date = date_item(&query, "date")?.ok_or_else(|| error(400, "The parameter 'date' is required"))?;
    if is_too_old(context, date) {
        return Err(not_authorized(TOO_OLD));
    }
    let session = calendar::session(date).filter(|_| date < context.today());
    let expiries = session.iter().flat_map(|day| [Some(*day), calendar::next_session(day.date)]).flatten();
    let underlying = http::find(&query, "underlying_ticker").unwrap_or("SPY").trim_start_matches("I:");
    let mut rows: Vec<Contract> = expiries.flat_map(|day| market::contracts(underlying, day.date)).collect();
    rows.retain(|row| http::find(&query, "ticker").is_none_or(|ticker| ticker == market::option_ticker(row)));
    let text = |row: &Contract| {
        let day = session.as_ref().expect("rows come from a session");
        let value = row.value_at(day, market::minute_of(day.close_ns) - 15).unwrap_or_default();
        let (ticker, greeks) = (market::option_ticker(row), greeks_text(&value));
        let (volatility, greeks) = (market::VOLATILITY, greeks.trim_start_matches('{'));
        format!(r#"{{"ticker":"{ticker}","date":"{date}","implied_volatility":{volatility},{greeks}"#)
    };
    list(context, &query, &rows, (100, 1_000), text)
}

/// Answers with a page of rows.
fn list<T>(
    context: &Context<'_>,
    query: &[(String, String)],
    rows: &[T],
    (default, most): (usize, usize),
    text: impl Fn(&T) -> String,
) -> Result<Reply, Reply> {
    let limit = limit(query, default, most)?.min(context.rules.page_limit);
    let offset = http::find(query, "offset").and_then(|text| text.parse().ok()).unwrap_or(0).min(rows.len());
    let end = rows.len().min(offset + limit);
    let mut page: Vec<&T> = rows[offset..end].iter().collect();
    if context.has(&Fault::Duplicate) && !page.is_empty() {
        page.insert(0, &rows[offset.saturating_sub(1)]);
    }
    let middle = page.len() / 2;
    if context.has(&Fault::Disorder) && page.len() > 1 {
        page.swap(middle - 1, middle);
    }
    let kept = query.iter().filter(|(name, _)| name != "offset" && name != "cursor");
    let carried: String = kept.map(|(name, value)| format!("{name}={value}&")).collect();
    let target = format!("{}?cursor={}", context.request.path, encode_token(&format!("{carried}offset={end}")));
    let page: Vec<String> = page.into_iter().map(text).collect();
    let results = replaced_results(context).map_or_else(|| format!("[{}]", page.join(",")), str::to_owned);
    let next_url = next_url(context, &target, end < rows.len());
    Ok(Reply::json(200, format!(r#"{{"results":{results},{}{next_url}}}"#, envelope(context))))
}

/// Returns the query of a request, preceded by the contents of its cursor.
fn items(context: &Context<'_>) -> Result<Vec<(String, String)>, Reply> {
    let query = &context.request.query;
    let carried = match http::find(query, "cursor") {
        Some(cursor) => decode_token(cursor).ok_or_else(|| error(400, "The parameter 'cursor' is not valid"))?,
        None => String::new(),
    };
    let mut items = http::parse_query(&carried);
    items.extend(query.iter().cloned());
    Ok(items)
}

/// Returns the `next_url` field with its comma; empty on the last page.
fn next_url(context: &Context<'_>, target: &str, more: bool) -> String {
    let own = context.url;
    let special = context.faults.iter().find_map(|fault| match fault {
        Fault::NextUrlElsewhere(base) => Some(format!("{base}{target}")),
        Fault::NextUrlLoop => Some(format!("{own}{}", context.request.target)),
        Fault::NextUrlWithKey => Some(format!("{own}{target}&apiKey={}", context.rules.key)),
        _ => None,
    });
    let url = special.or_else(|| more.then(|| format!("{own}{target}")));
    url.map_or_else(String::new, |url| format!(r#","next_url":"{url}""#))
}

fn replaced_results(context: &Context<'_>) -> Option<&'static str> {
    let empty = context.has(&Fault::EmptyResults).then_some("[]");
    empty.or_else(|| context.has(&Fault::NullResults).then_some("null"))
}

fn envelope(context: &Context<'_>) -> String {
    let status = if context.has(&Fault::Delayed) { "DELAYED" } else { "OK" };
    let id = market::hash_text(&context.request.target);
    format!(r#""status":"{status}","request_id":"{id:032x}""#)
}

fn limit(query: &[(String, String)], default: usize, most: usize) -> Result<usize, Reply> {
    let text = http::find(query, "limit");
    let limit = text.map_or(Some(default), |text| text.parse().ok());
    limit.filter(|limit| (1..=most).contains(limit)).ok_or_else(|| error(400, "The parameter 'limit' is out of range"))
}

fn date_item(query: &[(String, String)], name: &str) -> Result<Option<Date>, Reply> {
    let parse = |text: &str| text.parse().map_err(|_| error(400, &format!("Could not parse the date '{name}'")));
    http::find(query, name).map(parse).transpose()
}

/// Returns true if a value meets `name`, `name.gte`, `name.gt`, `name.lte` and `name.lt` of a query.
fn within<T: PartialOrd + std::str::FromStr>(query: &[(String, String)], name: &str, value: &T) -> bool {
    type Test<T> = fn(&T, &T) -> bool;
    let tests: [(&str, Test<T>); 5] = [("", T::eq), (".gte", T::ge), (".gt", T::gt), (".lte", T::le), (".lt", T::lt)];
    tests.iter().all(|(suffix, test)| {
        let bound = http::find(query, &format!("{name}{suffix}")).and_then(|text| text.parse().ok());
        bound.is_none_or(|bound| test(value, &bound))
    })
}

fn side_text(contract: &Contract) -> &'static str {
    if contract.call { "call" } else { "put" }
}

fn known(ticker: &str) -> Result<Instrument, Reply> {
    let text = if ticker.starts_with("O:") { "Option Ticker not found." } else { "Ticker not found." };
    Instrument::parse(ticker).ok_or_else(|| refusal(404, "NOT_FOUND", text))
}

fn error(status: u16, text: &str) -> Reply {
    Reply::json(status, format!(r#"{{"status":"ERROR","request_id":"0","error":"{text}"}}"#))
}

fn not_authorized(text: &str) -> Reply {
    refusal(403, "NOT_AUTHORIZED", text)
}

fn refusal(status: u16, word: &str, text: &str) -> Reply {
    Reply::json(status, format!(r#"{{"status":"{word}","request_id":"0","message":"{text}"}}"#))
}

fn status_now(context: &Context<'_>) -> Reply {
    let (now, time) = (context.now_ms * 1_000_000, new_york(context.now_ms));
    let session = calendar::session(context.today());
    let open = session.is_some_and(|day| (day.open_ns..day.close_ns).contains(&now));
    let early = session.is_some_and(|day| now < day.open_ns && time.hour() >= 4);
    let after = session.is_some_and(|day| now >= day.close_ns && time.hour() < 20);
    let market = match (open, early || after) {
        (true, _) => "open",
        (_, true) => "extended-hours",
        _ => "closed",
    };
    let server_time = time.strftime("%Y-%m-%dT%H:%M:%S%:z");
    let body = format!(
        r#"{{"afterHours":{after},"currencies":{{"crypto":"open","fx":"open"}},"earlyHours":{early},
        "exchanges":{{"nasdaq":"{market}","nyse":"{market}","otc":"{market}"}},
        "indicesGroups":{{"s_and_p":"{market}"}},"market":"{market}","serverTime":"{server_time}"}}"#
    );
    Reply::json(200, body)
}

fn status_upcoming(context: &Context<'_>) -> Reply {
    let days = context.today().series(jiff::Span::new().days(1)).take(365);
    let rows: Vec<String> = days.filter_map(holiday_rows).collect();
    Reply::json(200, format!("[{}]", rows.join(",")))
}

fn holiday_rows(date: Date) -> Option<String> {
    let session = calendar::session(date);
    let weekend = matches!(date.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
    let short = session.filter(|day| day.minutes() < 390);
    if weekend || (session.is_some() && short.is_none()) {
        return None;
    }
    let iso = |ns: i64| new_york(ns / 1_000_000).timestamp().strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let hours = short
        .map_or_else(String::new, |day| format!(r#","open":"{}","close":"{}""#, iso(day.open_ns), iso(day.close_ns)));
    let status = if short.is_some() { "early-close" } else { "closed" };
    let name = holiday_name(date);
    let row = |exchange: &str| {
        format!(r#"{{"date":"{date}","exchange":"{exchange}","name":"{name}","status":"{status}"{hours}}}"#)
    };
    Some(format!("{},{}", row("NYSE"), row("NASDAQ")))
}

fn holiday_name(date: Date) -> &'static str {
    match (date.month(), date.day()) {
        (1, 1 | 2) => "New Years Day",
        (1, _) => "Martin Luther King, Jr. Day",
        (2, _) => "Washington's Birthday",
        (3 | 4, _) => "Good Friday",
        (5, _) => "Memorial Day",
        (6, _) => "Juneteenth",
        (7, _) => "Independence Day",
        (9, _) => "Labor Day",
        (11, _) => "Thanksgiving",
        _ => "Christmas",
    }
}

/// Returns the tickers of a day's file in the order of its rows.
fn file_tickers(set: &str, date: Date) -> Option<Vec<String>> {
    match set {
        "us_stocks_sip" => Some(market::FILE_STOCKS.map(str::to_owned).to_vec()),
        "us_indices" => Some(market::INDICES.map(str::to_owned).to_vec()),
        "us_options_opra" => {
            let days = [calendar::session(date), calendar::next_session(date)].into_iter().flatten();
            let of_day = |day: Session| market::FILE_UNDERLYINGS.map(|name| market::contracts(name, day.date));
            let mut tickers: Vec<String> =
                days.flat_map(of_day).flatten().map(|row| market::option_ticker(&row)).collect();
            tickers.sort();
            Some(tickers)
        }
        _ => None,
    }
}

fn file_text(indices: bool, daily: bool, tickers: &[String], date: Date) -> String {
    let mut out = String::from(if indices {
        "ticker,open,close,high,low,window_start\n"
    } else {
        "ticker,volume,open,close,high,low,window_start,transactions\n"
    });
    for ticker in tickers {
        let instrument = Instrument::parse(ticker).expect("files hold known tickers");
        let bars = match daily {
            true => market::day_bar(&instrument, date).into_iter().collect(),
            false => market::bars_of(&instrument, date),
        };
        for bar in bars {
            let volume = if indices { String::new() } else { format!("{:.6},", bar.v) };
            let trades = if indices { String::new() } else { format!(",{}", bar.n) };
            let Bar { o, c, h, l, t_ms, .. } = bar;
            let ns = t_ms * 1_000_000;
            writeln!(out, "{ticker},{volume}{o},{c},{h},{l},{ns}{trades}").expect("a string takes text");
        }
    }
    out
}
