//! Tests of the engine alone: workers, the limits of a component, and state after a call.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use klaxon_core::normalize::{Wanted, decode};
use klaxon_engine::{Engine, Options, PanicsForTests, RuleSpec};
use klaxon_model::{
    Answer, Capability, Change, Evaluate, Event, Id, Limits, Origin, RuleId, RuleInfo, Slot,
    StateView, Task, Timestamp, Write,
};
use serde_json::{Value, json};
use wasmparser::{Parser, Payload};

use crate::support::{module, options, pod_line};

/// A state store that is always empty.
struct NoState;

impl StateView for NoState {
    fn get(&self, _slot: &Slot, _key: &str, _now: Timestamp) -> Option<String> {
        None
    }

    fn sizes(&self, _slot: &Slot, _now: Timestamp) -> Vec<(String, usize)> {
        Vec::new()
    }
}

fn spec(index: usize, bytes: Vec<u8>, settings: Value) -> RuleSpec {
    RuleSpec {
        name: format!("rule-{index}"),
        origin: "rule.wasm".into(),
        bytes,
        settings,
        limits: Limits { cpu: Duration::from_secs(60), ..Limits::default() },
        grants: BTreeSet::from(Capability::ALL),
    }
}

fn hostile(engine: &mut Engine, index: usize, settings: Value) -> Arc<RuleInfo> {
    let bytes = std::fs::read(module("hostile")).unwrap();
    engine.load(RuleId(index), spec(index, bytes, settings)).unwrap()
}

/// Returns a pod's event for a rule; each pod is a partition of its own.
fn task(rule: &Arc<RuleInfo>, number: u64) -> Task {
    let name = format!("pod-{number}");
    let status = json!({"name": "app", "state": {"running": {}}});
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", &name, number + 1, &status);
    let object = decode(&line["object"].to_string(), &Wanted::default()).unwrap();
    let event = Event {
        id: Id::of("test", &[&number]),
        origin: Arc::new(Origin { cluster: "test".to_owned(), source: "test".to_owned() }),
        time: Timestamp::from_millis(0),
        change: Change::Added,
        gap: false,
        interest: 0,
        timer: None,
        object: Arc::new(object),
        delta: 0,
        fields: Ok(Vec::new()),
        partition: name.into(),
    };
    Task { rule: rule.id, event: Arc::new(event) }
}

fn with_workers(workers: usize, panics: u32) -> Engine {
    let panics = PanicsForTests::times(panics);
    Engine::start(Options { workers: workers.try_into().unwrap(), panics, ..options() }).unwrap()
}

fn evaluate(engine: &Engine, state: Arc<dyn StateView>, tasks: &[Task]) -> Vec<Answer> {
    engine.evaluate(&state, tasks).into_iter().map(Option::unwrap).collect()
}

#[test]
fn a_worker_that_panics_asks_again_and_no_event_fails() {
    let answers = |panics: u32| {
        let mut engine = with_workers(2, panics);
        let rule = hostile(&mut engine, 0, json!({"behaviour": "nothing"}));
        let tasks: Vec<Task> = (0..32).map(|number| task(&rule, number)).collect();
        // The second round finds a worker that works.
        [(); 2].map(|()| evaluate(&engine, Arc::new(NoState), &tasks))
    };
    let undisturbed = answers(0);
    assert!(undisturbed.iter().flatten().all(|answer| answer.outcome.is_ok()));
    assert_eq!(answers(1), undisturbed);
}

#[test]
fn a_rule_on_a_thread_of_its_own_survives_a_panic_too() {
    let mut engine = with_workers(1, 1);
    let rule = hostile(&mut engine, 0, json!({"behaviour": "nothing"}));
    let mut dedicated = engine.dedicated(rule.id, None).unwrap();
    let state: Arc<dyn StateView> = Arc::new(NoState);
    dedicated.ask(&state, vec![task(&rule, 1).event]);
    let answers = loop {
        match dedicated.answers() {
            Some(answers) => break answers,
            None => std::thread::yield_now(),
        }
    };
    assert!(answers[0].as_ref().unwrap().outcome.is_ok());
}

#[test]
fn a_second_panic_on_the_same_events_ends_whoever_asked_with_the_reason() {
    let asked = std::thread::spawn(|| {
        let mut engine = with_workers(1, 2);
        let rule = hostile(&mut engine, 0, json!({"behaviour": "nothing"}));
        evaluate(&engine, Arc::new(NoState), &[task(&rule, 1)])
    });
    let panic = asked.join().unwrap_err();
    let reason = panic.downcast_ref::<String>().unwrap();
    assert!(
        reason.contains("panicked twice while rule rule-0 was asked about 1 events"),
        "{reason}"
    );
    assert!(
        reason.contains("a test asked for this panic") && reason.contains("hint: "),
        "{reason}"
    );
}

/// A state store that blocks the first thread that reads, until another thread has read for all rules.
struct Rendezvous {
    rules: usize,
    met: Mutex<Met>,
    changed: Condvar,
}

#[derive(Default)]
struct Met {
    first: Option<ThreadId>,
    rules_elsewhere: HashSet<Arc<str>>,
    was_in_vain: bool,
}

impl StateView for Rendezvous {
    fn get(&self, slot: &Slot, _key: &str, _now: Timestamp) -> Option<String> {
        let here = std::thread::current().id();
        let mut met = self.met.lock().unwrap();
        if *met.first.get_or_insert(here) == here {
            let is_alone =
                |met: &mut Met| met.rules_elsewhere.len() < self.rules && !met.was_in_vain;
            let patience = Duration::from_secs(120);
            let (mut met, waited) =
                self.changed.wait_timeout_while(met, patience, is_alone).unwrap();
            met.was_in_vain |= waited.timed_out();
        } else {
            met.rules_elsewhere.insert(slot.rule.clone());
            self.changed.notify_all();
        }
        None
    }

    fn sizes(&self, _slot: &Slot, _now: Timestamp) -> Vec<(String, usize)> {
        Vec::new()
    }
}

#[test]
fn a_rule_that_holds_up_one_worker_keeps_the_other_from_no_rule() {
    let mut engine = with_workers(2, 0);
    let tasks: Vec<Task> = (0..3)
        .flat_map(|index| {
            let rule = hostile(&mut engine, index, json!({"behaviour": "nothing"}));
            (0..16).map(move |number| task(&rule, number))
        })
        .collect();
    let state = Arc::new(Rendezvous { rules: 3, met: Mutex::default(), changed: Condvar::new() });
    let answers = evaluate(&engine, state.clone(), &tasks);
    assert!(answers.iter().all(|answer| answer.outcome.is_ok()));
    let met = state.met.lock().unwrap();
    assert!(!met.was_in_vain, "the other worker came to {} of 3 rules", met.rules_elsewhere.len());
}

#[test]
fn removing_keys_that_are_not_there_leaves_nothing_behind() {
    let mut engine = with_workers(1, 0);
    // One key has the maximum length, the other exceeds it.
    for (index, size) in [1000, 4_000_000].into_iter().enumerate() {
        let rule =
            hostile(&mut engine, index, json!({"behaviour": "remove-long-keys", "size": size}));
        let answers = evaluate(&engine, Arc::new(NoState), &[task(&rule, 1)]);
        let [Answer { outcome: Ok(_), writes, .. }] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        assert!(matches!(writes.as_slice(), [Write::Put { key, .. }] if key == "seen"), "{size}");
    }
}

fn load(bytes: Vec<u8>) -> Result<Arc<RuleInfo>, String> {
    let mut engine = with_workers(1, 0);
    engine
        .load(RuleId(0), spec(0, bytes, json!({"behaviour": "nothing"})))
        .map_err(|f| f.to_string())
}

/// Returns the component of a rule with `count` additional instances of a core module.
fn with_more_instances(core: &str, count: u8) -> Vec<u8> {
    let mut bytes = std::fs::read(module("hostile")).unwrap();
    let (mut depth, mut modules) = (0u32, 0u8);
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } => {
                modules += u8::from(depth == 0);
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let mut section = |id: u8, content: &[u8]| {
        assert!(content.len() < 1 << 14, "its length takes two bytes");
        let (low, high) = (content.len() & 0x7f, content.len() >> 7);
        bytes.extend([id, u8::try_from(low).unwrap() | 0x80, u8::try_from(high).unwrap()]);
        bytes.extend_from_slice(content);
    };
    section(1, &wat::parse_str(core).unwrap());
    let instance = [0x00, modules, 0x00];
    section(2, &[vec![count], instance.repeat(count.into())].concat());
    bytes
}

#[test]
fn a_component_may_have_as_many_instances_as_an_interpreter_has_parts() {
    // componentize-py makes 24 instances; a rule has some of its own.
    let rule = load(with_more_instances("(module)", 24)).unwrap();
    assert_eq!(rule.manifest.name, "hostile");
    let fault = load(with_more_instances("(module)", 64)).unwrap_err();
    assert!(fault.contains("instance count too high"), "{fault}");
}

#[test]
fn memories_and_tables_of_all_instances_share_the_limit() {
    // Four mebibytes each; the rule itself has between one and two, of 32.
    assert!(load(with_more_instances("(module (memory 64))", 7)).is_ok());
    let fault = load(with_more_instances("(module (memory 64))", 8)).unwrap_err();
    assert!(fault.contains("over the rule's limit of 33554432"), "{fault}");
    let fault = load(with_more_instances("(module (table 30000 funcref))", 2)).unwrap_err();
    assert!(fault.contains("tables would grow to"), "{fault}");
}

#[test]
fn features_of_wasm_that_no_sdk_needs_are_off() {
    let cases = [
        ("(module (memory 1) (memory 1))", "multiple memories"),
        ("(module (import \"a\" \"b\" (memory 1)) (memory 1))", "multiple memories"),
        ("(module (memory i64 1))", "memory64"),
        ("(module (func $f (return_call $f)))", "tail calls"),
        (
            "(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))",
            "relaxed SIMD",
        ),
        ("(module (memory 1 1 shared))", "threads"),
        ("(module (type (struct)))", "gc"),
        ("(module (tag))", "exceptions"),
    ];
    for (core, feature) in cases {
        let fault = load(with_more_instances(core, 1)).map(|_| feature).unwrap_err();
        assert!(
            fault.contains("cannot be compiled") || fault.contains("no complete"),
            "{feature}: {fault}"
        );
    }
}

#[test]
fn a_module_over_its_limit_is_refused_with_the_key_that_raises_it() {
    let bytes = std::fs::read(module("hostile")).unwrap();
    let size = bytes.len();
    let loaded = |module: usize| {
        let mut spec = spec(0, bytes.clone(), json!({"behaviour": "nothing"}));
        spec.limits.module = module;
        with_workers(1, 0).load(RuleId(0), spec).map_err(|fault| fault.to_string())
    };
    assert!(loaded(size).is_ok());
    let fault = loaded(size - 1).unwrap_err();
    assert!(fault.contains("raise `limits.module`"), "{fault}");
    // No more than the limit and one byte is read of a file of any size.
    let limits = Limits { module: 1000, ..Limits::default() };
    assert_eq!(klaxon_engine::read_module(&module("hostile"), &limits).unwrap().len(), 1001);
    let limits = Limits { module: 10, ..Limits::default() };
    assert_eq!(klaxon_engine::read_module("/dev/zero".as_ref(), &limits).unwrap().len(), 11);
}
