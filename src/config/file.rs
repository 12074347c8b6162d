//! `gateway.toml` exactly as written.
