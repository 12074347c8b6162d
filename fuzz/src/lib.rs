//! What must hold for any bytes, one module per target: the fuzz targets and `tests/fuzz_corpora.rs` run the same functions.
//!
//! A broken promise is a panic. Where two readers are compared, the other one is not ours: `serde_json`, `httparse`, `url`, or a few
//! lines here that do the same in the plainest way.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a broken invariant is a panic, here and in the test that replays the corpora"
)]

pub mod activity;
pub mod answers;
pub mod bearer;
pub mod callback;
pub mod config;
pub mod forwarding;
pub mod json;
pub mod key_set;
pub mod metadata;
pub mod page;
pub mod proxy_header;
pub mod requests;
pub mod route;
pub mod saved_request;
pub mod site_token;
pub mod token;
pub mod verify;
mod wire;

/// A target: panics where a promise is broken, else says whether the bytes were accepted.
pub type Check = fn(&[u8]) -> bool;

/// Every target by name.
pub const TARGETS: &[(&str, Check)] = &[
    ("activity", activity::check),
    ("answers", answers::check),
    ("bearer", bearer::check),
    ("callback", callback::check),
    ("config", config::check),
    ("forwarding", forwarding::check),
    ("key_set", key_set::check),
    ("metadata", metadata::check),
    ("page", page::check),
    ("proxy_header", proxy_header::check),
    ("requests", requests::check),
    ("route", route::check),
    ("saved_request", saved_request::check),
    ("site_token", site_token::check),
    ("token", token::check),
    ("verify", verify::check),
];
