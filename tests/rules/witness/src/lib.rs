//! A rule that emits a verdict for everything that it sees, so that tests can count the events that
//! arrived.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{EventRequest, ObjectMeta, ObjectRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SAW: Code = Code::new("SAW", "Saw", Severity::Info, "An event");
const TIMER: Code = Code::new("TIMER", "Timer", Severity::Info, "A timer");

/// The rule.
pub struct Witness {
    settings: Settings,
}

/// The settings of a test.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The delay of a timer for each object that is added or listed, in milliseconds; 0 for no timer.
    pub timer_after_ms: u64,
    /// Has no effect, but makes one configuration differ from another.
    pub label: String,
    /// `true` if the sight of an object is resolved with its deletion.
    pub resolves: bool,
    /// A target that is named in addition to the routed ones; empty for none.
    pub names: String,
    /// `true` to write a Kubernetes Event about each object that is seen.
    pub writes: bool,
}

/// One observation.
#[derive(Serialize)]
struct Sight<'a> {
    change: &'a str,
    gap: bool,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    version: &'a str,
    count: u32,
    delta: u32,
    size: String,
}

impl Rule for Witness {
    type Settings = Settings;

    fn manifest() -> Manifest {
        Manifest::new("witness", "1.0.0", "Says everything that it sees")
            .codes([SAW, TIMER])
            .interest(Interest::new("pods", "v1", "Pod"))
            .interest(Interest::new("deployments", "apps/v1", "Deployment"))
            .interest(Interest::new("events", "events.k8s.io/v1", "Event"))
            .interest(Interest::new("widgets", "example.test/v1", "Widget").field("$.spec.size"))
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings })
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let object = &event.object;
        let kubernetes_event = event.kubernetes_event();
        let sight = Sight {
            change: change(event.change),
            gap: event.gap,
            kind: &object.kind,
            namespace: &object.namespace,
            name: &object.name,
            uid: &object.uid,
            version: &object.resource_version,
            count: kubernetes_event.map_or(0, |kubernetes_event| kubernetes_event.count),
            delta: kubernetes_event.map_or(0, |kubernetes_event| kubernetes_event.delta),
            size: event.fields.first().map_or(String::new(), |size| format!("{size:?}")),
        };
        let code = if event.change == Change::Timer { TIMER } else { SAW };
        let is_over = self.settings.resolves && event.change == Change::Deleted;
        let verdict = if is_over { Verdict::resolved } else { Verdict::firing };
        let mut verdict = verdict(code, &object.uid).payload(&sight)?;
        if !self.settings.names.is_empty() {
            let named = Target::Named(self.settings.names.clone());
            verdict = verdict.to(Target::Routed).to(named);
        }
        if self.settings.writes {
            verdict = verdict.to(Target::KubernetesEvent(written(object)));
        }
        out.emit(verdict);
        let is_new = matches!(event.change, Change::Added | Change::Snapshot);
        if is_new && self.settings.timer_after_ms > 0 {
            let delay = Duration::millis(self.settings.timer_after_ms);
            out.set_timer("later", event.time() + delay);
        }
        Ok(())
    }
}

/// Returns a Kubernetes Event about an object.
fn written(object: &ObjectMeta) -> EventRequest {
    EventRequest {
        reporting_component: None,
        regarding: ObjectRef {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            part: None,
        },
        event_type: EventType::Normal,
        reason: "Seen".to_owned(),
        note: "The witness saw it".to_owned(),
        action: "Look".to_owned(),
    }
}

fn change(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Modified => "modified",
        Change::Deleted => "deleted",
        Change::Left => "left",
        Change::Snapshot => "snapshot",
        Change::Timer => "timer",
        Change::Tick => "tick",
    }
}

klaxon_sdk::export!(Witness);
