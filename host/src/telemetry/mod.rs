//! Logs, on standard error.

pub mod metrics;

use std::error::Error;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `KLAXON_LOG` chooses what is logged, as tracing's directives (`info`,
/// `klaxon::deliver=debug`). A second call changes nothing.
pub fn start(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("KLAXON_LOG").unwrap_or_else(|_| EnvFilter::new("klaxon=info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Tests call this more than once in one process.
    drop(match format {
        LogFormat::Text => builder.with_ansi(colours).try_init(),
        LogFormat::Json => builder.json().try_init(),
    });
}

/// An error with its causes: the text of the outermost one often leaves out why.
pub fn with_causes(fault: &dyn Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
