//! One server of a bot: its address and its connection pool.

use super::failure::{Failure, Stage};
use super::link::Link;
use super::pool::Pool;
use crate::config::Endpoint;
use crate::net::client::ClientProblem;
use crate::net::dial::Dialer;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use std::sync::Arc;
use tokio::time::Instant;
use tower_service::Service as _;

/// One server of a bot.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) pool: Arc<Pool>,
    /// For connections; and for questions about its health: a connection each, so that they find out about connecting, too.
    pub(super) dialer: Dialer,
    /// See [`Endpoint::name`].
    pub(super) name: String,
    /// What stands in `Host`.
    pub(super) host: HeaderValue,
    uri: Uri,
    /// The target of a request for the server's own address, in origin form.
    own_target: PathAndQuery,
}

impl Target {
    pub(super) fn new(endpoint: &Endpoint, dialer: &Dialer) -> Result<Self, ClientProblem> {
        let problem = |what: &str| ClientProblem(format!("backend {}: {what}", endpoint.name));
        let uri: Uri = endpoint
            .url
            .as_str()
            .parse()
            .map_err(|e: http::uri::InvalidUri| problem(&e.to_string()))?;
        let host = uri
            .authority()
            .and_then(host_of)
            .ok_or_else(|| problem("has no host"))?;
        let own_target = uri.path_and_query().cloned();
        let own_target = own_target.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self {
            pool: Arc::default(),
            dialer: dialer.clone(),
            name: endpoint.name.clone(),
            host,
            uri,
            own_target,
        })
    }

    /// A connection: one that rests, or a new one.
    ///
    /// # Errors
    /// What keeps one from being made.
    pub(super) async fn connect(&self, now: Instant) -> Result<Box<Link>, Failure> {
        match self.pool.take(now) {
            Some(link) => Ok(link),
            // Boxed, because it is seldom needed, and every request would carry room for it.
            None => Box::pin(self.dial()).await,
        }
    }

    async fn dial(&self) -> Result<Box<Link>, Failure> {
        let made = self.pool.making();
        let line = self.dialer.clone().call(self.uri.clone()).await;
        let line = line.map_err(|error| {
            let failure = Failure::to_connect(&error);
            if failure.stage == Stage::Refused {
                self.pool.retire();
            }
            failure
        })?;
        Ok(Box::new(Link::new(line.into_inner(), made)))
    }

    /// Another path and query on the server.
    pub(super) fn origin_uri(&self, path_and_query: &str) -> Uri {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = path_and_query.parse::<PathAndQuery>().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone())
    }

    /// The target of a request in origin form: the server's own address, or another path there, with the query of the request where
    /// the address has none.
    pub(super) fn target(&self, path: Option<&str>, query: Option<&str>) -> PathAndQuery {
        let query = query.filter(|_| path.is_some() || self.uri.query().is_none());
        let path_and_query = match (path.unwrap_or(self.uri.path()), query) {
            (_, None) if path.is_none() => return self.own_target.clone(),
            (path, None) => path.to_owned(),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        let other = path_and_query.parse::<PathAndQuery>();
        other.unwrap_or_else(|_| self.own_target.clone())
    }
}

/// As clients write it: with the port, where that is not the one of the scheme.
fn host_of(authority: &Authority) -> Option<HeaderValue> {
    HeaderValue::from_str(authority.as_str().rsplit('@').next()?).ok()
}
