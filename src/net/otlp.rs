//! Brings spans to a collector: OTLP over HTTP with the gateway's own client, as the standard variables of the environment say
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use super::client::{TlsTrust, connector};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// What the environment asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    /// No traces.
    Nothing,
    /// OTLP over HTTP, in protobuf.
    Otlp {
        /// For one export.
        within: Duration,
        /// File with the authorities to trust in place of the platform's.
        ca_file: Option<String>,
    },
    /// What this gateway does not do: a sentence for the operator.
    Unknown(String),
}

/// The exporter that the environment asks for; `None` where it asks for none, as it does unless an endpoint is set.
///
/// # Errors
/// A sentence for the operator, where it asks for what cannot be had. No reason not to serve.
pub fn exporter(tasks: &TaskTracker) -> Result<Option<SpanExporter>, String> {
    let (within, ca_file) = match Wish::of(&|name| std::env::var(name).ok()) {
        Wish::Nothing => return Ok(None),
        Wish::Unknown(what) => return Err(what),
        Wish::Otlp { within, ca_file } => (within, ca_file),
    };
    let ca = match ca_file {
        None => None,
        Some(path) => Some(std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?),
    };
    let trust = TlsTrust {
        only_ca: ca.as_deref(),
        ..TlsTrust::default()
    };
    let connector = connector(&trust, within).map_err(|problem| problem.to_string())?;
    let client = Collector {
        client: Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector),
        tasks: tasks.clone(),
        runtime: Handle::current(),
        within,
    };
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(within)
        .build()
        .map(Some)
        .map_err(|error| error.to_string())
}

impl Wish {
    fn of(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        // An empty variable is as good as none (OpenTelemetry, "General SDK Configuration").
        let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let of_traces = |rest: &str| {
            set(&format!("OTEL_EXPORTER_OTLP_TRACES_{rest}"))
                .or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{rest}")))
        };
        let is_disabled =
            set("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        let exporter = set("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".to_owned());
        let Some(endpoint) = of_traces("ENDPOINT") else {
            return Self::Nothing;
        };
        if is_disabled || exporter == "none" {
            return Self::Nothing;
        }
        if exporter != "otlp" {
            return Self::Unknown(format!(
                "OTEL_TRACES_EXPORTER is {exporter:?}; botgate knows \"otlp\" and \"none\""
            ));
        }
        if !is_http(&endpoint) {
            return Self::Unknown(
                "OTEL_EXPORTER_OTLP_ENDPOINT is no http or https address, such as http://127.0.0.1:4318"
                    .to_owned(),
            );
        }
        match of_traces("PROTOCOL").as_deref() {
            None | Some("http/protobuf") => {}
            Some(other) => {
                return Self::Unknown(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}; botgate speaks \"http/protobuf\", which collectors take at port 4318"
                ));
            }
        }
        let milliseconds = of_traces("TIMEOUT").and_then(|text| text.trim().parse().ok());
        Self::Otlp {
            within: milliseconds.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            ca_file: of_traces("CERTIFICATE"),
        }
    }
}

fn is_http(endpoint: &str) -> bool {
    let uri: Option<Uri> = endpoint.trim().parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    })
}

/// The way to the collector. The SDK asks from a thread of its own, where no socket can be used: tasks of ours do the work.
#[derive(Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tasks: TaskTracker,
    runtime: Handle,
    within: Duration,
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'client, 'sending>(&'client self, request: Request<Bytes>) -> Sending<'sending>
    where
        'client: 'sending,
        Self: 'sending,
    {
        let (client, within) = (self.client.clone(), self.within);
        let work = async move { tokio::time::timeout(within, send(client, request)).await? };
        let work = self.tasks.spawn_on(work, &self.runtime);
        Box::pin(async move { work.await? })
    }
}

async fn send(
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    let body = Limited::new(body, MAX_ANSWER).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// The standard's.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// A collector says hardly anything.
const MAX_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(variables: &[(&str, &str)]) -> Wish {
        Wish::of(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn without_an_endpoint_nothing_is_traced_nor_where_the_environment_says_so() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_EXPORTER_OTLP_TIMEOUT", "1")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert_eq!(wish(variables), Wish::Nothing, "{variables:?}");
        }
    }

    #[test]
    fn the_variables_of_traces_come_before_the_general_ones() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c.example/x"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
        ];
        let expected = Wish::Otlp {
            within: Duration::from_millis(250),
            ca_file: Some("ca.pem".to_owned()),
        };
        assert_eq!(wish(&variables), expected);
        let plain = Wish::Otlp {
            within: DEFAULT_TIMEOUT,
            ca_file: None,
        };
        assert_eq!(wish(&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")]), plain);
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        for (variable, words) in [
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "http/protobuf"),
            (
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
                "http/protobuf",
            ),
            (("OTEL_TRACES_EXPORTER", "zipkin"), "\"otlp\""),
            (
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
                "no http",
            ),
        ] {
            let Wish::Unknown(what) = wish(&[ENDPOINT, variable]) else {
                panic!("{variable:?} is not refused");
            };
            assert!(what.contains(words), "{what}");
        }
    }
}
