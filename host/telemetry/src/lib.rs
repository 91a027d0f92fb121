//! Logging on standard error, and the metrics of the service ([`metrics`]).

pub mod metrics;

use std::error::Error;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// The most lines that wait to be written. Further lines are dropped and counted.
const QUEUE: usize = 8192;

/// The time that waiting lines get to be written at the end, if lines were dropped before.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Counts dropped lines.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The thread that writes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The thread that logs.
    Caller,
    /// A dedicated thread. A slow reader of standard error blocks no other thread; lines are dropped instead.
    Thread,
}

/// Writes the waiting lines when dropped, for one second at most.
#[derive(Debug)]
pub struct Logging(Option<WorkerGuard>);

impl Logging {
    /// Writes the waiting lines. Lines that are logged afterwards may be lost.
    pub fn end(self) {
        if dropped_lines() == 0 {
            return drop(self.0);
        }
        // If the queue is full, dropping the guard prints a message on stdout, which may be a target of
        // verdicts.
        std::thread::sleep(LAST_LINES);
        std::mem::forget(self.0);
    }
}

/// Starts logging. `KLAXON_LOG` selects the log lines, in the syntax of tracing's directives (`info`,
/// `klaxon_deliver=debug`). A second call changes nothing.
pub fn start(format: LogFormat, waiting: Waiting) -> Logging {
    let filter =
        EnvFilter::try_from_env("KLAXON_LOG").unwrap_or_else(|_| EnvFilter::new("klaxon=info"));
    let (writer, guard) = match waiting {
        Waiting::Caller => (BoxMakeWriter::new(std::io::stderr), None),
        Waiting::Thread => {
            let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE);
            let (writer, guard) = builder.thread_name("klaxon-log").finish(std::io::stderr());
            DROPPED.get_or_init(|| writer.error_counter());
            (BoxMakeWriter::new(writer), Some(guard))
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Ignores the error of a second call: tests call this function more than once in a process.
    drop(match format {
        LogFormat::Text => builder.with_ansi(colours).try_init(),
        LogFormat::Json => builder.json().try_init(),
    });
    Logging(guard)
}

/// Returns the number of log lines that were dropped since the start because standard error was read too
/// slowly.
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// Returns an error's text with its causes, which the text of the outermost error often leaves out.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
