//! botgate.
pub mod cli;
pub mod secret;
