//! Parts that all constructed events share.

use crate::{
    Cause, Change, Condition, ConditionStatus, Event, Label, ObjectMeta, Subject, Timestamp,
};

/// 2026-01-01T00:00:00Z, the default time of constructed events.
pub const NEW_YEAR: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Returns an event about an object without a subject of its own, as a base for other kinds.
pub fn event(api_version: &str, kind: &str, namespace: &str, name: &str) -> Event {
    Event {
        id: format!("{kind}/{namespace}/{name}"),
        cluster: "test".to_owned(),
        source: "test".to_owned(),
        time: NEW_YEAR.as_millis(),
        change: Change::Modified,
        gap: false,
        interest: 0,
        timer: None,
        object: ObjectMeta {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            resource_version: "1".to_owned(),
            generation: 1,
            created_at: Some(NEW_YEAR.as_millis()),
            deleted_at: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            owners: Vec::new(),
        },
        subject: Subject::Other,
        fields: Vec::new(),
    }
}

/// Returns a label.
pub fn label(key: &str, value: &str) -> Label {
    Label { key: key.to_owned(), value: value.to_owned() }
}

/// Returns a condition; if reason and message are empty, it has no cause.
pub fn condition(name: &str, status: ConditionStatus, reason: &str, message: &str) -> Condition {
    let cause = (!reason.is_empty() || !message.is_empty())
        .then(|| Cause { reason: reason.to_owned(), message: message.to_owned() });
    Condition {
        name: name.to_owned(),
        status,
        cause,
        changed_at: Some(NEW_YEAR.as_millis()),
        updated_at: Some(NEW_YEAR.as_millis()),
    }
}
