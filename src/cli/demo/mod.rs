//! `demo`.

pub mod bot;
pub mod channel;
mod loopback;
pub mod signing;
