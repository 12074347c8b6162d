//! Whether each bot is there: one connection, made as the gateway makes it, and one request that changes nothing.

use super::super::posture;
use super::{Findings, Place, Places};
use crate::config::{Backend, Bot, Endpoint, Settings, Severity};
use crate::net::client::{ClientProblem, chain};
use crate::net::dial::Dialer;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tokio::time::Instant;

/// For the answer; a bot that takes longer for this is not well.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn try_out(settings: &Settings, places: &Places, findings: &mut Findings) {
    for bot in &settings.bots {
        let endpoints = &bot.backend.endpoints;
        let dialers = Dialer::for_each(&bot.backend);
        for (position, endpoint) in endpoints.iter().enumerate() {
            let key = match endpoints.as_slice() {
                [_] => format!("bots[{}].backend", bot.index),
                [..] => format!("bots[{}].backend[{position}]", bot.index),
            };
            let place = Place {
                key: &key,
                line: places.lines.backends.get(bot.index).copied().flatten(),
            };
            let asked = Instant::now();
            let dialer = dialers.as_ref().map(|dialers| dialers.get(position));
            let outcome = match dialer {
                Ok(Some(dialer)) => ask(endpoint, dialer, &bot.backend).await,
                Ok(None) => continue,
                Err(ClientProblem(why)) => Err(why.clone()),
            };
            tell(bot, endpoint, &place, outcome, asked.elapsed(), findings);
        }
    }
}

fn tell(
    bot: &Bot,
    endpoint: &Endpoint,
    place: &Place<'_>,
    outcome: Result<StatusCode, String>,
    took: Duration,
    findings: &mut Findings,
) {
    let shown = posture::server(endpoint);
    match outcome {
        Err(why) => {
            let what = format!("of bot {:?}, {shown}, does not answer: {why}", bot.name);
            findings.note(Severity::Error, place, what, hint(&why));
        }
        Ok(StatusCode::NOT_FOUND) => {
            let what = format!(
                "of bot {:?} is alive, but answers OPTIONS {shown} with 404",
                bot.name
            );
            let hint =
                "the path is probably another: bots serve /api/messages unless told otherwise";
            findings.note(Severity::Warning, place, what, hint);
        }
        Ok(status) if status.is_server_error() => {
            let what = format!(
                "of bot {:?} answers OPTIONS {shown} with {}",
                bot.name,
                status.as_u16()
            );
            let hint = "a proxy before the bot says 502, 503 or 504 when the bot is away; a bot that says 500 or 501 itself may still take messages";
            findings.note(Severity::Warning, place, what, hint);
        }
        Ok(status) => findings.good(
            "backend",
            format!(
                "{}: {shown} answers OPTIONS with {} in {} ms",
                bot.name,
                status.as_u16(),
                took.as_millis()
            ),
        ),
    }
}

/// The status of the answer to OPTIONS, which is safe (RFC 9110 9.3.7), where a GET could be a WebSocket's or a web page's.
async fn ask(
    endpoint: &Endpoint,
    dialer: &Dialer,
    backend: &Backend,
) -> Result<StatusCode, String> {
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(dialer.clone());
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(endpoint.url.as_str())
        .header("user-agent", concat!("botgate/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let within = backend.connect_timeout.saturating_add(ANSWERS_WITHIN);
    match tokio::time::timeout(within, client.request(request)).await {
        Ok(Ok(response)) => Ok(response.status()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no answer within {} s", within.as_secs())),
    }
}

fn hint(why: &str) -> &'static str {
    if why.contains("UnknownIssuer") {
        "name the authority of its certificate in bots.backend_tls.ca"
    } else if why.contains("NotValidForName") || why.contains("not valid for name") {
        "set bots.backend_tls.server_name to a name that its certificate is for"
    } else if why.contains("tls handshake eof") || why.contains("InvalidContentType") {
        "nothing speaks TLS there: write http:// if the bot is plain, or correct the port"
    } else if why.contains("Unix socket") {
        "start the bot, or correct the path of its socket; botgate's user needs the right to write to it"
    } else if why.contains("certificate") || why.contains("TLS") {
        "look at [bots.backend_tls] and at the bot's certificate"
    } else {
        "start the bot, or correct the address; the gateway answers 502 until then"
    }
}
