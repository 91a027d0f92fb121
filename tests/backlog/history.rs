//! Generated histories of a cluster.

use std::collections::BTreeMap;

use klaxon_model::Seen;
use klaxon_test_support::manifests;
use proptest::prelude::*;

/// A change in the cluster.
#[derive(Debug, Clone)]
pub(super) enum Happens {
    Put(u8),
    Delete(u8),
    KubernetesEvent(u8, u8),
    EventGone(u8),
    Wait(i64),
    /// The watch of pods loses its cursor; these pods exist afterwards.
    Gap(Vec<u8>),
}

/// One call of the pipeline.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Observe(&'static str, Seen, String),
    Gap,
    GapEnd,
}

fn uid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Returns the calls of a history, which are the same for every run.
pub(super) fn inputs(history: &[Happens]) -> Vec<(i64, Input)> {
    let mut calls = Vec::new();
    let (mut now, mut version, mut births) = (1_700_000_000_000i64, 10u64, 0u64);
    let mut pods: BTreeMap<u8, u64> = BTreeMap::new();
    let mut counts: BTreeMap<u8, u64> = BTreeMap::new();
    let pod = |name: u8, birth: u64, version: u64| {
        manifests::pod(&format!("pod-{name}"), manifests::stored(&uid(birth), version)).to_string()
    };
    let kubernetes_event = |name: u8, about: u64, count: u64, version: u64| {
        let metadata = manifests::stored(&uid(900_000 + u64::from(name)), version);
        let mut event = manifests::kubernetes_event(&format!("event-{name}"), count, metadata);
        event["involvedObject"]["uid"] = uid(about).into();
        event.to_string()
    };
    for one in history {
        version += 1;
        match one {
            Happens::Wait(ms) => now += ms,
            Happens::Put(name) => {
                let birth = *pods.entry(*name).or_insert_with(|| {
                    births += 1;
                    births
                });
                calls.push((now, Input::Observe("Pod", Seen::Present, pod(*name, birth, version))));
            }
            Happens::Delete(name) => {
                if let Some(birth) = pods.remove(name) {
                    let json = pod(*name, birth, version);
                    calls.push((now, Input::Observe("Pod", Seen::Deleted, json)));
                }
            }
            Happens::KubernetesEvent(name, about) => {
                let count = counts.entry(*name).or_default();
                *count += 1;
                let about = pods.get(about).copied().unwrap_or(800_000 + u64::from(*about));
                let json = kubernetes_event(*name, about, *count, version);
                calls.push((now, Input::Observe("Event", Seen::Present, json)));
            }
            Happens::EventGone(name) => {
                if let Some(count) = counts.remove(name) {
                    let json = kubernetes_event(*name, 1, count, version);
                    calls.push((now, Input::Observe("Event", Seen::Deleted, json)));
                }
            }
            Happens::Gap(stay) => {
                calls.push((now, Input::Gap));
                now += 2500;
                pods.retain(|name, _| stay.contains(name));
                for (name, birth) in &pods {
                    version += 1;
                    let json = pod(*name, *birth, version);
                    calls.push((now, Input::Observe("Pod", Seen::Snapshot, json)));
                }
                calls.push((now, Input::GapEnd));
            }
        }
        now += 7;
    }
    calls
}

pub(super) fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0u8..4).prop_map(Happens::Put),
        2 => (0u8..4).prop_map(Happens::Delete),
        4 => (0u8..3, 0u8..4).prop_map(|(name, about)| Happens::KubernetesEvent(name, about)),
        1 => (0u8..3).prop_map(Happens::EventGone),
        3 => prop_oneof![(1i64..900), (900i64..4000), Just(700_000)].prop_map(Happens::Wait),
        1 => proptest::collection::vec(0u8..4, 0..4).prop_map(Happens::Gap),
    ]
}
