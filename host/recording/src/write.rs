//! Writes records as lines of a stream; reading the lines returns the same records.

use serde_json::{Value, json};

use super::record::{INITIAL_EVENTS_END, Record, is_change_by_type};
use klaxon_model::{GapStart, ListStart, Seen, SourceEvent};

/// Returns an event as one line, without its end: a watch event with its time. `None` for an event that a
/// recording does not have, such as a lost connection: a reader of the stream cannot act on it.
///
/// # Errors
/// Where an object is no JSON, which cannot be for one that was read from a stream.
pub fn line(record: &Record) -> Result<Option<String>, serde_json::Error> {
    let at = record.at.to_string();
    let mut change = None;
    let (kind, object) = match &record.event {
        SourceEvent::Object { seen, json, is_change } => {
            let kind = match (seen, is_change) {
                (Seen::Snapshot, _) => "SNAPSHOT",
                (Seen::Deleted, _) => "DELETED",
                (Seen::Present, true) | (Seen::Outside, _) => "MODIFIED",
                (Seen::Present, false) => "ADDED",
            };
            // Written only where the type would be read as something else.
            change = (is_change_by_type(kind) != *is_change).then_some(*is_change);
            (kind, serde_json::from_str::<Value>(json)?)
        }
        SourceEvent::GapStarted { reason, .. }
        | SourceEvent::ListStarted { start: ListStart::Compare(GapStart { reason, .. }), .. } => (
            "ERROR",
            json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired",
                   "code": 410, "message": reason}),
        ),
        // A watch does not report the end of a plain list: an empty list means the same.
        SourceEvent::ListCompleted { coverage: None } => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": [], "at": at});
            return Ok(Some(list.to_string()));
        }
        SourceEvent::ListCompleted { coverage: Some(coverage) } => {
            let api_version = if coverage.group.is_empty() {
                "v1".to_owned()
            } else {
                format!("{}/v1", coverage.group)
            };
            let mut metadata = json!({"annotations": {INITIAL_EVENTS_END: "true"}});
            if let (Some(namespace), Some(metadata)) =
                (&coverage.namespace, metadata.as_object_mut())
            {
                metadata.insert("namespace".to_owned(), namespace.as_str().into());
            }
            let object =
                json!({"apiVersion": api_version, "kind": coverage.kind, "metadata": metadata});
            ("BOOKMARK", object)
        }
        SourceEvent::ListStarted { start: ListStart::First, .. }
        | SourceEvent::Excluded { .. }
        | SourceEvent::Progress
        | SourceEvent::BackfillObject(_)
        | SourceEvent::BackfillCompleted
        | SourceEvent::Connected
        | SourceEvent::Disconnected
        | SourceEvent::NotServed { .. } => return Ok(None),
    };
    // Formatted by hand, so that a person finds time and type where recorders put them.
    let change = change.map(|change| format!(r#","change":{change}"#)).unwrap_or_default();
    let at = Value::from(at);
    Ok(Some(format!(r#"{{"at":{at},"type":"{kind}"{change},"object":{object}}}"#)))
}
