//! A rule that fires for each state of a pod that has the label `alarm` or `guard`, and resolves once the
//! pod no longer has the label or is deleted. A receiver that got every verdict knows the pods that have
//! the label.

use klaxon_sdk::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The codes, in the order of the interests, each with the label that its interest selects by.
const CODES: [(Code, &str); 2] = [(code("GUARD"), "guard"), (code("ALARM"), "alarm")];

const fn code(name: &'static str) -> Code {
    Code::new(name, "A label is there", Severity::Error, "A pod has the label")
}

/// The rule.
pub struct Alarm;

/// The settings of a test.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Has no effect, but makes one configuration differ from another.
    pub label: String,
}

/// One state of a pod.
#[derive(Serialize)]
struct State<'a> {
    change: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    version: &'a str,
}

impl Rule for Alarm {
    type Settings = Settings;

    fn manifest() -> Manifest {
        let manifest = Manifest::new("alarm", "1.0.0", "Fires while a pod has a label");
        CODES.into_iter().fold(manifest, |manifest, (code, label)| {
            let interest =
                Interest::new(label, "v1", "Pod").label_selector(label).parts(Parts::LABELS);
            manifest.code(code).interest(interest)
        })
    }

    fn configure(_: Settings) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let (code, label) = *CODES.get(event.interest as usize).ok_or("an unknown interest")?;
        let object = &event.object;
        let (change, is_over) = match event.change {
            Change::Added => ("added", false),
            Change::Modified => ("modified", false),
            Change::Snapshot => ("snapshot", false),
            Change::Left => ("left", true),
            Change::Deleted => ("deleted", true),
            Change::Timer | Change::Tick => return Err("a timer that nobody set".into()),
        };
        let state = State {
            change,
            namespace: &object.namespace,
            name: &object.name,
            uid: &object.uid,
            version: &object.resource_version,
        };
        let severity = match event.label(label) {
            Some("critical") => Severity::Critical,
            _ => Severity::Error,
        };
        let verdict = match is_over {
            true => Verdict::resolved(code, &object.uid),
            false => Verdict::firing(code, &object.uid),
        };
        out.emit(verdict.severity(severity).payload(&state)?);
        Ok(())
    }
}

klaxon_sdk::export!(Alarm);
