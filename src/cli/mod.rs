//! Commands.
pub mod check;
pub mod demo;
pub mod reasons;
