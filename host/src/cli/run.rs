//! `klaxon run`.
#![expect(clippy::print_stderr, reason = "the summary is for the person who ran it")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::exit::fail;
use super::{EngineArguments, Exit, Output};
use crate::app::{self, RunError, RunSummary, Service};
use crate::config::Config;

/// How long saying why it ends at once may take.
const LAST_WORD: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "klaxon.yaml")]
    config: PathBuf,
    /// How the summary at the end is written, to stderr
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// How long draining may take when told to stop; Kubernetes kills after thirty seconds. A second
    /// signal ends it at once
    #[arg(long, value_name = "SPAN", default_value = "25s", value_parser = super::span)]
    drain: Duration,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(super) fn run(arguments: RunArguments) -> Exit {
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(faults) => return fail(Exit::CouldNotRun, &faults),
    };
    match app::run(config, arguments.engine.options(), &Service::new(arguments.drain)) {
        Ok(summary) => {
            print(&summary, arguments.output);
            Exit::Success
        }
        Err(
            fault @ (RunError::Assemble(_)
            | RunError::Stream(_)
            | RunError::Target { .. }
            | RunError::SignIn(_)
            | RunError::OtherCluster { .. }
            | RunError::NotTheCluster { .. }
            | RunError::Admin(_)),
        ) => fail(Exit::CouldNotRun, &fault),
        Err(fault @ RunError::Interrupted { signal, .. }) => {
            // Perhaps nobody reads what is said: that does not hold it up either.
            let (said, is_said) = std::sync::mpsc::sync_channel(1);
            std::thread::spawn(move || said.send(fail(Exit::Signal(signal), &fault)));
            is_said.recv_timeout(LAST_WORD).unwrap_or(Exit::Signal(signal))
        }
        Err(fault) => fail(Exit::Failure, &fault),
    }
}

fn print(summary: &RunSummary, output: Output) {
    if output == Output::Json {
        match serde_json::to_string(summary) {
            Ok(line) => eprintln!("{line}"),
            Err(fault) => eprintln!("error: the summary cannot be written: {fault}"),
        }
        return;
    }
    let counts = &summary.counts;
    eprintln!(
        "{} objects{}, {} events for rules ({} wakes), {} verdicts, {} failures, {} gaps",
        counts.observed,
        match summary.streams {
            0 => String::new(),
            streams => format!(" from {streams} streams"),
        },
        counts.events,
        counts.wakes,
        counts.verdicts,
        counts.failures,
        summary.gaps
    );
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
