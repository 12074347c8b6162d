//! One bot: running, started again when a request ended it, with everything it ever said.

use crate::sdk::Sdk;
use crate::send::{Answer, send};
use crate::stage::process::{PATIENCE, Running};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;

/// The bot of an SDK.
pub(crate) struct Bot {
    sdk: Sdk,
    authority_file: PathBuf,
    /// The last is the one that runs.
    lives: Vec<Running>,
}

impl Bot {
    pub(crate) async fn start(sdk: Sdk, authority_file: &Path) -> Self {
        let mut bot = Self {
            sdk,
            authority_file: authority_file.to_owned(),
            lives: vec![],
        };
        bot.start_again().await;
        bot
    }

    /// Ends what still runs, and starts it anew.
    pub(crate) async fn start_again(&mut self) {
        if let Some(running) = self.lives.last() {
            running.end().await;
        }
        let mut command = self.sdk.command(&self.authority_file);
        let running = Running::start(self.sdk.name, &mut command);
        let listens = async {
            while TcpStream::connect(self.address()).await.is_err() {
                running.assert_runs();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, listens).await;
        assert!(in_time.is_ok(), "{} does not listen", self.sdk.name);
        self.lives.push(running);
    }

    /// Whether it still answers: a bot that a request ended does not, once it has looked at its next event.
    pub(crate) async fn lives(&self) -> bool {
        let request = Request::get("/is-it-there")
            .header("host", "localhost")
            .body(Full::<Bytes>::default());
        let Ok(socket) = TcpStream::connect(self.address()).await else {
            return false;
        };
        let answer = send(socket, request.unwrap()).await;
        matches!(answer, Answer::Status { .. }) && !self.running().has_ended()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.sdk.port).into()
    }

    /// How often its turn handler ran, by the id of the activity.
    pub(crate) fn turns(&self) -> HashMap<String, usize> {
        let mut turns = HashMap::new();
        for turn in self.lives.iter().flat_map(|life| life.events("turn")) {
            let id = turn["id"]
                .as_str()
                .map_or_else(|| turn["id"].to_string(), str::to_owned);
            *turns.entry(id).or_default() += 1;
        }
        turns
    }

    pub(crate) fn running(&self) -> &Running {
        self.lives.last().unwrap()
    }

    /// Prints the end of what each of its lives said.
    pub(crate) fn print(&self) {
        for life in &self.lives {
            life.print();
        }
    }
}
