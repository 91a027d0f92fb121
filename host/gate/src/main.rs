//! The `klaxon-gate` binary: a gate as a sidecar, without the rest of Klaxon.

use std::process::ExitCode;

use clap::Parser;
use klaxon_gate::{GateArguments, Outcome};
use klaxon_telemetry::{LogFormat, Waiting};

/// Serves a gate: a file, opened with /up and closed with /down, that a readiness probe asks for with /health
#[derive(Debug, Parser)]
#[command(name = "klaxon-gate", version)]
#[command(
    after_help = "Exit codes: 0 all is well, or the gate is open; 1 the gate is closed; 2 bad usage, or the file \
                        cannot be used."
)]
struct Arguments {
    #[command(flatten)]
    gate: GateArguments,
    /// Format of log lines, on stderr
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

#[expect(clippy::print_stderr, reason = "the error is for the person who ran it")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let logging = klaxon_telemetry::start(arguments.log_format, Waiting::Caller);
    let ended = klaxon_gate::run(&arguments.gate);
    logging.end();
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Closed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
