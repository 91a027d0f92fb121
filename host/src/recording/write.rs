//! Writes records as lines of a stream; reading the lines returns the same records.

use serde_json::{Value, json};

use super::record::{INITIAL_EVENTS_END, Kind, Record};
use crate::model::Seen;

/// Formats a record as one line without a line ending: a watch event with its time.
///
/// # Errors
/// If an object is not JSON; objects read from a stream always are.
pub fn line(record: &Record) -> Result<String, serde_json::Error> {
    let at = record.at.to_string();
    let mut change = false;
    let (kind, object) = match &record.kind {
        Kind::Object { seen, json, is_change } => {
            change = *seen == Seen::Snapshot && *is_change;
            let kind = match (seen, is_change) {
                (Seen::Snapshot, _) => "SNAPSHOT",
                (Seen::Deleted, _) => "DELETED",
                (Seen::Present, true) | (Seen::Outside, _) => "MODIFIED",
                (Seen::Present, false) => "ADDED",
            };
            (kind, serde_json::from_str::<Value>(json.get())?)
        }
        Kind::Gap { reason } => (
            "ERROR",
            json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired",
                   "code": 410, "message": reason}),
        ),
        // The end of a plain list is no watch event, so it is written as an empty list.
        Kind::ListEnd { object: None } => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": [], "at": at});
            return Ok(list.to_string());
        }
        Kind::ListEnd { object: Some((group, kind)) } => {
            let api_version =
                if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
            let metadata = json!({"annotations": {INITIAL_EVENTS_END: "true"}});
            ("BOOKMARK", json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}))
        }
    };
    // Formatted by hand, so that time and type come first, as in other recorders' lines.
    let change = if change { r#","change":true"# } else { "" };
    Ok(format!(r#"{{"at":{},"type":"{kind}"{change},"object":{object}}}"#, Value::from(at)))
}
