//! Asking a vendor: paced, with patience for what passes, and with none for what does not.

use std::{fmt::Write as _, time::Duration};

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    Clock, Http, Pace, Progress, Reply, Secret, VendorError,
    http::Header,
    refusal_text::{refusal, words},
};

/// A rolling minute, with a second to spare.
const MINUTE: Duration = Duration::from_secs(61);
/// The longest wait that a server may ask for.
const LONGEST: Duration = Duration::from_secs(120);
/// Redirects followed, on the vendor's own host.
const REDIRECTS: u32 = 3;
/// Letters of a vendor's words that an error repeats.
const WORDS: usize = 200;

/// An answer, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Json<T> {
    /// What it says.
    pub value: T,
    /// SHA-256 of the body as it was sent.
    pub sha256: String,
}

/// One vendor's address, key and pace.
pub struct Client<'a> {
    /// Display name of the vendor.
    pub(crate) vendor: &'static str,
    /// Where the key came from.
    key_name: String,
    /// Where a key was looked for in vain.
    missing: Vec<&'static str>,
    base: Url,
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

/// What to do with a reply.
enum Verdict<T> {
    Done(T),
    Again { wait: Duration, said: String, trouble: Trouble },
    Redirect(Url),
}

/// What is worth another attempt. Each kind is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// The server or the line breaks.
    Broken,
    /// The server says that the call comes too early.
    Early,
    /// The answer cannot be understood; a proxy may have written it.
    Garbled,
}

impl Trouble {
    /// Returns the attempts that it is worth.
    fn most(self) -> usize {
        match self {
            Self::Broken => 6,
            Self::Early => 10,
            Self::Garbled => 3,
        }
    }
}

impl<'a> Client<'a> {
    /// Returns a client of the vendor at `base`, without a key yet.
    #[must_use]
    pub fn new(
        vendor: &'static str,
        base: Url,
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

    /// Says that no key was found under these names: every call fails, so that what is in a cache can be used without one.
    #[must_use]
    pub fn without_key(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.missing = names.into_iter().collect();
        self
    }

    /// Speaks through another HTTP client.
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

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Moves an address that the vendor sent onto its own host, without a key in the query.
    ///
    /// # Errors
    /// [`VendorError::ForeignHost`] unless it is the host that was asked, or one of `also`.
    pub fn rebase(&self, what: &str, address: &str, also: &[&str]) -> Result<Url, VendorError> {
        self.moved(what, &self.base, address, also)
    }

    /// The same of an address that may be relative to the one that was asked.
    fn moved(&self, what: &str, asked: &Url, address: &str, also: &[&str]) -> Result<Url, VendorError> {
        let found = asked.join(address).map_err(|error| self.malformed(what, &format!("{address:?}: {error}")))?;
        self.check_host(what, &found, also)?;
        let keep = |name: &str| !["apikey", "api_key", "token"].contains(&name.to_ascii_lowercase().as_str());
        let pairs: Vec<(String, String)> = found.query_pairs().into_owned().filter(|(name, _)| keep(name)).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(self.url(found.path(), &pairs))
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// What the vendor refuses, does not answer in several attempts, or garbles; and what `check` finds wrong.
    pub fn json<T: DeserializeOwned>(
        &self,
        what: &str,
        url: &Url,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<Json<T>, VendorError> {
        self.get(what, url, |body| {
            let value = serde_json::from_slice(body).map_err(|error| format!("{error} in {:?}", self.said(body)))?;
            check(&value)?;
            Ok(Json { value, sha256: sha256(body) })
        })
    }

    /// Asks for JSON, and once more where the answer is `empty`: nothing may be a slip, nothing twice is an answer.
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

    /// Asks until there is an answer that `parse` understands, or no hope of one.
    fn get<T>(&self, what: &str, url: &Url, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, VendorError> {
        if !self.missing.is_empty() {
            return Err(VendorError::NoKey { vendor: self.vendor, names: self.missing.clone() });
        }
        let (mut url, mut redirects) = (url.clone(), 0);
        let mut troubles = Vec::new();
        loop {
            if self.progress.stopped() {
                return Err(VendorError::Stopped);
            }
            self.pace.admit(self.clock, self.progress)?;
            let reply = self.http.get(&url, &self.headers);
            self.progress.called();
            let attempt = troubles.len() as u32 + 1;
            let verdict = match reply {
                Ok(reply) => self.judge(what, &url, &reply, attempt, &parse)?,
                Err(error) => again(attempt, self.scrub(&error)),
            };
            match verdict {
                Verdict::Done(value) => return Ok(value),
                Verdict::Redirect(next) if redirects < REDIRECTS => (url, redirects) = (next, redirects + 1),
                Verdict::Redirect(_) => return Err(self.malformed(what, "it redirects in a circle")),
                Verdict::Again { wait, said, trouble } => {
                    troubles.push(trouble);
                    if troubles.iter().filter(|one| **one == trouble).count() >= trouble.most() {
                        return Err(self.given_up(what, said, trouble, attempt));
                    }
                    self.progress.waiting(wait, &said);
                    self.clock.sleep(wait);
                }
            }
        }
    }

    fn given_up(&self, what: &str, said: String, trouble: Trouble, attempts: u32) -> VendorError {
        if trouble == Trouble::Garbled {
            return self.malformed(what, &said);
        }
        VendorError::Unavailable { vendor: self.vendor, what: what.to_owned(), attempts, said }
    }

    fn judge<T>(
        &self,
        what: &str,
        asked: &Url,
        reply: &Reply,
        attempt: u32,
        parse: &impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Verdict<T>, VendorError> {
        let said = || self.said(&reply.body);
        let (vendor, what_owned) = (self.vendor, what.to_owned());
        match reply.status {
            200 => match parse(&reply.body) {
                Ok(value) => Ok(Verdict::Done(value)),
                // Some refusals come with a status that says all is well.
                Err(_) if reply.body.windows(14).any(|part| part == b"NOT_AUTHORIZED") => {
                    Err(VendorError::Refused { vendor, what: what_owned, refusal: refusal(&reply.body), said: said() })
                }
                Err(said) => {
                    Ok(Verdict::Again { wait: backoff(attempt), said: self.scrub(&said), trouble: Trouble::Garbled })
                }
            },
            300..=399 => {
                let to = reply.location.as_deref().unwrap_or_default();
                Ok(Verdict::Redirect(self.moved(what, asked, to, &[])?))
            }
            401 => Err(VendorError::Unauthorised { vendor, name: self.key_name.clone(), said: said() }),
            403 => Err(VendorError::Refused { vendor, what: what_owned, refusal: refusal(&reply.body), said: said() }),
            404 => Err(VendorError::NotFound { vendor, what: what_owned, said: said() }),
            429 => {
                let wait = reply.retry_after.map_or(MINUTE, |seconds| Duration::from_secs(seconds).min(LONGEST));
                let said = format!("too many calls (status 429): {}", said());
                Ok(Verdict::Again { wait: wait.max(Duration::from_secs(1)), said, trouble: Trouble::Early })
            }
            413 | 408 | 499 | 500..=599 => Ok(again(attempt, format!("status {}: {}", reply.status, said()))),
            status => Err(VendorError::BadRequest { vendor, what: what_owned, status, said: said() }),
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
        Err(VendorError::ForeignHost { vendor: self.vendor, what: what.to_owned(), host })
    }

    /// Returns an error about an answer that makes no sense.
    pub(crate) fn malformed(&self, what: &str, said: &str) -> VendorError {
        VendorError::Malformed { vendor: self.vendor, what: what.to_owned(), said: self.scrub(said) }
    }

    /// Returns what a body says. The key is taken out before the words are cut, so that no part of it stays.
    fn said(&self, body: &[u8]) -> String {
        self.scrub(&words(body)).chars().take(WORDS).collect()
    }

    fn scrub(&self, text: &str) -> String {
        let bare = |value: &str| Secret::new(value.strip_prefix("Bearer ").unwrap_or(value));
        let keys = self.headers.iter().filter_map(|header| bare(header.value.reveal()));
        keys.fold(text.to_owned(), |text, key| key.scrub(&text))
    }
}

fn again<T>(attempt: u32, said: String) -> Verdict<T> {
    Verdict::Again { wait: backoff(attempt), said, trouble: Trouble::Broken }
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
