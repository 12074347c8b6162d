//! The real gateway: a child process in a folder of its own, between the stand-in channel and the recording bot.

use super::client::Post;
use super::config::{Changes, write_config};
use super::{APP_ID, PATIENCE};
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::channel::{Channel, FIRST_KID};
use botgate::cli::demo::client::Client;
use botgate::cli::demo::gateway::{GatewayProcess, Output, StartFailure};
use botgate::cli::demo::signing::SigningKey;
use command_fds::{CommandFdExt as _, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// A running gateway. Clones are handles to the same one, which is killed with the last of them.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Inner>);

struct Inner {
    // First, so that the process is gone before its folder.
    process: GatewayProcess,
    client: Client,
    channel: Channel,
    bot: EchoBot,
    changes: Changes,
    trusted: String,
    // Shared with the gateway that is started again in it.
    folder: Arc<TempDir>,
}

/// A gateway about to be started.
pub(crate) struct Setup {
    changes: Changes,
    channel: Option<Channel>,
    bot: Option<EchoBot>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    trusted: String,
    folder: Option<Arc<TempDir>>,
    sockets: Vec<OwnedFd>,
    waits_until_ready: bool,
}

impl Gateway {
    /// A gateway with one bot called `echo`, and what `fragment` changes: it is merged into the configuration table by
    /// table. There, `[bots]` is that one bot, while `[[bots]]` adds others.
    pub(crate) fn with(fragment: &str) -> Setup {
        Setup {
            changes: Changes {
                fragments: vec![fragment.to_owned()],
                bots: vec![],
            },
            channel: None,
            bot: None,
            arguments: vec![],
            environment: vec![],
            files: vec![],
            trusted: "certs/self-signed.pem".to_owned(),
            folder: None,
            sockets: vec![],
            waits_until_ready: true,
        }
    }

    /// The gateway as it is without any changes.
    pub(crate) async fn start() -> Self {
        Self::with("").start().await
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.0.channel
    }

    pub(crate) fn bot(&self) -> &EchoBot {
        &self.0.bot
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Where its `gateway.toml` is.
    pub(crate) fn folder(&self) -> &Path {
        self.0.folder.path()
    }

    pub(crate) fn process(&self) -> &GatewayProcess {
        &self.0.process
    }

    /// A valid request with an activity of `data/`, to be changed and sent.
    pub(crate) fn post(&self, file: &str) -> Post {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/scenarios/data")
            .join(file);
        self.post_file(&path)
    }

    /// A request with the activity in a file.
    pub(crate) fn post_file(&self, path: &Path) -> Post {
        let body =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Post::new(self.clone(), body)
    }

    /// A valid Teams message.
    pub(crate) fn teams_message(&self) -> Post {
        self.post("teams-message.json")
    }

    /// Every request line so far.
    pub(crate) fn request_lines(&self) -> Vec<Value> {
        self.0.process.output().request_lines().cloned().collect()
    }

    /// The request line of one request, waiting until it is written.
    pub(crate) async fn request_line_for(&self, request_id: &str) -> Value {
        match self.0.process.request_line(request_id, PATIENCE).await {
            Some(line) => line,
            None => panic!(
                "no request line with request_id {request_id}\n{}",
                self.output()
            ),
        }
    }

    /// The first log line with this event that `wanted` agrees to, waiting until it is written.
    pub(crate) async fn event(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self
            .0
            .process
            .wait_for_line(|line| line["event"] == event && wanted(line), PATIENCE)
            .await;
        found.unwrap_or_else(|| panic!("no such event {event:?}\n{}", self.output()))
    }

    /// What it wrote so far.
    pub(crate) fn output(&self) -> Output {
        self.0.process.output()
    }

    /// Status and body of a page of the admin listener.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let response = self
            .0
            .process
            .ask_admin(path)
            .await
            .expect("the admin listener answers");
        (
            response.status().as_u16(),
            String::from_utf8(response.into_body().to_vec()).expect("admin pages are UTF-8"),
        )
    }

    /// The value of one sample on `/metrics`, named as it is written there, labels and all; 0 if it is not there.
    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        let (_, page) = self.admin("/metrics").await;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a sample has a number"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.process.id()).expect("process ids are small");
        kill(Pid::from_raw(id), signal).expect("the gateway is there to be signalled");
    }

    /// Waits until the gateway has ended by itself, and then looks over all it wrote: one request line per request.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let status = self.0.process.wait(PATIENCE).await;
        let status =
            status.unwrap_or_else(|| panic!("the gateway does not end\n{}", self.output()));
        // The process is gone, but what it wrote last may still be in the pipe.
        let _all_read = self.0.process.wait_for_line(|_| false, PATIENCE).await;
        let mut lines = HashMap::new();
        for line in self.request_lines() {
            *lines
                .entry(line["request_id"].as_str().unwrap_or_default().to_owned())
                .or_insert(0) += 1;
        }
        lines.retain(|_, count| *count != 1);
        assert!(
            lines.is_empty(),
            "requests with more than one line: {lines:?}\n{}",
            self.output()
        );
        status
    }

    /// Asks it to end and waits for that.
    pub(crate) async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// Writes its `gateway.toml` anew, with other changes; it is for the scenario to ask for a reload.
    pub(crate) fn rewrite(&self, fragment: &str) {
        self.rewrite_with(fragment, &self.0.changes.bots);
    }

    /// The same, with these further bots in place of those it was started with: name, and what is merged into their table.
    pub(crate) fn rewrite_with(&self, fragment: &str, bots: &[(String, String)]) {
        let changes = Changes {
            fragments: vec![fragment.to_owned()],
            bots: bots.to_vec(),
        };
        write_config(self.folder(), &self.0.channel, &self.0.bot, &changes);
    }

    /// Ends it. What comes back starts another one with the same folder, configuration, channel and bot.
    pub(crate) async fn stop(self) -> Setup {
        assert!(self.terminate().await.success());
        self.beside()
    }

    /// Another one with the same folder, configuration, channel and bot.
    pub(crate) fn beside(&self) -> Setup {
        let inner = &self.0;
        Setup {
            changes: inner.changes.clone(),
            channel: Some(inner.channel.clone()),
            bot: Some(inner.bot.clone()),
            trusted: inner.trusted.clone(),
            folder: Some(Arc::clone(&inner.folder)),
            ..Self::with("")
        }
    }
}

impl Setup {
    /// Changes more: `[bots]` and `[[bots]]` cannot stand in one fragment.
    pub(crate) fn and(mut self, fragment: &str) -> Self {
        self.changes.fragments.push(fragment.to_owned());
        self
    }

    /// Adds a bot with this name, and this more in its table.
    pub(crate) fn another_bot(self, name: &str, bot: &EchoBot, more: &str) -> Self {
        let backend = bot.messages_url();
        self.and(&format!(
            "[[bots]]\nname = \"{name}\"\napp_id = \"{APP_ID}\"\nbackend = \"{backend}\"\ncloud = \"stand-in\"\n{more}"
        ))
    }

    /// The channel to trust, if the scenario needs it before the gateway is started.
    pub(crate) fn channel(mut self, channel: &Channel) -> Self {
        self.channel = Some(channel.clone());
        self
    }

    /// The bot to forward to, if the scenario needs it before the gateway is started.
    pub(crate) fn bot(mut self, bot: &EchoBot) -> Self {
        self.bot = Some(bot.clone());
        self
    }

    /// Adds a bot like the first one at `/NAME`, with what `fragment` changes in its table.
    pub(crate) fn bot_at(mut self, name: &str, fragment: &str) -> Self {
        let bot = (name.to_owned(), fragment.to_owned());
        self.changes.bots.push(bot);
        self
    }

    /// Adds a command line argument.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Passes an open socket, after those that were passed already, as systemd does.
    pub(crate) fn socket(mut self, socket: &std::net::TcpListener) -> Self {
        let copy = socket.as_fd().try_clone_to_owned();
        self.sockets.push(copy.expect("descriptors can be copied"));
        let count = self.sockets.len().to_string();
        self.variable("LISTEN_FDS", &count)
    }

    /// Puts a file beside `gateway.toml`.
    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    /// The certificate that clients trust, relative to `gateway.toml`; the self-signed one if not set.
    pub(crate) fn trusting(mut self, path: &str) -> Self {
        path.clone_into(&mut self.trusted);
        self
    }

    /// Starts it without waiting for `/readyz`: for scenarios in which it is not going to be ready.
    pub(crate) const fn not_ready(mut self) -> Self {
        self.waits_until_ready = false;
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(self) -> Gateway {
        self.try_start()
            .await
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Starts it, or says why that was not possible.
    pub(crate) async fn try_start(self) -> Result<Gateway, StartFailure> {
        let channel = match self.channel {
            Some(channel) => channel,
            None => new_channel().await,
        };
        let bot = match self.bot {
            Some(bot) => bot,
            None => EchoBot::start().await.expect("the stand-in bot starts"),
        };
        let folder = self
            .folder
            .unwrap_or_else(|| Arc::new(tempfile::tempdir().expect("a folder can be made")));
        for (path, content) in &self.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a file has a folder"))
                .expect("folders can be made");
            std::fs::write(path, content).expect("files can be written");
        }
        let config = write_config(folder.path(), &channel, &bot, &self.changes);
        let mut command =
            GatewayProcess::command(Path::new(env!("CARGO_BIN_EXE_botgate")), &config);
        command
            .args(&self.arguments)
            .envs(self.environment)
            .current_dir(folder.path());
        if !self.sockets.is_empty() {
            let mapping = |(parent_fd, child_fd)| FdMapping {
                parent_fd,
                child_fd,
            };
            let mappings = self.sockets.into_iter().zip(3..).map(mapping).collect();
            command
                .fd_mappings(mappings)
                .expect("the numbers are different");
        }
        let mut process = GatewayProcess::start(command, PATIENCE).await?;
        if self.waits_until_ready {
            process = process.until_ready(PATIENCE).await?;
        }
        let trusted = folder.path().join(&self.trusted);
        let client = Client::trusting(&trusted, process.listen()[0])
            .unwrap_or_else(|error| panic!("{} cannot be trusted: {error}", trusted.display()));
        Ok(Gateway(Arc::new(Inner {
            process,
            client,
            channel,
            bot,
            changes: self.changes,
            trusted: self.trusted,
            folder,
        })))
    }
}

/// A channel of its own, with the key that all of them have.
pub(crate) async fn new_channel() -> Channel {
    Channel::start_with(key_of_all_channels())
        .await
        .expect("the stand-in channel starts")
}

/// The key of every channel that a scenario does not start itself. Making one takes longer than a gateway takes to start.
fn key_of_all_channels() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(FIRST_KID).expect("there is randomness"))
        .clone()
}
