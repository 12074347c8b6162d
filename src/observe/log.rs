//! Sets up the log: one JSON object per line, or lines for people, on standard output or in a file.

use super::audit;
use super::escape::{Escaping, one_line};
use super::log_buffer::{self, LogBuffer, Writing};
use super::log_file::{FileState, LogFile};
use super::metrics::Metrics;
use super::stamp;
use super::whole_lines::WholeLines;
use crate::config;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use time::OffsetDateTime;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{MakeWriter, time::FormatTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Writes what is still buffered when it is dropped. To be kept until the end of `main`.
#[must_use = "the log ends when this is dropped"]
pub struct LogGuard {
    pub(super) lines: Arc<LogBuffer>,
    pub(super) format: config::LogFormat,
    pub(super) file: Option<Arc<FileState>>,
    pub(super) _writing: Writing,
}

impl LogGuard {
    /// Opens the log file anew, for those who rotate it by themselves (SIGUSR1): the next line goes to the new one.
    pub fn reopen(&self) {
        match &self.file {
            Some(file) => {
                file.ask_to_reopen();
                tracing::info!(event = "log_reopened", "the log file was opened anew");
            }
            None => tracing::info!("SIGUSR1: the log goes to stdout, there is no file to reopen"),
        }
    }
}

/// The log, as an observer knows it: for request lines, and for what its own thread tells of itself.
pub(super) struct WatchedLog {
    lines: Arc<LogBuffer>,
    format: config::LogFormat,
    file: Option<Arc<FileState>>,
    /// Lines lost that no line has told of.
    untold: AtomicU64,
}

impl WatchedLog {
    pub(super) fn of(log: &LogGuard) -> Self {
        Self {
            lines: Arc::clone(&log.lines),
            format: log.format,
            file: log.file.clone(),
            untold: AtomicU64::new(0),
        }
    }

    /// Where request lines go as JSON, past `tracing`; `None` where they are for people.
    pub(super) fn json_lines(&self) -> Option<&LogBuffer> {
        match self.format {
            config::LogFormat::Json => Some(&self.lines),
            config::LogFormat::Text => None,
        }
    }

    /// Counts what was lost, and says so in the log as soon as that can be written.
    pub(super) fn tell_of_lost_lines(&self, metrics: &Metrics) {
        let (mut lost, mut is_failing) = (self.lines.lost(), self.lines.is_failing());
        if let Some(file) = &self.file {
            metrics.log_file_errors(file.errors());
            lost = lost.saturating_add(file.lost());
            is_failing |= file.is_failing();
        }
        let newly_lost = metrics.log_lines_lost(lost);
        self.untold.fetch_add(newly_lost, Ordering::Relaxed);
        // While nothing can be written, this line would be lost as well, and be counted as another one each second.
        let count = if is_failing {
            0
        } else {
            self.untold.swap(0, Ordering::Relaxed)
        };
        if count > 0 {
            tracing::warn!(
                event = "log_lines_lost",
                count,
                "lines were lost: the log was read too slowly, or its file could not be written"
            );
        }
    }
}

/// Starts the log of this process. A second call changes nothing.
///
/// Lines are handed to a thread: a request never waits for whoever reads the log, nor for a disk. Where that is so slow that the
/// buffer runs full, lines are lost, and [`Observer::watch_log`](super::Observer::watch_log) makes that visible.
///
/// # Errors
/// When `log.file` cannot be opened, or the system gives no thread. Later failures of the file end nothing.
pub fn start(settings: &config::Log) -> io::Result<LogGuard> {
    let (file, in_colour, (lines, writing)) = match &settings.file {
        None => {
            // https://no-color.org: set and not empty means no colour.
            let wants_no_colour =
                std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let in_colour = io::stdout().is_terminal() && !wants_no_colour;
            // Not as `io::Stdout`, which has a buffer of its own: that would not tell which lines were written.
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            let output = WholeLines::new(stdout, false);
            let started = LogBuffer::start(output, log_buffer::MOST)?;
            (None, in_colour, started)
        }
        Some(path) => {
            let state = Arc::new(FileState::default());
            let clock = Box::new(OffsetDateTime::now_utc);
            let file = LogFile::open(path, settings.retain_days, Arc::clone(&state), clock)?;
            let started = LogBuffer::start(file, log_buffer::MOST)?;
            (Some(state), false, started)
        }
    };
    let events = Escaping(ToBuffer(Arc::clone(&lines)));
    let subscriber = tracing_subscriber::registry().with(layer(settings, in_colour, events));
    // Fails only if a subscriber is set already, which then stays: in tests, where many gateways share a process.
    let _ = subscriber.try_init();
    Ok(LogGuard {
        lines,
        format: settings.format,
        file,
        _writing: writing,
    })
}

/// Events that `tracing` formats wait in the same buffer as request lines.
struct ToBuffer(Arc<LogBuffer>);

impl<'a> MakeWriter<'a> for ToBuffer {
    type Writer = &'a ToBuffer;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &ToBuffer {
    /// Takes a whole line at a time, as `Escaping` writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn layer<S, W>(
    settings: &config::Log,
    in_colour: bool,
    writer: W,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_timer(Utc);
    let targets = targets(settings.level);
    match settings.format {
        config::LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(targets)
            .boxed(),
        config::LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| {
                let value = one_line(&format!("{value:?}"));
                if field.name() == "message" {
                    writer.write_str(&value)
                } else {
                    write!(writer, "{field}={value}")
                }
            });
            layer
                .with_ansi(in_colour)
                .fmt_fields(fields.delimited(" "))
                .with_filter(targets)
                .boxed()
        }
    }
}

/// Request lines always; our own events from `level` on; other crates speak to their developers, so only their warnings.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("botgate", level)
        .with_target(audit::TARGET, LevelFilter::TRACE)
}

struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(stamp::now().as_str())
    }
}
