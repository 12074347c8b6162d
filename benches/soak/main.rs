//! `bench/soak [minutes]`: the release gateway under good and hostile load at once, for as long as it takes to see what leaks.
//!
//! Every client has a loopback address of its own, so that the gateway's own request lines say what became of whose requests, and
//! names itself in a header, so that the bot can say the same. At the end nothing may be missing from either. The load is moderate
//! on purpose: this looks for what grows and what gets lost, not for the top speed.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a script for people: what cannot be set up ends it"
)]

mod bot;
mod clients;
mod gateway;
mod hostile;
mod ledger;
mod net;
mod verdict;

use bot::SteadyBot;
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::channel::Channel;
use gateway::Gateway;
use ledger::Ledger;
use net::{Net, Tokens};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Memory at the end may be that much above minute two.
const MOST_GROWTH: f64 = 0.10;

/// What every client needs.
struct Stage {
    net: Net,
    tokens: Tokens,
    ledger: Ledger,
    stop: CancellationToken,
}

fn main() -> ExitCode {
    // Cargo adds an argument of its own, `--bench`.
    let minutes = std::env::args()
        .skip(1)
        .find(|argument| argument != "--bench");
    let minutes = minutes.map_or(Ok(20), |minutes| minutes.parse::<u32>());
    let Ok(minutes @ 3..) = minutes else {
        println!("usage: bench/soak [minutes], at least 3");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let wrong = runtime.expect("a runtime").block_on(soak(minutes));
    for what in &wrong {
        println!("WRONG: {what}");
    }
    if wrong.is_empty() {
        println!("nothing grew, nothing was lost");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

async fn soak(minutes: u32) -> Vec<String> {
    let channel = Channel::start().await.expect("a channel");
    let steady = SteadyBot::start().await;
    let fragile = EchoBot::start().await.expect("a bot");
    fragile.answer_with(fickle());
    let gateway = Gateway::start(&channel, &steady.messages_url(), &fragile.messages_url()).await;
    let stage = Arc::new(Stage {
        net: gateway.net(),
        tokens: Tokens::new(&channel),
        ledger: Ledger::default(),
        stop: CancellationToken::new(),
    });

    let mut load = JoinSet::new();
    clients::start(&mut load, &stage);
    hostile::start(&mut load, &stage);
    load.spawn(roll_keys_over(channel.clone(), Arc::clone(&stage)));
    load.spawn(close_now_and_then(fragile.clone(), Arc::clone(&stage)));
    let memory = watch(minutes, &gateway).await;

    stage.stop.cancel();
    let ended = async { while load.join_next().await.is_some() {} };
    let mut wrong = vec![];
    if timeout(Duration::from_secs(90), ended).await.is_err() {
        wrong.push("clients are still waiting for an answer".to_owned());
        load.shutdown().await;
    }
    let page = gateway.settle(Duration::from_secs(60)).await;
    let log = gateway.end().await;
    wrong.extend(memory.verdict());
    wrong.extend(verdict::of(&stage, &page, &log, &steady, fragile.count()));
    wrong
}

/// A bot that answers, breaks off, talks nonsense, says no, in turn.
fn fickle() -> impl Fn(&botgate::cli::demo::bot::Recorded) -> Answer + Send + Sync + 'static {
    let count = AtomicU64::new(0);
    move |_| match count.fetch_add(1, Ordering::Relaxed) % 6 {
        1 => Answer::raw("no HTTP at all\r\n\r\n"),
        2 => Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ntoo few"),
        3 => Answer::raw(""),
        4 => Answer::status(http::StatusCode::INTERNAL_SERVER_ERROR),
        _ => Answer::json(&serde_json::json!({ "ok": true })),
    }
}

/// A new key signs at once; the old one is withdrawn a little later.
async fn roll_keys_over(channel: Channel, stage: Arc<Stage>) {
    let mut number = 0;
    let mut old = channel.first_key().clone();
    loop {
        tokio::select! {
            () = stage.stop.cancelled() => return,
            () = sleep(Duration::from_secs(50)) => {}
        }
        number += 1;
        let kid = format!("soak-key-{number}");
        let made = tokio::task::spawn_blocking({
            let channel = channel.clone();
            move || channel.add_key(&kid, Some(botgate::cli::demo::channel::ENDORSED))
        });
        let new = made.await.expect("no panic").expect("a key");
        stage.tokens.sign_with(&new);
        sleep(Duration::from_secs(10)).await;
        channel.withdraw(old.kid());
        old = new;
    }
}

async fn close_now_and_then(fragile: EchoBot, stage: Arc<Stage>) {
    while !stage.stop.is_cancelled() {
        sleep(Duration::from_secs(20)).await;
        fragile.close().await;
        sleep(Duration::from_secs(3)).await;
        fragile.reopen().await.expect("its own port");
    }
}

/// Mean resident memory of each minute, bytes.
struct Memory(Vec<f64>);

impl Memory {
    fn verdict(&self) -> Option<String> {
        let (second, last) = (self.0[1], self.0[self.0.len() - 1]);
        let growth = last / second - 1.0;
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        println!(
            "memory: {:.1} MiB in minute 2, {:.1} MiB in minute {} ({:+.1} %)",
            mib(second),
            mib(last),
            self.0.len(),
            growth * 100.0
        );
        (growth > MOST_GROWTH).then(|| format!("memory grew by {:.1} %", growth * 100.0))
    }
}

/// Prints a line a minute.
async fn watch(minutes: u32, gateway: &Gateway) -> Memory {
    println!(
        "{:>6} {:>9} {:>6} {:>11} {:>10} {:>9} {:>9} {:>10}",
        "minute",
        "RSS MiB",
        "fds",
        "connections",
        "forwarded",
        "rejected",
        "abandoned",
        "suppressed"
    );
    let mut means = vec![];
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for minute in 1..=minutes {
        let end = Instant::now() + Duration::from_secs(60);
        let (mut sum, mut count) = (0.0, 0.0);
        let mut most_descriptors = 0;
        while Instant::now() < end {
            seconds.tick().await;
            sum += gateway.resident_bytes();
            count += 1.0;
            most_descriptors = most_descriptors.max(gateway.descriptors());
        }
        means.push(sum / count);
        let page = gateway.metrics().await;
        let of = |verdict: &str| page.sum("botgate_requests_total", &[("verdict", verdict)]);
        println!(
            "{minute:>6} {:>9.1} {most_descriptors:>6} {:>11} {:>10} {:>9} {:>9} {:>10}",
            sum / count / f64::from(1 << 20),
            page.sum("botgate_connections", &[]),
            of("forwarded"),
            of("rejected"),
            of("abandoned"),
            page.sum("botgate_log_suppressed_total", &[]),
        );
        let _ = std::io::stdout().flush();
    }
    Memory(means)
}
