//! What scenarios are told with: the real gateway, a client, and assertions that look at everything at once.
//!
//! The stand-in channel and bot are those of `botgate demo`; see `botgate::cli::demo`.

#![allow(dead_code, reason = "some of it is for scenarios still to be written")]

pub(crate) mod authority;
pub(crate) mod browser;
pub(crate) mod client;
mod config;
pub(crate) mod detour;
pub(crate) mod direct_line;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod held_bot;
pub(crate) mod hostile;
pub(crate) mod http2_bot;
pub(crate) mod metrics;
pub(crate) mod pebble;
pub(crate) mod plain;
pub(crate) mod raw_bot;
pub(crate) mod redis;
pub(crate) mod reply;
pub(crate) mod table;
pub(crate) mod tap;
pub(crate) mod tls_bot;
pub(crate) mod wire;

pub(crate) use gateway::{Gateway, new_channel};

use botgate::cli::demo::client::Protocol;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// The app id of the bot that every scenario has.
pub(crate) const APP_ID: &str = "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f";
/// The tenant that the Teams activities in `data/` come from.
pub(crate) const TENANT: &str = "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f";
/// Another one.
pub(crate) const FOREIGN_TENANT: &str = "f0e1d2c3-b4a5-4697-8879-6a5b4c3d2e1f";

/// What the gateway speaks.
pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// How long a scenario waits for what must happen. Long, because a busy machine is slow and a failure is rare.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until it is so, for what is not announced.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    const PAUSE: Duration = Duration::from_millis(10);
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, asked).await;
    assert!(in_time.is_ok(), "{what}: not within {PATIENCE:?}");
}

/// The next data of a body that is still on its way.
pub(crate) async fn next_piece(body: &mut Incoming) -> Bytes {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
    let frame = frame.expect("it is not held back").expect("there is more");
    frame.unwrap().into_data().expect("data")
}

/// An address that no other process of this test, and no other thread, takes.
pub(crate) fn own_address() -> Ipv4Addr {
    static TAKEN: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let mine = TAKEN.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 64 | (high & 63), low, 2 + mine)
}
