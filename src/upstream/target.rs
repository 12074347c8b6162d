//! One server of a bot: its address and its connection pool.

use super::outgoing::Outgoing;
use crate::config::Endpoint;
use crate::net::client::ClientProblem;
use crate::net::dial::Dialer;
use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;

/// Node and several Python servers close an idle connection after 5 s; leaving first avoids sending a request into a closing one.
const POOL_IDLE: Duration = Duration::from_secs(4);
const POOL_MAX_IDLE: usize = 256;
/// For the head of an answer, over either protocol.
const HEAD_BYTES: u16 = u16::MAX;
const HEADERS: usize = 100;

/// One server of a bot.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) client: Client<Dialer, Outgoing>,
    /// For questions about its health: a connection each, so that they find out about connecting, too.
    pub(super) dialer: Dialer,
    /// See [`Endpoint::name`].
    pub(super) name: String,
    uri: Uri,
}

impl Target {
    pub(super) fn new(endpoint: &Endpoint, dialer: &Dialer) -> Result<Self, ClientProblem> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .http1_max_buf_size(usize::from(HEAD_BYTES))
            .http1_max_headers(HEADERS)
            .build(dialer.clone());
        let uri = endpoint.url.as_str().parse();
        Ok(Self {
            client,
            dialer: dialer.clone(),
            name: endpoint.name.clone(),
            uri: uri.map_err(|e| ClientProblem(format!("backend {}: {e}", endpoint.name)))?,
        })
    }

    /// Another path and query on the server.
    pub(super) fn origin_uri(&self, path_and_query: &str) -> Uri {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = path_and_query.parse::<PathAndQuery>().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone())
    }

    /// The server's own address, or another path there, with the query of the request where the address has none.
    pub(super) fn uri(&self, path: Option<&str>, query: Option<&str>) -> Uri {
        let query = query.filter(|_| path.is_some() || self.uri.query().is_none());
        let path_and_query = match (path.unwrap_or(self.uri.path()), query) {
            (_, None) if path.is_none() => return self.uri.clone(),
            (path, None) => path.to_owned(),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        self.origin_uri(&path_and_query)
    }
}
