//! `demo --web`: a page with Microsoft's Web Chat, which gets its tokens from the gateway and talks to the stand-in Direct Line.

use super::channel::Channel;
use super::client::{Client, Protocol, SERVER_NAME};
use super::direct_line::{Delivering, DirectLine};
use super::loopback::{Body, whole};
use super::scenes::APP_ID;
use super::stage::{Addition, Stage};
use super::table::{Colour, Style, say};
use super::web_server::serve;
use crate::cli::Exit;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Microsoft's Web Chat, as npm puts it into this repository.
pub const BUNDLE: &str = "tests/web-chat/node_modules/botframework-webchat/dist/webchat.js";
/// How it gets there.
const INSTALL: &str = "npm ci --ignore-scripts --prefix tests/web-chat";

/// Where the bot of the page gets its messages.
const MESSAGES_PATH: &str = "/api/web";
/// Where the page gets its tokens.
const TOKEN_PATH: &str = "/directline/token";
const SECRET_FILE: &str = "direct-line-secret";

const PAGE: &str = include_str!("page.html");
/// What `docs/direct-line.md` shows.
const SCRIPT: &str = include_str!("page.js");
/// The token endpoint that stands in [`SCRIPT`].
const SCRIPT_TOKENS: &str = "https://bot.example.com/directline/token";
/// The service that stands in [`SCRIPT`].
const SCRIPT_DOMAIN: &str = "https://directline.botframework.com/v3/directline";

/// A web site of one page. Dropping it closes its port.
pub struct Site {
    _server: AbortOnDropHandle<()>,
}

impl Site {
    /// Serves the page over TLS, with its script set to a token endpoint and a Direct Line service.
    pub fn serve(
        listener: TcpListener,
        tls: Arc<ServerConfig>,
        bundle: Bytes,
        tokens: &str,
        domain: &str,
    ) -> Self {
        let script = SCRIPT
            .replace(SCRIPT_TOKENS, tokens)
            .replace(SCRIPT_DOMAIN, domain);
        let script = Bytes::from(script);
        let answer = move |request: Request<Incoming>| {
            let (content_type, body) = match request.uri().path() {
                "/" => (
                    "text/html; charset=utf-8",
                    Bytes::from_static(PAGE.as_bytes()),
                ),
                "/page.js" => ("text/javascript; charset=utf-8", script.clone()),
                "/webchat.js" => ("text/javascript; charset=utf-8", bundle.clone()),
                _ => ("text/plain", Bytes::new()),
            };
            std::future::ready(file(content_type, body))
        };
        Self {
            _server: serve(listener, Some(TlsAcceptor::from(tls)), answer),
        }
    }
}

fn file(content_type: &'static str, body: Bytes) -> Response<Body> {
    let is_missing = body.is_empty();
    let mut response = Response::new(whole(body));
    if is_missing {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sets everything up, says where the page is, and leaves it up.
pub(super) async fn run() -> io::Result<Exit> {
    let Ok(bundle) = std::fs::read(BUNDLE) else {
        say(&format!(
            "demo --web needs Microsoft's Web Chat: in the folder of botgate's source, run `{INSTALL}` and then this again."
        ));
        return Ok(Exit::NotSo);
    };
    let secret = uuid::Uuid::new_v4().simple().to_string();
    let direct_line = DirectLine::start(&secret).await?;
    // Its origin has to be known to the gateway, and the gateway's to the page: so the port first, the page last.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // The same host as the gateway's, so that to the browser both are one site, whose cookies it keeps.
    let page = format!("https://{SERVER_NAME}:{}", listener.local_addr()?.port());
    let addition = Addition {
        toml: configuration(&direct_line, &page),
        secret: (SECRET_FILE, secret),
    };
    let stage = Stage::set(Some(addition)).await?;
    let (client, channel) = (stage.client().clone(), stage.channel.clone());
    direct_line.deliver_with(move |activity| deliver(client.clone(), channel.clone(), activity));
    let tokens = format!("{}{TOKEN_PATH}", stage.origin());
    let domain = format!("{}/v3/directline", direct_line.origin());
    let tls = tls(&stage.certificate())?;
    let _site = Site::serve(listener, tls, bundle.into(), &tokens, &domain);
    introduce(&stage, &direct_line, &page, &tokens);
    std::future::pending().await
}

fn introduce(stage: &Stage, direct_line: &DirectLine, page: &str, tokens: &str) {
    let colour = Colour::of_stdout();
    say(&format!(
        "A page with Microsoft's Web Chat, as a site owner would have it, and an echo bot behind the gateway. The page holds\n\
         no secret: the gateway gives it a token, for a user id that the gateway made up.\n\n  \
         page         {}\n  \
         tokens       {tokens}\n  \
         gateway      {}{MESSAGES_PATH}\n  \
         Direct Line  {} (a stand-in)\n  \
         bot          {}\n  \
         files        {}\n",
        colour.paint(Style::Heading, page),
        stage.origin(),
        direct_line.origin(),
        stage.bot.messages_url(),
        stage.folder().display(),
    ));
    say(&format!(
        "The certificate was made for this run, so the browser warns. In Chrome and Edge: Advanced, Proceed to localhost.\n\
         In Firefox: Advanced, Accept the Risk, and the same once more at {}, which is another port.\n\
         Everything stays up until Ctrl-C.",
        stage.origin(),
    ));
}

fn configuration(direct_line: &DirectLine, page: &str) -> String {
    let endpoint = direct_line.origin();
    format!(
        r#"
[[bots]]
name = "web"
app_id = "{APP_ID}"
path = "{MESSAGES_PATH}"
backend = "BACKEND"
cloud = "demo"

[bots.direct_line]
enhanced_authentication = true
issued_ids_only = true

[[direct_line]]
name = "web"
path = "{TOKEN_PATH}"
secret = "file:{SECRET_FILE}"
endpoint = "{endpoint}"
trusted_origins = ["{page}"]
"#
    )
}

/// Sends an activity to the gateway as the channel does.
fn deliver(client: Client, channel: Channel, activity: Value) -> Delivering {
    Box::pin(async move {
        let service_url = activity.get("serviceUrl").and_then(Value::as_str);
        let token = channel.token(APP_ID, service_url.unwrap_or_default());
        let token = token.sign().map_err(io::Error::other)?;
        let host = format!("{SERVER_NAME}:{}", client.address().port());
        let request = Request::post(MESSAGES_PATH)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Bytes::from(activity.to_string()))
            .map_err(io::Error::other)?;
        Ok(client.send(Protocol::Http1, request).await?.status())
    })
}

/// The page shows the gateway's own certificate, so that a person has to accept one only.
fn tls(certificate: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(certificate.with_extension("key"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key.map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_shows_the_pages_script() {
        const DOCS: &str = include_str!("../../../../docs/direct-line.md");
        assert!(
            DOCS.contains(SCRIPT.trim()),
            "paste src/cli/demo/web/page.js"
        );
        for address in [SCRIPT_TOKENS, SCRIPT_DOMAIN] {
            assert_eq!(SCRIPT.matches(address).count(), 1, "{address}");
        }
    }

    #[tokio::test]
    async fn the_addition_is_toml_with_a_broker_for_the_page() {
        let direct_line = DirectLine::start("s").await.unwrap();
        let toml = configuration(&direct_line, "https://localhost:1");
        let table: toml::Table = toml.parse().unwrap();
        assert_eq!(
            table["direct_line"][0]["trusted_origins"][0].as_str(),
            Some("https://localhost:1")
        );
    }
}
