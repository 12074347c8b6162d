//! Sends every case to every bot, both ways, and looks at what became of it.

use crate::bot::Bot;
use crate::cases::{self, Case};
use crate::document;
use crate::findings::{Finding, Findings, Passed};
use crate::keys::Keys;
use crate::outcome::Outcome;
use crate::post::Door;
use crate::sdk::{SDKS, Sdk};
use crate::send::{Answer, send};
use crate::stage::process::until;
use crate::tap::Tap;
use crate::world::{self, World, host};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// Plays the whole table and fails with all that is wrong.
pub(crate) async fn play_all(dir: &Path) {
    let began = Instant::now();
    let keys = Keys::make();
    let (world, bots) = world::start(dir, &keys).await;
    let world = Arc::new(world);
    let mut cases = cases::all(&keys);
    let only = std::env::var("BOTGATE_ONLY").unwrap_or_default();
    cases.retain(|case| case.name.contains(&only));
    let cases = Arc::new(cases);
    println!(
        "{} cases, everything ready after {:?}",
        cases.len(),
        began.elapsed()
    );

    let players: Vec<_> = SDKS
        .into_iter()
        .zip(bots)
        .map(|(sdk, (bot, tap))| {
            let (world, cases) = (Arc::clone(&world), Arc::clone(&cases));
            tokio::spawn(async move {
                let began = Instant::now();
                let mut player = Player {
                    sdk,
                    bot,
                    tap,
                    world,
                };
                let sent = player.play(&cases).await;
                println!("{}: {:?}", sdk.name, began.elapsed());
                (player, sent)
            })
        })
        .collect();
    let mut played = Vec::new();
    for player in players {
        played.push(player.await.unwrap());
    }

    let lines = request_lines(&world, &played).await;
    let findings = Findings::new(
        &cases,
        played
            .iter()
            .map(|(player, sent)| player.findings(&cases, sent, &lines))
            .collect(),
        &world.microsoft.replies(),
    );
    findings.print_summary();
    let mut failures = findings.failures();
    if !only.is_empty() {
        failures.push(format!(
            "these are only the cases with {only:?} in their name"
        ));
    }
    if failures.is_empty() {
        failures.extend(document::write_or_compare(&findings));
    }
    if std::env::var_os("BOTGATE_VERBOSE").is_some() {
        played.iter().for_each(|(player, _)| player.bot.print());
        println!(
            "---- not known to Microsoft: {:#?}",
            world.microsoft.unexpected()
        );
        findings.print_all();
    }
    println!("the whole took {:?}", began.elapsed());
    assert!(
        failures.is_empty(),
        "{} failures:\n  {}",
        failures.len(),
        failures.join("\n  ")
    );
}

/// One bot, and what is needed to ask it.
struct Player {
    sdk: Sdk,
    bot: Bot,
    tap: Tap,
    world: Arc<World>,
}

/// What came back for one case, one way.
struct Sent {
    id: String,
    answer: Answer,
    /// Whether the bot's process ended over it.
    ended_the_bot: bool,
}

/// Whom a case is sent to.
#[derive(Clone, Copy)]
enum Way {
    Direct,
    Through,
}

impl Player {
    /// Every case in turn, first directly, then through the gateway.
    async fn play(&mut self, cases: &[Case]) -> Vec<[Sent; 2]> {
        let mut sent = Vec::with_capacity(cases.len());
        for (number, case) in cases.iter().enumerate() {
            let direct = self.play_one(number, case, Way::Direct).await;
            let through = self.play_one(number, case, Way::Through).await;
            sent.push([direct, through]);
        }
        sent
    }

    async fn play_one(&mut self, number: usize, case: &Case, way: Way) -> Sent {
        let (way_name, door) = match way {
            Way::Direct => ("direct", Door::Everyone),
            Way::Through => ("through", case.post.door),
        };
        let id = format!("{}.{number:03}.{way_name}", self.sdk.name);
        let host = host(&self.sdk, door);
        let sent = self.ask(id, &host, case, way).await;
        if sent.ended_the_bot {
            // An earlier request could have been the cause, and its effect late.
            let id = format!("{}{AGAIN}", sent.id);
            let again = self.ask(id, &host, case, way).await;
            assert!(again.ended_the_bot, "what ended {}?", sent.id);
        }
        sent
    }

    async fn ask(&mut self, id: String, host: &str, case: &Case, way: Way) -> Sent {
        let request = case.post.request(host, &id);
        let answer = match way {
            Way::Direct => {
                let socket = TcpStream::connect(self.bot.address()).await.unwrap();
                send(socket, request).await
            }
            Way::Through => self.world.send(host, request).await,
        };
        let ended_the_bot = !self.bot.lives().await;
        if ended_the_bot {
            self.bot.start_again().await;
        }
        Sent {
            id,
            answer,
            ended_the_bot,
        }
    }

    /// What became of every case.
    fn findings(
        &self,
        cases: &[Case],
        sent: &[[Sent; 2]],
        lines: &HashMap<String, Value>,
    ) -> Vec<Finding> {
        let mut turns = self.bot.turns();
        turns.retain(|id, _| !id.ends_with(AGAIN));
        let passed_on = self.tap.request_ids();
        let mut outcome = |sent: &Sent| {
            let turns = turns.remove(&sent.id).unwrap_or_default();
            assert!(turns < 2, "{}: {turns} turns", sent.id);
            Outcome::of(&sent.answer, turns, sent.ended_the_bot)
        };
        let findings = cases
            .iter()
            .zip(sent)
            .map(|(case, [direct, through])| {
                let line = request_id(&through.answer).and_then(|id| lines.get(id));
                Finding {
                    direct: outcome(direct),
                    through: outcome(through),
                    gateway: passed(case, line),
                    reached_the_bot: request_id(&through.answer)
                        .is_some_and(|id| passed_on.contains(id)),
                    direct_id: direct.id.clone(),
                }
            })
            .collect();
        assert!(
            turns.is_empty(),
            "{}: turns of nothing that was sent: {turns:?}",
            self.sdk.name
        );
        findings
    }
}

/// What the gateway's line about a request says.
fn passed(case: &Case, line: Option<&Value>) -> Passed {
    let Some(line) = line else {
        return Passed::Unknown(format!("no line about {:?}", case.name));
    };
    match line["verdict"].as_str() {
        Some("forwarded") => Passed::Forwarded,
        Some("rejected") => Passed::Refused {
            reason: line["reason"].as_str().unwrap().to_owned(),
            note: line["note"].as_str().unwrap_or_default().to_owned(),
        },
        _ => Passed::Unknown(line.to_string()),
    }
}

/// The gateway's request lines, by request id.
async fn request_lines(
    world: &World,
    played: &[(Player, Vec<[Sent; 2]>)],
) -> HashMap<String, Value> {
    let wanted: HashSet<_> = played
        .iter()
        .flat_map(|(_, sent)| {
            sent.iter()
                .filter_map(|[_, through]| request_id(&through.answer))
        })
        .collect();
    let count = || world.gateway.lines().len();
    until("the gateway's lines", || {
        (count() >= wanted.len()).then_some(())
    })
    .await;
    until("the gateway's request lines", || {
        let lines = world.gateway.events("request").into_iter();
        let lines: HashMap<_, _> = lines
            .filter_map(|line| Some((line["request_id"].as_str()?.to_owned(), line)))
            .collect();
        wanted
            .iter()
            .all(|id| lines.contains_key(*id))
            .then_some(lines)
    })
    .await
}

fn request_id(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Status { request_id, .. } => request_id.as_deref(),
        Answer::Ended | Answer::Silence => None,
    }
}

/// Ends the id of an activity that is sent to see whether it ends the bot a second time.
const AGAIN: &str = ".again";
