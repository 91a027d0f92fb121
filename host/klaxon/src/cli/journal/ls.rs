//! `klaxon journal ls`.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::FilterArguments;
use super::cells::Cells;
use super::journal_path::JournalPath;
use super::table::{some, table};
use super::{CommandError, Exit, OutputFormat, line, say};
use klaxon_journal::inspect::{
    self, BacklogRow, DeliveryRow, Filter, GapRow, IncidentRow, QuarantineRow, Reader, RefusalRow,
    State, StateRow, TimerRow, VerdictRow, WatchRow,
};
use klaxon_model::clock;

#[derive(Debug, Args)]
pub(super) struct LsArguments {
    /// Table to list [default: the number of rows of each]
    #[arg(value_enum)]
    what: Option<What>,
    #[command(flatten)]
    filter: FilterArguments,
    /// In this state: pending, sent, dead or superseded
    #[arg(long, value_name = "STATE", value_parser = super::arguments::state)]
    state: Option<State>,
    /// Most rows that are listed
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Format of the list; json: one object a line
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// The kinds of rows that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Verdicts of the rules.
    Verdicts,
    /// A verdict for a target each.
    Deliveries,
    /// Deliveries that were given up.
    Dead,
    /// Gaps: periods in which changes may have been missed.
    Gaps,
    /// Events on which a rule failed, and objects that could not be read.
    Quarantine,
    /// Events that wait for their rule.
    Backlog,
    /// Watches, with their progress.
    Watches,
    /// Verdicts that could not be made deliveries.
    Refusals,
    /// Open incidents, and verdicts that are pending because of one.
    Incidents,
    /// Timers of rules.
    Timers,
    /// State of the rules.
    State,
}

pub(super) fn ls(journal: &JournalPath, arguments: &LsArguments) -> Result<Exit, CommandError> {
    let now = clock::now();
    let filter = arguments.filter.filter_in(arguments.state, now);
    let Some(what) = arguments.what else {
        return overview(journal, arguments, &filter);
    };
    let dead = || match arguments.state {
        None | Some(State::Dead) => Ok(Filter { state: Some(State::Dead), ..filter.clone() }),
        Some(_) => Err(CommandError::usage(
            "dead letters are dead; hint: list deliveries, or leave --state",
        )),
    };
    let reader = journal.reader()?;
    match what {
        What::Verdicts => list::<VerdictRow>(&reader, &filter, arguments),
        What::Deliveries => list::<DeliveryRow>(&reader, &filter, arguments),
        What::Dead => list::<DeliveryRow>(&reader, &dead()?, arguments),
        What::Gaps => list::<GapRow>(&reader, &filter, arguments),
        What::Quarantine => list::<QuarantineRow>(&reader, &filter, arguments),
        What::Backlog => list::<BacklogRow>(&reader, &filter, arguments),
        What::Watches => list::<WatchRow>(&reader, &filter, arguments),
        What::Refusals => list::<RefusalRow>(&reader, &filter, arguments),
        What::Incidents => list::<IncidentRow>(&reader, &filter, arguments),
        What::Timers => list::<TimerRow>(&reader, &filter, arguments),
        What::State => list::<StateRow>(&reader, &filter, arguments),
    }
}

fn overview(
    journal: &JournalPath,
    arguments: &LsArguments,
    filter: &Filter,
) -> Result<Exit, CommandError> {
    if *filter != Filter::default() {
        return Err(CommandError::usage(
            "filters are for one kind; hint: say what to list, such as `ls dead`",
        ));
    }
    let reader = journal.reader()?;
    let overview = inspect::overview(&reader)?;
    let text = super::overview::text(&overview, reader.path(), clock::now());
    super::print(arguments.output, &overview, &text)?;
    Ok(Exit::Success)
}

fn list<T: Cells + Serialize>(
    reader: &Reader,
    filter: &Filter,
    arguments: &LsArguments,
) -> Result<Exit, CommandError> {
    let page = inspect::page::<T>(reader, filter, arguments.limit)?;
    let text = match arguments.output {
        OutputFormat::Text => text(&page.rows),
        OutputFormat::Json => page.rows.iter().map(line).collect::<Result<_, _>>()?,
    };
    crate::cli::print(&text);
    if page.rows.is_empty() && page.more == 0 {
        say("there is none");
    }
    if page.more > 0 {
        let more = some(page.more, "more is", "more are");
        say(&format!("{more} there; --limit N shows up to N"));
    }
    Ok(Exit::Success)
}

pub(super) fn text<T: Cells>(rows: &[T]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells: Vec<Vec<String>> = rows.iter().map(T::cells).collect();
    table(T::HEADS, &cells)
}
