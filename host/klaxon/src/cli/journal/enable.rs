//! `klaxon journal enable`.

use clap::Args;

use super::journal_path::JournalPath;
use super::table::some;
use super::{CommandError, Exit, OutputFormat};
use klaxon_journal::inspect::{self, Enabled};
use klaxon_model::plain;

#[derive(Debug, Args)]
pub(super) struct EnableArguments {
    /// The target's name
    #[arg(value_name = "TARGET")]
    target: String,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn enable(
    journal: &JournalPath,
    arguments: &EnableArguments,
) -> Result<Exit, CommandError> {
    let enabled = inspect::enable(&mut journal.editor()?, &arguments.target)?;
    super::print(arguments.output, &enabled, &text(&enabled))?;
    Ok(Exit::Success)
}

pub(super) fn text(enabled: &Enabled) -> String {
    let Enabled { target, disabled_at, reason, dead } = enabled;
    let target = plain(target);
    let wait = match dead {
        0 => "it has no dead letters".to_owned(),
        dead => format!(
            "{}: `klaxon journal retry --target {target}` sends them again",
            some(*dead, "dead letter waits", "dead letters wait")
        ),
    };
    format!(
        "{target} is enabled; it was disabled since {disabled_at} ({}); {wait}\n",
        plain(reason)
    )
}
