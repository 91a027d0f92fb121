//! `klaxon run`.
#![expect(clippy::print_stderr, reason = "the summary is for the person who ran it")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::exit::fail;
use super::{EngineArguments, Exit, OutputFormat};
use crate::app::{self, Ending, RunError, RunSummary, Service};
use klaxon_config::Config;
use klaxon_journal::JournalError;
use klaxon_telemetry::Logging;

/// The time limit for printing the reason of an immediate exit.
const LAST_WORD: Duration = Duration::from_millis(200);
/// The time limit for printing the rest of the log and the summary after a stop.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "klaxon.yaml")]
    config: PathBuf,
    /// Format of the summary at the end, on stderr
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    /// Longest time for draining deliveries on shutdown; Kubernetes kills after thirty seconds. A second
    /// signal ends it at once
    #[arg(long, value_name = "SPAN", default_value = "25s", value_parser = super::span)]
    drain: Duration,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(super) fn run(arguments: RunArguments, logging: Logging) -> Exit {
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(errors) => return fail(Exit::CouldNotRun, &errors),
    };
    let service = Service { last_resort: Some(end), ..Service::new(arguments.drain) };
    let ran = app::run(config, arguments.engine.options(), &service);
    let output = arguments.output;
    let (exit, patience) = match &ran {
        // A run on streams has an end, and reports deliveries that failed for good.
        Ok(summary) if summary.streams > 0 && summary.dead() > 0 => (Exit::Failure, PATIENCE),
        Ok(_) => (Exit::Success, PATIENCE),
        Err(RunError::Interrupted { signal, .. }) => (Exit::Signal(*signal), LAST_WORD),
        Err(RunError::Hung { .. }) => (Exit::Hung, LAST_WORD),
        Err(
            RunError::Assemble(_)
            | RunError::Stream(_)
            | RunError::Target { .. }
            | RunError::SignIn(_)
            | RunError::OtherCluster { .. }
            | RunError::NotTheCluster { .. }
            | RunError::Admin(_)
            | RunError::Journal(JournalError::Locked { .. }),
        ) => (Exit::CouldNotRun, PATIENCE),
        Err(_) => (Exit::Failure, PATIENCE),
    };
    let tell = move || {
        logging.end();
        match ran {
            Ok(summary) => print(&summary, output),
            Err(error) => {
                fail(exit, &error);
            }
        }
    };
    if service.stop.is_requested() {
        in_time(patience, tell)
    } else {
        tell()
    }
    exit
}

/// Runs `tell`, which prints, with a time limit: if the output is not read, the process ends all the same.
fn in_time(patience: Duration, tell: impl FnOnce() + Send + 'static) {
    let (said, is_said) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        tell();
        said.send(())
    });
    is_said.recv_timeout(patience).unwrap_or_default();
}

/// Ends the process while other parts of it hang.
#[expect(clippy::disallowed_methods, reason = "main may hang, and returns no exit code then")]
fn end(ending: Ending) {
    let (exit, why) = match ending {
        Ending::Signal(number) => {
            (Exit::Signal(number), "a second signal: the process ends at once, as in a crash")
        }
        Ending::Late => (
            Exit::Hung,
            "shutdown: not all parts have ended in time: the process ends as in a crash",
        ),
    };
    in_time(LAST_WORD / 4, move || {
        fail(exit, &why);
    });
    std::process::exit(i32::from(exit.code()));
}

fn print(summary: &RunSummary, output: OutputFormat) {
    if output == OutputFormat::Json {
        match serde_json::to_string(summary) {
            Ok(line) => eprintln!("{line}"),
            Err(error) => eprintln!("error: the summary cannot be written: {error}"),
        }
        return;
    }
    let counts = &summary.counts;
    eprintln!(
        "{} objects{}, {} events for rules ({} timers), {} verdicts, {} failures, {} gaps",
        counts.observed,
        match summary.streams {
            0 => String::new(),
            streams => format!(" from {streams} streams"),
        },
        counts.events,
        counts.timers,
        counts.verdicts,
        counts.failures,
        summary.gaps
    );
    if let Some(line) = super::suppressed(counts) {
        eprintln!("{line}");
    }
    for (code, count) in &summary.codes {
        eprintln!("  {code}: {count}");
    }
    for (name, delivered) in &summary.targets {
        eprintln!(
            "  to {name}: {} delivered, {} tried again, {} dead letters",
            delivered.sent, delivered.retried, delivered.dead
        );
    }
}
