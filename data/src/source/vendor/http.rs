//! HTTP GET requests. Any status is returned, redirects are not followed, and a truncated body is an error.

use std::{fmt, io::Read, time::Duration};

use ureq::{Agent, http::Response, tls::TlsConfig};
use url::Url;

use super::Secret;

/// Maximum size of a body in bytes; a page of 50,000 bars has 7 MB.
const BODY_LIMIT: u64 = 256 << 20;

/// Longest transfer of a response, in units of the patience: a vendor that sends a byte now and then is not waited for.
const LONGEST_TRANSFER: u32 = 2;
/// The same for a file of a whole day, which has up to some gigabytes.
const LONGEST_STREAM: u32 = 30;

/// HTTP client. All threads share one, which keeps connections open.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    patience: Duration,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

/// Response to a GET request.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The header `Location`.
    pub location: Option<String>,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

/// A header and its value.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) value: Secret,
}

impl Http {
    /// Returns a client that waits for a response no longer than `patience`, and for a whole one no longer than twice that; for
    /// the file of a day thirty times that.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(patience.min(Duration::from_secs(10))))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .tls_config(TlsConfig::default())
            .user_agent("Mozilla/5.0 (compatible; zerodte)")
            .build();
        Self { agent: config.new_agent(), patience }
    }

    /// Sends one GET request and reads the whole response.
    pub(super) fn get(&self, url: &Url, headers: &[Header]) -> Result<Reply, String> {
        let mut response = self.send(url, headers, LONGEST_TRANSFER)?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let reply = Reply {
            status: response.status().as_u16(),
            retry_after: header("retry-after").and_then(|text| text.trim().parse().ok()),
            location: header("location"),
            body: Vec::new(),
        };
        let body =
            response.body_mut().with_config().limit(BODY_LIMIT).read_to_vec().map_err(|error| error.to_string())?;
        Ok(Reply { body, ..reply })
    }

    /// Sends one GET request and returns the status and a reader of the body.
    pub(crate) fn stream(&self, url: &Url) -> Result<(u16, impl Read + use<>), String> {
        let response = self.send(url, &[], LONGEST_STREAM)?;
        Ok((response.status().as_u16(), response.into_body().into_with_config().limit(u64::MAX).reader()))
    }

    /// Sends a request whose whole response may take `longest` times the patience.
    fn send(&self, url: &Url, headers: &[Header], longest: u32) -> Result<Response<ureq::Body>, String> {
        let limit = self.patience * longest;
        let mut request = self.agent.get(url.as_str()).config().timeout_global(Some(limit)).build();
        for header in headers {
            request = request.header(header.name, header.value.reveal());
        }
        request.call().map_err(|error| error.to_string())
    }
}
