//! Everything one run consists of: Microsoft, the bot, the gateway, two web sites, and the browser.

use crate::browser::Browser;
use crate::stage::certificates::Authority;
use crate::stage::microsoft::{APP_ID, APP_PASSWORD, KeySets, Microsoft, TENANT};
use crate::stage::process::{PATIENCE, Running, until};
use crate::stage::projects::Project;
use botgate::cli::demo::channel::{ENDORSED, ISSUER, now};
use botgate::cli::demo::direct_line::DirectLine;
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use botgate::cli::demo::web::{BUNDLE, Site};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::process::Command;

pub(crate) const PROJECT: Project = Project::Npm("botbuilder-js");

/// Loopback addresses of their own, so that each has a port 443.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("bot.example.com", "127.0.0.2"),
    ("www.example.com", "127.0.0.3"),
    ("evil.example", "127.0.0.4"),
    ("shop.example.com", "127.0.0.5"),
];

/// Where pages get tokens.
pub(crate) const TOKENS: &str = "https://bot.example.com/directline/token";
/// The site whose pages may.
pub(crate) const PAGE: &str = "https://www.example.com";
/// A site whose pages may not.
pub(crate) const EVIL: &str = "https://evil.example";
/// Another site, with a broker of its own whose sessions are short.
pub(crate) const SHOP: &str = "https://shop.example.com";
/// Where its pages get tokens.
pub(crate) const SHOP_TOKENS: &str = "https://bot.example.com/shop/token";
/// How long a conversation of such a page is renewed, seconds.
pub(crate) const SHOP_SESSION: u64 = 7;
/// Where the service is for pages.
pub(crate) const DOMAIN: &str = "https://directline.botframework.com/v3/directline";
/// What must never be in a browser.
pub(crate) const SECRET: &str = "made-up-direct-line-secret.4711";

pub(crate) struct World {
    pub(crate) direct_line: DirectLine,
    pub(crate) microsoft: Arc<Microsoft>,
    pub(crate) bot: Running,
    pub(crate) gateway: Running,
    pub(crate) browser: Browser,
    /// The activities that the channel sent, each with the gateway's answer.
    pub(crate) delivered: Arc<Mutex<Vec<(Value, u16)>>>,
    channel: Arc<Channel>,
    _sites: [Site; 3],
}

/// What sends to the gateway.
struct Channel {
    key: SigningKey,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl World {
    /// Starts everything and waits until it is ready.
    pub(crate) async fn start(dir: &Path) -> Self {
        let authority = Authority::new();
        let authority_file = dir.join("authority.pem");
        authority.write(&authority_file);
        authority.issue_files(
            &["bot.example.com"],
            &dir.join("gateway.pem"),
            &dir.join("gateway.key"),
        );
        let key = SigningKey::generate("web-chat-test-key").unwrap();
        let mut endorsed = key.jwk();
        endorsed.insert("endorsements".into(), json!(ENDORSED));
        let key_sets = KeySets {
            channel: vec![endorsed.into()],
            ..KeySets::default()
        };
        let microsoft = Microsoft::start(&authority, key_sets).await;
        let direct_line = DirectLine::start(SECRET).await.unwrap();
        direct_line.stand_behind("https://directline.botframework.com");
        microsoft.play_direct_line(&direct_line);
        let channel = Arc::new(Channel {
            key,
            client: client(&authority),
        });
        let delivered: Arc<Mutex<Vec<(Value, u16)>>> = Arc::default();
        let (sender, noted) = (Arc::clone(&channel), Arc::clone(&delivered));
        direct_line.deliver_with(move |activity| {
            let (sender, noted) = (Arc::clone(&sender), Arc::clone(&noted));
            Box::pin(async move {
                let answer = sender.deliver(&activity).await;
                let status = answer.status();
                noted.lock().unwrap().push((activity, status.as_u16()));
                Ok(status)
            })
        });
        let bundle = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(BUNDLE));
        let bundle = Bytes::from(bundle.unwrap());
        let site = async |name: &str, address: &str, tokens: &str| {
            let listener = TcpListener::bind((address, 443)).await.unwrap();
            let (certificate, key) = authority.issue(&[name]);
            let tls = rustls::ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key);
            let tls = Arc::new(tls.unwrap());
            Site::serve(listener, tls, bundle.clone(), tokens, DOMAIN)
        };
        let world = Self {
            direct_line,
            microsoft,
            bot: start_bot(&authority_file),
            gateway: start_gateway(dir, &authority_file),
            browser: Browser::start(dir),
            delivered,
            channel,
            _sites: [
                site("www.example.com", "127.0.0.3", TOKENS).await,
                site("evil.example", "127.0.0.4", TOKENS).await,
                site("shop.example.com", "127.0.0.5", SHOP_TOKENS).await,
            ],
        };
        world.ready().await;
        world
    }

    async fn ready(&self) {
        let listens = |bot: &Running| {
            let lines = bot.lines();
            let listens = lines.iter().any(|line| line.contains("The bot listens"));
            listens.then_some(())
        };
        self.bot.says("the bot to listen", listens).await;
        let started = |gateway: &Running| gateway.events("started").pop();
        let started = self.gateway.says("the gateway to start", started).await;
        let readiness = format!("http://{}/readyz", started["admin"].as_str().unwrap());
        let ready = async {
            loop {
                let request = Request::get(&readiness).body(Full::default());
                if self.ask(request.unwrap()).await.status().is_success() {
                    return;
                }
                self.gateway.assert_runs();
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .expect("the gateway becomes ready");
    }

    /// A request by a program that is no browser.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.channel.ask(request).await
    }

    /// An activity that comes straight from the channel.
    pub(crate) async fn deliver(&self, activity: &Value) -> http::StatusCode {
        self.channel.deliver(activity).await.status()
    }

    /// The request lines about this path with this reason.
    pub(crate) fn refused(&self, path: &str, reason: &str) -> usize {
        let lines = self.gateway.events("request");
        lines
            .iter()
            .filter(|line| line["path"] == path && line["reason"] == reason)
            .count()
    }

    /// Waits until there are more of those lines than before.
    pub(crate) async fn refused_again(&self, path: &str, reason: &str, before: usize) {
        until(&format!("a request line with {reason}"), || {
            (self.refused(path, reason) > before).then_some(())
        })
        .await;
    }

    /// How often the secret was used to make a token.
    pub(crate) fn generated(&self) -> usize {
        let asked = self.direct_line.asked();
        let generate = "POST /v3/directline/tokens/generate";
        asked.iter().filter(|asked| asked.line == generate).count()
    }

    /// Waits until the bot saw what the gateway let through; fails if it sees more.
    pub(crate) async fn bot_saw_no_more(&self) {
        let let_through = || {
            let delivered = self.delivered.lock().unwrap();
            delivered
                .iter()
                .filter(|(_, status)| *status == 200)
                .count()
        };
        until("the bot to see what was let through and no more", || {
            (self.bot.events("bot_saw").len() == let_through()).then_some(())
        })
        .await;
    }
}

impl Channel {
    async fn deliver(&self, activity: &Value) -> Response<Bytes> {
        let service_url = activity["serviceUrl"].as_str().unwrap();
        let token = TokenSpec::new(&self.key, ISSUER, APP_ID, service_url, now());
        let request = Request::post("https://bot.example.com/api/messages")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", token.sign().unwrap()),
            );
        let body = Full::from(activity.to_string());
        self.ask(request.body(body).unwrap()).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let uri = request.uri().clone();
        let answer = async {
            let response = self.client.request(request).await;
            let response = response.unwrap_or_else(|error| panic!("{uri}: {error:?}"));
            let (head, body) = response.into_parts();
            Response::from_parts(head, body.collect().await.unwrap().to_bytes())
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

/// As an operator would write it. Only the budget of an address is larger, because every attack comes from this machine.
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
hosts = ["bot.example.com"]
backend = "http://127.0.0.1:3978/api/messages"
cloud = "public"

[bots.direct_line]
enhanced_authentication = true
issued_ids_only = true

[[direct_line]]
name = "site"
hosts = ["bot.example.com"]
path = "/directline/token"
secret = "file:direct-line-secret"
endpoint = "https://directline.botframework.com"
trusted_origins = ["{PAGE}"]
per_ip = {{ rate = "1/m", burst = {PER_IP} }}

[[direct_line]]
name = "shop"
hosts = ["bot.example.com"]
path = "/shop/token"
secret = "file:direct-line-secret"
trusted_origins = ["{SHOP}"]
max_session = "{SHOP_SESSION}s"
"#
    );
    std::fs::write(dir.join("gateway.toml"), config).unwrap();
    let secret = dir.join("direct-line-secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_botgate"));
    gateway
        .args(["run", "--config", "gateway.toml"])
        .current_dir(dir)
        .env_clear()
        .env("SSL_CERT_FILE", authority_file);
    Running::start("the gateway", &mut gateway)
}

/// What one address may ask of the broker at once; then one a minute, so that no slow machine earns more meanwhile.
pub(crate) const PER_IP: usize = 40;

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
