//! Moves bytes and holds no opinion: listener, client, bodies, headers, replies.

pub mod body;
pub mod client;
pub mod clock;
mod head_scan;
pub mod headers;
pub mod listener;
mod paced;
pub mod reply;

use crate::config::TlsVersion;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use std::net::SocketAddr;

/// Any error of a body on its way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response body, whoever made it.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address, as the socket says.
    pub address: SocketAddr,
    /// Nothing on a plain connection.
    pub tls_version: Option<TlsVersion>,
    /// Whether the request at hand came with framing that could be read in two ways.
    pub is_ambiguous: bool,
}
