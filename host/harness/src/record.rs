//! Redacted copies of recordings that may be published in a repository, and the check that rules emit the
//! same codes on them.

use std::io::Write;

use super::rule::{Input, Mode, RuleError, RuleUnderTest};
use klaxon_model::{Coverage, SourceEvent};
use klaxon_recording::redact::{RedactError, Redactor};
use klaxon_recording::{self as recording, Merged, Record, StreamError, StreamFile};

/// Error of copying a stream.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// An object in the stream cannot be redacted.
    #[error("stream {path}, line {line}: {source}")]
    Object {
        /// The stream.
        path: String,
        /// The line.
        line: u64,
        /// The cause.
        source: RedactError,
    },
    /// The copy cannot be written.
    #[error("the recording cannot be written: {0}")]
    Write(#[from] std::io::Error),
    /// A line cannot be written as JSON.
    #[error("the recording cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// Counts of a copied stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Number of lines written.
    pub lines: u64,
    /// Number of lines of the source that were left out because they are not watch events, such as a
    /// recorder's own marks.
    pub left_out: u64,
}

/// Collects every name of a stream in a redactor. Must be called for all streams before the first is written.
///
/// # Errors
/// If the stream cannot be read.
pub fn learn(from: &StreamFile, redactor: &mut Redactor) -> Result<(), RecordError> {
    each(from, |record| match &record.event {
        SourceEvent::Object { json, .. } => {
            redactor.learn(json).map_err(|source| in_line(from, record, source))
        }
        _ => Ok(()),
    })
    .map(drop)
}

/// Copies a stream with its times; redacts it if a redactor is given.
///
/// # Errors
/// If the stream cannot be read or the copy cannot be written.
pub fn copy(
    from: &StreamFile,
    redactor: Option<&Redactor>,
    to: &mut dyn Write,
) -> Result<Recorded, RecordError> {
    let mut lines = 0;
    let left_out = each(from, |record| {
        let redacted = redactor.map(|redactor| redact(from, record, redactor)).transpose()?;
        if let Some(line) = recording::line(redacted.as_ref().unwrap_or(record))? {
            lines += 1;
            writeln!(to, "{line}")?;
        }
        Ok(())
    })?;
    to.flush()?;
    Ok(Recorded { lines, left_out })
}

fn redact(from: &StreamFile, record: &Record, redactor: &Redactor) -> Result<Record, RecordError> {
    let event = match &record.event {
        SourceEvent::Object { seen, json, is_change } => {
            let json = redactor.object(json);
            let json = json.map_err(|source| in_line(from, record, source))?.into();
            SourceEvent::Object { seen: *seen, json, is_change: *is_change }
        }
        SourceEvent::GapStarted { from, reason } => {
            SourceEvent::GapStarted { from: *from, reason: redactor.text(reason) }
        }
        SourceEvent::ListCompleted {
            coverage: Some(Coverage { group, kind, namespace: Some(namespace) }),
        } => {
            let (group, kind) = (group.clone(), kind.clone());
            let namespace = Some(redactor.namespace(namespace));
            SourceEvent::ListCompleted { coverage: Some(Coverage { group, kind, namespace }) }
        }
        event => event.clone(),
    };
    Ok(Record { at: record.at, line: record.line, event })
}

fn each(
    from: &StreamFile,
    mut take: impl FnMut(&Record) -> Result<(), RecordError>,
) -> Result<u64, RecordError> {
    let mut records = Merged::open(std::slice::from_ref(from))?;
    while let Some((_, record)) = records.next_record()? {
        take(&record)?;
    }
    Ok(records.skipped())
}

fn in_line(from: &StreamFile, record: &Record, source: RedactError) -> RecordError {
    RecordError::Object { path: from.path.display().to_string(), line: record.line, source }
}

/// Runs a rule over both recordings and returns the number of codes, if the rule emits the same codes at the
/// same times on both.
///
/// # Errors
/// The first code that differs, or the reason why the rule cannot be run.
pub fn says_the_same(
    rule: &RuleUnderTest,
    before: Vec<StreamFile>,
    after: Vec<StreamFile>,
) -> Result<usize, String> {
    let before = codes(rule, before).map_err(|error| error.to_string())?;
    let after = codes(rule, after).map_err(|error| error.to_string())?;
    let most = before.len().max(after.len());
    let name = &rule.manifest().name;
    match (0..most).find(|at| before.get(*at) != after.get(*at)) {
        None => Ok(before.len()),
        Some(at) => {
            let code = |codes: &[String]| codes.get(at).cloned().unwrap_or("nothing".to_owned());
            Err(format!(
                "rule {name} says {} of the original and {} of the recording (verdict {} of {})",
                code(&before),
                code(&after),
                at + 1,
                before.len()
            ))
        }
    }
}

fn codes(rule: &RuleUnderTest, streams: Vec<StreamFile>) -> Result<Vec<String>, RuleError> {
    let ran = rule.run(&Input { streams, ..Input::default() }, Mode::Reused)?;
    Ok(ran.output.verdicts.iter().map(|one| format!("{} at {}", one.code, one.time)).collect())
}
