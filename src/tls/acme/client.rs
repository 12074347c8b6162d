//! The HTTP client that an authority is asked with: https only, with deadlines and a size cap.

use crate::config::Acme;
use crate::net::client::{TlsTrust, chain, connector};
use bytes::Bytes;
use http::{Request, uri::Scheme};
use http_body_util::Limited;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use std::pin::Pin;
use std::time::Duration;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Until the head of an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Of an answer; the longest is a chain of certificates.
const MAX_BYTES: usize = 1024 * 1024;

pub(super) struct Client(legacy::Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Client {
    /// # Errors
    /// The authorities of `ca_file` cannot be read.
    pub(super) fn new(acme: &Acme) -> Result<Self, String> {
        let extra_ca = match &acme.ca_file {
            None => None,
            Some(path) => {
                Some(std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        let trust = TlsTrust {
            extra_ca: extra_ca.as_deref(),
            ..TlsTrust::default()
        };
        let connector = connector(&trust, CONNECT_WITHIN).map_err(|problem| problem.to_string())?;
        // An order is a dozen requests in a few seconds, and then none for weeks.
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(ANSWER_WITHIN)
            .build(connector);
        Ok(Self(client))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            // The directory names the other addresses; none may lead out of TLS (RFC 8555 section 6.1).
            if request.uri().scheme() != Some(&Scheme::HTTPS) {
                let what = format!("the authority names {}, which is not https", request.uri());
                return Err(Error::Other(what.into()));
            }
            let answer = tokio::time::timeout(ANSWER_WITHIN, client.request(request)).await;
            let response = answer
                .map_err(|_| Error::Other(format!("no answer within {ANSWER_WITHIN:?}").into()))?
                .map_err(|error| Error::Other(chain(&error).into()))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_BYTES);
            Ok(BytesResponse::from(http::Response::from_parts(head, body)))
        })
    }
}
