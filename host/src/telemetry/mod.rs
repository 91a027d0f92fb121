//! Logs, on standard error.

pub mod metrics;

use std::error::Error;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Most lines that wait to be written; beyond that they are dropped and counted.
const QUEUE: usize = 8192;

/// The time that waiting lines may take at the end, where others were dropped before.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Lines that were dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The thread that waits for standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Whoever logs.
    Caller,
    /// A thread of its own; a reader that is slow holds up nobody, and loses lines.
    Thread,
}

/// Writes lines that wait when it is dropped, for a second at most.
#[derive(Debug)]
pub struct Logging(Option<WorkerGuard>);

impl Logging {
    /// Writes lines that wait; what is logged afterwards may be lost.
    pub fn end(self) {
        if dropped_lines() == 0 {
            return drop(self.0);
        }
        // The queue may be full, and the guard would say so on stdout, where verdicts may go.
        std::thread::sleep(LAST_LINES);
        std::mem::forget(self.0);
    }
}

/// Starts logging. `KLAXON_LOG` chooses what is logged, as tracing's directives (`info`,
/// `klaxon::deliver=debug`). A second call changes nothing.
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
    // Tests call this more than once in one process.
    drop(match format {
        LogFormat::Text => builder.with_ansi(colours).try_init(),
        LogFormat::Json => builder.json().try_init(),
    });
    Logging(guard)
}

/// Lines of the log that were dropped since the start, for standard error was not read fast enough.
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// An error with its causes: the text of the outermost one often leaves out why.
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
