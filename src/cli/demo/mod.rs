//! `demo`: a stand-in channel, the real gateway and an echo bot on loopback, and the requests that tell what it does.
//!
//! The stand-ins are also those of `tests/scenarios`, which is why they can do more than the demo asks of them.

#![allow(
    clippy::disallowed_methods,
    reason = "stand-ins on loopback for one run: their tasks end with it, and nobody sends them much"
)]

mod answer;
pub mod bot;
pub mod channel;
pub mod client;
mod connector;
pub mod direct_line;
mod echo;
pub mod gateway;
mod loopback;
mod scenes;
pub mod signing;
mod stage;
mod table;
pub mod token;
mod verdict;
pub mod web;
mod web_server;
mod witnesses;

use self::bot::MESSAGES_PATH;
use self::stage::Stage;
use self::table::{Colour, Style, say};
use super::Exit;
use crate::judge::Reason;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// What the demo does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Programme {
    /// Plays its scenes and prints them: good only if every request went as it should.
    Scenes,
    /// The same, and then leaves everything up until Ctrl-C and prints what to try.
    ScenesAndStay,
    /// Leaves a page with Web Chat up until Ctrl-C.
    Web,
}

/// Runs it.
pub(super) fn main(programme: Programme) -> Exit {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(programme)),
        Err(error) => broken(&error),
    }
}

async fn run(programme: Programme) -> Exit {
    let performing = async {
        let played = match programme {
            Programme::Web => return web::run().await,
            Programme::Scenes => perform(false).await?,
            Programme::ScenesAndStay => perform(true).await?,
        };
        Ok(if played { Exit::Good } else { Exit::NotSo })
    };
    // Dropping the performance ends the gateway and removes its folder, also when it is cut short.
    tokio::select! {
        exit = performing => exit.unwrap_or_else(|error: io::Error| broken(&error)),
        () = interrupted() => if programme == Programme::Scenes { Exit::NotSo } else { Exit::Good },
    }
}

fn broken(error: &io::Error) -> Exit {
    say(&format!("the demo could not be set up: {error}"));
    Exit::Internal
}

async fn perform(keep_running: bool) -> io::Result<bool> {
    let colour = Colour::of_stdout();
    let stage = Stage::set(None).await?;
    introduce(&stage, colour);
    let mut rows = vec![];
    for act in scenes::acts(&stage.channel)? {
        say(&table::heading(act.heading, colour));
        for scene in &act.scenes {
            let row = stage.play(scene).await;
            say(&table::row(&row, colour));
            rows.push(row);
        }
    }
    if let Some(line) = refused_line(&stage) {
        say(&format!(
            "\nEvery request writes one such line; this is the stolen token's:\n{line}"
        ));
    }
    say(&format!("\n{}", table::summary(&rows, colour)));
    if keep_running {
        invite(&stage, colour)?;
        std::future::pending::<()>().await;
    }
    Ok(rows.iter().all(|row| row.wrong.is_empty()))
}

fn introduce(stage: &Stage, colour: Colour) {
    let (channel, bot, gateway) = (stage.channel.origin(), stage.bot.origin(), stage.origin());
    say(&format!(
        "botgate stands in front of a bot and lets only the Bot Framework through to it. A forged message could make\n\
         a bot mail its own access token to whoever forged it, so each request has to prove where it comes from.\n\n\
         All of this is local and real: a stand-in channel ({channel}) signs requests as\n\
         Microsoft's Bot Connector does, an echo bot ({bot}) remembers all it gets, and the\n\
         gateway stands between them ({gateway}, TLS). Each row is a request sent to it: what the\n\
         sender got back, what the bot saw of it, and what the gateway's log says about it.\n"
    ));
    say(&table::header(colour));
}

/// The log line of the telling refusal, as the gateway wrote it.
fn refused_line(stage: &Stage) -> Option<String> {
    let reason = format!("\"reason\":\"{}\"", Reason::ServiceUrlMismatch.code());
    stage.gateway.look(|output| {
        output
            .stdout
            .iter()
            .find(|line| line.contains(&reason))
            .cloned()
    })
}

/// Says where everything is, and which commands to try.
fn invite(stage: &Stage, colour: Colour) -> io::Result<()> {
    let (token, message) = scenes::sample(&stage.channel)?;
    let file = stage.folder().join("message.json");
    std::fs::write(&file, message.to_string())?;
    let admin = stage
        .gateway
        .admin()
        .map(|admin| format!("http://{admin}"))
        .unwrap_or_default();
    let post = format!(
        "curl -i --cacert '{}' {}{MESSAGES_PATH} -H 'Content-Type: application/json' --data-binary '@{}'",
        stage.certificate().display(),
        stage.origin(),
        file.display(),
    );
    let title = |text: &str| say(&format!("\n{}", colour.paint(Style::Heading, text)));
    title("Everything stays up until Ctrl-C");
    say(&format!("  gateway  {}{MESSAGES_PATH}", stage.origin()));
    say(&format!("  admin    {admin}"));
    say(&format!("  channel  {}", stage.channel.metadata_url()));
    say(&format!("  bot      {}", stage.bot.messages_url()));
    say(&format!("  files    {}", stage.folder().display()));
    title("A Teams message with a token, valid for one hour");
    say(&format!("{post} -H 'Authorization: Bearer {token}'"));
    title("The same without a token");
    say(&post);
    title("Metrics and readiness");
    say(&format!("curl {admin}/metrics"));
    say(&format!("curl -i {admin}/readyz"));
    Ok(())
}

/// Ends when someone asks the demo to end.
async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
