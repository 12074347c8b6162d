//! botgate.
pub mod cli;
pub mod config;
pub mod judge;
pub mod secret;
