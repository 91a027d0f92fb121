//! `klaxon journal`: shows, exports and changes the contents of the journal, also while the service runs.

mod arguments;
mod backup;
mod cells;
mod check;
mod clock;
mod enable;
mod export;
mod journal_path;
mod ls;
mod overview;
mod remove;
mod retry;
mod show;
mod table;

use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::exit::fail;
use super::{Exit, OutputFormat};
use klaxon_journal::inspect::InspectError;
use klaxon_model::clock::Stopwatch;

/// The interval between two progress messages.
const PROGRESS: Duration = Duration::from_secs(2);

pub(super) const HELP: &str = "Examples:\n  klaxon journal ls\n  \
    klaxon journal ls dead --target notify --since 2h\n  \
    klaxon journal show 3f9a1c\n  \
    klaxon journal retry --target notify\n  \
    klaxon journal backup /backup/klaxon.db\n\n\
    The service may run meanwhile, and finds what was changed at its next look.";

/// The journal and the command.
#[derive(Debug, Args)]
pub(super) struct JournalArguments {
    #[command(flatten)]
    path: journal_path::JournalPathArguments,
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// List what is stored; without WHAT, how much there is of everything
    ///
    /// The newest come first. Times of deliveries are those at which they were settled or, while they
    /// wait, made.
    #[command(
        after_help = "Examples:\n  klaxon journal ls\n  klaxon journal ls deliveries --state pending\n  \
                            klaxon journal ls dead --since 2h --rule akkeris\n  \
                            klaxon journal ls verdicts --code R14 --output json | jq .payload"
    )]
    Ls(ls::LsArguments),
    /// Show everything about a verdict or a delivery, a gap, or a quarantined event
    #[command(
        after_help = "Examples:\n  klaxon journal show 3f9a1c07   (a unique beginning of an id)\n  \
                            klaxon journal show gap 4\n  klaxon journal show quarantine 17"
    )]
    Show(show::ShowArguments),
    /// Send dead letters again, with the same id and the same body
    ///
    /// They go to the end of the target's queue, and are retried as long as new ones are. Verdicts that were
    /// refused, such as for a target that was not configured, are marked: the service makes them
    /// deliveries if the target exists now. Dead letters of a disabled target stay until it is enabled.
    #[command(after_help = "Examples:\n  klaxon journal retry 3f9a1c07 77ab01cd\n  \
                            klaxon journal retry --target notify --since 2h --dry-run\n  \
                            klaxon journal retry --all")]
    Retry(retry::RetryArguments),
    /// Remove dead letters, pending deliveries or quarantined events, for good
    ///
    /// Their verdicts stay until their time. It asks first; without a terminal it wants --yes. A
    /// pending delivery that is under way at this moment may still arrive.
    #[command(after_help = "Examples:\n  klaxon journal drop 3f9a1c07\n  \
                            klaxon journal drop --target old --pending --yes\n  \
                            klaxon journal drop quarantine 17 18\n  klaxon journal drop refusals 3")]
    Drop(remove::DropArguments),
    /// Write what is stored as JSON Lines, the oldest first
    ///
    /// Quarantined events become a stream: what is a Kubernetes object can be replayed, the rest is
    /// skipped with a count by whoever reads it.
    #[command(
        after_help = "Examples:\n  klaxon journal export verdicts --since 1d -o verdicts.jsonl\n  \
                            klaxon journal export quarantine -o set-aside.jsonl\n  \
                            klaxon replay --rule akkeris.wasm set-aside.jsonl"
    )]
    Export(export::ExportArguments),
    /// Copy the journal to a file, checked and on disk
    ///
    /// The file has its name only when it is whole. To go back to it: stop the service, put it in place
    /// of klaxon.db, and remove klaxon.db-wal and klaxon.db-shm.
    #[command(after_help = "Example:\n  klaxon journal backup /backup/klaxon-$(date +%F).db")]
    Backup(backup::BackupArguments),
    /// Check the file, what must hold in its tables, and its log
    #[command(
        after_help = "It reads the whole file.\n\nExit codes: 0 it is sound; 1 there is a problem; \
                            2 there is no journal that could be checked."
    )]
    Check(check::CheckArguments),
    /// Let a disabled target take deliveries again
    ///
    /// A target is disabled where its receiver says that it is gone for good (410). Its deliveries
    /// become dead letters meanwhile, which `klaxon journal retry --target NAME` sends again.
    #[command(
        after_help = "Example:\n  klaxon journal enable notify && klaxon journal retry --target notify"
    )]
    Enable(enable::EnableArguments),
    /// Show the journal's clock beside the machine's, or set it back
    ///
    /// A restart continues from the journal's clock, so that time never goes back. Where the machine's clock
    /// was once set too far ahead, the journal's still is.
    #[command(
        after_help = "Examples:\n  klaxon journal clock\n  klaxon journal clock --reset --yes   (while the service is stopped)"
    )]
    Clock(clock::ClockArguments),
}

/// The error that ended a command.
struct CommandError {
    exit: Exit,
    why: String,
}

impl CommandError {
    fn usage(why: impl Into<String>) -> Self {
        Self { exit: Exit::CouldNotRun, why: why.into() }
    }

    fn failure(why: impl Into<String>) -> Self {
        Self { exit: Exit::Failure, why: why.into() }
    }
}

impl From<InspectError> for CommandError {
    fn from(error: InspectError) -> Self {
        use InspectError::{Missing, Newer, NoFilter, NoId, Older, Running};
        let is_usage = matches!(
            error,
            Missing { .. }
                | Older { .. }
                | Newer { .. }
                | NoId { .. }
                | NoFilter { .. }
                | Running { .. }
        );
        let exit = if is_usage { Exit::CouldNotRun } else { Exit::Failure };
        Self { exit, why: error.to_string() }
    }
}

pub(super) fn journal(arguments: &JournalArguments) -> Exit {
    let done = arguments.path.find().and_then(|journal| match &arguments.command {
        JournalCommand::Ls(arguments) => ls::ls(&journal, arguments),
        JournalCommand::Show(arguments) => show::show(&journal, arguments),
        JournalCommand::Retry(arguments) => retry::retry(&journal, arguments),
        JournalCommand::Drop(arguments) => remove::remove(&journal, arguments),
        JournalCommand::Export(arguments) => export::export(&journal, arguments),
        JournalCommand::Backup(arguments) => backup::backup(&journal, arguments),
        JournalCommand::Check(arguments) => check::check(&journal, arguments),
        JournalCommand::Enable(arguments) => enable::enable(&journal, arguments),
        JournalCommand::Clock(arguments) => clock::clock(&journal, arguments),
    });
    done.unwrap_or_else(|CommandError { exit, why }| fail(exit, &why))
}

/// Prints a message beside the result, to stderr.
#[expect(clippy::print_stderr, reason = "the result alone goes to stdout")]
fn say(what: &str) {
    eprintln!("{what}");
}

/// Returns a function that reports the progress of a long operation on a terminal.
fn progress(what: String) -> impl FnMut(u64) {
    let is_shown = std::io::stderr().is_terminal();
    let mut last = Stopwatch::start();
    move |count| {
        if is_shown && last.elapsed() >= PROGRESS {
            say(&format!("{count} {what}"));
            last = Stopwatch::start();
        }
    }
}

/// Formats a value as a line of JSON.
fn line(value: &impl serde::Serialize) -> Result<String, CommandError> {
    let mut line =
        serde_json::to_string(value).map_err(|error| CommandError::failure(error.to_string()))?;
    line.push('\n');
    Ok(line)
}

/// Prints a result as text or as a line of JSON.
fn print(
    output: OutputFormat,
    value: &impl serde::Serialize,
    text: &str,
) -> Result<(), CommandError> {
    match output {
        OutputFormat::Text => super::print(text),
        OutputFormat::Json => super::print(&line(value)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
