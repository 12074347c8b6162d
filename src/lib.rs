//! botgate: a reverse-proxy security gateway in front of a Microsoft Bot Framework bot.
//!
//! # The map
//!
//! One line, read left to right. A module may import only what stands to its left; modules inside one pair of braces do not
//! see each other. `tests/floor_plan.rs` holds the code to it.
//!
//! `secret` · `judge` · `config` · `observe` · `net` · `shared` · `{keyring, limit, tls, upstream}` · `{ingress, directline, admin}` · `app` · `cli` · `main`
//!
//! * [`judge`] **decides** and touches nothing: no socket, file, clock or log.
//! * [`config`] says **what we want**: `gateway.toml`, read, checked and complete.
//! * [`observe`] **tells**: the request line, metrics, the log.
//! * [`net`] **moves bytes** and holds no opinion.
//! * [`shared`] **counts together**: the store of a fleet, in which its gateways count and remember as one.
//! * The services **know how**: [`keyring`] (signing keys), [`limit`] (budgets), [`tls`] (certificates), [`upstream`] (bots).
//! * The doors are **where requests come in**: [`ingress`] (channel to bot), [`directline`] (web page to token), [`admin`] (operators).
//! * [`app`] **assembles**, [`cli`] **talks to people**.
//!
//! # The path of a request
//!
//! `net::listener` accepts and handshakes, `net::wire` reads a head that has one reading (over HTTP/2 `h2`, within the budgets of
//! `net::frame_watch`) → [`ingress`] asks, in this order: `judge::head` (sizes and fields, for what neither could refuse), `limit`
//! (the address's budget), `judge::route` (which bot), `limit` (a place at it), `judge::head` (POST of plain JSON), `keyring` (one
//! well-formed RS256 token, recalled where it was proven before, else read), `judge::token` (issuer, kind, time, audience, claims), `limit`
//! (whether its address has to wait), `keyring` (the key it names), `judge::token` again (the signature, or the proof that was
//! recalled: from here on the caller is *proven*), `net::body`, `judge::activity` (one strict reading; for a skill's callback `judge::callback`),
//! `judge::policy` (the rules), `ingress::redelivery` (a repeat is answered as the first one was), `limit` (the place at the bot, the proven caller's
//! budgets; where gateways are a fleet, `shared` counts both for all of them, by one command),
//! `upstream` (the very bytes that were judged; `net::wire` reads the answer, over HTTP/2 `h2`) → back through `ingress`, and through `net::reply` only if refused → `observe`,
//! which writes exactly one line.
//!
//! A request for the path of a broker goes to [`directline`] in place of [`ingress`] (`app` has both behind one listener), which asks: `judge::head`, `judge::direct_line`
//! (the page's origin), `limit` (the address), who the user is (chance, `keyring` and a token of the site, or a trusted header) or, to refresh,
//! `judge::direct_line` (the cookie, signed, with the hash of the session's last token), `limit` (the session), and then Direct Line itself by `net::client`.
//!
//! All of it by one version of the settings: `app::reload` puts another door in the place of the one before (`net::current`), made of the
//! parts that are as they were and of new ones; whoever is in the old one ends there.
//!
//! # Words
//!
//! *caller*: who sent a request. *bot*: who receives it. *channel*: Teams, Direct Line and so on. *door*: where requests come in.
//! *reason*: why one was refused. *verdict*: how one ended. *stranger*: a caller that has proven nothing.
//! *kind*: of token, `channel`, `skill`, `agent` or `emulator`. *root*: whose tokens of a kind a bot trusts. *callback*: a skill's
//! call to the Connector API of the bot that called it. *source*: where one key set comes from.
//!
//! # If you want to …
//!
//! | to | touch |
//! | --- | --- |
//! | add a rule | a file in `judge/policy/`, a row in `RULES` (its facts are what `explain` shows), a row in `reasons!`, a key in `config`, a scenario |
//! | add a reason | a row in `reasons!`; the README table and the metric label follow, tests fail until they do |
//! | know another cloud | a row in `judge/cloud.rs` |
//! | ask more of a kind of token | `judge/token/roots.rs` before its signature, a rule in `judge/policy/` after it |
//! | change what `explain` asks | `judge/explain/`; it asks the same rules as the gateway |
//! | get certificates from elsewhere | `tls/loading.rs`, a variant of `config::TlsSource` |
//! | change what callers see | `net/reply.rs` |
//! | change what is logged | `observe/audit.rs` and `observe/json_line.rs`, which a test holds together; what a span says, `observe/trace/span.rs` |
//! | add a key of `gateway.toml` | `config/keys.rs`, whoever reads it, a sentence in `config/about.rs`; `gateway.schema.json` follows, tests fail until it does |
//! | say that a setting needs a restart, or is a secret | `config/written.rs` |
//! | add an event or a metric | a row in `docs/events.md` or `docs/metrics.md`, or tests fail |

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, and should"
    )
)]

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod directline;
pub mod ingress;
pub mod judge;
pub mod keyring;
pub mod limit;
pub mod net;
pub mod observe;
pub mod secret;
pub mod shared;
pub mod tls;
pub mod upstream;
