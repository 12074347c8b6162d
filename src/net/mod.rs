//! Moves bytes and holds no opinion: listener, client, bodies, headers, replies.

pub mod accept_errors;
pub mod answer_stream;
mod answer_watch;
pub mod body;
mod busy;
pub mod client;
pub mod clock;
mod connection;
pub mod current;
pub mod deadline;
pub mod dial;
pub mod ending;
mod fetcher;
pub mod fields;
mod frame_watch;
mod frames;
pub mod gate;
pub mod handshake;
pub mod headers;
mod held;
mod http1;
mod http2;
pub mod http2_line;
mod http2_side;
pub mod line;
pub mod lingering;
pub mod listener;
pub mod otlp;
mod paced;
mod pressure;
mod proxied;
pub mod proxy_header;
pub mod reply;
mod request_body;
pub mod seldom;
mod socket;
pub mod tended;
mod trailers;
pub mod wire;

pub use http1::requests_in;
pub use request_body::{BrokenBody, RequestBody};

use crate::config::TlsVersion;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use std::net::{IpAddr, SocketAddr};

/// Any error of a body on its way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response body, whoever made it.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address: as the socket says, or as a trusted proxy announced it.
    pub address: SocketAddr,
    /// Nothing on a plain connection.
    pub tls_version: Option<TlsVersion>,
    /// Why the request at hand is refused: its head is not one, and what stands in its place means nothing.
    pub refused: Option<wire::Flaw>,
}

/// What counts as one client where only its address is known: an IPv4 address, or an IPv6 /64, since whoever has one address of
/// that has them all (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// One address.
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::V4(address) => std::net::Ipv4Addr::from(address).fmt(f),
            Self::V6(network) => {
                let first = std::net::Ipv6Addr::from(u128::from(network) << 64);
                write!(f, "{first}/64")
            }
        }
    }
}

impl Network {
    /// The network of an address; an IPv4 address mapped into IPv6 is that IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(u32::from(address)),
            IpAddr::V6(address) => {
                Self::V6(u64::try_from(u128::from(address) >> 64).unwrap_or_default())
            }
        }
    }
}
