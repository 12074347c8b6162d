//! Builds the rooms in order, opens the doors, applies reloads, drains with a deadline.

pub(crate) mod descriptors;
mod drain;
mod public;
mod reload;
mod rules;

pub use reload::ConfigFile;

mod service_manager;
mod sockets;

use crate::admin::Admin;
use crate::config::Settings;
use crate::directline::{self, Brokers};
use crate::ingress::{Ingress, Rooms};
use crate::keyring::Keyring;
use crate::limit::Limiter;
use crate::net::clock;
use crate::net::current::Current;
use crate::net::ending::Ending;
use crate::net::gate::{Caps, Gate, Rules};
use crate::net::handshake::Handshakes;
use crate::net::listener::{Door, Listener};
use crate::net::otlp;
use crate::observe::{LogGuard, Observer};
use crate::shared::Shared;
use crate::tls::Certificates;
use crate::upstream::Upstreams;
use public::Public;
use reload::{Reloader, Why};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections of operators and their monitoring, or of a certificate authority; nobody else has business there.
const FEW_CONNECTIONS: usize = 256;
/// Their collectors and pages ask again after some seconds, or connect again.
const ASKED_AGAIN: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_secs(1);

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
    /// Cancelled first: stop accepting, tell clients that their connections end, serve what they sent before they knew.
    drain: CancellationToken,
    /// Comes a moment later: refuse new requests, close what is idle, finish what is in flight.
    closing: Ending,
    /// Cancelled last: background work and the admin listener end.
    stop: CancellationToken,
    requests: TaskTracker,
    /// What bots work on although no client waits for it.
    work: TaskTracker,
    background: TaskTracker,
    observer: Arc<Observer>,
    reloader: Arc<Reloader>,
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
    let upstreams =
        Arc::new(Upstreams::new(&settings, &observer).map_err(|e| problem("backends", &e))?);
    let [drain, stop] = [(); 2].map(|()| CancellationToken::new());
    let closing = Ending::default();
    let [requests, work, background] = [(); 3].map(|()| TaskTracker::new());
    start_tracing(&observer, &background);
    let shared = settings.shared_store.clone();
    let shared = shared.map(|store| Shared::new(store, Arc::clone(&observer)));
    if let Some(shared) = &shared {
        shared.meet().await;
        background.spawn(Arc::clone(shared).keep(stop.clone()));
    }
    let rooms = Rooms {
        keyring: Arc::clone(&keyring),
        limiter: Arc::new(Limiter::new(&settings)),
        shared,
        upstreams: Arc::clone(&upstreams),
        observer: Arc::clone(&observer),
        work: work.clone(),
    };
    let brokers = Brokers::new(&settings, page_rooms(&rooms), closing.clone())
        .map_err(|e| problem("direct_line", &e))?;
    let public = Current::new(Public {
        ingress: Arc::new(Ingress::new(Arc::clone(&settings), rooms, closing.clone())),
        brokers: Arc::new(brokers),
    });
    let gate = Gate::new(rules::public(&settings));

    let sockets = sockets::open(&settings).await?;
    let listen = local_addresses(&sockets.public)?;
    for socket in sockets.public {
        let listener = Listener {
            socket,
            tls: certificates.clone().map(|it| it as Arc<dyn Handshakes>),
            gate: Arc::clone(&gate),
            door: Arc::clone(&public),
            tasks: requests.clone(),
            drain: drain.clone(),
            closing: closing.token().clone(),
        };
        // Among the requests, because those it takes from the kernel's queue at the end are to be waited for.
        requests.spawn(listener.run());
    }
    if let Some((addresses, door)) = certificates.as_ref().and_then(|it| it.http_challenge()) {
        for address in addresses {
            let socket = sockets::bind("server.tls.acme.http_listen", *address).await?;
            tell_listening_for_proofs(&socket);
            background.spawn(
                plain_listener(socket, &settings, Arc::clone(&door), &background, &stop).run(),
            );
        }
    }
    let admin = match sockets.admin {
        None => None,
        Some(socket) => {
            let bound = socket
                .local_addr()
                .map_err(|e| StartProblem::Machine(format!("admin.listen: {e}")))?;
            let door = Current::new(admin_door(
                &settings,
                &public.load().ingress.rooms(),
                certificates.clone(),
                &drain,
            ));
            let listener = plain_listener(socket, &settings, Arc::clone(&door), &background, &stop);
            background.spawn(listener.run());
            Some((bound, door))
        }
    };
    let (admin, admin_door) = admin.unzip();
    let reloader = Arc::new(Reloader {
        public: Arc::clone(&public),
        admin: admin_door,
        gate,
        certificates: certificates.clone(),
        draining: drain.clone(),
        stop: stop.clone(),
        background: background.clone(),
        file: Mutex::default(),
    });
    for refresher in keyring.refreshers(&stop) {
        background.spawn(refresher);
    }
    for probe in upstreams.probes(&stop) {
        background.spawn(probe);
    }
    background.spawn(housekeeping(
        Arc::clone(&observer),
        Arc::clone(&public),
        stop.clone(),
    ));
    background.spawn(service_manager::announce(
        Arc::clone(&keyring),
        Arc::clone(&upstreams),
        stop.clone(),
    ));
    background.spawn(service_manager::watchdog(stop.clone()));
    for task in certificates.iter().flat_map(|it| it.tasks(&stop)) {
        background.spawn(task);
    }
    observer.metrics().config_loaded(clock::now());
    tell_started(&settings, &listen, admin);
    Ok(Running {
        listen,
        admin,
        drain,
        closing,
        stop,
        requests,
        work,
        background,
        observer,
        reloader,
    })
}

impl Running {
    /// Reloads the file that is [followed](Self::follow), now, and tells in the log what came of it. Dropping the future changes
    /// nothing of that.
    pub fn reload(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.reloader).reload(Why::Asked)
    }

    /// Watches the file that the gateway was started with, and reloads it when it, or a file whose content it takes, has changed.
    pub fn follow(&self, file: ConfigFile) {
        self.reloader.follow(file);
        let watching = Arc::clone(&self.reloader).watch(self.drain.clone());
        self.background.spawn(watching);
    }
}

/// What the door for web pages leads through, of the other one's.
fn page_rooms(rooms: &Rooms) -> directline::Rooms {
    directline::Rooms {
        keyring: Arc::clone(&rooms.keyring),
        limiter: Arc::clone(&rooms.limiter),
        observer: Arc::clone(&rooms.observer),
    }
}

/// The operators' door, by these settings.
fn admin_door(
    settings: &Arc<Settings>,
    rooms: &Rooms,
    certificates: Option<Arc<Certificates>>,
    draining: &CancellationToken,
) -> Admin {
    Admin {
        settings: Arc::clone(settings),
        keyring: Arc::clone(&rooms.keyring),
        upstreams: Arc::clone(&rooms.upstreams),
        shared: rooms.shared.clone(),
        certificates,
        observer: Arc::clone(&rooms.observer),
        draining: draining.clone(),
    }
}

/// Traces are for whoever asks for them in the environment. What keeps them from being had is no reason not to serve.
fn start_tracing(observer: &Observer, tasks: &TaskTracker) {
    match otlp::exporter(tasks) {
        Ok(None) => {}
        Ok(Some(exporter)) => {
            observer.trace(exporter);
            tracing::info!(event = "tracing_started", "requests are traced");
        }
        Err(why) => {
            tracing::warn!(event = "tracing_refused", "requests are not traced: {why}");
        }
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
        connections_per_ip: FEW_CONNECTIONS.div_euclid(4),
        // One who keeps many open and asks nothing is not to keep probes out.
        keep_alive_timeout: ASKED_AGAIN,
        header_timeout: ASKED_AGAIN,
        ..rules::caps(settings)
    };
    Listener {
        socket,
        tls: None,
        gate: Gate::new(Rules::of(caps)),
        door,
        tasks: tasks.clone(),
        drain: stop.clone(),
        closing: stop.clone(),
    }
}

async fn housekeeping(
    observer: Arc<Observer>,
    public: Arc<Current<Public>>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                observer.tick();
                public.load().sweep();
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
