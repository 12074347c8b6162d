//! Where the listening sockets come from: passed by whoever started us, or bound here.
//!
//! What systemd passes (`LISTEN_FDS`, sd_listen_fds(3)) must be what `gateway.toml` names: a socket at another address would be
//! served with rules that were not meant for it, or, if it is left alone, keep clients waiting for ever. A passed socket outlives
//! the process: connections that come between two of them wait in it, and two at once share it. That is what makes an upgrade
//! lose nothing. Two sockets of `SO_REUSEPORT` would not: each has a queue of its own, and the handshakes that are half done in
//! the one that closes are lost; and a gateway that was forgotten would go on taking half of the connections.

use super::StartProblem;
use crate::config::Settings;
use listenfd::ListenFd;
use socket2::SockRef;
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The name (`FileDescriptorName=`) that the socket of `admin.listen` has, and no other: a public address must not become the
/// admin listener because of a slip in a file.
const ADMIN: &str = "admin";

/// Every listening socket of a gateway.
#[derive(Debug)]
pub(super) struct Sockets {
    /// In the order of `server.listen`.
    pub(super) public: Vec<TcpListener>,
    /// Nothing if `admin.listen` is off.
    pub(super) admin: Option<TcpListener>,
}

/// A socket that was passed, not yet served.
#[derive(Debug)]
struct Passed {
    name: String,
    address: SocketAddr,
    socket: std::net::TcpListener,
}

/// Takes the sockets that were passed, and binds those that were not.
///
/// # Errors
/// When an address cannot be bound, or a passed socket is none of those that the settings name.
pub(super) async fn open(settings: &Settings) -> Result<Sockets, StartProblem> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    // It also takes the variables away, so that no child believes that they are meant for it. Nothing resolves names yet, which is
    // what reads the environment behind the standard library's back.
    let mut passed = passed(ListenFd::from_env(), &names)?;
    // All of them before any is bound: that another program listens there would be said of a socket with a wrong name.
    let listen: Vec<_> = settings
        .server
        .listen
        .iter()
        .map(|address| (*address, take(&mut passed, *address, |name| name != ADMIN)))
        .collect();
    let admin = settings
        .admin
        .map(|address| (address, take(&mut passed, address, |name| name == ADMIN)));
    if let Some(left) = passed.first() {
        return Err(of_no_use(left));
    }
    let mut public = vec![];
    for (address, taken) in listen {
        public.push(open_one("server.listen", address, taken).await?);
    }
    let admin = match admin {
        None => None,
        Some((address, taken)) => Some(open_one("admin.listen", address, taken).await?),
    };
    Ok(Sockets { public, admin })
}

/// What was passed to this process, with its names: `a:b`, in order.
fn passed(mut descriptors: ListenFd, names: &str) -> Result<Vec<Passed>, StartProblem> {
    let wrong = |at: usize, why: &dyn std::fmt::Display| {
        let number = at.saturating_add(1);
        StartProblem::Configuration(format!(
            "socket {number} that was passed in LISTEN_FDS cannot be used: {why}; sockets of TCP that listen are expected (ListenStream=ADDRESS:PORT)"
        ))
    };
    let mut names: VecDeque<&str> = names.split(':').collect();
    let mut found = vec![];
    for at in 0..descriptors.len() {
        let name = names.pop_front().unwrap_or_default().to_owned();
        let socket = descriptors
            .take_tcp_listener(at)
            .map_err(|e| wrong(at, &e))?;
        let Some(socket) = socket else { continue };
        if !SockRef::from(&socket)
            .is_listener()
            .map_err(|e| wrong(at, &e))?
        {
            return Err(wrong(at, &"it does not listen"));
        }
        let address = socket.local_addr().map_err(|e| wrong(at, &e))?;
        found.push(Passed {
            name,
            address,
            socket,
        });
    }
    Ok(found)
}

fn take(
    passed: &mut Vec<Passed>,
    address: SocketAddr,
    is_named: impl Fn(&str) -> bool,
) -> Option<Passed> {
    let at = passed
        .iter()
        .position(|one| one.address == address && is_named(&one.name))?;
    Some(passed.swap_remove(at))
}

async fn open_one(
    key: &str,
    address: SocketAddr,
    taken: Option<Passed>,
) -> Result<TcpListener, StartProblem> {
    let Some(passed) = taken else {
        return bind(key, address).await;
    };
    tracing::info!(
        event = "socket_passed",
        address = %passed.address,
        name = passed.name,
        "{key} is a socket that was passed to this process"
    );
    passed
        .socket
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(passed.socket))
        .map_err(|e| StartProblem::Machine(format!("{key}: the passed socket at {address}: {e}")))
}

fn of_no_use(left: &Passed) -> StartProblem {
    let Passed { name, address, .. } = left;
    let (key, other) = if name == ADMIN {
        (
            "admin.listen",
            "; only the socket of admin.listen may be named admin",
        )
    } else {
        (
            "server.listen",
            "; the socket of admin.listen has to be named admin (FileDescriptorName=admin)",
        )
    };
    StartProblem::Configuration(format!(
        "a socket at {address}, named {name:?}, was passed in LISTEN_FDS, and {key} names no such address: write the same address, spelled out, into gateway.toml and into ListenStream= of the socket unit{other}"
    ))
}

pub(super) async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, StartProblem> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there",
            std::io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE), or a socket unit of systemd"
            }
            std::io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        StartProblem::Machine(format!("{key}: cannot listen on {address}: {error}{hint}"))
    })
}
