//! Scenarios: the real gateway over real TLS sockets on loopback, between a stand-in channel and a recording bot.
//!
//! | module | promises |
//! | --- | --- |
//! | `activities` | What channels send reaches the bot byte for byte. |
//! | `admin` | What operators see: health, readiness, metrics, and a log that a flood cannot fill. |
//! | `demo` | `botgate demo` ends green. |
//! | `forwarding` | What reaches the bot, and what of its answer reaches the client. |
//! | `http` | Which requests are read at all, and whom they reach. |
//! | `lifecycle` | Start, end, and the commands around them. |
//! | `limits` | How often: per address before proof, per user, conversation, tenant and bot after it. |
//! | `matrix` | The test matrix of the authentication specification, row by row. |
//! | `policies` | What an operator writes under a bot holds, and report mode softens that and nothing else. |
//! | `smoke` | A valid message arrives, one without a token does not. |
//! | `tokens` | Keys come and go, and the metadata does. |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking"
)]

mod activities;
mod admin;
mod demo;
mod forwarding;
mod http;
mod lifecycle;
mod limits;
mod matrix;
mod policies;
mod smoke;
mod support;
mod tokens;
