//! `demo`.

mod answer;
pub mod bot;
pub mod channel;
mod connector;
mod echo;
mod loopback;
pub mod signing;
pub mod token;
