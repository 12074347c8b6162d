//! Builds the rooms in order, opens the doors, drains with a deadline.

pub mod service_manager;
mod sockets;

use crate::admin::Admin;
use crate::config::{Settings, TlsSource};
use crate::ingress::{Ingress, Rooms};
use crate::judge::UnixSeconds;
use crate::keyring::Keyring;
use crate::limit::Limiter;
use crate::net::clock;
use crate::net::gate::{Caps, Gate};
use crate::net::listener::Listener;
use crate::observe::{LogGuard, Observer, Reload};
use crate::tls;
use crate::upstream::Upstreams;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections of operators and their monitoring; nobody else has business there.
const ADMIN_CONNECTIONS: usize = 64;
const TICK: Duration = Duration::from_secs(1);
/// How long, from the start of a drain, idle connections are kept for requests that are already on their way.
const LINGER: Duration = Duration::from_secs(1);
const EVERY_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Two weeks: certificate authorities that renew do so earlier.
const EXPIRING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

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
    let certificate =
        tls::server_config(&settings.server.tls).map_err(|e| problem("server.tls", &e))?;
    if let Some(certificate) = &certificate {
        tell_of_certificate(certificate, &observer);
    }
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

    let sockets = sockets::open(&settings).await?;
    let listen = local_addresses(&sockets.public)?;
    for socket in sockets.public {
        let listener = Listener {
            socket,
            tls: certificate
                .as_ref()
                .map(|loaded| Arc::clone(&loaded.config)),
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
    let admin = match sockets.admin {
        None => None,
        Some(socket) => {
            let bound = socket
                .local_addr()
                .map_err(|e| StartProblem::Machine(format!("admin.listen: {e}")))?;
            let door = Admin {
                settings: Arc::clone(&settings),
                keyring: Arc::clone(&keyring),
                upstreams: Arc::clone(&upstreams),
                observer: Arc::clone(&observer),
                draining: drain.clone(),
            };
            background
                .spawn(admin_listener(socket, &settings, Arc::new(door), &background, &stop).run());
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
    background.spawn(service_manager::announce(
        Arc::clone(&keyring),
        Arc::clone(&upstreams),
        stop.clone(),
    ));
    background.spawn(service_manager::watchdog(stop.clone()));
    if let Some(certificate) = &certificate {
        background.spawn(watch_expiry(
            certificate.origin.clone(),
            certificate.expires,
            stop.clone(),
        ));
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
    })
}

impl Running {
    /// Answers a wish to reload: this version needs a restart for that, and says so.
    pub fn refuse_reload(&self) {
        self.observer
            .metrics()
            .config_reloaded(Reload::Refused, clock::now());
        tracing::warn!(
            event = "config_refused",
            "SIGHUP: this version does not reload; restart to apply a changed gateway.toml or certificate"
        );
    }

    /// Stops accepting, lets clients learn of that and requests in flight finish until the drain deadline, then ends everything.
    pub async fn drain(self) -> Drained {
        tracing::info!(
            event = "draining",
            timeout_seconds = self.drain_timeout.as_secs(),
            "draining: no new requests, finishing those in flight"
        );
        service_manager::stopping(self.drain_timeout);
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

fn admin_listener(
    socket: TcpListener,
    settings: &Settings,
    door: Arc<Admin>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Listener<Admin> {
    let caps = Caps {
        connections: ADMIN_CONNECTIONS,
        connections_per_ip: ADMIN_CONNECTIONS,
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

fn tell_of_certificate(certificate: &tls::Loaded, observer: &Observer) {
    for warning in &certificate.warnings {
        tracing::warn!(
            event = "certificate_warning",
            certificate = certificate.origin,
            "{warning}"
        );
    }
    let (names, expires) = (certificate.names.join(","), certificate.expires.0);
    tracing::info!(
        event = "certificate_loaded",
        certificate = certificate.origin,
        names,
        expires,
        "certificate loaded"
    );
    observer
        .metrics()
        .certificate_expires(&certificate.origin, certificate.expires);
}

/// Says once a day that the certificate ends soon: a gateway may run for longer than that.
async fn watch_expiry(origin: String, expires: UnixSeconds, stop: CancellationToken) {
    loop {
        let left = Duration::from_secs(expires.0.saturating_sub(clock::now().0));
        if left < EXPIRING {
            let days = left.as_secs().div_euclid(EVERY_DAY.as_secs());
            tracing::warn!(
                event = "certificate_expiring",
                certificate = origin,
                days,
                "the certificate ends soon; put a new one in its place and restart"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY_DAY) => {}
        }
    }
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
