//! botgate.
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod ingress;
pub mod judge;
pub mod keyring;
pub mod limit;
pub mod net;
pub mod observe;
pub mod secret;
pub mod tls;
pub mod upstream;
