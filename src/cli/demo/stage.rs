//! Sets everything up on loopback and plays the scenes.

use super::bot::EchoBot;
use super::channel::Channel;
use super::client::{Client, Protocol, SERVER_NAME};
use super::gateway::{GatewayProcess, text};
use super::scenes::{
    APP_ID, FLOOD_BURST, FLOOD_PATH, Outcome, PARENT_APP_ID, PARENT_HOST, Proof, Scene, TENANT,
};
use super::table::Row;
use super::verdict::row;
use super::witnesses::{Witnesses, telling};
use bytes::Bytes;
use http::{Request, Response, header};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long anything may take that must happen. Long, because a failure is rare and machines can be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a configuration has beside the demo's own.
pub(super) struct Addition {
    /// More of it, in which `BACKEND` stands for the bot's messaging endpoint.
    pub(super) toml: String,
    /// The name and content of a file beside it.
    pub(super) secret: (&'static str, String),
}

/// The channel, the bot, and between them the real gateway.
pub(super) struct Stage {
    // First, so that the process is gone before its folder.
    pub(super) gateway: GatewayProcess,
    pub(super) channel: Channel,
    pub(super) bot: EchoBot,
    client: Client,
    folder: Folder,
}

impl Stage {
    /// Starts everything and waits until the gateway is ready.
    pub(super) async fn set(addition: Option<Addition>) -> io::Result<Self> {
        let folder = Folder::new()?;
        let (channel, bot) = (Channel::start().await?, EchoBot::start().await?);
        let config = folder.path().join("gateway.toml");
        let mut toml = configuration(&channel, &bot);
        if let Some(Addition { toml: more, secret }) = addition {
            toml.push_str(&more.replace("BACKEND", &bot.messages_url()));
            let (name, content) = secret;
            private_file(&folder.path().join(name), &content)?;
        }
        std::fs::write(&config, toml)?;
        let mut command = GatewayProcess::command(&std::env::current_exe()?, &config);
        command.current_dir(folder.path());
        let gateway = GatewayProcess::start(command, PATIENCE)
            .await
            .map_err(io::Error::other)?;
        let gateway = gateway
            .until_ready(PATIENCE)
            .await
            .map_err(io::Error::other)?;
        let address = gateway
            .listen()
            .first()
            .copied()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let client = Client::trusting(&folder.path().join(CERTIFICATE), address)?;
        Ok(Self {
            gateway,
            channel,
            bot,
            client,
            folder,
        })
    }

    /// The origin of the gateway as its certificate names it.
    pub(super) fn origin(&self) -> String {
        format!("https://{SERVER_NAME}:{}", self.client.address().port())
    }

    /// What talks to the gateway.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// The folder that all files of this demo are in.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate to trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// Sends what the scene wants sent, hears all witnesses, and compares.
    pub(super) async fn play(&self, scene: &Scene) -> Row {
        let (seen, delivered) = (self.bot.seen().len(), self.channel.deliveries().len());
        let mut answers = vec![];
        for _ in 0..scene.times {
            match self.send(scene).await {
                Ok(answer) => answers.push(answer),
                Err(error) => return unanswered(scene, &error),
            }
        }
        if matches!(scene.outcome, Outcome::Passes(Proof::AtChannel(_))) {
            self.channel
                .wait_for_deliveries(delivered.saturating_add(1), PATIENCE)
                .await;
        }
        let request_id = telling(&answers).and_then(|answer| answer.headers().get("x-request-id"));
        let request_id = request_id
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        self.gateway.request_line(&request_id, PATIENCE).await;
        let output = self.gateway.output();
        let lines = output
            .request_lines()
            .filter(|line| text(line, "request_id") == request_id);
        let witnesses = Witnesses {
            answers,
            seen: self.bot.seen().into_iter().skip(seen).collect(),
            deliveries: self
                .channel
                .deliveries()
                .into_iter()
                .skip(delivered)
                .collect(),
            request_lines: lines.cloned().collect(),
        };
        row(scene, &witnesses)
    }

    async fn send(&self, scene: &Scene) -> io::Result<Response<Bytes>> {
        let mut request = Request::post(scene.path)
            .header(
                header::HOST,
                format!("{SERVER_NAME}:{}", self.client.address().port()),
            )
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        if let Some(token) = &scene.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(scene.body.clone()).map_err(io::Error::other)?;
        tokio::time::timeout(PATIENCE, self.client.send(Protocol::Http1, request)).await?
    }
}

/// Where a gateway with `source = "self-signed"` keeps its certificate, beside its configuration.
const CERTIFICATE: &str = "certs/self-signed.pem";

fn configuration(channel: &Channel, bot: &EchoBot) -> String {
    let (cloud, backend) = (channel.cloud_toml("demo"), bot.messages_url());
    format!(
        r#"# Written by `botgate demo`.
[server]
listen = ["127.0.0.1:0"]

[server.tls]
source = "self-signed"

[admin]
listen = "127.0.0.1:0"

[keys]
cache_dir = ""

{cloud}
[[bots]]
name = "demo"
app_id = "{APP_ID}"
backend = "{backend}"
cloud = "demo"
accept = ["channel", "skill", "agent"]

[bots.tenants]
allow = ["{TENANT}"]

[bots.callers]
allow = ["{PARENT_APP_ID}"]

[bots.service_urls]
extra_hosts = ["{PARENT_HOST}"]

[[bots]]
name = "flood"
app_id = "{APP_ID}"
path = "{FLOOD_PATH}"
backend = "{backend}"
cloud = "demo"

[bots.rate_limits]
per_user = {{ rate = "1/m", burst = {FLOOD_BURST} }}
"#
    )
}

fn private_file(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.as_bytes())
}

fn unanswered(scene: &Scene, error: &io::Error) -> Row {
    Row {
        sent: scene.title.to_owned(),
        came_back: "no answer".to_owned(),
        wrong: vec![error.to_string()],
        ..Row::default()
    }
}

/// A folder of the demo's own, readable by this user only, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("botgate-demo-{}", uuid::Uuid::new_v4().simple()));
        // The gateway will keep a private key in it.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _leftovers_are_in_the_temporary_folder = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_configuration_is_toml_with_two_bots() {
        let (channel, bot) = (
            Channel::start().await.unwrap(),
            EchoBot::start().await.unwrap(),
        );
        let config: toml::Table = configuration(&channel, &bot).parse().unwrap();
        assert_eq!(
            config["bots"][0]["tenants"]["allow"][0].as_str(),
            Some(TENANT)
        );
        assert_eq!(config["bots"][1]["path"].as_str(), Some(FLOOD_PATH));
        assert_eq!(
            config["clouds"]["demo"]["channel_metadata"].as_str(),
            Some(channel.metadata_url().as_str())
        );
    }

    #[test]
    fn the_folder_is_private_and_goes_away() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        std::fs::write(path.join("key"), "secret").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
