//! `klaxon journal retry`.

use clap::Args;
use serde_json::json;

use super::arguments::SelectionArguments;
use super::journal_path::JournalPath;
use super::table::{counts, some, sum};
use super::{CommandError, Exit, OutputFormat, say};
use klaxon_journal::inspect::{self, Resend, Resent};
use klaxon_model::clock;

#[derive(Debug, Args)]
pub(super) struct RetryArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Only say how many there are
    #[arg(long)]
    dry_run: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn retry(
    journal: &JournalPath,
    arguments: &RetryArguments,
) -> Result<Exit, CommandError> {
    let selection = arguments.selection.selection(clock::now());
    let found = inspect::resendable(&journal.reader()?, &selection)?;
    if let Some(note) = disabled(&found) {
        say(&note);
    }
    if found.letters.is_empty() && found.refusals.is_empty() {
        return Err(CommandError::failure(
            "nothing was selected: there is no such dead letter; hint: see `klaxon journal ls dead`",
        ));
    }
    if arguments.dry_run {
        let value = json!({"dry_run": true, "found": found});
        super::print(arguments.output, &value, &would(&found))?;
        return Ok(Exit::Success);
    }
    let mut told = super::progress(format!("of {} dead letters", sum(&found.letters)));
    let resent = inspect::resend(&mut journal.editor()?, &selection, &mut told)?;
    let value = json!({"dry_run": false, "letters": resent.letters, "refusals": resent.refusals});
    super::print(arguments.output, &value, &text(resent))?;
    Ok(Exit::Success)
}

pub(super) fn text(resent: Resent) -> String {
    let mut text = String::new();
    if resent.letters > 0 {
        let letters = some(resent.letters, "dead letter is", "dead letters are");
        text.push_str(&format!("{letters} pending again, after the deliveries that are pending already; the service sends them, at its next start if it is not running\n"));
    }
    if resent.refusals > 0 {
        let refusals = some(resent.refusals, "refused verdict is", "refused verdicts are");
        text.push_str(&format!(
            "{refusals} marked: made deliveries where their target exists now\n"
        ));
    }
    text
}

pub(super) fn would(found: &Resend) -> String {
    let mut text = String::new();
    if !found.letters.is_empty() {
        let letters = some(sum(&found.letters), "dead letter", "dead letters");
        text.push_str(&format!("{letters} would be sent again: {}\n", counts(&found.letters)));
    }
    if !found.refusals.is_empty() {
        let refusals = some(sum(&found.refusals), "refused verdict", "refused verdicts");
        text.push_str(&format!("{refusals} would be tried again: {}\n", counts(&found.refusals)));
    }
    text
}

fn disabled(found: &Resend) -> Option<String> {
    let letters = some(sum(&found.disabled), "dead letter stays", "dead letters stay");
    (!found.disabled.is_empty()).then(|| {
        format!(
            "{letters}, for their target is disabled ({}); hint: `klaxon journal enable TARGET` first",
            counts(&found.disabled)
        )
    })
}
