//! A bot on Microsoft's own SDK behind the real gateway, all three as in production.
//!
//! The SDK, its MSAL and the gateway's `cloud = "public"` talk to Microsoft's names on port 443 only, and none of
//! them is bent for the test. Instead this binary runs itself again in namespaces of its own, where those names are
//! loopback, a stand-in answers for Microsoft, and the trust anchor is a test CA made at run time:
//!
//! ```text
//! [channel] --TLS--> [botgate run] --> [node bot.js]
//!     |                   | keys            | keys, token, replies
//!     '---- signs with -- [stand-in for Microsoft, 127.0.0.1:443] ----'
//! ```
//!
//! The bot is the npm project in `tests/sdk-bots/botbuilder-js`. Needs `node`, `npm`, `unshare`, `mount` and `ip`: without them the
//! test fails in CI and is skipped, saying so, elsewhere.

#![allow(
    clippy::disallowed_methods,
    reason = "tasks of a test end with it, and bodies come from its own stand-ins"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and talks"
)]

mod promises;
#[path = "../stage/mod.rs"]
mod stage;
mod world;

use stage::namespace::{self, Stage};
use std::time::Duration;

/// The one test. Its promises stand in [`promises`]; they share one bot, one gateway and one Microsoft, because starting those is
/// most of the work.
#[test]
fn an_unmodified_sdk_bot_works_behind_the_gateway() {
    if let Some(dir) = namespace::entered() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(promises::keep_all(&dir, DEADLINE));
    } else {
        let stage = Stage {
            projects: &[world::PROJECT],
            // Another loopback address, so that the gateway has a port 443 too.
            loopback: &[(world::GATEWAY_HOST, "127.0.0.2")],
        };
        namespace::run_inside(
            "an_unmodified_sdk_bot_works_behind_the_gateway",
            DEADLINE,
            &stage,
        );
    }
}

/// For everything inside the namespaces. A run takes a few seconds; the rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(150);
