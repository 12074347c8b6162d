//! Builds the rooms in order, opens the doors, drains with a deadline.

use crate::admin::Admin;
use crate::config::{Settings, TlsSource};
use crate::ingress::{Ingress, Rooms};
use crate::keyring::Keyring;
use crate::limit::Limiter;
use crate::net::clock;
use crate::net::gate::{Caps, Gate};
use crate::net::handshake::Handshakes;
use crate::net::listener::{Door, Listener};
use crate::observe::{LogGuard, Observer, Reload};
use crate::tls::Certificates;
use crate::upstream::Upstreams;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections of operators and their monitoring, or of a certificate authority; nobody else has business there.
const FEW_CONNECTIONS: usize = 64;
const TICK: Duration = Duration::from_secs(1);
/// How long, from the start of a drain, idle connections are kept for requests that are already on their way.
const LINGER: Duration = Duration::from_secs(1);

/// Why a gateway could not be started: a sentence for the operator.
#[derive(Debug)]
pub enum StartProblem {
    /// What the configuration names cannot be used: a certificate, an authority, a key.
    Configuration(String),
    /// The machine does not let it: an address in use, no random numbers.
    Machine(String),
}

impl std::fmt::Display for StartProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(what) | Self::Machine(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartProblem {}

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// The bound public addresses, in the order of `server.listen`.
    pub listen: Vec<SocketAddr>,
    /// The bound admin address.
    pub admin: Option<SocketAddr>,
    drain_timeout: Duration,
    /// Cancelled first: stop accepting, tell clients that their connections end, serve what they sent before they knew.
    drain: CancellationToken,
    /// Cancelled a moment later: refuse new requests, close what is idle, finish what is in flight.
    closing: CancellationToken,
    /// Cancelled last: background work and the admin listener end.
    stop: CancellationToken,
    requests: TaskTracker,
    /// What bots work on although no client waits for it.
    work: TaskTracker,
    background: TaskTracker,
    observer: Arc<Observer>,
    /// Nothing where TLS is off.
    certificates: Option<Arc<Certificates>>,
}

/// Whether a drain finished everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Nothing was left.
    Clean,
    /// The deadline came first.
    CutOff,
}

/// Starts a gateway: everything is bound and loaded when this returns; keys come in the background.
///
/// # Errors
/// See [`StartProblem`].
pub async fn start(settings: Settings, log: Option<&LogGuard>) -> Result<Running, StartProblem> {
    let settings = Arc::new(settings);
    let problem = |what: &str, why: &dyn std::fmt::Display| {
        StartProblem::Configuration(format!("{what}: {why}"))
    };
    let observer = Observer::new(&settings).map_err(|e| StartProblem::Machine(e.to_string()))?;
    if let Some(log) = log {
        observer.watch_log(log);
    }
    let certificates = Certificates::start(&settings.server.tls, &observer)
        .map_err(|e| problem("server.tls", &e))?;
    let keyring = Arc::new(Keyring::new(&settings, &observer).map_err(|e| problem("keys", &e))?);
    let limiter = Arc::new(Limiter::new(&settings));
    let upstreams =
        Arc::new(Upstreams::new(&settings, &observer).map_err(|e| problem("backends", &e))?);
    let (drain, closing) = (CancellationToken::new(), CancellationToken::new());
    let stop = CancellationToken::new();
    let [requests, work, background] = [(); 3].map(|()| TaskTracker::new());
    let rooms = Rooms {
        keyring: Arc::clone(&keyring),
        limiter: Arc::clone(&limiter),
        upstreams: Arc::clone(&upstreams),
        observer: Arc::clone(&observer),
        work: work.clone(),
    };
    let ingress = Arc::new(Ingress::new(Arc::clone(&settings), rooms, closing.clone()));
    let gate = Gate::new(public_caps(&settings));

    let mut sockets = Vec::new();
    for address in &settings.server.listen {
        sockets.push(bind("server.listen", *address).await?);
    }
    let listen = local_addresses(&sockets)?;
    for socket in sockets {
        let listener = Listener {
            socket,
            tls: certificates.clone().map(|it| it as Arc<dyn Handshakes>),
            only_from: only_from(&settings),
            gate: Arc::clone(&gate),
            door: Arc::clone(&ingress),
            tasks: requests.clone(),
            drain: drain.clone(),
            closing: closing.clone(),
        };
        // Among the requests, because those it takes from the kernel's queue at the end are to be waited for.
        requests.spawn(listener.run());
    }
    if let Some((addresses, door)) = certificates.as_ref().and_then(|it| it.http_challenge()) {
        for address in addresses {
            let socket = bind("server.tls.acme.http_listen", *address).await?;
            tell_listening_for_proofs(&socket);
            background.spawn(
                plain_listener(socket, &settings, Arc::clone(&door), &background, &stop).run(),
            );
        }
    }
    let admin = match settings.admin {
        None => None,
        Some(address) => {
            let socket = bind("admin.listen", address).await?;
            let bound = socket
                .local_addr()
                .map_err(|e| StartProblem::Machine(format!("admin.listen: {e}")))?;
            let door = Admin {
                settings: Arc::clone(&settings),
                keyring: Arc::clone(&keyring),
                upstreams: Arc::clone(&upstreams),
                certificates: certificates.clone(),
                observer: Arc::clone(&observer),
                draining: drain.clone(),
            };
            background
                .spawn(plain_listener(socket, &settings, Arc::new(door), &background, &stop).run());
            Some(bound)
        }
    };
    for refresher in keyring.refreshers(&stop) {
        background.spawn(refresher);
    }
    for probe in upstreams.probes(&stop) {
        background.spawn(probe);
    }
    background.spawn(housekeeping(
        Arc::clone(&observer),
        limiter,
        Arc::clone(&ingress),
        stop.clone(),
    ));
    for task in certificates.iter().flat_map(|it| it.tasks(&stop)) {
        background.spawn(task);
    }
    observer.metrics().config_loaded(clock::now());
    tell_started(&settings, &listen, admin);
    Ok(Running {
        listen,
        admin,
        drain_timeout: settings.server.drain_timeout,
        drain,
        closing,
        stop,
        requests,
        work,
        background,
        observer,
        certificates,
    })
}

impl Running {
    /// Loads the certificates again. A changed gateway.toml needs a restart, and that is said.
    pub fn reload(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.reload();
        }
        self.observer
            .metrics()
            .config_reloaded(Reload::Refused, clock::now());
        tracing::warn!(
            event = "config_refused",
            "SIGHUP: certificates are loaded again, gateway.toml is not; restart to apply a change of it"
        );
    }

    /// Stops accepting, lets clients learn of that and requests in flight finish until the drain deadline, then ends everything.
    pub async fn drain(self) -> Drained {
        tracing::info!(
            event = "draining",
            timeout_seconds = self.drain_timeout.as_secs(),
            "draining: no new requests, finishing those in flight"
        );
        self.drain.cancel();
        self.requests.close();
        self.work.close();
        let deadline = clock::deadline(self.drain_timeout);
        // A client whose connection is idle does not know yet, and its next request may be on the way: it is served, and its
        // answer says that it was the last one. Without connections this takes no time.
        let linger = LINGER.min(self.drain_timeout.div_f32(2.0));
        if tokio::time::timeout(linger, self.requests.wait())
            .await
            .is_err()
        {
            let connections = self.requests.len();
            tracing::info!(
                event = "drain_closing",
                connections,
                "closing idle connections, refusing new requests"
            );
        }
        self.closing.cancel();
        let finished = async {
            self.requests.wait().await;
            // Only requests start work, so there is no more to come.
            self.work.wait().await;
        };
        let outcome = match tokio::time::timeout_at(deadline, finished).await {
            Ok(()) => Drained::Clean,
            Err(_) => {
                tracing::warn!(
                    event = "drain_cut_off",
                    connections = self.requests.len(),
                    work = self.work.len(),
                    "the drain deadline came before every request had finished"
                );
                Drained::CutOff
            }
        };
        self.stop.cancel();
        self.background.close();
        // The admin listener's own connections need no grace: whoever reads metrics reads them again elsewhere.
        let _ = tokio::time::timeout(TICK, self.background.wait()).await;
        self.observer.flush();
        let (connections_cut, work_cut) = (self.requests.len(), self.work.len());
        tracing::info!(event = "stopped", connections_cut, work_cut, "stopped");
        outcome
    }
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, StartProblem> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there",
            std::io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE)"
            }
            std::io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        StartProblem::Machine(format!("{key}: cannot listen on {address}: {error}{hint}"))
    })
}

fn local_addresses(sockets: &[TcpListener]) -> Result<Vec<SocketAddr>, StartProblem> {
    sockets
        .iter()
        .map(|socket| {
            socket
                .local_addr()
                .map_err(|e| StartProblem::Machine(format!("server.listen: {e}")))
        })
        .collect()
}

fn public_caps(settings: &Settings) -> Caps {
    let limits = &settings.server.limits;
    Caps {
        connections: limits.connections,
        connections_per_ip: limits.connections_per_ip,
        handshake_timeout: settings.server.tls.handshake_timeout,
        header_timeout: limits.header_timeout,
        keep_alive_timeout: limits.keep_alive_timeout,
        header_bytes: limits.header_bytes,
        headers: limits.headers,
    }
}

/// A plain listener that is not on loopback lets only the proxies in that terminate TLS before it.
fn only_from(settings: &Settings) -> Option<Vec<ipnet::IpNet>> {
    let is_plain = settings.server.tls.source == TlsSource::Off;
    let trusted = &settings.server.trusted_proxies;
    (is_plain && !trusted.is_empty()).then(|| trusted.clone())
}

/// A listener for operators, or for a certificate authority.
fn plain_listener<D: Door>(
    socket: TcpListener,
    settings: &Settings,
    door: Arc<D>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Listener<D> {
    let caps = Caps {
        connections: FEW_CONNECTIONS,
        connections_per_ip: FEW_CONNECTIONS,
        ..public_caps(settings)
    };
    Listener {
        socket,
        tls: None,
        only_from: None,
        gate: Gate::new(caps),
        door,
        tasks: tasks.clone(),
        drain: stop.clone(),
        closing: stop.clone(),
    }
}

async fn housekeeping(
    observer: Arc<Observer>,
    limiter: Arc<Limiter>,
    ingress: Arc<Ingress>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                observer.tick();
                limiter.sweep();
                ingress.sweep();
            }
        }
    }
}

fn tell_listening_for_proofs(socket: &TcpListener) {
    let address = socket.local_addr().ok().map(|address| address.to_string());
    tracing::info!(
        event = "acme_listening",
        address,
        "a certificate authority finds its proof here"
    );
}

fn tell_started(settings: &Settings, listen: &[SocketAddr], admin: Option<SocketAddr>) {
    let listen = listen
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    tracing::info!(
        event = "started",
        listen,
        admin = admin.map(|admin| admin.to_string()),
        version = env!("CARGO_PKG_VERSION"),
        bots = settings.bots.len(),
        "started"
    );
}
