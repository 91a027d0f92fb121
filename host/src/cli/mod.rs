//! The command line.

mod exit;
mod replay;
#[cfg(feature = "serve")]
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::{Options, default_cache_directory};
use crate::telemetry::LogFormat;

pub use exit::Exit;

/// Klaxon watches Kubernetes and passes normalized events to sandboxed WebAssembly rules.
#[derive(Debug, Parser)]
#[command(name = "klaxon", version, about, long_about = None)]
#[command(
    after_help = "Exit codes: 0 all is well; 1 something failed; 2 could not run (bad usage, \
                        configuration or stream)."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How log lines on stderr are written
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: sources, rules and targets of a configuration
    #[cfg(feature = "serve")]
    Run(run::RunArguments),
    /// Run recorded streams through rules on a virtual clock, and print the verdicts
    ///
    /// Nothing is sent. Verdicts are JSON Lines on stdout, a summary goes to stderr.
    #[command(
        after_help = "Examples:\n  klaxon replay --rule akkeris.wasm pods.jsonl deployments.jsonl\n  \
                            kubectl get pods -A -w -o json --output-watch-events > pods.json\n  \
                            klaxon replay --rule akkeris.wasm --settings settings.json pods.json"
    )]
    Replay(replay::ReplayArguments),
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How rules are run; the same for every command that runs them.
#[derive(Debug, Args)]
struct EngineArguments {
    /// Threads that run rules [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<std::num::NonZeroUsize>,
    /// Most events of one call
    #[arg(long, value_name = "N", default_value = "64")]
    batch: std::num::NonZeroUsize,
    /// Throw an instance away after each call, to find rules that rely on their memory
    #[arg(long)]
    fresh_instances: bool,
    /// Where compiled code is kept [default: klaxon/compiled in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "KLAXON_CACHE")]
    cache: Option<PathBuf>,
    /// Keep no compiled code
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

impl EngineArguments {
    fn options(&self) -> Options {
        let defaults = Options::default();
        let cache = self.cache.clone().or_else(default_cache_directory);
        Options {
            workers: self.workers.unwrap_or(defaults.workers),
            batch: self.batch,
            fresh_instances: self.fresh_instances,
            cache: if self.no_cache { None } else { cache },
        }
    }
}

/// Reads a length of time.
fn span(text: &str) -> Result<std::time::Duration, String> {
    crate::config::span(text).ok_or_else(|| "write a length of time such as 90s or 2m".to_owned())
}

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(fault) => {
            // Help and version are no errors; clap knows which goes where.
            drop(fault.print());
            return if fault.use_stderr() {
                Exit::CouldNotRun.into()
            } else {
                Exit::Success.into()
            };
        }
    };
    crate::telemetry::start(arguments.log_format);
    let exit = match arguments.command {
        #[cfg(feature = "serve")]
        Command::Run(arguments) => run::run(arguments),
        Command::Replay(arguments) => replay::replay(arguments),
    };
    exit.into()
}
