//! Generated objects and histories for property tests: pods in every state, Kubernetes Events with counts and
//! series, workloads in rollout. The objects are JSON as the API returns it, so a rule in any language gets
//! them as it gets those of a cluster.

mod kubernetes_event;
mod pod;
mod workload;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use klaxon_core::route::selected_labels;
use klaxon_model::Manifest;
use klaxon_recording::StreamFile;

pub use kubernetes_event::kubernetes_event;
pub use pod::pod;
pub use workload::workload;

/// A kind of object that can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A pod of core/v1.
    Pod,
    /// A Kubernetes Event of core/v1 or events.k8s.io/v1.
    KubernetesEvent,
    /// A Deployment, StatefulSet, DaemonSet or ReplicaSet of apps/v1.
    Workload,
}

impl Kind {
    /// Returns the kind of object that matches an interest in this API version and kind.
    fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version.split('/').next()?, kind) {
            ("v1", "Pod") => Some(Self::Pod),
            ("v1" | "events.k8s.io", "Event") => Some(Self::KubernetesEvent),
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
                Some(Self::Workload)
            }
            _ => None,
        }
    }
}

/// Properties of generated objects.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Kinds, one of which is chosen for each object.
    pub kinds: Vec<Kind>,
    /// Labels that most of the objects have.
    pub labels: Vec<(String, String)>,
    /// Maximum number of steps of a history.
    pub steps: usize,
}

impl Shape {
    /// Returns the shape of objects that a rule is interested in; `None` if none of their kinds can be
    /// generated.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let interests = manifest.interests.iter();
        let mut kinds: Vec<Kind> =
            interests.clone().filter_map(|one| Kind::of(&one.api_version, &one.kind)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let selected = interests.flat_map(|one| selected_labels(&one.label_selector));
        let required = selected.filter(|label| label.is_required);
        let mut labels: Vec<(String, String)> = required
            .map(|label| (label.key, label.values.into_iter().next().unwrap_or_default()))
            .collect();
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        (!kinds.is_empty()).then_some(Self { kinds, labels, steps: 40 })
    }
}

/// One step of a history.
#[derive(Debug, Clone)]
struct Step {
    /// Number of the object within its kind; there are only a few.
    object: u8,
    /// Time since the previous step, in milliseconds.
    wait: u32,
    /// 0 for a deletion, 1 for a snapshot, any other number for a change.
    change: u8,
    labelled: bool,
    json: Value,
}

/// Returns a strategy for streams of objects that are added, changed and deleted over some minutes.
pub fn history(shape: Shape) -> impl Strategy<Value = StreamFile> {
    let Shape { kinds, labels, steps } = shape;
    prop::collection::vec(step(kinds), 1..=steps.max(1))
        .prop_map(move |steps| stream(&steps, &labels))
}

/// Returns one fixed history with `shape.steps` steps; `None` if it cannot be generated.
pub fn sample(shape: Shape) -> Option<StreamFile> {
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(shape.kinds), shape.steps).new_tree(&mut runner).ok()?;
    Some(stream(&steps.current(), &shape.labels))
}

fn step(kinds: Vec<Kind>) -> impl Strategy<Value = Step> {
    let object = prop::sample::select(kinds).prop_flat_map(|kind| match kind {
        Kind::Pod => pod().boxed(),
        Kind::KubernetesEvent => kubernetes_event().boxed(),
        Kind::Workload => workload().boxed(),
    });
    let wait = prop_oneof![3 => 0u32..2_000, 1 => 2_000u32..120_000];
    (0u8..4, wait, 0u8..12, prop::bool::weighted(0.9), object).prop_map(
        |(object, wait, change, labelled, json)| Step { object, wait, change, labelled, json },
    )
}

fn stream(steps: &[Step], labels: &[(String, String)]) -> StreamFile {
    let mut now = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(490_896);
    let mut text = String::new();
    for (version, step) in (1u64..).zip(steps) {
        now += jiff::SignedDuration::from_millis(i64::from(step.wait));
        let kind = match step.change {
            0 => "DELETED",
            1 => "SNAPSHOT",
            _ => "MODIFIED",
        };
        let object = complete(step, version, labels, now);
        let line = json!({"at": now.to_string(), "type": kind, "object": object});
        text.push_str(&format!("{line}\n"));
    }
    let text = Some(Arc::from(text.into_bytes()));
    StreamFile { path: "made".into(), snapshot_until: None, text }
}

/// Adds identity and times to a generated object.
fn complete(step: &Step, version: u64, labels: &[(String, String)], now: jiff::Timestamp) -> Value {
    let mut object = step.json.clone();
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    // Some names have two hyphens: a rule may split names at hyphens.
    let name = format!("{kind}{}{}", if step.object < 2 { "-" } else { "--" }, step.object);
    // Sometimes a status lags behind its spec.
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_u64);
    let generation = observed.unwrap_or(1) + u64::from(version.is_multiple_of(4));
    at(&mut object, now);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".to_owned(), name.as_str().into());
        metadata.insert("namespace".to_owned(), format!("space-{}", step.object % 2).into());
        metadata.insert("uid".to_owned(), format!("uid-{name}").into());
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        metadata.insert("generation".to_owned(), generation.into());
        metadata.insert("creationTimestamp".to_owned(), "2026-01-01T00:00:00Z".into());
        if step.labelled {
            let labels = labels.iter().map(|(key, value)| {
                // A label that is only required to exist has one of a few values.
                let value =
                    if value.is_empty() { format!("v{}", step.object % 2) } else { value.clone() };
                (key.clone(), Value::from(value))
            });
            metadata.insert("labels".to_owned(), Value::Object(labels.collect()));
        }
    }
    object
}

/// Replaces `{"seconds ago": n}` by times, as the strategies do not know the current time.
fn at(value: &mut Value, now: jiff::Timestamp) {
    if let Some(ago) = value.get(AGO).and_then(Value::as_i64) {
        *value = (now - jiff::SignedDuration::from_secs(ago)).strftime("%FT%TZ").to_string().into();
        return;
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| at(member, now)),
        Value::Array(items) => items.iter_mut().for_each(|item| at(item, now)),
        _ => {}
    }
}

const AGO: &str = "seconds ago";

/// Returns a strategy for a time in the last minutes, or null.
fn time() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        6 => (0i64..300).prop_map(|ago| json!({ AGO: ago })),
    ]
}

/// Returns a strategy for one of some strings.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}
