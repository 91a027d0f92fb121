//! The records of one stream: objects with the kind of observation and the time.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::clock::newest_time;
use super::documents::Documents;
use super::{StreamError, StreamFile};
use klaxon_model::{Coverage, Seen, SourceEvent, api_group};

/// One record of a stream.
#[derive(Debug)]
pub struct Record {
    /// Time of recording, or its replacement; it never decreases within a stream.
    pub at: jiff::Timestamp,
    /// Line on which the record begins.
    pub line: u64,
    /// The event that it records.
    pub event: SourceEvent,
}

/// Skipped lines of other types, such as a recorder's own marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Number of lines.
    pub lines: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    at: Option<&'a str>,
    /// Klaxon's own field: if the object is a change, or part of a list. `None` if the type decides.
    change: Option<bool>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    /// `null` is an object that cannot be decoded, not a missing one.
    #[serde(borrow, default, deserialize_with = "present")]
    object: Option<&'a RawValue>,
    #[serde(rename = "apiVersion")]
    api_version: Option<&'a str>,
    #[serde(rename = "kind")]
    object_kind: Option<&'a str>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// Reads a member that is present, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: Option<String>,
    code: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct BookmarkObject {
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Option<BookmarkMeta>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BookmarkMeta {
    annotations: Option<std::collections::BTreeMap<String, String>>,
    /// Klaxon's own field of a bookmark: the only namespace that the stream is about.
    namespace: Option<String>,
}

pub(super) const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Reads the records of one stream.
pub(super) struct Records {
    pub(super) path: PathBuf,
    documents: Documents,
    waiting: VecDeque<Record>,
    now: jiff::Timestamp,
    /// The time of the last record.
    last_at: Option<jiff::Timestamp>,
    snapshot_until: Option<jiff::Timestamp>,
    /// Line before which records are the initial list of a watch.
    initial_until: u64,
    pub(super) skipped: Skipped,
}

impl Records {
    pub(super) fn open(file: &StreamFile) -> Result<Self, StreamError> {
        let snapshot_until = file
            .snapshot_until
            .and_then(|time| jiff::Timestamp::from_millisecond(time.as_millis()).ok());
        Ok(Self {
            path: file.path.clone(),
            documents: Documents::open(file)?,
            waiting: VecDeque::new(),
            now: first_time(file)?.unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            last_at: None,
            snapshot_until,
            initial_until: initial_until(file)?,
            skipped: Skipped::default(),
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>, StreamError> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Ok(Some(record));
            }
            let Some((line, bytes)) = self.documents.next()? else { return Ok(None) };
            self.read(line, &bytes).map_err(|why| self.documents.error(line, why))?;
        }
    }

    fn read(&mut self, line: u64, bytes: &[u8]) -> Result<(), String> {
        let found: Line<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let at = match found.at {
            Some(text) => {
                Some(text.parse().map_err(|error| format!("\"at\" is no RFC 3339 time: {error}"))?)
            }
            None => None,
        };
        let is_plain = found.api_version.is_some() && found.object_kind.is_some();
        match (found.kind, found.object, found.items) {
            (Some(kind), Some(object), _) => self.watch_event(line, at, kind, found.change, object),
            (_, _, Some(items)) if is_plain => {
                for item in items {
                    self.object(line, at, Seen::Snapshot, item.to_owned(), false);
                }
                self.push(line, SourceEvent::ListCompleted { coverage: None });
                Ok(())
            }
            (_, None, None) if is_plain => {
                let json: &RawValue =
                    serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                self.object(line, at, Seen::Present, json.to_owned(), false);
                Ok(())
            }
            (Some(_), None, _) => {
                self.skipped.lines += 1;
                Ok(())
            }
            _ => Err(
                "this is neither a watch event ({\"type\": …, \"object\": …}) nor a Kubernetes \
                      object; hint: record with `kubectl get … -w -o json --output-watch-events`"
                    .to_owned(),
            ),
        }
    }

    fn watch_event(
        &mut self,
        line: u64,
        at: Option<jiff::Timestamp>,
        kind: &str,
        change: Option<bool>,
        object: &RawValue,
    ) -> Result<(), String> {
        match kind {
            "ADDED" | "MODIFIED" | "DELETED" | "SNAPSHOT" => {
                let seen = match kind {
                    "DELETED" => Seen::Deleted,
                    "SNAPSHOT" => Seen::Snapshot,
                    _ => Seen::Present,
                };
                let is_change = change.unwrap_or(is_change_by_type(kind));
                self.object(line, at, seen, object.to_owned(), is_change);
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(object.get()).unwrap_or_default();
                self.move_clock(at);
                if status.code == Some(410) {
                    let reason = status.message.unwrap_or_else(|| "410 Gone".to_owned());
                    let from = self.last_at.map_or(self.now, |last| last.min(self.now));
                    self.push(line, SourceEvent::GapStarted { from: from.into(), reason });
                } else {
                    self.skipped.lines += 1;
                }
            }
            "BOOKMARK" if object.get() != "null" => {
                let bookmark: BookmarkObject = serde_json::from_str(object.get())
                    .map_err(|error| format!("the bookmark cannot be read: {error}"))?;
                self.move_clock(at);
                if ends_initial_events(&bookmark) {
                    let namespace = bookmark.metadata.and_then(|meta| meta.namespace);
                    let namespace = namespace.filter(|namespace| !namespace.is_empty());
                    let kind = bookmark.kind.unwrap_or_default();
                    let api_version = bookmark.api_version.unwrap_or_default();
                    let group = api_group(&api_version).to_owned();
                    let coverage =
                        (!kind.is_empty()).then_some(Coverage { group, kind, namespace });
                    self.push(line, SourceEvent::ListCompleted { coverage });
                }
            }
            _ => self.skipped.lines += 1,
        }
        Ok(())
    }

    fn object(
        &mut self,
        line: u64,
        at: Option<jiff::Timestamp>,
        seen: Seen,
        json: Box<RawValue>,
        is_change: bool,
    ) {
        self.move_clock(at.or_else(|| newest_time(json.get())));
        let is_state =
            line < self.initial_until || self.snapshot_until.is_some_and(|until| self.now < until);
        let seen = match seen {
            Seen::Present if is_state => Seen::Snapshot,
            seen => seen,
        };
        self.push(line, SourceEvent::Object { seen, json: json.into(), is_change });
    }

    fn move_clock(&mut self, at: Option<jiff::Timestamp>) {
        self.now = self.now.max(at.unwrap_or(self.now));
    }

    fn push(&mut self, line: u64, event: SourceEvent) {
        self.last_at = Some(self.now);
        self.waiting.push_back(Record { at: self.now, line, event });
    }
}

/// Returns `true` if an object of a line of this type is a change rather than part of a list, unless the line says so
/// itself.
pub(super) fn is_change_by_type(kind: &str) -> bool {
    matches!(kind, "MODIFIED" | "DELETED")
}

fn ends_initial_events(bookmark: &BookmarkObject) -> bool {
    let annotations = bookmark.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
    annotations.and_then(|all| all.get(INITIAL_EVENTS_END)).is_some_and(|value| value == "true")
}

/// Returns the first time in any document of the stream. It also applies to the documents before it, which
/// have no time.
fn first_time(file: &StreamFile) -> Result<Option<jiff::Timestamp>, StreamError> {
    let mut documents = Documents::open(file)?;
    // An error in a document is reported with its line when that document is read.
    while let Ok(Some((_, bytes))) = documents.next() {
        let Ok(found) = serde_json::from_slice::<Line<'_>>(&bytes) else { return Ok(None) };
        let of_object = found.object.and_then(|object| newest_time(object.get()));
        let of_document = || newest_time(std::str::from_utf8(&bytes).ok()?);
        let time = found.at.and_then(|at| at.parse().ok()).or(of_object).or_else(of_document);
        if time.is_some() {
            return Ok(time);
        }
    }
    Ok(None)
}

/// Returns the line of the bookmark that ends the first list of the stream; 0 if there is none, or if the
/// watch was interrupted before it (a list after a gap is compared with the known objects and is not a
/// snapshot).
fn initial_until(file: &StreamFile) -> Result<u64, StreamError> {
    let mut documents = Documents::open(file)?;
    while let Some((line, bytes)) = documents.next()? {
        if !contains(&bytes, INITIAL_EVENTS_END.as_bytes()) && !contains(&bytes, b"\"ERROR\"") {
            continue;
        }
        let Ok(found) = serde_json::from_slice::<Line<'_>>(&bytes) else { continue };
        let Some(object) = found.object else { continue };
        match found.kind {
            Some("BOOKMARK") => {
                let bookmark: BookmarkObject =
                    serde_json::from_str(object.get()).unwrap_or_default();
                if ends_initial_events(&bookmark) {
                    return Ok(line);
                }
            }
            Some("ERROR") => return Ok(0),
            _ => {}
        }
    }
    Ok(0)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
