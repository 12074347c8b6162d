//! The bots behind the gateway. Forwards what was admitted, and nothing else.

mod forward;

pub use forward::Answer;

use crate::config::{Bot, Settings};
use crate::judge::{Admitted, Rejection};
use crate::net::client::{ClientProblem, TlsTrust, connector};
use crate::net::small_reads::SmallReads;
use forward::Outgoing;
use http::{HeaderMap, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Node and several Python servers close an idle connection after 5 s; leaving first avoids sending a request into a closing one.
const POOL_IDLE: Duration = Duration::from_secs(4);
const POOL_MAX_IDLE: usize = 256;

/// The backends of all bots, with their connection pools.
#[derive(Debug)]
pub struct Upstreams {
    backends: Vec<Backend>,
}

#[derive(Debug)]
struct Backend {
    client: Client<SmallReads<HttpsConnector<HttpConnector>>, Outgoing>,
    uri: Uri,
    response_timeout: Duration,
}

/// Whether the bot's side has taken the whole request: from then on it may be at work.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<AtomicBool>);

impl Sent {
    /// Whether all of it was taken.
    pub fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Upstreams {
    /// Makes a pool per bot; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings of a backend cannot be used; names the bot.
    pub fn new(settings: &Settings) -> Result<Self, ClientProblem> {
        let backend = |bot: &Arc<Bot>| {
            Backend::new(bot)
                .map_err(|problem| ClientProblem(format!("bot {:?}: {problem}", bot.name)))
        };
        Ok(Self {
            backends: settings
                .bots
                .iter()
                .map(backend)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Sends an admitted activity to the bot and waits for the head of its answer; `sent` tells how far that has come.
    ///
    /// # Errors
    /// [`Reason::UpstreamUnreachable`](crate::judge::Reason::UpstreamUnreachable),
    /// [`Reason::UpstreamBroken`](crate::judge::Reason::UpstreamBroken),
    /// [`Reason::UpstreamTimedOut`](crate::judge::Reason::UpstreamTimedOut).
    pub async fn forward(
        &self,
        bot: &Bot,
        admitted: Admitted,
        headers: HeaderMap,
        query: Option<&str>,
        sent: &Sent,
    ) -> Result<Response<Answer>, Rejection> {
        match self.backends.get(bot.index) {
            Some(backend) => backend.forward(admitted, headers, query, sent).await,
            None => Err(crate::judge::Reason::UpstreamUnreachable.into()),
        }
    }
}

impl Backend {
    fn new(bot: &Bot) -> Result<Self, ClientProblem> {
        let backend = &bot.backend;
        let trust = TlsTrust {
            only_ca: backend.tls.ca.as_deref(),
            identity: backend
                .tls
                .client_identity
                .as_ref()
                .map(|(chain, key)| (chain.as_slice(), key.expose().as_slice())),
            server_name: backend.tls.server_name.as_deref(),
            ..TlsTrust::default()
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .build(SmallReads(connector(&trust, backend.connect_timeout)?));
        let uri = backend
            .url
            .as_str()
            .parse()
            .map_err(|e| ClientProblem(format!("backend: {e}")))?;
        Ok(Self {
            client,
            uri,
            response_timeout: backend.response_timeout,
        })
    }
}
