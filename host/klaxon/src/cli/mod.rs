//! The command line.

mod cluster;
mod config;
mod destination;
mod exit;
mod gate;
mod journal;
mod live;
mod record;
mod replay;
mod rule;
mod run;
mod schema;
mod test;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use klaxon_engine::{Options, default_cache_directory};
use klaxon_model::Timestamp;
use klaxon_recording::{self as recording, StreamFile};
use klaxon_telemetry::{LogFormat, Waiting};

pub use exit::Exit;

/// Klaxon watches Kubernetes and passes normalized events to sandboxed WebAssembly rules.
#[derive(Debug, Parser)]
#[command(name = "klaxon", version)]
#[command(
    after_help = "Exit codes: 0 all is well; 1 something failed; 2 could not run (bad usage, \
                        configuration or stream); 3 did not end in time after a signal."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Format of log lines, on stderr
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: sources, rules and targets of a configuration
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
    /// Record a cluster, or write recorded streams anew, with what is private replaced
    ///
    /// Names, images, addresses, labels and messages become pseudonyms, the same everywhere, so that
    /// relations hold; what rules decide on stays.
    #[command(
        after_help = "Examples:\n  klaxon record --kinds pods,events --for 10m --rule oom -o recorded/\n  \
                            klaxon record --from pods.json --rule oom -o oom/tests/pods.jsonl\n  \
                            klaxon record --from rec/*.jsonl --rule a.wasm b.wasm --keep label:tier -o fixtures"
    )]
    Record(record::RecordArguments),
    /// Run the test files (*.test.yaml) below paths
    ///
    /// Each test runs recorded streams through a rule and compares what it says with what is expected:
    /// with instances that are reused and thrown away, in whole batches and event by event.
    #[command(after_help = "Examples:\n  klaxon test\n  klaxon test rules/oom --filter memory\n  \
                            klaxon test --coverage=100% --junit report.xml\n  \
                            klaxon test --update   (writes snapshots; `git diff` shows what changed)\n\n\
                            Exit codes: 0 all passed; 1 a failure, or no test found; 2 a rule or a \
                            stream could not be used.")]
    Test(test::TestArguments),
    /// Make, build, inspect and measure a rule
    #[command(subcommand)]
    Rule(rule::RuleCommand),
    /// Check a configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look into the journal: verdicts, deliveries, dead letters, gaps and quarantined events
    #[command(after_help = journal::HELP)]
    Journal(journal::JournalArguments),
    /// Serve a gate: a file, opened with /up and closed with /down, that a readiness probe asks for with /health
    ///
    /// The small program `klaxon-gate` does the same, for a sidecar.
    #[command(after_help = gate::HELP)]
    Gate(klaxon_gate::GateArguments),
    /// Print a JSON Schema, so that editors complete and check files
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  klaxon completions bash > ~/.local/share/bash-completion/completions/klaxon"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The settings of the engine, common to all commands that run rules.
#[derive(Debug, Args)]
struct EngineArguments {
    /// Threads that run rules [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Most events of one call
    #[arg(long, value_name = "N", default_value = "64")]
    batch: NonZeroUsize,
    /// Throw an instance away after each call, to find rules that rely on their memory
    #[arg(long)]
    fresh_instances: bool,
    #[command(flatten)]
    cache: CacheArguments,
}

/// The location of the cache for compiled code.
#[derive(Debug, Args)]
struct CacheArguments {
    /// Folder of compiled code [default: klaxon/compiled in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "KLAXON_CACHE", hide_env_values = true)]
    cache: Option<PathBuf>,
    /// Keep no compiled code
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

impl CacheArguments {
    fn directory(&self) -> Option<PathBuf> {
        if self.no_cache { None } else { self.cache.clone().or_else(default_cache_directory) }
    }
}

/// Returns the number of the machine's cores, or 1 if it is not known.
fn cores() -> NonZeroUsize {
    Options::default().workers
}

impl EngineArguments {
    fn options(&self) -> Options {
        Options {
            workers: self.workers.unwrap_or_else(cores),
            batch: self.batch,
            fresh_instances: self.fresh_instances,
            cache: self.cache.directory(),
            measure: false,
            ..Options::default()
        }
    }
}

/// Prints to stdout. A reader that stops early, as `head` does, is not an error: the exit code still reports the
/// outcome of the command.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            exit::fail(Exit::Failure, &format!("stdout: {error}"));
        }
        _ => {}
    }
}

/// Returns the recorded streams that paths and patterns name; objects before `snapshot_until` are state.
fn streams(
    patterns: &[PathBuf],
    snapshot_until: Option<Timestamp>,
) -> Result<Vec<StreamFile>, String> {
    let files = recording::expand(patterns, Path::new("")).map_err(|error| error.to_string())?;
    let of = |path| StreamFile { snapshot_until, ..StreamFile::at(path) };
    Ok(files.into_iter().map(of).collect())
}

/// Reads a rule's settings from a JSON file. `None` for the rule's defaults.
fn settings(path: Option<&Path>) -> Result<serde_json::Value, String> {
    let Some(path) = path else { return Ok(serde_json::json!({})) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("settings {}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("settings {}: no JSON: {error}", path.display()))
}

/// Formats a count with the singular or plural.
fn some(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Parses a time.
fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "write a time such as 2026-11-20T10:00:00Z".to_owned())
}

/// Parses a duration.
fn span(text: &str) -> Result<std::time::Duration, String> {
    klaxon_yaml::span(text).ok_or_else(|| "write a length of time such as 90s or 2m".to_owned())
}

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are not errors; clap prints each to the right stream.
            drop(error.print());
            return if error.use_stderr() {
                Exit::CouldNotRun.into()
            } else {
                Exit::Success.into()
            };
        }
    };
    let waiting = match &arguments.command {
        Command::Run(_) => Waiting::Thread,
        _ => Waiting::Caller,
    };
    let logging = klaxon_telemetry::start(arguments.log_format, waiting);
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(arguments, logging),
        Command::Replay(arguments) => replay::replay(arguments),
        Command::Record(arguments) => record::record(&arguments),
        Command::Test(arguments) => test::test(arguments),
        Command::Rule(command) => rule::rule(command),
        Command::Config(command) => config::config(command),
        Command::Journal(arguments) => journal::journal(&arguments),
        Command::Gate(arguments) => gate::gate(&arguments),
        Command::Schema(command) => schema::schema(&command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "klaxon", &mut script);
            print(&String::from_utf8_lossy(&script));
            Exit::Success
        }
    };
    exit.into()
}

/// Returns the line of a summary about verdicts that policy has kept from their targets, if there are any.
fn suppressed(counts: &klaxon_core::pipeline::Counts) -> Option<String> {
    let parts = [
        (counts.suppressed, "suppressed by policy"),
        (counts.pending_verdicts, "pending (inhibited)"),
        (counts.over_budget, "over the budget for writes"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!parts.is_empty()).then(|| format!("verdicts not delivered: {}", parts.join(", ")))
}
