//! Fetches documents for the gateway itself: over TLS, through a proxy where there is one, within limits.

use super::client::{ClientProblem, TlsTrust, chain, connector, tcp, tls_config};
use crate::config::{Keys, Proxy};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// For one TCP connection (AUTHENTICATION 2.4 rule 6).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections kept for the next request, and for how long: less than servers wait for one.
const IDLE: usize = 8;
const IDLE_FOR: Duration = Duration::from_secs(20);

/// Fetches documents for the gateway itself: no redirects, a deadline for the whole, a size cap.
#[derive(Clone, Debug)]
pub struct Fetcher {
    direct: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    proxied: Option<Proxied>,
    within: Duration,
}

/// The way through a proxy: https only. The tunnel ends at the document's host, whose certificate is verified as ever.
#[derive(Clone, Debug)]
struct Proxied {
    client: Client<HttpsConnector<Tunnel<HttpsConnector<HttpConnector>>>, Full<Bytes>>,
    matcher: Arc<Matcher>,
    /// Without user name and password.
    address: Uri,
}

impl Fetcher {
    /// Connects directly, within 3 s, and finishes within `within` (AUTHENTICATION 2.4 rule 6).
    ///
    /// # Errors
    /// When the extra authorities cannot be read.
    pub fn new(extra_ca: Option<&[u8]>, within: Duration) -> Result<Self, ClientProblem> {
        let trust = TlsTrust {
            extra_ca,
            ..TlsTrust::default()
        };
        Self::with(&trust, None, within, 0)
    }

    /// As `[keys]` says: `fetch_timeout`, by way of `proxy`, trusting `ca_file` too.
    ///
    /// # Errors
    /// When the extra authorities cannot be read, or the proxy's address cannot be used.
    pub fn for_keys(keys: &Keys) -> Result<Self, ClientProblem> {
        let extra_ca = extra_ca(keys)?;
        let trust = TlsTrust {
            extra_ca: extra_ca.as_deref(),
            ..TlsTrust::default()
        };
        Self::with(&trust, keys.proxy.as_ref(), keys.fetch_timeout, 0)
    }

    /// For [`post`](Self::post): by the same way as keys, trusting `only_ca` in place of all others. Connections are used again.
    ///
    /// # Errors
    /// As [`for_keys`](Self::for_keys).
    pub fn for_service(
        keys: &Keys,
        only_ca: Option<&[u8]>,
        within: Duration,
    ) -> Result<Self, ClientProblem> {
        let extra_ca = extra_ca(keys)?;
        let trust = TlsTrust {
            extra_ca: extra_ca.as_deref().filter(|_| only_ca.is_none()),
            only_ca,
            ..TlsTrust::default()
        };
        Self::with(&trust, keys.proxy.as_ref(), within, IDLE)
    }

    fn with(
        trust: &TlsTrust<'_>,
        proxy: Option<&Proxy>,
        within: Duration,
        idle: usize,
    ) -> Result<Self, ClientProblem> {
        let direct = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(idle)
            .build(connector(trust, CONNECT_TIMEOUT)?);
        let proxied = match proxy {
            None => None,
            Some(proxy) => Some(Proxied::new(proxy, trust, idle)?),
        };
        Ok(Self {
            direct,
            proxied,
            within,
        })
    }

    /// One document.
    ///
    /// # Errors
    /// No connection, a status other than 200 (redirects are not followed), too large, too slow.
    pub async fn get(&self, url: &Uri, max_bytes: usize) -> Result<Bytes, FetchProblem> {
        let document = self.in_time(self.get_now(url, max_bytes)).await;
        document.unwrap_or_else(|too_slow| Err(FetchProblem::Other(too_slow)))
    }

    /// The `Date` that a document's server puts on its answer (RFC 9110 6.6.1), whatever the answer is.
    ///
    /// # Errors
    /// No connection, or too slow.
    pub async fn date(&self, url: &Uri) -> Result<Option<String>, FetchProblem> {
        let asked = async {
            let request = Request::get(url.clone())
                .body(Full::default())
                .map_err(|e| FetchProblem::Other(e.to_string()))?;
            let response = self.request(request).await?;
            let date = response.headers().get(http::header::DATE);
            Ok(date.and_then(|date| date.to_str().ok()).map(str::to_owned))
        };
        let date = self.in_time(asked).await;
        date.unwrap_or_else(|too_slow| Err(FetchProblem::Other(too_slow)))
    }

    /// What other work makes of itself within `keys.fetch_timeout`.
    ///
    /// # Errors
    /// A sentence for the log, when it takes longer.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let outcome = tokio::time::timeout(self.within, work).await;
        outcome.map_err(|_| format!("not complete within {:?}", self.within))
    }

    /// Sends a request, and reads its answer whole, whatever its status. For as long as it takes: see [`in_time`](Self::in_time).
    ///
    /// # Errors
    /// See [`PostProblem`].
    pub async fn post(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, PostProblem> {
        let sent = self.send(request.map(Full::new)).await;
        let (head, body) = sent.map_err(PostProblem::of)?.into_parts();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(body, max_bytes).collect().await;
        let body = body.map_err(|error| {
            PostProblem::Unreadable(format!(
                "the answer could not be read: {}",
                chain(error.as_ref())
            ))
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    async fn get_now(&self, url: &Uri, max_bytes: usize) -> Result<Bytes, FetchProblem> {
        let request = Request::get(url.clone())
            .header("accept", "application/json")
            .header("user-agent", concat!("botgate/", env!("CARGO_PKG_VERSION")))
            .body(Full::default())
            .map_err(|e| FetchProblem::Other(e.to_string()))?;
        let response = self.request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchProblem::Status(response.status()));
        }
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(response.into_body(), max_bytes)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes).map_err(|e| {
            FetchProblem::Other(format!(
                "the answer could not be read: {}",
                chain(e.as_ref())
            ))
        })
    }

    async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, FetchProblem> {
        let sent = self.send(request).await;
        sent.map_err(|unsent| FetchProblem::Other(unsent.to_string()))
    }

    /// By the way that `keys.proxy` says.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unsent<'_>> {
        let by = self.proxied.as_ref();
        let by = by.filter(|it| it.matcher.intercept(request.uri()).is_some());
        let sent = match by {
            Some(proxied) => proxied.client.request(request).await,
            None => self.direct.request(request).await,
        };
        sent.map_err(|error| Unsent {
            error,
            proxy: by.map(|proxied| &proxied.address),
        })
    }
}

/// Why there is no head of an answer.
struct Unsent<'a> {
    error: Error,
    proxy: Option<&'a Uri>,
}

impl fmt::Display for Unsent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(proxy) = self.proxy {
            write!(f, "through the proxy {proxy}: ")?;
        }
        f.write_str(&explained(&self.error))
    }
}

impl Proxied {
    fn new(proxy: &Proxy, trust: &TlsTrust<'_>, idle: usize) -> Result<Self, ClientProblem> {
        // A matcher without a proxy for http: plain metadata is on this machine.
        let matcher = Matcher::builder()
            .https(proxy.url.expose().as_str())
            .no(proxy.not_for.as_str())
            .build();
        let somewhere = Matcher::builder()
            .https(proxy.url.expose().as_str())
            .build()
            .intercept(&Uri::from_static("https://somewhere.invalid/"))
            .ok_or_else(|| ClientProblem("keys.proxy cannot be used".to_owned()))?;
        let address = somewhere.uri().clone();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(idle)
            .build(
                HttpsConnectorBuilder::new()
                    .with_tls_config(tls_config(trust)?)
                    .https_only()
                    .enable_http1()
                    .enable_http2()
                    .wrap_connector(tunnel(&somewhere, trust)?),
            );
        Ok(Self {
            client,
            matcher: Arc::new(matcher),
            address,
        })
    }
}

/// The connection to the proxy, plain or with TLS of its own, and the CONNECT on it. HTTP/1 only: nobody offers another there.
fn tunnel(
    proxy: &Intercept,
    trust: &TlsTrust<'_>,
) -> Result<Tunnel<HttpsConnector<HttpConnector>>, ClientProblem> {
    let to_the_proxy = HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(trust)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp(CONNECT_TIMEOUT));
    let tunnel = Tunnel::new(proxy.uri().clone(), to_the_proxy);
    Ok(match proxy.basic_auth() {
        Some(credentials) => tunnel.with_auth(credentials.clone()),
        None => tunnel,
    })
}

/// An error with all its causes, and what to do about one that networks which inspect TLS bring about.
fn explained(error: &Error) -> String {
    let mut text = chain(error);
    if is_untrusted(error) {
        text.push_str("; if this network inspects TLS, or the host has a private authority, name its certificate in keys.ca_file");
    }
    text
}

fn is_untrusted(error: &Error) -> bool {
    use rustls::{CertificateError::UnknownIssuer, Error::InvalidCertificate};
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(InvalidCertificate(UnknownIssuer)) = error.downcast_ref() {
            return true;
        }
        // An I/O error passes over the error that it is made of when asked for its source.
        let inside = error.downcast_ref().and_then(std::io::Error::get_ref);
        cause = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    false
}

/// What `keys.ca_file` holds.
fn extra_ca(keys: &Keys) -> Result<Option<Vec<u8>>, ClientProblem> {
    let Some(path) = &keys.ca_file else {
        return Ok(None);
    };
    let read = std::fs::read(path);
    read.map(Some)
        .map_err(|e| ClientProblem(format!("keys.ca_file {}: {e}", path.display())))
}

/// Why there is no answer to a request; each with a sentence for the log.
#[derive(Debug)]
pub enum PostProblem {
    /// No connection, or it broke before there was an answer.
    Unreachable(String),
    /// An answer that is no HTTP, is too large, or ended early.
    Unreadable(String),
}

impl PostProblem {
    fn of(unsent: Unsent<'_>) -> Self {
        let (why, error) = (unsent.to_string(), unsent.error);
        let cause: Option<&hyper::Error> =
            std::error::Error::source(&error).and_then(|it| it.downcast_ref());
        let is_broken = cause.is_some_and(|it| {
            let is_io = std::error::Error::source(it).is_some_and(|it| it.is::<std::io::Error>());
            it.is_incomplete_message() || it.is_closed() || it.is_canceled() || is_io
        });
        if error.is_connect() || is_broken {
            Self::Unreachable(why)
        } else {
            Self::Unreadable(why)
        }
    }
}

/// Why a document could not be fetched.
#[derive(Debug)]
pub enum FetchProblem {
    /// An answer with another status than 200.
    Status(StatusCode),
    /// No answer, or none that can be used: a sentence for the log.
    Other(String),
}

impl FetchProblem {
    /// Whether there is no such document.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(StatusCode::NOT_FOUND))
    }
}

impl fmt::Display for FetchProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if status.is_redirection() => {
                write!(f, "status {}; redirects are not followed", status.as_u16())
            }
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FetchProblem {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use url::Url;

    fn fetcher(proxy: &str, not_for: &str) -> Fetcher {
        Fetcher::for_keys(&Keys {
            refresh: Duration::from_secs(3600),
            unknown_key_refresh: Duration::from_secs(60),
            max_stale: Duration::from_secs(3600),
            cache_dir: None,
            fetch_timeout: Duration::from_secs(1),
            ca_file: None,
            proxy: Some(Proxy {
                url: Secret::new(Url::parse(proxy).unwrap()),
                not_for: not_for.to_owned(),
            }),
            clock_skew: Duration::ZERO,
        })
        .unwrap()
    }

    fn is_proxied(fetcher: &Fetcher, url: &str) -> bool {
        let proxied = fetcher.proxied.as_ref().unwrap();
        proxied.matcher.intercept(&url.parse().unwrap()).is_some()
    }

    #[test]
    fn https_goes_through_the_proxy_and_plain_http_never() {
        let fetcher = fetcher("http://proxy.example:3128", "");
        assert!(is_proxied(&fetcher, "https://login.botframework.com/v1"));
        assert!(!is_proxied(&fetcher, "http://127.0.0.1:9999/v1"));
    }

    #[test]
    fn hosts_named_in_no_proxy_are_reached_directly() {
        let not_for = "botframework.com, .example.org,10.0.0.0/8,localhost";
        let fetcher = fetcher("https://proxy.example", not_for);
        for (url, expected) in [
            ("https://login.botframework.com/", false),
            ("https://notbotframework.com/", true),
            ("https://login.example.org/", false),
            ("https://10.1.2.3/", false),
            ("https://11.1.2.3/", true),
            ("https://localhost:4433/", false),
            ("https://login.microsoftonline.com/", true),
        ] {
            assert_eq!(is_proxied(&fetcher, url), expected, "{url}");
        }
        let none = self::fetcher("http://proxy.example", "*");
        assert!(!is_proxied(&none, "https://login.botframework.com/"));
    }

    #[test]
    fn the_proxys_credentials_are_shown_nowhere() {
        let fetcher = fetcher("http://user:hunter2%40@proxy.example:3128", "");
        let shown = format!("{fetcher:?}");
        for secret in ["hunter2", "user", "dXNlcjpodW50ZXIyQA"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let address = &fetcher.proxied.as_ref().unwrap().address;
        assert_eq!(address, "http://proxy.example:3128/");
    }
}
