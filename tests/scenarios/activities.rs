//! Real shapes: every activity in `data/`, and every one in the folder that `BOTGATE_ACTIVITIES` names, goes through byte for byte.
//!
//! The folder (default: the activities beside the checkout) is read where it is, never committed. With `CI=true` it must be there;
//! elsewhere its absence is said and the test passes.

use crate::support::Gateway;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven};
use crate::support::table::{Row, play, row};
use botgate::cli::demo::channel::Channel;
use botgate::judge::{BUILT_IN, Reason};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Activities that a bot of the public cloud does not take from a channel, and the one setting that lets each through.
const NOT_FROM_A_CHANNEL: &[(&str, Reason, &str)] = &[
    // The Emulator brings a token of its own kind. Even with a channel's token, plain http is for this machine, and only where
    // the operator names it.
    (
        "17-emulator-message.json",
        Reason::ServiceUrlNotAllowed,
        "localhost",
    ),
    // Copilot Studio answers from a host of its own that is not on Microsoft's list.
    (
        "22-pva-studio-message.json",
        Reason::ServiceUrlNotAllowed,
        "copilot-studio-host.example",
    ),
    // A parent bot calls a skill: a skill's token, and the parent's own host.
    (
        "23-msteams-message.json",
        Reason::ServiceUrlNotAllowed,
        "parent-bot.contoso.example",
    ),
];

/// The folder with more activities, or nothing where it may be absent.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BOTGATE_ACTIVITIES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/activities"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI needs the activities: {} is not there; set BOTGATE_ACTIVITIES",
        folder.display()
    );
    eprintln!(
        "skipped: no activities at {} (set BOTGATE_ACTIVITIES)",
        folder.display()
    );
    None
}

fn activities_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no activities in {}", folder.display());
    files
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A gateway whose channel speaks for all that these activities come from, with the hosts of the public cloud, and a bot at
/// `/extended` that allows some more.
async fn gateway_for(files: &[PathBuf]) -> Gateway {
    let channel = Channel::start().await.unwrap();
    let channels: BTreeSet<_> = files
        .iter()
        .map(|file| read(file)["channelId"].as_str().unwrap().to_owned())
        .collect();
    let endorsements: Vec<_> = channels.iter().map(String::as_str).collect();
    channel.publish(channel.first_key(), Some(&endorsements));
    let public = BUILT_IN.iter().find(|cloud| cloud.name == "public");
    let hosts = public.unwrap().to_cloud().service_url_hosts;
    let more: Vec<_> = NOT_FROM_A_CHANNEL
        .iter()
        .map(|(_, _, host)| *host)
        .collect();
    Gateway::with(&format!("clouds.stand-in.service_url_hosts = {hosts:?}"))
        .channel(&channel)
        .bot_at("extended", &format!("service_urls.extra_hosts = {more:?}"))
        .start()
        .await
}

/// Changes how a request is written, not what it says.
type Respelling = fn(Post) -> Post;

fn rows(gateway: &Gateway, file: &Path) -> Vec<Row> {
    let name = file.file_name().unwrap().to_str().unwrap();
    let post = || gateway.post_file(file);
    let refused = NOT_FROM_A_CHANNEL.iter().find(|(file, ..)| *file == name);
    if let Some((_, reason, host)) = refused {
        return vec![
            row(name, post(), Proven(*reason)),
            row(
                format!("{name}, {host} allowed"),
                post().to("extended"),
                Forwarded,
            ),
        ];
    }
    let respelled: [(&str, Respelling); 4] = [
        ("as it is", |post| post),
        ("over HTTP/2", Post::over_http2),
        ("with CR LF and blanks around it", |post| {
            post.text(|text| format!("\r\n \t{}\r\n", text.replace('\n', "\r\n")))
        }),
        ("with members of its own", |post| {
            post.text(|text| {
                let also = r#"{"x-unknown" :[1.0,-0,1e-7,12345678901234567890123,"\/\u00e9é🚪"],"#;
                text.replacen('{', also, 1)
            })
        }),
    ];
    respelled
        .into_iter()
        .map(|(how, respell)| row(format!("{name} {how}"), respell(post()), Forwarded))
        .collect()
}

/// Sends them all. That the bot got the very bytes is part of [`Forwarded`].
async fn send_all(files: &[PathBuf]) {
    let gateway = gateway_for(files).await;
    play(files.iter().flat_map(|file| rows(&gateway, file)).collect()).await;
    for file in files {
        let activity = read(file);
        let text = |name: &str| activity[name].as_str().map(str::to_owned);
        let (channel, kind) = (text("channelId"), text("type"));
        let is_told = gateway.process().look(|output| {
            output.request_lines().any(|line| {
                line["channel"].as_str() == channel.as_deref()
                    && line["activity_type"].as_str() == kind.as_deref()
                    && line["conversation"] == activity["conversation"]["id"]
            })
        });
        assert!(is_told, "{}: no request line tells of it", file.display());
    }
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn every_activity_of_these_tests_is_forwarded_byte_for_byte() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/data");
    send_all(&activities_in(&data)).await;
}

#[tokio::test]
async fn every_activity_that_a_channel_sends_is_forwarded_byte_for_byte() {
    let Some(folder) = folder() else { return };
    let files = activities_in(&folder);
    for (name, ..) in NOT_FROM_A_CHANNEL {
        let is_there = files.iter().any(|file| file.ends_with(name));
        assert!(is_there, "{name} is named here, and not there");
    }
    send_all(&files).await;
}
