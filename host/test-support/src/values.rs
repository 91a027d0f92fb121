//! Objects, events, verdicts and manifests with the usual values. A test names what matters to it and takes the rest from here
//! (`Verdict { code, ..verdict(id, event) }`).

use std::sync::Arc;

use klaxon_model::{
    Change, Changes, Event, Id, Identity, Interest, Manifest, Meta, Object, Origin, PartitionBy,
    Parts, Severity, Status, Subject, Timestamp, Verdict,
};
use serde_json::value::RawValue;

/// Returns an object of the API group `v1` without a subject, in version 1.
pub fn object(kind: &str, namespace: &str, name: &str, uid: &str) -> Object {
    let identity = Identity {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    let meta = Meta { identity, resource_version: "1".to_owned(), ..Meta::default() };
    Object { meta, subject: Subject::Other, document: None }
}

/// Returns the event of an object that was added at a time.
pub fn event(id: Id, time: Timestamp, object: Object) -> Event {
    let origin = Origin { cluster: "c".to_owned(), source: "s".to_owned() };
    Event {
        id,
        origin: Arc::new(origin),
        time,
        change: Change::Added,
        gap: false,
        interest: 0,
        timer: None,
        partition: object.meta.identity.partition().into(),
        object: Arc::new(object),
        delta: 0,
        fields: Ok(Vec::new()),
    }
}

/// Returns a firing verdict on an event, of the code `CODE` of the rule `rule`, for the target `out`.
pub fn verdict(id: Id, event: Event) -> Verdict {
    Verdict {
        id,
        time: event.time,
        cluster: event.origin.cluster.as_str().into(),
        rule: "rule".into(),
        rule_version: "1".into(),
        code: "CODE".to_owned(),
        severity: Severity::Info,
        status: Status::Firing,
        title: String::new(),
        key: "key".to_owned(),
        object: event.object.meta.identity.clone(),
        payload: payload("{}"),
        targets: vec!["out".to_owned()],
        gap: false,
        delta: None,
        event: Some(Arc::new(event)),
        refused: Vec::new(),
    }
}

/// Returns an interest in all changes of a kind, with each object in a partition of its own.
pub fn interest(name: &str, api_version: &str, kind: &str) -> Interest {
    Interest {
        name: name.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        label_selector: String::new(),
        field_selector: String::new(),
        namespaces: Vec::new(),
        changes: Changes::ALL,
        partition: PartitionBy::Object,
        parts: Parts::default(),
        annotations: Vec::new(),
        fields: Vec::new(),
    }
}

/// Returns the manifest of a rule without codes, settings and state.
pub fn manifest(interests: Vec<Interest>) -> Manifest {
    Manifest {
        name: "test".to_owned(),
        version: "1".to_owned(),
        description: String::new(),
        codes: Vec::new(),
        interests,
        schedules: Vec::new(),
        settings_schema: String::new(),
        capabilities: Vec::new(),
        state_version: 0,
    }
}

/// Returns JSON as the payload of a verdict.
pub fn payload(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}
