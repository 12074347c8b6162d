//! One table of requests, sent to bots on four of Microsoft's SDKs directly and through the gateway.
//!
//! Each case of [`cases`] is a valid request with one difference, and says what is right. Every bot is asked twice: itself, and through
//! the gateway that stands before it. What counts as accepted is that the bot's turn handler ran. The test fails if the gateway's verdict
//! is not the right one, if something it refused reached a bot, if it forwards what an SDK refuses for a good reason
//! ([`exceptions`] lists the rest), or if `docs/sdk-differences.md` does not say what was seen.
//!
//! Bots, gateway and stand-in for Microsoft run in the namespaces of `tests/stage`, so that every SDK is unmodified, with
//! production defaults and Microsoft's own addresses. `BOTGATE_WRITE=1` writes the document instead of comparing it. For a closer
//! look, `BOTGATE_ONLY=text` takes only the cases with this text in their name, and fails; `BOTGATE_VERBOSE=1` prints all that was said.

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

mod bot;
mod cases;
mod document;
mod exceptions;
mod findings;
mod keys;
mod outcome;
mod play;
mod post;
mod sdk;
mod send;
#[path = "../stage/mod.rs"]
mod stage;
mod tap;
mod world;

use stage::namespace::{self, Stage};
use std::time::Duration;

#[test]
fn botgate_forwards_nothing_that_an_sdk_refuses_for_a_good_reason() {
    if let Some(dir) = namespace::entered() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(DEADLINE, play::play_all(&dir))
                .await
                .unwrap_or_else(|_| panic!("not done within {DEADLINE:?}"));
        });
    } else {
        let hosts = sdk::SDKS
            .iter()
            .flat_map(sdk::Sdk::hosts)
            .collect::<Vec<_>>();
        let stage = Stage {
            projects: &sdk::SDKS.map(|sdk| sdk.project),
            // Another loopback address, so that the gateway has a port 443 too.
            loopback: &hosts
                .iter()
                .map(|host| (host.as_str(), "127.0.0.2"))
                .collect::<Vec<_>>(),
        };
        namespace::run_inside(
            "botgate_forwards_nothing_that_an_sdk_refuses_for_a_good_reason",
            DEADLINE,
            &stage,
        );
    }
}

/// For everything inside the namespaces, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(600);
