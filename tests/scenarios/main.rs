//! Scenarios: the real gateway over real TLS sockets on loopback, between a stand-in channel and a recording bot.
//!
//! | module | promises |
//! | --- | --- |
//! | `acknowledge` | A message that the bot has, and is slow with, is answered 202, and the bot goes on. |
//! | `activities` | What channels send reaches the bot byte for byte. |
//! | `admin` | What operators see: health, readiness, metrics, and a log that a flood cannot fill. |
//! | `backend_faults` | Every way a bot can answer wrongly, and what the caller gets instead. |
//! | `backends` | Several backends of one bot, their health, Unix sockets, TLS to them. |
//! | `backends_http2` | Over HTTP/2 a bot gets and answers what it does over HTTP/1.1, many requests on one connection. |
//! | `callbacks` | Skills call their parent bot back, and nobody else does. |
//! | `certificates` | Certificates are replaced while the gateway runs, chosen by name, and asked of clients. |
//! | `certificates_acme` | Certificates are ordered from a real ACME server, renewed, and survive its failures. |
//! | `check` | `botgate check --online` says what is not so outside the file. |
//! | `connections` | TLS, how long connections stay open, and what they carry one after the other. |
//! | `dashboards` | What the dashboard and the alerts name is what a gateway says. |
//! | `demo` | `botgate demo` ends green. |
//! | `direct_line` | A web page gets a token of Direct Line for one user, and neither the secret nor anybody else's session. |
//! | `drain` | A gateway that ends loses nothing that clients sent before they could know. |
//! | `explain` | `botgate explain` says what the gateway does. |
//! | `failures` | When the bot, or the client, is not well; and the connections to the bot. |
//! | `fleet` | Several gateways count and remember as one in a real Redis, and each goes on without it. |
//! | `forwarding` | What reaches the bot, and what of its answer reaches the client. |
//! | `framing` | Where a request begins and ends: sizes, bodies, HTTP that cannot be read in exactly one way. |
//! | `http` | Which requests are for a bot, and for which. |
//! | `http2` | HTTP/2 that breaks the rules is refused, floods end their connection, and nobody else notices. |
//! | `kinds` | Tokens of the Emulator, of calling bots and of agents: each kind by its own rules, in its own cloud. |
//! | `key_files` | Keys that lie on this machine: local key sets, and what is kept for a restart. |
//! | `key_proxy` | Keys that are fetched over TLS, and through a proxy. |
//! | `lifecycle` | Start, end, and the commands around them. |
//! | `limits` | How often: per address before proof, per user, conversation, tenant and bot after it. |
//! | `log_file` | The log in a file: rotated, pruned, reopened when asked, and never in the way. |
//! | `malformed` | HTTP/1.1 that has no reading, or two, is refused and closes the connection. |
//! | `matrix` | The test matrix of the authentication specification, row by row. |
//! | `nothing_lost` | Under load, through restarts of the bot, rollovers, reloads and the end, every request is accounted for. |
//! | `outage` | Keys cannot be had, in every way there is. |
//! | `overload` | How much at once, and what a flood of forged tokens does to valid ones. |
//! | `policies` | What an operator writes under a bot holds, and report mode softens that and nothing else. |
//! | `proxy_protocol` | Behind a proxy that speaks the PROXY protocol the client is the one it announces, and nobody else can announce any. |
//! | `reasons` | Every reason of the table comes about, or is listed with the feature that will bring it. |
//! | `redelivery` | An activity that is sent again is answered without reaching the bot twice. |
//! | `reload` | Another gateway.toml comes into force wholly or not at all, and nothing that was begun is lost. |
//! | `rejects` | `botgate rejects` says of a real log what was refused, and what it suggests lets them in. |
//! | `rollover` | The issuer changes its keys while requests keep coming. |
//! | `schema` | The schema of `gateway.toml` beside it is what `botgate schema` prints. |
//! | `service` | Sockets that systemd passes, and what systemd is told. |
//! | `service_upgrade` | A new gateway takes the place of the old one under load, and no request is lost. |
//! | `slow_clients` | Who is slow on purpose is cut within its deadline. |
//! | `smoke` | A valid message arrives, one without a token does not. |
//! | `status_page` | The status page in a real browser: what it shows, what it keeps fresh, and that nobody can write into it. |
//! | `tokens` | Keys come and go, and the metadata does. |
//! | `tracing` | Spans of requests and of calls to the bot reach a collector, and a dead one holds nobody up. |
//! | `unsure` | A bad token is answered 401; where that cannot be told, 503. |
//! | `vectors` | Public HTTP/1 vectors, as they are and grafted onto a valid message: refused, or passed on in clean form. |

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
    reason = "a test may fail by panicking"
)]

mod acknowledge;
mod activities;
mod admin;
mod backend_faults;
mod backends;
mod backends_http2;
mod callbacks;
mod certificates;
mod certificates_acme;
mod check;
mod connections;
mod dashboards;
mod demo;
mod direct_line;
mod drain;
mod explain;
mod failures;
mod fleet;
mod forwarding;
mod framing;
mod http;
mod http2;
mod key_files;
mod key_proxy;
mod kinds;
mod lifecycle;
mod limits;
mod log_file;
mod malformed;
mod matrix;
mod nothing_lost;
mod outage;
mod overload;
mod policies;
mod proxy_protocol;
mod reasons;
mod redelivery;
mod rejects;
mod reload;
mod rollover;
mod schema;
mod service;
mod service_upgrade;
mod slow_clients;
mod smoke;
mod status_page;
mod support;
mod tokens;
mod tracing;
mod unsure;
mod vectors;
