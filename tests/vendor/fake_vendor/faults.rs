//! Faults of responses, and how each is produced from the correct response.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    http::{Reply, Sending},
    market::{Bar, MINUTE_MS},
};

/// A fault of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A status with a JSON body instead of the response: 429, 500, 502, 503, 504.
    Status(u16),
    /// A status with this JSON body instead of the response.
    Body(u16, String),
    /// A gateway's 504 page in HTML.
    Html504,
    /// A 429 without a body.
    EmptyBody429,
    /// A 429 with a `Retry-After` in seconds.
    RetryAfter429(u64),
    /// The connection is closed before the announced number of bytes.
    CutBody,
    /// The connection is closed without a response.
    CloseAtOnce,
    /// The response is late by this many real milliseconds.
    Slow(u64),
    /// The body arrives byte by byte, one in this many real milliseconds.
    Drip(u64),
    /// A 200 with truncated JSON.
    GarbageJson,
    /// Bars of another ticker than the requested one.
    WrongTicker,
    /// A page repeats the last row of the previous page; a first page repeats its first row.
    Duplicate,
    /// Two rows in the middle are swapped.
    Disorder,
    /// A 302 to this location.
    RedirectElsewhere(String),
    /// `next_url` on this base (`http://host:port`) instead of the server's own.
    NextUrlElsewhere(String),
    /// `next_url` is the request itself.
    NextUrlLoop,
    /// `next_url` carries the key as `apiKey`.
    NextUrlWithKey,
    /// Times are those on the clock of New York in summer, as if that were UTC.
    NewYorkClock,
    /// One row has its high below its low.
    BadPrice,
    /// One row lacks its close.
    MissingField,
    /// The status is `DELAYED`, the data are valid.
    Delayed,
    /// An empty list of results.
    EmptyResults,
    /// `null` for the results.
    NullResults,
    /// Volume in scientific notation.
    ScientificVolume,
    /// The body is gzipped, whether requested or not.
    Gzip,
}

/// Text of the 429 of Massive.
const TOO_MANY: &str = concat!(
    r#"{"status":"ERROR","request_id":"0","error":"You've exceeded the maximum requests per minute, "#,
    r#"please wait or upgrade your subscription to continue. https://massive.com/pricing"}"#
);

/// Returns Massive's response to a call above the limit.
pub(crate) fn too_many() -> Reply {
    Reply::json(429, TOO_MANY)
}

/// Returns the response that a fault substitutes for the correct one, if it does.
pub(crate) fn instead(faults: &[Fault]) -> Option<Reply> {
    faults.iter().find_map(|fault| match fault {
        Fault::Status(429) => Some(too_many()),
        Fault::Status(status) => {
            Some(Reply::json(*status, r#"{"status":"ERROR","request_id":"0","error":"Something went wrong."}"#))
        }
        Fault::Body(status, body) => Some(Reply::json(*status, body.as_str())),
        Fault::Html504 => Some(Reply::new(
            504,
            "text/html",
            "<html>\n<head><title>504 Gateway Time-out</title></head>\n<body>nginx</body>\n</html>\n",
        )),
        Fault::EmptyBody429 => Some(Reply::json(429, "")),
        Fault::RetryAfter429(seconds) => Some(too_many().with("Retry-After", &seconds.to_string())),
        Fault::CloseAtOnce => Some(Reply { status: 0, sending: Sending::Nothing, ..Reply::json(0, "") }),
        Fault::RedirectElsewhere(location) => Some(Reply::new(302, "text/plain", "").with("Location", location)),
        _ => None,
    })
}

/// Changes the rows of a page; `before` is the last row of the previous page.
pub(crate) fn edit_rows(faults: &[Fault], rows: &mut Vec<Bar>, before: impl Fn() -> Option<Bar>) {
    let middle = rows.len() / 2;
    for fault in faults.iter().filter(|_| !rows.is_empty()).collect::<Vec<_>>() {
        match fault {
            Fault::Duplicate => rows.insert(0, before().unwrap_or(rows[0])),
            Fault::Disorder if rows.len() > 1 => rows.swap(middle - 1, middle),
            Fault::NewYorkClock => rows.iter_mut().for_each(|row| row.t_ms -= 4 * 60 * MINUTE_MS),
            Fault::BadPrice => rows[middle].h = (rows[middle].l * 5_000.0).floor() / 1e4,
            Fault::MissingField => rows[middle].c = f64::NAN,
            _ => {}
        }
    }
}

/// Changes a finished response: truncates its JSON, compresses it, or cuts the body.
pub(crate) fn edit_reply(faults: &[Fault], reply: &mut Reply) {
    for fault in faults {
        match fault {
            Fault::GarbageJson => reply.body.truncate(reply.body.len() * 2 / 3),
            Fault::Gzip => {
                reply.body = gzip(&reply.body);
                reply.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            }
            Fault::CutBody => reply.sending = Sending::Cut,
            Fault::Drip(ms) => reply.sending = Sending::Drip(*ms),
            _ => {}
        }
    }
}

/// Returns the delay of the response in real milliseconds.
pub(crate) fn delay_ms(faults: &[Fault]) -> u64 {
    faults.iter().map(|fault| if let Fault::Slow(ms) = fault { *ms } else { 0 }).sum()
}

/// Compresses bytes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}
