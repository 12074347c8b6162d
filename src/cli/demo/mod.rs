//! `demo`.

mod answer;
pub mod bot;
pub mod channel;
pub mod client;
mod connector;
mod echo;
pub mod gateway;
mod loopback;
pub mod signing;
pub mod token;
