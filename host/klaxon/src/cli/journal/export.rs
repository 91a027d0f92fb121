//! `klaxon journal export`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::FilterArguments;
use super::journal_path::JournalPath;
use super::table::some;
use super::{CommandError, Exit, line, say};
use klaxon_journal::inspect::{
    self, Filter, GapRow, InspectError, Letter, Numbered, Quarantined, Reader, State, VerdictRow,
};
use klaxon_model::clock;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Table to export
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    filter: FilterArguments,
    /// In this state: pending, sent, dead or superseded
    #[arg(long, value_name = "STATE", value_parser = super::arguments::state)]
    state: Option<State>,
    /// File to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The kinds of rows that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Verdicts, as `klaxon replay` prints them.
    Verdicts,
    /// Deliveries with their bodies.
    Deliveries,
    /// Deliveries that were given up, with their bodies.
    Dead,
    /// Gaps: periods in which changes may have been missed.
    Gaps,
    /// Events on which a rule failed, and objects that could not be read, as a stream.
    Quarantine,
}

pub(super) fn export(
    journal: &JournalPath,
    arguments: &ExportArguments,
) -> Result<Exit, CommandError> {
    let reader = journal.reader()?;
    if let Some(path) = &arguments.out {
        let lines = to_file(&reader, arguments, path).map_err(|error| error.of(path))?;
        say(&format!("{}: {}", path.display(), some(lines, "line", "lines")));
        return Ok(Exit::Success);
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    match write(&reader, arguments, &mut out) {
        // The reader of a pipe may stop early, as `head` does.
        Err(WriteError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(Exit::Success)
        }
        done => done.map(|_| Exit::Success).map_err(|error| error.of(Path::new("stdout"))),
    }
}

/// Exports to a temporary file, which gets the name `path` only when it is complete.
fn to_file(reader: &Reader, arguments: &ExportArguments, path: &Path) -> Result<u64, WriteError> {
    let beside = path.parent().filter(|beside| !beside.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".klaxon-export-").tempfile_in(beside);
    let mut out = BufWriter::new(part.map_err(WriteError::Io)?);
    let lines = write(reader, arguments, &mut out)?;
    let part = out.into_inner().map_err(|error| WriteError::Io(error.into_error()))?;
    part.persist(path).map_err(|error| WriteError::Io(error.error))?;
    Ok(lines)
}

enum WriteError {
    Io(std::io::Error),
    Other(CommandError),
}

impl WriteError {
    fn of(self, path: &Path) -> CommandError {
        match self {
            Self::Io(error) => CommandError::failure(format!("{}: {error}", path.display())),
            Self::Other(error) => error,
        }
    }
}

impl From<InspectError> for WriteError {
    fn from(error: InspectError) -> Self {
        Self::Other(error.into())
    }
}

fn write(
    reader: &Reader,
    arguments: &ExportArguments,
    out: &mut impl Write,
) -> Result<u64, WriteError> {
    let mut filter = arguments.filter.filter_in(arguments.state, clock::now());
    match arguments.what {
        What::Verdicts => lines::<VerdictRow, _>(reader, &filter, out, line),
        What::Deliveries => lines::<Letter, _>(reader, &filter, out, line),
        What::Dead => {
            filter.state = Some(State::Dead);
            lines::<Letter, _>(reader, &filter, out, line)
        }
        What::Gaps => lines::<GapRow, _>(reader, &filter, out, line),
        What::Quarantine => lines(reader, &filter, out, |row| line(&streamed(row))),
    }
}

fn lines<T: Numbered, W: Write>(
    reader: &Reader,
    filter: &Filter,
    out: &mut W,
    line: impl Fn(&T) -> Result<String, CommandError>,
) -> Result<u64, WriteError> {
    let mut told = super::progress("lines".to_owned());
    let mut count = 0;
    inspect::each(reader, filter, |row: T| -> Result<(), WriteError> {
        let line = line(&row).map_err(WriteError::Other)?;
        out.write_all(line.as_bytes()).map_err(WriteError::Io)?;
        count += 1;
        told(count);
        Ok(())
    })?;
    out.flush().map_err(WriteError::Io)?;
    Ok(count)
}

/// A line of a stream. A Kubernetes object becomes an ADDED line, which can be replayed. Other inputs get a type of
/// Klaxon's own and no object: readers of streams skip and count such lines.
#[derive(Debug, Serialize)]
pub(super) struct Streamed<'a> {
    at: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Value>,
    rule: Option<&'a str>,
    scope: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

pub(super) fn streamed(event: &Quarantined) -> Streamed<'_> {
    let input = serde_json::from_str(&event.input).unwrap_or_else(|_| json!(event.input));
    let (kind, object, input) = match kubernetes_object(input) {
        Ok(object) => ("ADDED", Some(object), None),
        Err(input) => ("QUARANTINED", None, Some(input)),
    };
    let row = &event.row;
    let (rule, scope) = (row.rule.as_deref(), row.scope.as_str());
    Streamed { at: row.time.to_string(), kind, object, rule, scope, reason: &row.reason, input }
}

/// Extracts the Kubernetes object from a quarantined input. The input is the object itself if it could not be
/// decoded, or if a rule that asked for its fields failed on it: then the object is in the field `document`.
fn kubernetes_object(mut input: Value) -> Result<Value, Value> {
    let is_object = |value: &Value| {
        value.get("metadata").is_some_and(Value::is_object)
            && ["apiVersion", "kind"].iter().all(|key| value.get(key).is_some_and(Value::is_string))
    };
    if is_object(&input) {
        return Ok(input);
    }
    match input.get_mut("document").filter(|document| is_object(document)) {
        Some(document) => Ok(document.take()),
        None => Err(input),
    }
}
