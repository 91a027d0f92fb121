//! `klaxon journal clock`.

use clap::Args;

use super::journal_path::JournalPath;
use super::{CommandError, Exit, OutputFormat};
use klaxon_journal::inspect::{self, Clock};
use klaxon_model::clock;

#[derive(Debug, Args)]
pub(super) struct ClockArguments {
    /// Set the journal's clock to the machine's; the service must not run
    #[arg(long, requires = "yes")]
    reset: bool,
    /// Confirm --reset: times of later events may be before those of earlier ones
    #[arg(long, requires = "reset")]
    yes: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn clock(
    journal: &JournalPath,
    arguments: &ClockArguments,
) -> Result<Exit, CommandError> {
    // The machine's clock is read here, since the service's own clock may differ from it.
    let machine = clock::wall();
    let found = if arguments.reset {
        inspect::reset_clock(&journal.folder, machine).map_err(|error| journal.explain(error))?
    } else {
        inspect::clock(&journal.reader()?, machine)?
    };
    super::print(arguments.output, &found, &text(&found))?;
    Ok(Exit::Success)
}

pub(super) fn text(found: &Clock) -> String {
    let journal = match found.journal {
        Some(time) => time.to_string(),
        None => "not set: no event was stored yet".to_owned(),
    };
    format!("journal  {journal}\nmachine  {}\n{}\n", found.machine, difference(found.ahead_ms))
}

fn difference(ahead_ms: i64) -> String {
    let span = std::time::Duration::from_millis(ahead_ms.unsigned_abs());
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let span = format!("{hours}h{minutes:02}m{seconds:02}s");
    match ahead_ms {
        0 => "both are equal".to_owned(),
        ..0 => format!("the journal is {span} behind, which is usual after a pause"),
        _ => format!(
            "the journal is {span} ahead; hint: if the machine's clock is right, stop the service and run \
             `klaxon journal clock --reset --yes`"
        ),
    }
}
