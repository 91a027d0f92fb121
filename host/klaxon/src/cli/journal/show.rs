//! `klaxon journal show`.

use clap::Args;
use serde_json::Value;

use super::journal_path::JournalPath;
use super::table::{plain_lines, size};
use super::{CommandError, Exit, OutputFormat};
use klaxon_journal::inspect::{self, Letter, Quarantined, Shown, ShownGap};
use klaxon_model::plain;

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The id of a verdict or a delivery, or a unique beginning of at least 6 digits; or `gap` or
    /// `quarantine`, with a number
    #[arg(value_name = "ID")]
    id: String,
    /// The number of the gap or the quarantined event
    #[arg(value_name = "N")]
    number: Option<i64>,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) fn show(journal: &JournalPath, arguments: &ShowArguments) -> Result<Exit, CommandError> {
    let output = arguments.output;
    match (arguments.id.as_str(), arguments.number) {
        ("gap" | "gaps", Some(number)) => {
            let gap = inspect::gap(&journal.reader()?, number)?;
            super::print(output, &gap, &gap_text(&gap))?;
        }
        ("quarantine", Some(number)) => {
            let event = inspect::quarantined(&journal.reader()?, number)?;
            super::print(output, &event, &quarantined_text(&event))?;
        }
        (what @ ("gap" | "gaps" | "quarantine"), None) => {
            return Err(CommandError::usage(format!(
                "show {what}: its number is missing; hint: see `klaxon journal ls`"
            )));
        }
        (_, Some(number)) => {
            return Err(CommandError::usage(format!(
                "an id needs no number {number}; hint: one id, or `gap N`, or `quarantine N`"
            )));
        }
        (id, None) => {
            let shown = inspect::show(&journal.reader()?, id)?;
            super::print(output, &shown, &text(&shown))?;
        }
    }
    Ok(Exit::Success)
}

pub(super) fn text(shown: &Shown) -> String {
    let verdict = &shown.verdict;
    let mut text = format!("verdict {}\n{}", verdict.id, indented(&pretty(&verdict.body)));
    for letter in &shown.deliveries {
        text.push('\n');
        text.push_str(&delivery(letter));
    }
    for refusal in &shown.refusals {
        let asked = if refusal.retry { "; the service is asked to try again" } else { "" };
        text.push_str(&format!(
            "\nno delivery to {} (refusal {}, {}): {}{asked}\n",
            plain(&refusal.target),
            refusal.n,
            refusal.time,
            plain(&refusal.reason)
        ));
    }
    text
}

fn delivery(letter: &Letter) -> String {
    let one = &letter.delivery;
    let mut text = format!("delivery {} to {}\n", one.id, plain(&one.target));
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {name:<10}{}\n", plain(&value)));
        }
    };
    add("state", Some(one.state.as_str().to_owned()));
    add("made", Some(one.made_at.to_string()));
    let first = one.since.map_or_else(String::new, |since| format!(", the first at {since}"));
    add("attempts", Some(format!("{}{first}", one.attempts)));
    add("next", one.next_at.map(|at| format!("not before {at}")));
    add("settled", one.settled_at.map(|at| at.to_string()));
    add("reason", one.reason.clone());
    add("response", one.response.clone());
    text.push_str(&format!(
        "  body      {}\n{}",
        size(one.bytes),
        indented(&pretty(letter.body.as_str()))
    ));
    text
}

pub(super) fn gap_text(shown: &ShownGap) -> String {
    let gap = &shown.gap;
    let now = match &shown.now {
        Some(watch) if watch.listing => format!("listing; in order last at {}", watch.since),
        Some(watch) => format!("in order at {}", watch.since),
        None => "there is no such watch any more".to_owned(),
    };
    let namespace = gap.namespace.as_deref().unwrap_or("all");
    format!(
        "gap {} in {}\n  kinds     {}\n  namespace {}\n  since     {}\n  until     {}\n  reason    {}\n  \
         now       {now}\n",
        gap.n,
        plain(&gap.watch),
        plain(&gap.kinds),
        plain(namespace),
        gap.since,
        gap.until,
        plain(&gap.reason)
    )
}

fn quarantined_text(event: &Quarantined) -> String {
    let row = &event.row;
    let (rule, scope) = match &row.rule {
        Some(rule) => (rule.as_str(), "event"),
        None => ("none: it could not be read", "watch"),
    };
    format!(
        "quarantined event {}\n  time      {}\n  rule      {}\n  {scope:<10}{}\n  reason    {}\n  input     \
         {}\n{}",
        row.n,
        row.time,
        plain(rule),
        plain(&row.scope),
        plain(&row.reason),
        size(row.bytes),
        indented(&pretty(&event.input))
    )
}

/// Formats JSON over several lines; other text stays unchanged.
fn pretty(text: &str) -> String {
    let parsed = serde_json::from_str::<Value>(text).ok();
    parsed.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or(text.to_owned())
}

fn indented(text: &str) -> String {
    plain_lines(text).lines().map(|line| format!("    {line}\n")).collect()
}
