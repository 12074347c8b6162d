//! Who may connect, and how many connections there may be: in all, and from one network.

use super::Network;
use super::headers::is_trusted;
use super::lingering::Lingering;
use super::pressure::Crowd;
use arc_swap::ArcSwap;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Connections open at once over all listeners that share a [`Gate`]; the next one waits.
    pub connections: usize,
    /// Connections open at once from one address.
    pub connections_per_ip: usize,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to its whole head.
    pub header_timeout: Duration,
    /// From an answer to the next request.
    pub keep_alive_timeout: Duration,
    /// Size of a request head, bytes.
    pub header_bytes: usize,
    /// Number of header fields.
    pub headers: usize,
}

/// What holds for connections that are accepted from now on; those that are open keep what they were accepted under.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Limits.
    pub caps: Caps,
    /// Only these neighbours may connect; nothing lets everyone.
    pub only_from: Option<Vec<IpNet>>,
    /// Whether each connection begins with a PROXY protocol header. Then `only_from` says whose is believed.
    pub has_proxy_header: bool,
}

impl Rules {
    /// Limits alone.
    pub const fn of(caps: Caps) -> Self {
        Self {
            caps,
            only_from: None,
            has_proxy_header: false,
        }
    }

    pub(super) fn is_welcome(&self, neighbour: IpAddr) -> bool {
        let nets = self.only_from.as_deref();
        nets.is_none_or(|nets| is_trusted(neighbour, nets))
    }
}

/// Counts connections for all listeners together.
#[derive(Debug)]
pub struct Gate {
    rules: ArcSwap<Rules>,
    open: Arc<Semaphore>,
    size: Mutex<Size>,
    /// The slow readers among them.
    pub(super) crowd: Crowd,
    /// Those whose last answer was written.
    pub lingering: Lingering,
    per_ip: Mutex<HashMap<Network, usize>>,
}

/// How many connections there may be at once.
#[derive(Debug)]
struct Size {
    most: usize,
    /// Places that are to go as soon as whoever has them leaves.
    surplus: usize,
}

impl Gate {
    /// An empty gate.
    pub fn new(rules: Rules) -> Arc<Self> {
        let most = rules.caps.connections;
        Arc::new(Self {
            rules: ArcSwap::from_pointee(rules),
            open: Arc::new(Semaphore::new(most)),
            size: Mutex::new(Size { most, surplus: 0 }),
            crowd: Crowd::default(),
            lingering: Lingering::default(),
            per_ip: Mutex::default(),
        })
    }

    /// Lets connections in by other rules. Nobody who is in has to leave.
    pub fn set(&self, rules: Rules) {
        let wanted = rules.caps.connections;
        let mut size = self.size();
        if let Some(more) = wanted.checked_sub(size.most) {
            let paid = more.min(size.surplus);
            size.surplus = size.surplus.saturating_sub(paid);
            self.open.add_permits(more.saturating_sub(paid));
        } else {
            let fewer = size.most.saturating_sub(wanted);
            let free = self.open.forget_permits(fewer);
            let taken = fewer.saturating_sub(free);
            size.surplus = size.surplus.saturating_add(taken);
        }
        size.most = wanted;
        drop(size);
        self.rules.store(Arc::new(rules));
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// A place, once there is one.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        Place {
            // It is closed never.
            permit: Arc::clone(&self.open).acquire_owned().await.ok(),
            gate: Arc::clone(self),
        }
    }

    fn size(&self) -> std::sync::MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, caps: Caps) -> Option<Entered> {
        let network = Network::of(address);
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.entry(network).or_insert(0);
        if *count >= caps.connections_per_ip {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Entered {
            gate: Arc::clone(self),
            network,
        })
    }
}

/// The place of one open connection.
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    gate: Arc<Gate>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut size = self.gate.size();
        if let Some(surplus) = size.surplus.checked_sub(1)
            && let Some(permit) = self.permit.take()
        {
            size.surplus = surplus;
            permit.forget();
        }
    }
}

/// One connection counted for its address.
pub(super) struct Entered {
    gate: Arc<Gate>,
    network: Network,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut per_ip = self
            .gate
            .per_ip
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = per_ip.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                per_ip.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn rules(connections: usize) -> Rules {
        Rules::of(Caps {
            connections,
            connections_per_ip: 1,
            handshake_timeout: Duration::ZERO,
            header_timeout: Duration::ZERO,
            keep_alive_timeout: Duration::ZERO,
            header_bytes: 0,
            headers: 0,
        })
    }

    fn take(gate: &Arc<Gate>) -> Option<Place> {
        match pin!(gate.place()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    fn take_all(gate: &Arc<Gate>) -> Vec<Place> {
        std::iter::from_fn(|| take(gate)).collect()
    }

    #[test]
    fn the_number_of_places_grows_and_shrinks_under_those_who_have_them() {
        let gate = Gate::new(rules(2));
        let mut held = take_all(&gate);
        assert_eq!(held.len(), 2);
        gate.set(rules(5));
        held.extend(take_all(&gate));
        assert_eq!(held.len(), 5);
        gate.set(rules(2));
        assert!(take(&gate).is_none());
        for left in [4, 3, 2] {
            held.pop();
            assert_eq!(held.len(), left);
            assert!(take(&gate).is_none(), "{left} are there, 2 may be");
        }
        held.pop();
        held.extend(take_all(&gate));
        assert_eq!(held.len(), 2);
        // Fewer and more again before anybody left.
        gate.set(rules(1));
        gate.set(rules(3));
        held.extend(take_all(&gate));
        assert_eq!(held.len(), 3);
        drop(held);
        assert_eq!(take_all(&gate).len(), 3);
    }
}
