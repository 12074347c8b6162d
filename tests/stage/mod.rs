//! What tests with bots on Microsoft's own SDKs stand on: namespaces where Microsoft's names are loopback, a stand-in that
//! answers for them, a certificate authority of one run, and child processes.
//!
//! Shared with `#[path]`, as a module of each test.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod certificates;
mod entra;
pub(crate) mod microsoft;
pub(crate) mod namespace;
pub(crate) mod process;
pub(crate) mod projects;
