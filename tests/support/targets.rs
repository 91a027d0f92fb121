//! Targets by themselves, without a service.

use klaxon_test_support::values;
use std::path::Path;
use std::sync::Arc;

use klaxon_config::{Target, TargetOrigin};
use klaxon_model::{Id, Severity, Verdict};
use klaxon_targets::{Attempt, Delivery, Endpoint};
use serde_json::Value;

/// Returns an id that ends with a number.
pub(crate) fn id(number: u64) -> Id {
    format!("{number:032x}").parse().unwrap()
}

/// A verdict of the rule `akkeris` on a pod.
pub(crate) fn verdict(code: &str) -> Verdict {
    let time = "2026-11-20T10:00:00.123Z".parse().unwrap();
    let event = values::event(id(1), time, values::object("Pod", "a", "web-1", "u"));
    Verdict {
        cluster: "prod".into(),
        rule: "akkeris".into(),
        rule_version: "1.0.0".into(),
        code: code.to_owned(),
        severity: Severity::Error,
        title: "out of memory".to_owned(),
        key: "a/web-1".to_owned(),
        payload: values::payload("{\n  \"action\": \"crashed\"\n}"),
        targets: vec!["t".to_owned()],
        event: None,
        ..values::verdict(id(7), event)
    }
}

/// Parses a target as written in the configuration.
#[track_caller]
pub(crate) fn target(base: &Path, written: Value) -> Target {
    TargetOrigin::new("t", written, base).read_again().unwrap()
}

/// Makes the endpoint of a target, ready to send.
#[track_caller]
pub(crate) fn endpoint(target: &Target) -> Arc<Endpoint> {
    Arc::new(Endpoint::new("t", target).unwrap())
}

/// Renders a verdict as a delivery for a target.
pub(crate) fn delivery(number: u64, target: &Target, verdict: &Verdict) -> Delivery {
    Delivery { id: id(number), ..Delivery::new("t", target, verdict).unwrap() }
}

/// A delivery with exactly these bytes.
pub(crate) fn bytes(number: u64, body: &[u8]) -> Delivery {
    Delivery {
        id: id(number),
        target: "t".to_owned(),
        order: (String::new(), String::new()),
        code: String::new(),
        status: String::new(),
        body: body.to_vec(),
        delta: None,
        address: None,
    }
}

#[track_caller]
pub(crate) fn retried(attempt: Attempt) -> String {
    match attempt {
        Attempt::Retry(trouble) => trouble.why,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused(attempt: Attempt) -> String {
    match attempt {
        Attempt::Refused { why } => why,
        other => panic!("{other:?}"),
    }
}
