//! Tests of the pipeline without the service: state restored after a restart, and the end of a replay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use klaxon::assembly::assemble_with;
use klaxon_config::{self as config, Rule, Throttle};
use klaxon_core::pipeline::{MemoryState, Output, Pace, Pipeline};
use klaxon_core::verdict::Targets;
use klaxon_journal::{Group, Journal};
use klaxon_model::{
    Id, Identity, Meta, Object, Origin, PersistedTimer, Pod, RuleId, Seen, Slot, StoreOp, Subject,
    Timestamp,
};
use klaxon_telemetry::metrics::Metrics;
use klaxon_test_support::manifests;
use serde_json::json;

use crate::support::{lost, options, rule, seen};

const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn start(rule: Rule, state: &Arc<MemoryState>) -> Pipeline {
    let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
    assemble_with(&[rule], Targets::Any, origin, options(), state.clone()).unwrap()
}

fn pod() -> Object {
    let identity = Identity {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: "a".to_owned(),
        name: "web".to_owned(),
        uid: "u".to_owned(),
    };
    let meta = Meta { identity, resource_version: "7".to_owned(), ..Meta::default() };
    Object { meta, subject: Subject::Pod(Pod::default()), document: None }
}

/// A partition may have 100 timers; timers that have fired and are not answered yet are stored in
/// addition.
#[test]
fn all_timers_of_a_partition_come_back_however_many_there_are() {
    const TIMERS: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let settings = config::Journal {
        path: None,
        retain: Duration::from_secs(86_400),
        max_size: 1 << 30,
        max_dead_letters: 1000,
    };
    let object = Arc::new(pod());
    let timer = |number: usize| {
        StoreOp::Timer(Box::new(PersistedTimer {
            slot: Slot { rule: "witness".into(), partition: "all".into() },
            key: format!("timer-{number}"),
            due: BEGIN.plus_millis(5000),
            payload: String::new(),
            set_by: Id::of("test", &[]),
            interest: "pods".to_owned(),
            object: object.clone(),
        }))
    };
    let journal = Journal::open(folder.path()).unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let (handle, _) = journal.start(BTreeMap::new(), &settings, metrics).unwrap();
    let output = Output { ops: (0..TIMERS).map(timer).collect(), ..Output::default() };
    handle.commit_and_wait(Group { output, progress: Vec::new(), clock: Some(BEGIN) }).unwrap();
    handle.close().unwrap();

    let state = Arc::new(MemoryState::default());
    let mut pipeline = start(rule("witness", "witness", json!({})), &state);
    let persisted = Journal::open(folder.path()).unwrap().load().unwrap().persisted;
    pipeline.resume(&[], persisted, &state, Box::new(|_| None));
    let status = pipeline.status();
    assert_eq!((status.counts.pending_timers, status.suspended_timers), (TIMERS as u64, 0));
    pipeline.finish(Some(BEGIN.plus_millis(10_000)));
    let output = pipeline.take_output().unwrap();
    let woke = output.verdicts.iter().filter(|verdict| verdict.code == "TIMER").count();
    assert_eq!((woke, output.failures.len()), (TIMERS, 0));
}

#[test]
fn what_a_rule_says_only_at_the_end_of_a_replay_passes_through_its_policy() {
    let mut witness = rule("witness", "witness", json!({}));
    let per = Duration::from_secs(60);
    witness.policy.throttle = Some(Throttle { count: 1, per, digest: true });
    let mut pipeline = start(witness, &Arc::new(MemoryState::default()));
    pipeline.set_pace(RuleId(0), Pace::Hold);
    for number in 0..3 {
        let metadata = manifests::stored(&format!("uid-{number}"), number);
        let pod = manifests::pod(&format!("pod-{number}"), metadata);
        pipeline.apply("Pod", BEGIN, seen(Seen::Present, &pod.to_string()));
    }
    // In a gap that is not over the clock does not go on by itself.
    pipeline.apply("Pod", BEGIN, lost(BEGIN));
    pipeline.set_pace(RuleId(0), Pace::Free);
    pipeline.finish(Some(BEGIN.plus_millis(3_600_000)));
    let output = pipeline.take_output().unwrap();
    let said =
        output.verdicts.iter().map(|verdict| (verdict.code.as_str(), verdict.title.as_str()));
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((said[0].0, said[1]), ("SAW", ("digest", "2 verdicts were suppressed")));
}
