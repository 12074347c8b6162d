//! Microsoft's Web Chat in a browser, the gateway's token broker, and a bot on Microsoft's SDK, each as in production.
//!
//! As in `tests/real_bot`, this binary runs itself again in namespaces of its own, where Microsoft's names and those of the sites are
//! loopback. Nothing is configured for the test: the broker's `endpoint` is the default one, the bot's `cloud` the public one.
//!
//! ```text
//! [Chromium] --page--> [www.example.com]
//!    |  '----token--> [botgate: bot.example.com] --activities--> [node bot.js]
//!    |                     | secret      ^ activities                 | replies
//!    '--Direct Line--> [stand-in for Microsoft, 127.0.0.1:443] <------'
//! ```
//!
//! Needs what `tests/real_bot` needs, `chromium`, and the npm project in `tests/web-chat`: without them the test fails in CI and is
//! skipped, saying so, elsewhere.

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

mod attacks;
mod browser;
mod demo;
#[path = "../stage/mod.rs"]
mod stage;
mod world;

use botgate::cli::demo::web::BUNDLE;
use stage::namespace::{self, Stage};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_person_chats_and_attackers_do_not() {
    if let Some(dir) = namespace::entered() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(attacks::all(&dir, DEADLINE));
        return;
    }
    if is_missing() {
        return;
    }
    let stage = Stage {
        projects: &[world::PROJECT],
        loopback: world::NAMES,
    };
    namespace::run_inside("a_person_chats_and_attackers_do_not", DEADLINE, &stage);
}

#[tokio::test]
async fn the_demo_leaves_a_page_up_that_chats() {
    if !is_missing() {
        demo::chat().await;
    }
}

/// Whether something is missing, which is told, and is a failure where `CI` is `true`.
fn is_missing() -> bool {
    let Some(missing) = missing() else {
        return false;
    };
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!is_ci, "CI must run this test, and {missing}");
    // Past the test harness, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {missing}");
    true
}

/// What is missing, and what to do about it.
fn missing() -> Option<String> {
    if browser::program("chromium").is_none() {
        return Some("chromium is not installed".to_owned());
    }
    let is_installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(BUNDLE).is_file();
    (!is_installed).then(|| {
        "Web Chat is not installed: run `npm ci --ignore-scripts --prefix tests/web-chat`"
            .to_owned()
    })
}

/// For everything inside the namespaces. A run takes well under a minute; the rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);
