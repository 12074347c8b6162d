//! Everything one run consists of: Microsoft, the bot, the gateway, and the channel that sends to it.

use crate::stage::certificates::Authority;
use crate::stage::microsoft::{APP_ID, APP_PASSWORD, KeySets, Microsoft, TENANT};
use crate::stage::process::{PATIENCE, Running};
use crate::stage::projects::Project;
use botgate::cli::demo::channel::{ENDORSED, ISSUER, now};
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// The bot's project.
pub(crate) const PROJECT: Project = Project::Npm("botbuilder-js");

/// Where the channel finds the bot: the gateway, on port 443.
pub(crate) const GATEWAY_HOST: &str = "bot.example.com";

/// Where only the gateway should find it.
pub(crate) const BOT: &str = "http://127.0.0.1:3978/api/messages";

/// All of it, running.
pub(crate) struct World {
    pub(crate) microsoft: Arc<Microsoft>,
    /// The key that Microsoft publishes.
    channel: SigningKey,
    pub(crate) bot: Running,
    pub(crate) gateway: Running,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl World {
    /// Starts everything in `dir`, without waiting for it.
    pub(crate) async fn start(dir: &Path) -> Self {
        let authority = Authority::new();
        let authority_file = dir.join("authority.pem");
        authority.write(&authority_file);
        authority.issue_files(
            &[GATEWAY_HOST],
            &dir.join("gateway.pem"),
            &dir.join("gateway.key"),
        );
        let channel = SigningKey::generate("real-bot-test-key").unwrap();
        let mut endorsed = channel.jwk();
        endorsed.insert("endorsements".into(), json!(ENDORSED));
        let key_sets = KeySets {
            channel: vec![endorsed.into()],
            ..KeySets::default()
        };
        Self {
            microsoft: Microsoft::start(&authority, key_sets).await,
            channel,
            bot: start_bot(&authority_file),
            gateway: start_gateway(dir, &authority_file),
            client: client(&authority),
        }
    }

    /// Waits until the bot listens and the gateway says that it is ready.
    pub(crate) async fn ready(&self) {
        let listens = |bot: &Running| {
            bot.lines()
                .iter()
                .any(|line| line.contains("The bot listens"))
                .then_some(())
        };
        self.bot.says("the bot to listen", listens).await;
        let started = self
            .gateway
            .says("the gateway to start", |gateway| {
                gateway.events("started").pop()
            })
            .await;
        let readiness = format!(
            "http://{}/readyz",
            started["admin"]
                .as_str()
                .expect("`admin` in the started event")
        );
        let ready = async {
            while !self
                .fetch(Request::get(&readiness).body(Full::default()).unwrap())
                .await
                .status()
                .is_success()
            {
                self.gateway.assert_runs();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .unwrap_or_else(|_| panic!("{readiness} does not become 200"));
    }

    /// The token that the channel sends along with activities for this service URL.
    pub(crate) fn token(&self, service_url: &str) -> TokenSpec {
        TokenSpec::new(&self.channel, ISSUER, APP_ID, service_url, now())
    }

    /// Sends `activity` to the gateway as the channel would.
    pub(crate) async fn post(&self, token: Option<&str>, activity: &Value) -> Response<Bytes> {
        self.post_to(
            &format!("https://{GATEWAY_HOST}/api/messages"),
            token,
            activity,
        )
        .await
    }

    /// The same to any address.
    pub(crate) async fn post_to(
        &self,
        url: &str,
        token: Option<&str>,
        activity: &Value,
    ) -> Response<Bytes> {
        let mut request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(
                header::USER_AGENT,
                "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)",
            );
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.fetch(request.body(Full::from(activity.to_string())).unwrap())
            .await
    }

    async fn fetch(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let uri = request.uri().clone();
        let answer = async {
            let response = self
                .client
                .request(request)
                .await
                .unwrap_or_else(|error| panic!("{uri}: {error:?}"));
            let (head, body) = response.into_parts();
            Response::from_parts(
                head,
                body.collect()
                    .await
                    .unwrap_or_else(|error| panic!("{uri}: {error:?}"))
                    .to_bytes(),
            )
        };
        tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| panic!("{uri} does not answer"))
    }
}

fn start_bot(authority_file: &Path) -> Running {
    let mut node = Command::new("node");
    node.args(["-r", "./count.js", "bot.js"])
        .current_dir(PROJECT.directory());
    node.env_clear()
        .env("MicrosoftAppId", APP_ID)
        .env("MicrosoftAppPassword", APP_PASSWORD)
        .env("MicrosoftAppType", "SingleTenant")
        .env("MicrosoftAppTenantId", TENANT)
        .env("NODE_EXTRA_CA_CERTS", authority_file);
    Running::start("the bot", &mut node)
}

/// The configuration an operator would write: three places of the shipped file, and where the certificate is.
fn start_gateway(dir: &Path, authority_file: &Path) -> Running {
    let config = format!(
        r#"
[server]
listen = ["127.0.0.2:443"]

[server.tls]
source = "files"
cert = "gateway.pem"
key = "gateway.key"

[[bots]]
name = "helpdesk"
app_id = "{APP_ID}"
hosts = ["{GATEWAY_HOST}"]
backend = "{BOT}"
cloud = "public"

[bots.tenants]
allow = ["{TENANT}"]
"#
    );
    std::fs::write(dir.join("gateway.toml"), config).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_botgate"));
    gateway
        .args(["run", "--config", "gateway.toml"])
        .current_dir(dir)
        .env_clear()
        .env("SSL_CERT_FILE", authority_file);
    Running::start("the gateway", &mut gateway)
}

fn client(authority: &Authority) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}
