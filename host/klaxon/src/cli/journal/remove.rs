//! `klaxon journal drop`.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use serde_json::json;

use super::arguments::SelectionArguments;
use super::journal_path::JournalPath;
use super::table::{counts, some, sum};
use super::{CommandError, Exit, OutputFormat, say};
use klaxon_journal::inspect::{self, Doomed, State};
use klaxon_model::clock;

#[derive(Debug, Args)]
pub(super) struct DropArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Pending deliveries in place of dead letters
    #[arg(long)]
    pending: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn remove(
    journal: &JournalPath,
    arguments: &DropArguments,
) -> Result<Exit, CommandError> {
    match arguments.selection.ids.split_first() {
        Some((what, numbers)) if what == "quarantine" => {
            numbered(journal, arguments, Doomed::Quarantine, numbers)
        }
        Some((what, numbers)) if what == "refusals" => {
            numbered(journal, arguments, Doomed::Refusals, numbers)
        }
        _ => deliveries(journal, arguments),
    }
}

fn deliveries(journal: &JournalPath, arguments: &DropArguments) -> Result<Exit, CommandError> {
    let selection = arguments.selection.selection(clock::now());
    let (state, one, many) = if arguments.pending {
        (State::Pending, "pending delivery", "pending deliveries")
    } else {
        (State::Dead, "dead letter", "dead letters")
    };
    let found = inspect::removal(&journal.reader()?, &selection, state)?;
    let all = sum(&found.letters);
    if all == 0 {
        let pending = match arguments.pending {
            true => 0,
            false => {
                sum(&inspect::removal(&journal.reader()?, &selection, State::Pending)?.letters)
            }
        };
        let hint = match pending {
            0 => "see `klaxon journal ls deliveries`".to_owned(),
            some => format!("add --pending for the {some} that are pending"),
        };
        return Err(CommandError::failure(format!(
            "nothing was selected: there is no such {one}; hint: {hint}"
        )));
    }
    let what = format!("{} ({})", some(all, one, many), counts(&found.letters));
    if !confirmed(arguments, &what)? {
        return Ok(Exit::Failure);
    }
    let mut told = super::progress(format!("of {all} removed"));
    let removed = inspect::remove(&mut journal.editor()?, &selection, state, &mut told)?;
    let text = format!("{} removed\n", some(removed, one, many));
    super::print(arguments.output, &json!({"removed": removed}), &text)?;
    Ok(Exit::Success)
}

fn numbered(
    journal: &JournalPath,
    arguments: &DropArguments,
    what: Doomed,
    numbers: &[String],
) -> Result<Exit, CommandError> {
    let (one, many) = match what {
        Doomed::Quarantine => ("quarantined event", "quarantined events"),
        Doomed::Refusals => ("refusal", "refusals"),
    };
    let parsed: Option<Vec<i64>> = numbers.iter().map(|number| number.parse().ok()).collect();
    let Some(numbers) = parsed.filter(|numbers| !numbers.is_empty()) else {
        return Err(CommandError::usage(format!(
            "name {many} by their numbers; hint: see `klaxon journal ls`"
        )));
    };
    if arguments.pending || arguments.selection.has_filter() {
        return Err(CommandError::usage(format!("{many} are named by their numbers alone")));
    }
    let told = some(numbers.len() as u64, one, many);
    // Opened before the confirmation, so that an error is reported first.
    let mut editor = journal.editor()?;
    if !confirmed(arguments, &told)? {
        return Ok(Exit::Failure);
    }
    inspect::remove_numbered(&mut editor, what, &numbers)?;
    let value = json!({"removed": numbers.len()});
    super::print(arguments.output, &value, &format!("{told} removed\n"))?;
    Ok(Exit::Success)
}

/// Asks for confirmation, unless `--yes` is given. Without a terminal this is an error.
fn confirmed(arguments: &DropArguments, what: &str) -> Result<bool, CommandError> {
    if arguments.yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CommandError::usage(format!(
            "{what} would be removed for good, and there is no terminal to ask; hint: say --yes"
        )));
    }
    say(&format!("{what} will be removed for good. Go on? [y/N]"));
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .map_err(|error| CommandError::failure(format!("stdin: {error}")))?;
    let is_yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !is_yes {
        say("nothing was removed");
    }
    Ok(is_yes)
}
