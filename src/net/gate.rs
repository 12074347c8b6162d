//! How many connections there may be: in all, and from one network.

use super::Network;
use super::pressure::Crowd;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

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

/// Counts connections for all listeners together.
#[derive(Debug)]
pub struct Gate {
    pub(super) caps: Caps,
    pub(super) open: Arc<Semaphore>,
    /// The slow readers among them.
    pub(super) crowd: Crowd,
    per_ip: Mutex<HashMap<Network, usize>>,
}

impl Gate {
    /// An empty gate.
    pub fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self {
            caps,
            open: Arc::new(Semaphore::new(caps.connections)),
            crowd: Crowd::default(),
            per_ip: Mutex::default(),
        })
    }

    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entered> {
        let network = Network::of(address);
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.entry(network).or_insert(0);
        if *count >= self.caps.connections_per_ip {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Entered {
            gate: Arc::clone(self),
            network,
        })
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
