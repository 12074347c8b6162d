//! Tests of what is told.

mod lines;
mod log;
mod log_buffer;
mod log_file;
mod requests;

use super::log::layer;
use super::{Door, Observer, Proof, RequestLine, Verdict, Watch};
use crate::config::{self, LogFormat, Settings, StartFlags};
use crate::judge::{Reason, Rejection};
use serde_json::Value;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// Two bots; everything else as it is unless set.
fn settings() -> Settings {
    let bot = |name: &str, path: &str| {
        format!(
            "[[bots]]\nname = {name:?}\napp_id = \"00000000-0000-0000-0000-000000000001\"\npath = {path:?}\n\
             backend = \"http://127.0.0.1:3978/api/messages\"\n"
        )
    };
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[server.tls]\nsource = \"self-signed\"\n{}{}",
        bot("helpdesk", "/api/messages"),
        bot("sales", "/sales")
    );
    config::parse(&text, Path::new("."), StartFlags::default())
        .unwrap()
        .settings
}

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Every line as JSON: one that is not fails the test.
    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn only_line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs `act` under a log of this format and level.
fn logged(format: LogFormat, level: LevelFilter, act: impl FnOnce()) -> Written {
    let written = Written::default();
    let settings = config::Log {
        format,
        level,
        ..settings().log
    };
    let layer = layer(&settings, false, super::escape::Escaping(written.clone()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
    written
}

fn json(act: impl FnOnce()) -> Written {
    logged(LogFormat::Json, LevelFilter::INFO, act)
}

fn line() -> RequestLine {
    RequestLine::new("r-1", Door::Ingress, "192.0.2.1".parse().unwrap())
}

fn rejected(reason: Reason) -> Verdict {
    Verdict::Rejected {
        status: reason.status(),
        rejection: Rejection::from(reason).noting("a note"),
    }
}

fn observer() -> Arc<Observer> {
    Observer::new(&settings()).unwrap()
}

/// A request of the first bot that ends so.
fn ended(observer: &Arc<Observer>, verdict: Verdict) {
    let mut watch: Watch = observer.watch(line(), Some("helpdesk"));
    watch.conclude(verdict);
}
