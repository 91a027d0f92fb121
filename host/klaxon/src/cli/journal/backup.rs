//! `klaxon journal backup`.

use std::path::PathBuf;

use clap::Args;

use super::journal_path::JournalPath;
use super::table::size;
use super::{CommandError, Exit, OutputFormat};
use klaxon_journal::inspect;

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// File of the copy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn backup(
    journal: &JournalPath,
    arguments: &BackupArguments,
) -> Result<Exit, CommandError> {
    let copied = inspect::backup(&journal.folder, &arguments.file, arguments.force)
        .map_err(|error| journal.explain(error))?;
    let text = format!(
        "{}: {}, checked and on disk after {:.1} s\n",
        arguments.file.display(),
        size(copied.bytes),
        copied.took.as_secs_f64()
    );
    super::print(arguments.output, &copied, &text)?;
    Ok(Exit::Success)
}
