//! `klaxon journal check`.

use std::path::Path;

use clap::Args;

use super::journal_path::JournalPath;
use super::table::{size, some};
use super::{CommandError, Exit, OutputFormat};
use klaxon_journal::inspect::{self, Check};
use klaxon_journal::wal::Wal;
use klaxon_model::plain;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn check(
    journal: &JournalPath,
    arguments: &CheckArguments,
) -> Result<Exit, CommandError> {
    let reader = journal.reader()?;
    let found = inspect::check(&reader)?;
    super::print(arguments.output, &found, &text(&found, reader.path()))?;
    Ok(if found.problems.is_empty() { Exit::Success } else { Exit::Failure })
}

pub(super) fn text(found: &Check, path: &Path) -> String {
    let mut text = format!("log      {}\n", log(found.log.as_ref()));
    for problem in &found.problems {
        text.push_str(&format!("problem  {}\n", plain(problem)));
    }
    let path = path.display();
    text.push_str(&match found.problems.len() as u64 {
        0 => format!("{path}: sound\n"),
        count => format!(
            "{path}: {}; hint: back it up as it is, then go back to a sound backup, or move it away to \
             begin anew\n",
            some(count, "problem", "problems")
        ),
    });
    text
}

fn log(log: Option<&Wal>) -> String {
    let Some(log) = log else { return "none: the service was ended in order".to_owned() };
    if log.is_header_damaged {
        return format!("{}, ignored: its header is damaged", size(log.bytes));
    }
    let mut text = format!(
        "{}: {} in {}; {} behind the last commit",
        size(log.bytes),
        some(log.commits, "commit", "commits"),
        some(log.committed, "frame", "frames"),
        size(log.tail.bytes)
    );
    let tail = &log.tail;
    let parts = [
        (tail.earlier, "frames of an earlier round".to_owned()),
        (tail.unfinished, "frames of a transaction that was not completed".to_owned()),
        (tail.torn, format!("damaged frames, {} of them commits", tail.torn_commits)),
        (tail.strange, "frames that are not of this log".to_owned()),
        (tail.rest, "bytes of a frame that is not whole".to_owned()),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    if !parts.is_empty() {
        text.push_str(&format!(" ({})", parts.join("; ")));
    }
    text
}
