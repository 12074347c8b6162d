//! botgate.
pub mod cli;
pub mod config;
pub mod judge;
pub mod limit;
pub mod observe;
pub mod secret;
pub mod tls;
