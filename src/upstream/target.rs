//! One server of a bot: its address and its connection pool.

use super::failure::{Failure, Stage};
use super::lane::{Lane, Ride};
use super::link::Link;
use super::pool::{Made, Pool};
use crate::config::Endpoint;
use crate::net::client::ClientProblem;
use crate::net::dial::{Dialed, Dialer};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
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
    /// Whether connections are made one by one, since one may do for all: where HTTP/2 is spoken, and where that is not yet known.
    may_share: AtomicBool,
    /// Held by whoever makes such a connection; how the last one failed, and when.
    dialing: Mutex<Option<(Instant, Failure)>>,
    /// What drives such connections.
    tasks: TaskTracker,
    /// The target of a request for the server's own address, in origin form.
    own_target: PathAndQuery,
}

/// What a request goes over.
#[derive(Debug)]
pub(super) enum Way {
    /// A connection of its own, for as long as it takes.
    Link(Box<Link>),
    /// One of several on a connection.
    Lane(Ride),
}

impl Way {
    /// When the connection began to be made, and what it belongs to.
    pub(super) fn made(&self) -> Made {
        match self {
            Self::Link(link) => link.made(),
            Self::Lane(ride) => ride.made(),
        }
    }
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
            may_share: AtomicBool::new(dialer.may_speak_http2()),
            dialing: Mutex::default(),
            tasks: TaskTracker::new(),
            uri,
            own_target,
        })
    }

    /// A connection: one that rests, one that takes another request, or a new one.
    ///
    /// # Errors
    /// What keeps one from being made.
    pub(super) async fn connect(&self, now: Instant) -> Result<Way, Failure> {
        match self.pool.take(now) {
            Some(link) => Ok(Way::Link(link)),
            // Boxed, because it is seldom needed, and every request would carry room for it.
            None => Box::pin(self.connect_anew()).await,
        }
    }

    async fn connect_anew(&self) -> Result<Way, Failure> {
        if !self.may_share() {
            return self.dial().await;
        }
        if let Some(ride) = self.pool.ride() {
            return Ok(Way::Lane(ride));
        }
        let asked = Instant::now();
        let mut dialing = self.dialing.lock().await;
        if let Some(ride) = self.pool.ride() {
            return Ok(Way::Lane(ride));
        }
        if !self.may_share() {
            // Each has its own from here on.
            drop(dialing);
            return self.dial().await;
        }
        // All that waited for it meet with what it met with, and none tries again what takes as long as it may.
        if let Some((at, failure)) = &*dialing
            && *at >= asked
        {
            return Err(failure.clone());
        }
        let outcome = self.dial().await;
        let failed = outcome.as_ref().err();
        *dialing = failed.map(|failure| (Instant::now(), failure.clone()));
        outcome
    }

    fn may_share(&self) -> bool {
        self.may_share.load(Ordering::Relaxed)
    }

    async fn dial(&self) -> Result<Way, Failure> {
        let made = self.pool.making();
        let dialed = self.dialer.clone().call(self.uri.clone()).await;
        let dialed = dialed.map_err(|error| self.not_connected(&error))?;
        match dialed.into_inner() {
            Dialed::Http1(line) => {
                self.may_share.store(false, Ordering::Relaxed);
                Ok(Way::Link(Box::new(Link::new(line, made))))
            }
            Dialed::Http2(stream) => {
                self.may_share.store(true, Ordering::Relaxed);
                let lane = Lane::open(stream, made, &self.tasks).await;
                let lane = lane.map_err(|error| self.not_connected(&io::Error::other(error)))?;
                let lane = Arc::new(lane);
                let ride = lane.first_ride();
                self.pool.share(&lane);
                Ok(Way::Lane(ride))
            }
        }
    }

    fn not_connected(&self, error: &io::Error) -> Failure {
        let failure = Failure::to_connect(error);
        if failure.stage == Stage::Refused {
            self.pool.retire();
        }
        failure
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
