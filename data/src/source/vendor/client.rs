//! HTTP client of a vendor: paced calls, retries of temporary failures, redirects on the vendor's own host only.

use std::{fmt::Write as _, time::Duration};

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    Clock, Http, Pace, Progress, Reply, Secret, VendorError,
    http::Header,
    refusal_text::{message_text, refusal},
};

/// A rolling minute, with a second to spare.
const MINUTE: Duration = Duration::from_secs(61);
/// Upper bound of a wait that a server requests.
const MAX_WAIT: Duration = Duration::from_secs(120);
/// Upper bound of all waits between the attempts of one request: after that a vendor that is too busy is given up.
const MAX_WAITS: Duration = Duration::from_secs(900);
/// Maximum number of redirects, all on the vendor's own host.
const REDIRECTS: u32 = 3;
/// Maximum length of a vendor's message in an error, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// A parsed response.
#[derive(Debug, Clone, PartialEq)]
pub struct Json<T> {
    /// The parsed body.
    pub value: T,
    /// SHA-256 of the body as received.
    pub sha256: String,
}

/// Client of one vendor: address, key and pace.
pub struct Client<'a> {
    /// Display name of the vendor.
    pub(crate) vendor: &'static str,
    /// Variables that hold the key.
    key_name: String,
    /// Variables that may hold the key, none of which is set.
    missing: Vec<&'static str>,
    base: Url,
    /// Variable that sets `base`.
    base_variable: &'static str,
    headers: Vec<Header>,
    http: Http,
    pace: Pace,
    clock: &'a dyn Clock,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("vendor", &self.vendor)
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Consequence of a reply.
enum Outcome<T> {
    Done(T),
    Retry { wait: Duration, message: String, reason: RetryReason },
    Redirect(Url),
}

/// Reasons to try again. Each is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RetryReason {
    /// The server or the connection failed.
    Unavailable,
    /// The server counts too many calls.
    RateLimited,
    /// The response cannot be parsed; a proxy may have written it.
    Malformed,
}

impl RetryReason {
    /// Returns the maximum number of attempts.
    fn max_attempts(self) -> usize {
        match self {
            Self::Unavailable => 6,
            Self::RateLimited => 10,
            Self::Malformed => 3,
        }
    }
}

impl<'a> Client<'a> {
    /// Returns a client of the vendor at `base`, an address that `base_variable` can replace; without a key.
    #[must_use]
    pub fn new(
        vendor: &'static str,
        base: Url,
        base_variable: &'static str,
        http: Http,
        pace: Pace,
        clock: &'a dyn Clock,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            vendor,
            key_name: String::new(),
            missing: Vec::new(),
            base,
            base_variable,
            headers: Vec::new(),
            http,
            pace,
            clock,
            progress,
        }
    }

    /// Adds a header that carries a key, taken from the variable `name`.
    #[must_use]
    pub fn with_key(mut self, header: &'static str, value: Secret, name: &str) -> Self {
        let joint = if self.key_name.is_empty() { "" } else { " and " };
        let _ = write!(self.key_name, "{joint}{name}");
        self.headers.push(Header { name: header, value });
        self
    }

    /// Records that none of these variables holds a key. Every call fails, but the cache can be read.
    #[must_use]
    pub fn without_key(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.missing = names.into_iter().collect();
        self
    }

    /// Refuses requests without a key.
    ///
    /// # Errors
    /// [`VendorError::NoKey`].
    pub fn check_key(&self) -> Result<(), VendorError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(VendorError::NoKey { vendor: self.vendor, names: self.missing.clone() })
    }

    /// Replaces the HTTP client.
    #[must_use]
    pub fn with_http(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    /// Returns the address of a path; query values are encoded.
    #[must_use]
    pub fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Returns the calls allowed per minute; 0 = no limit.
    #[must_use]
    pub fn calls_per_minute(&self) -> u32 {
        self.pace.calls_per_minute()
    }

    /// Returns the clock of the client.
    #[must_use]
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Returns an address from a response as one of the vendor's own host, without any key in the query.
    ///
    /// # Errors
    /// [`VendorError::ForeignHost`] unless its host is that of the request, or one of `also`.
    pub fn rebase(&self, what: &str, address: &str, also: &[&str]) -> Result<Url, VendorError> {
        self.moved(what, &self.base, address, also)
    }

    /// Does the same for an address that may be relative to that of the request.
    fn moved(&self, what: &str, requested: &Url, address: &str, also: &[&str]) -> Result<Url, VendorError> {
        let found = requested.join(address).map_err(|error| self.malformed(what, &format!("{address:?}: {error}")))?;
        self.check_host(what, &found, also)?;
        let keep = |name: &str| !["apikey", "api_key", "token"].contains(&name.to_ascii_lowercase().as_str());
        let pairs: Vec<(String, String)> = found.query_pairs().into_owned().filter(|(name, _)| keep(name)).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(self.url(found.path(), &pairs))
    }

    /// Requests JSON.
    ///
    /// # Errors
    /// Refused requests, failures of every attempt, malformed responses, and faults that `check` finds.
    pub fn json<T: DeserializeOwned>(
        &self,
        what: &str,
        url: &Url,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<Json<T>, VendorError> {
        self.get(what, url, |body| {
            let value = serde_json::from_slice(body).map_err(|error| format!("{error} in {:?}", self.message(body)))?;
            check(&value)?;
            Ok(Json { value, sha256: sha256(body) })
        })
    }

    /// Requests JSON, and repeats the request once if the response is `empty`: one empty response may be a mistake.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub(crate) fn json_not_empty<T: DeserializeOwned>(
        &self,
        what: &str,
        url: &Url,
        check: impl Fn(&T) -> Result<(), String>,
        empty: impl Fn(&T) -> bool,
    ) -> Result<Json<T>, VendorError> {
        let answer = self.json(what, url, &check)?;
        if empty(&answer.value) { self.json(what, url, check) } else { Ok(answer) }
    }

    /// Repeats a request until `parse` accepts the response or the attempts are used up.
    fn get<T>(&self, what: &str, url: &Url, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, VendorError> {
        self.check_key()?;
        let (mut url, mut redirects, mut waited) = (url.clone(), 0, Duration::ZERO);
        let mut reasons = Vec::new();
        loop {
            if self.progress.stopped() {
                return Err(VendorError::Stopped);
            }
            self.pace.admit(self.clock, self.progress)?;
            let reply = self.http.get(&url, &self.headers);
            self.progress.called();
            let attempt = reasons.len() as u32 + 1;
            let outcome = match reply {
                Ok(reply) => self.classify(what, &url, &reply, attempt, &parse)?,
                Err(error) => retry(attempt, self.scrub(&error)),
            };
            match outcome {
                Outcome::Done(value) => return Ok(value),
                Outcome::Redirect(next) if redirects < REDIRECTS => (url, redirects) = (next, redirects + 1),
                Outcome::Redirect(_) => return Err(self.malformed(what, "the redirects form a loop")),
                Outcome::Retry { wait, message, reason } => {
                    reasons.push(reason);
                    waited += wait;
                    let attempts = reasons.iter().filter(|one| **one == reason).count();
                    if attempts >= reason.max_attempts() || waited > MAX_WAITS {
                        return Err(self.give_up(what, message, reason, attempt));
                    }
                    self.progress.waiting(wait, &message);
                    self.clock.sleep(wait);
                }
            }
        }
    }

    fn give_up(&self, what: &str, message: String, reason: RetryReason, attempts: u32) -> VendorError {
        if reason == RetryReason::Malformed {
            return self.malformed(what, &message);
        }
        VendorError::Unavailable { vendor: self.vendor, what: what.to_owned(), attempts, message }
    }

    fn classify<T>(
        &self,
        what: &str,
        requested: &Url,
        reply: &Reply,
        attempt: u32,
        parse: &impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Outcome<T>, VendorError> {
        let message = || self.message(&reply.body);
        let (vendor, what_owned) = (self.vendor, what.to_owned());
        match reply.status {
            200 => match parse(&reply.body) {
                Ok(value) => Ok(Outcome::Done(value)),
                // Some refusals come with status 200.
                Err(_) if reply.body.windows(14).any(|part| part == b"NOT_AUTHORIZED") => Err(VendorError::Refused {
                    vendor,
                    what: what_owned,
                    refusal: refusal(&reply.body),
                    message: message(),
                }),
                Err(message) => Ok(Outcome::Retry {
                    wait: backoff(attempt),
                    message: self.scrub(&message),
                    reason: RetryReason::Malformed,
                }),
            },
            300..=399 => {
                let to = reply.location.as_deref().unwrap_or_default();
                Ok(Outcome::Redirect(self.moved(what, requested, to, &[])?))
            }
            401 => Err(VendorError::Unauthorised { vendor, name: self.key_name.clone(), message: message() }),
            403 => Err(VendorError::Refused {
                vendor,
                what: what_owned,
                refusal: refusal(&reply.body),
                message: message(),
            }),
            404 => Err(VendorError::NotFound { vendor, what: what_owned, message: message() }),
            429 => {
                let wait = reply.retry_after.map_or(MINUTE, |seconds| Duration::from_secs(seconds).min(MAX_WAIT));
                let message = format!("too many calls (status 429): {}", message());
                Ok(Outcome::Retry { wait: wait.max(Duration::from_secs(1)), message, reason: RetryReason::RateLimited })
            }
            413 | 408 | 499 | 500..=599 => Ok(retry(attempt, format!("status {}: {}", reply.status, message()))),
            status => Err(VendorError::BadRequest { vendor, what: what_owned, status, message: message() }),
        }
    }

    fn check_host(&self, what: &str, url: &Url, also: &[&str]) -> Result<(), VendorError> {
        let host = |url: &Url| (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default());
        let known = host(url) == host(&self.base) && url.scheme() == self.base.scheme();
        let family = |url: &Url| url.host_str().is_some_and(|name| also.contains(&name)) && url.scheme() == "https";
        if known || family(url) && family(&self.base) {
            return Ok(());
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = self.scrub(&format!("{}{port}", url.host_str().unwrap_or("no host")));
        Err(VendorError::ForeignHost { vendor: self.vendor, what: what.to_owned(), host, variable: self.base_variable })
    }

    /// Returns the error of a malformed response.
    pub(crate) fn malformed(&self, what: &str, message: &str) -> VendorError {
        VendorError::Malformed { vendor: self.vendor, what: what.to_owned(), message: self.scrub(message) }
    }

    /// Returns the message of a body. The key is removed before the text is truncated, so that no part of it remains.
    fn message(&self, body: &[u8]) -> String {
        self.scrub(&message_text(body)).chars().take(MAX_MESSAGE_CHARS).collect()
    }

    fn scrub(&self, text: &str) -> String {
        let bare = |value: &str| Secret::new(value.strip_prefix("Bearer ").unwrap_or(value));
        let keys = self.headers.iter().filter_map(|header| bare(header.value.reveal()));
        keys.fold(text.to_owned(), |text, key| key.scrub(&text))
    }
}

fn retry<T>(attempt: u32, message: String) -> Outcome<T> {
    Outcome::Retry { wait: backoff(attempt), message, reason: RetryReason::Unavailable }
}

/// Returns 1, 2, 4, 8, 16 s and so on, less up to a fifth that differs from attempt to attempt.
fn backoff(attempt: u32) -> Duration {
    let base = 1_000_u64 << attempt.saturating_sub(1).min(5);
    Duration::from_millis(base - base * u64::from((attempt * 37 + std::process::id()) % 20) / 100)
}

/// Returns the SHA-256 of a body, in hexadecimal.
pub(crate) fn sha256(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// Writes bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_below_a_minute() {
        let waits: Vec<u128> = (1..9).map(|attempt| backoff(attempt).as_millis()).collect();
        assert!(waits.windows(2).take(5).all(|pair| pair[0] < pair[1]), "{waits:?}");
        assert!(waits.iter().all(|wait| (800..=32_000).contains(wait)), "{waits:?}");
    }
}
