//! Validation of Kubernetes Events on creation, as a real API server does it.

use serde_json::Value;

use super::answer::Refusal;

/// Checks a Kubernetes Event. The two API groups require different fields of the same stored objects.
pub(super) fn check(group: &str, event: &Value, namespace: &str) -> Result<(), Refusal> {
    let fault = if group.is_empty() { core(event, namespace) } else { new(event) };
    match fault {
        Some(fault) => Err(Refusal::invalid(fault)),
        None => Ok(()),
    }
}

fn core(event: &Value, namespace: &str) -> Option<&'static str> {
    let about = event["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let fits = if about.is_empty() { namespace == "default" } else { about == namespace };
    (!fits).then_some("involvedObject.namespace: Invalid value: does not match event.namespace")
}

fn new(event: &Value) -> Option<&'static str> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    [
        (text("note").len() > 1024, "note: can have at most 1024 bytes"),
        (text("reason").len() > 128, "reason: can have at most 128 bytes"),
        (text("reason").is_empty(), "reason: Required value"),
        (!matches!(text("type"), "Normal" | "Warning"), "type: Invalid value"),
        (text("action").is_empty(), "action: Required value"),
        (text("reportingController").is_empty(), "reportingController: Required value"),
        (text("reportingInstance").is_empty(), "reportingInstance: Required value"),
        (event["eventTime"].is_null(), "eventTime: Required value"),
    ]
    .into_iter()
    .find_map(|(wrong, fault)| wrong.then_some(fault))
}
