//! Minimal HTTP/1.1: reads requests from a socket, writes replies, and keeps connections open.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Timeout of one read, after which the server checks for a stop.
const READ_STEP: Duration = Duration::from_millis(20);
/// Read steps after which a request that was begun and not finished is given up: five seconds.
const PATIENCE: usize = 250;
/// Longest head of a request.
const MAX_HEAD: usize = 64 * 1024;

/// A received request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incoming {
    /// `GET`.
    pub(crate) method: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// Path with its percent signs resolved.
    pub(crate) path: String,
    /// Query items with their percent signs resolved, in order.
    pub(crate) query: Vec<(String, String)>,
    /// Headers, names in small letters.
    pub(crate) headers: Vec<(String, String)>,
}

impl Incoming {
    /// Returns a header by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Returns the first query item of a name.
    pub(crate) fn item(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let header = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.filter_map(header).collect();
        let (path, query) = (decoded(path), parse_query(query));
        Some(Self { method, target, path, query, headers })
    }
}

/// Transmission of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The whole reply is sent.
    Whole,
    /// The full length is announced, half of the body is sent, the connection is closed.
    Cut,
    /// The connection is closed without a byte.
    Nothing,
    /// The body is sent byte by byte, one in this many milliseconds, until the client gives up.
    Drip(u64),
}

/// A reply.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Status code; 0 if nothing is sent.
    pub(crate) status: u16,
    /// Headers besides the length.
    pub(crate) headers: Vec<(String, String)>,
    /// Body as sent.
    pub(crate) body: Vec<u8>,
    /// Transmission of the reply.
    pub(crate) sending: Sending,
}

impl Reply {
    /// Returns a reply of a content type.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), sending: Sending::Whole }
    }

    /// Returns a JSON reply.
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Reads the next request of a connection; `None` when it ends, stalls or the server stops.
pub(crate) fn read(stream: &mut TcpStream, rest: &mut Vec<u8>, stopped: impl Fn() -> bool) -> Option<Incoming> {
    stream.set_read_timeout(Some(READ_STEP)).ok()?;
    let mut chunk = [0; 4096];
    let mut waited = 0;
    loop {
        if let Some(end) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let request = Incoming::parse(&String::from_utf8_lossy(&rest[..end]));
            rest.drain(..end + 4);
            return request;
        }
        match stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(count) => rest.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                waited += usize::from(!rest.is_empty());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if stopped() || waited > PATIENCE || rest.len() > MAX_HEAD {
            return None;
        }
    }
}

/// Writes a reply, and returns true if the connection stays open.
pub(crate) fn write(stream: &mut TcpStream, reply: &Reply) -> bool {
    if reply.sending == Sending::Nothing {
        return false;
    }
    let (status, reason, length) = (reply.status, reason(reply.status), reply.body.len());
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\n");
    let headers = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    head.extend(headers.chain(["\r\n".to_owned()]));
    if let Sending::Drip(ms) = reply.sending {
        let mut send = |byte: &[u8]| {
            std::thread::sleep(std::time::Duration::from_millis(ms));
            stream.write_all(byte).and_then(|()| stream.flush()).is_ok()
        };
        return send(head.as_bytes()) && reply.body.chunks(1).all(send);
    }
    let whole = reply.sending == Sending::Whole;
    let body = if whole { &reply.body[..] } else { &reply.body[..reply.body.len() / 2] };
    let bytes = [head.as_bytes(), body].concat();
    stream.write_all(&bytes).and_then(|()| stream.flush()).is_ok() && whole
}

/// Returns the first value of a name in a list of pairs.
pub(crate) fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Returns the items of a query string.
pub(crate) fn parse_query(text: &str) -> Vec<(String, String)> {
    let pair = |item: &str| {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|item| !item.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match code.filter(|_| bytes[at] == b'%').and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}
