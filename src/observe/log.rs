//! Sets up the log: one JSON object per line, or lines for people, on standard output or in a file.

use super::audit;
use super::log_file::{FileState, LogFile};
use super::metrics::Metrics;
use crate::config;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
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
    pub(super) lost_lines: ErrorCounter,
    pub(super) file: Option<Arc<FileState>>,
    pub(super) _worker: WorkerGuard,
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

/// What the log's own thread tells of itself.
pub(super) struct WatchedLog {
    lost_lines: ErrorCounter,
    file: Option<Arc<FileState>>,
    /// Lines lost that no line has told of.
    untold: AtomicU64,
}

impl WatchedLog {
    pub(super) fn of(log: &LogGuard) -> Self {
        Self {
            lost_lines: log.lost_lines.clone(),
            file: log.file.clone(),
            untold: AtomicU64::new(0),
        }
    }

    /// Counts what was lost, and says so in the log as soon as that can be written.
    pub(super) fn tell_of_lost_lines(&self, metrics: &Metrics) {
        let dropped = self.lost_lines.dropped_lines();
        let (mut lost, mut is_failing) = (u64::try_from(dropped).unwrap_or(u64::MAX), false);
        if let Some(file) = &self.file {
            metrics.log_file_errors(file.errors());
            lost = lost.saturating_add(file.lost());
            is_failing = file.is_failing();
        }
        let newly_lost = metrics.log_lines_lost(lost);
        self.untold.fetch_add(newly_lost, Ordering::Relaxed);
        // While the file fails, this line would be lost as well, and be counted as another one each second.
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
/// When `log.file` cannot be opened. Later failures of the file end nothing.
pub fn start(settings: &config::Log) -> io::Result<LogGuard> {
    let builder = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(BUFFERED_LINES)
        .thread_name("botgate-log");
    let (file, in_colour, (writer, worker)) = match &settings.file {
        None => {
            // https://no-color.org: set and not empty means no colour.
            let wants_no_colour =
                std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let in_colour = io::stdout().is_terminal() && !wants_no_colour;
            (None, in_colour, builder.finish(io::stdout()))
        }
        Some(path) => {
            let state = Arc::new(FileState::default());
            let clock = Box::new(OffsetDateTime::now_utc);
            let file = LogFile::open(path, settings.retain_days, Arc::clone(&state), clock)?;
            (Some(state), false, builder.finish(file))
        }
    };
    let lost_lines = writer.error_counter();
    let subscriber =
        tracing_subscriber::registry().with(layer(settings, in_colour, Escaping(writer)));
    // Fails only if a subscriber is set already, which then stays: in tests, where many gateways share a process.
    let _ = subscriber.try_init();
    Ok(LogGuard {
        lost_lines,
        file,
        _worker: worker,
    })
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

/// RFC 3339 in UTC, with exactly three digits after the second, so that lines sort as text.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        // The one place beside `net::clock` that asks for the time: a stamp on a line decides nothing.
        let now = OffsetDateTime::now_utc()
            .format(TIMESTAMP)
            .map_err(|_| std::fmt::Error)?;
        writer.write_str(&now)
    }
}

/// Escapes what JSON lets stand and a terminal or a line-wise reader obeys: DEL, the C1 controls, U+2028 and U+2029.
///
/// JSON strings escape the C0 controls anyway (RFC 8259 section 7), and only strings hold other than ASCII.
pub(super) struct Escaping<W>(pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping(self.0.make_writer())
    }
}

impl<W: Write> Write for Escaping<W> {
    /// Takes a whole line at a time, as tracing-subscriber writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // 0xC2 begins U+0080 to U+00BF, 0xE2 begins U+2000 to U+2FFF; most lines have neither.
        if line.iter().any(|byte| matches!(byte, 0x7f | 0xc2 | 0xe2)) {
            let text = String::from_utf8_lossy(line);
            let mut escaped = String::with_capacity(text.len());
            text.chars()
                .for_each(|character| escape(character, &mut escaped));
            self.0.write_all(escaped.as_bytes())?;
        } else {
            self.0.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escape(character: char, into: &mut String) {
    match character {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            into.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
        _ => into.push(character),
    }
}

/// For people too, one event is one line, and what a client sent does not move the cursor.
fn one_line(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut line, character| {
            if character.is_ascii_control() {
                line.extend(character.escape_default())
            } else {
                escape(character, &mut line)
            }
            line
        })
}

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// About ten megabytes of request lines: more than a second of a busy gateway.
const BUFFERED_LINES: usize = 16_384;
