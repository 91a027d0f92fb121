//! Tests of isolation: a rule that misbehaves affects only itself, and only the event on which it
//! misbehaves.

use std::path::PathBuf;
use std::time::Duration;

use insta::assert_snapshot;
use klaxon::assembly::assemble;
use klaxon_config::Rule;
use klaxon_core::verdict::Targets;
use klaxon_engine::{Engine, Options, RuleSpec};
use klaxon_model::{Capability, FailureKind, Limits, Origin, RuleId};
use serde_json::{Value, json};

use crate::support::{Ran, SOURCE_LINE, module, options, pod_line, replay, rule, stream};

const PODS: usize = 64;
const POISON: &str = "pod-13";

fn pods(folder: &std::path::Path) -> PathBuf {
    let status = json!({"name": "app", "state": {"running": {}}});
    let lines: Vec<Value> = (0..PODS)
        .map(|n| {
            let name = format!("pod-{n}");
            pod_line("ADDED", "2026-01-01T00:00:00Z", &name, n as u64 + 1, &status)
        })
        .collect();
    stream(folder, "pods.jsonl", &lines)
}

/// Returns the misbehaving rule, with enough CPU time that only the tested limit can end it.
fn hostile(behaviour: &str, on: &str) -> Rule {
    let mut rule = rule("hostile", "hostile", json!({"behaviour": behaviour, "on": on}));
    rule.limits.cpu = Duration::from_secs(60);
    rule
}

/// Runs the misbehaving rule beside a well-behaved one on 64 pods.
fn beside_a_neighbour(bad: Rule) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let neighbour = rule("neighbour", "hostile", json!({"behaviour": "nothing"}));
    let ran = replay(&[bad, neighbour], &[pods(folder.path())], options());
    let of_neighbour = ran.output.verdicts.iter().filter(|v| &*v.rule == "neighbour").count();
    assert_eq!(of_neighbour, PODS, "the neighbour answers every event");
    ran
}

/// Asserts that one event is quarantined with this failure, and that the other 63 are answered.
#[track_caller]
fn one_event_fails(bad: Rule, kind: FailureKind) -> String {
    let ran = beside_a_neighbour(bad);
    let failures = &ran.output.failures;
    let names: Vec<&str> = failures.iter().map(|failed| failed.object.name.as_str()).collect();
    assert_eq!(names, [POISON], "{failures:?}");
    assert_eq!(failures[0].failure.kind, kind, "{}", failures[0].failure.message);
    let answered = ran.output.verdicts.iter().filter(|v| &*v.rule == "hostile").count();
    assert_eq!(answered, PODS - 1);
    failures[0].failure.message.clone()
}

#[test]
fn an_endless_loop_runs_out_of_time() {
    let mut bad = hostile("loop-for-ever", POISON);
    bad.limits.cpu = Limits::default().cpu;
    assert_snapshot!(one_event_fails(bad, FailureKind::OutOfTime));
}

#[test]
fn memory_growth_is_refused_with_the_limit() {
    let message = one_event_fails(hostile("grow-memory", POISON), FailureKind::OutOfMemory);
    assert!(message.contains("over the rule's limit of 33554432"), "{message}");
}

#[test]
fn deep_recursion_exhausts_the_sandboxs_stack_only() {
    assert_snapshot!(one_event_fails(hostile("recurse-deeply", POISON), FailureKind::Trap));
}

#[test]
fn a_trap_on_one_event_of_64_spares_the_batch() {
    let message = one_event_fails(hostile("trap", POISON), FailureKind::Trap);
    insta::with_settings!({filters => vec![SOURCE_LINE]}, {
        assert_snapshot!(message);
    });
}

#[test]
fn an_answer_is_bounded_by_the_host_and_not_only_by_what_a_call_carries() {
    // Every answer also has a verdict of 11 bytes: code, key and payload.
    let most = Limits::default().answer - "SEENpod-131".len();
    let answer = |behaviour: &str, size: usize| {
        let settings = json!({"behaviour": behaviour, "on": POISON, "size": size});
        let mut bad = rule("hostile", "hostile", settings);
        bad.limits.cpu = Duration::from_secs(60);
        bad
    };
    assert_eq!(beside_a_neighbour(answer("answer-title", most)).output.failures.len(), 0);
    // From one byte too many up to the limit of the whole call, above which the call fails.
    for size in [most + 1, 2 << 20, 7 << 20, 9 << 20] {
        let message = one_event_fails(answer("answer-title", size), FailureKind::AnswerTooLarge);
        assert!(message.contains("larger than the host takes"), "{size}: {message}");
        // A body that no receiver gets counts too: it is recorded as refused.
        one_event_fails(answer("answer-extension", size), FailureKind::AnswerTooLarge);
    }
}

#[test]
fn verdicts_of_an_answer_are_counted() {
    let answer = |size: usize| {
        let settings = json!({"behaviour": "answer-verdicts", "on": POISON, "size": size});
        rule("hostile", "hostile", settings)
    };
    let ran = beside_a_neighbour(answer(999));
    assert!(ran.output.failures.is_empty(), "{:?}", ran.output.failures);
    let message = one_event_fails(answer(1000), FailureKind::AnswerTooLarge);
    assert!(message.contains("1001 verdicts, and may have 1000; hint: "), "{message}");
}

#[test]
fn an_error_of_megabytes_is_recorded_with_its_beginning_and_its_length() {
    let settings = json!({"behaviour": "answer-error", "on": POISON, "size": 7_000_000});
    let mut bad = rule("hostile", "hostile", settings);
    bad.limits.cpu = Duration::from_secs(60);
    let message = one_event_fails(bad, FailureKind::RuleError);
    assert!(message.ends_with("é… (cut: 7000000 bytes in all)"), "{} bytes", message.len());
    assert!(message.len() < 5000, "{} bytes", message.len());
}

#[test]
fn log_lines_of_megabytes_keep_four_kibibytes_each() {
    let settings = json!({"behaviour": "log-lines", "size": 4_000_000});
    let mut bad = rule("hostile", "hostile", settings);
    bad.limits.cpu = Duration::from_secs(60);
    // The limit per minute is tested elsewhere.
    bad.limits.log_per_minute = 64 << 20;
    let ran = beside_a_neighbour(bad);
    assert!(ran.output.failures.is_empty(), "{:?}", ran.output.failures);
    let lines = || ran.output.log.iter().map(|line| &line.line.text);
    assert!(lines().all(|text| text.len() <= 4096));
    let longest = lines().map(String::capacity).max();
    assert_eq!(longest, Some(4096), "what a line keeps of memory is what it shows");
    // All 64 events are one call, whose lines are limited to a mebibyte; excess lines are counted.
    let kept: usize = lines().filter(|text| text.starts_with('l')).map(String::capacity).sum();
    assert_eq!(kept, 1 << 20);
    let dropped = lines().filter_map(|text| text.split_once(" more lines")?.0.parse::<u32>().ok());
    assert_eq!(dropped.sum::<u32>(), 64 * 40 - 256);
}

/// Returns the witness with another path of the same length in its manifest.
fn witness_asking_for(path: &str, folder: &std::path::Path) -> Rule {
    const DECLARED: &[u8] = b"$.spec.size";
    assert_eq!(path.len(), DECLARED.len());
    let mut bytes = std::fs::read(module("witness")).unwrap();
    let places: Vec<usize> = bytes
        .windows(DECLARED.len())
        .enumerate()
        .filter(|(_, at)| *at == DECLARED)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the manifest holds its path as a text");
    for at in places {
        bytes[at..at + DECLARED.len()].copy_from_slice(path.as_bytes());
    }
    let mut rule = rule("witness", "witness", json!({}));
    rule.module = folder.join("witness.wasm");
    std::fs::write(&rule.module, bytes).unwrap();
    rule
}

#[test]
fn a_path_that_is_slow_on_large_objects_is_refused_at_load() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin { cluster: "test".to_owned(), source: "replay".to_owned() };
    let bad = witness_asking_for("$..[?$..* ]", folder.path());
    let fault = assemble(&[bad], Targets::Any, origin, options()).err().unwrap().to_string();
    assert_snapshot!(fault);
}

#[test]
fn an_object_that_costs_a_path_too_much_fails_for_that_rule_only() {
    let folder = tempfile::tempdir().unwrap();
    // 1.5 MB in 400,000 values, all of which the path would visit.
    let widget = |version: u64, items: usize| {
        let text = format!("[{}1]", "1, ".repeat(items));
        json!({"at": "2026-01-01T00:00:00Z", "type": "MODIFIED", "object": {
            "apiVersion": "example.test/v1", "kind": "Widget",
            "metadata": {"name": "wide", "namespace": "a", "uid": "wide",
                "resourceVersion": version.to_string()},
            "spec": {"items": serde_json::from_str::<Value>(&text).unwrap()}}})
    };
    let lines = [widget(1000, 10), widget(1001, 400_000), widget(1002, 20)];
    let widgets = stream(folder.path(), "widgets.jsonl", &lines);
    let bad = witness_asking_for("$..['name']", folder.path());
    let neighbour = rule("neighbour", "hostile", json!({"behaviour": "nothing"}));
    let good = rule("good", "witness", json!({}));
    let streams = [pods(folder.path()), widgets];
    let ran = replay(&[bad, neighbour, good], &streams, options());

    let [failed] = ran.output.failures.as_slice() else { panic!("{:?}", ran.output.failures) };
    assert_eq!((&*failed.rule, failed.object.name.as_str()), ("witness", "wide"));
    assert_eq!(failed.failure.kind, FailureKind::FieldsOverBudget);
    // The author of the object decides its cost.
    assert!(failed.failure.kind.quarantines() && !failed.failure.kind.counts_against_rule());
    assert_snapshot!(failed.failure.message);
    assert_eq!(failed.input.object.meta.resource_version, "1001");
    let of = |name: &str| ran.output.verdicts.iter().filter(|v| &*v.rule == name).count();
    assert_eq!(of("neighbour"), PODS);
    assert_eq!(of("good"), PODS + 3, "another rule of the same kind is asked about it");
    assert_eq!(of("witness"), PODS + 2, "the rule is asked about the object's next state");
}

#[test]
fn a_gigabyte_of_answer_is_too_large() {
    let mut bad = hostile("answer-gigabyte", POISON);
    bad.limits.memory = 3 << 30;
    assert_snapshot!(one_event_fails(bad, FailureKind::AnswerTooLarge));
}

#[test]
fn an_undeclared_code_is_an_error_of_its_event() {
    let bad = hostile("say-undeclared-code", POISON);
    assert_snapshot!(one_event_fails(bad, FailureKind::InvalidAnswer));
}

#[test]
fn a_payload_that_is_no_json_is_an_error_of_its_event() {
    assert_snapshot!(one_event_fails(
        hostile("say-broken-payload", POISON),
        FailureKind::InvalidAnswer
    ));
}

#[test]
fn a_key_that_is_too_long_is_an_error_of_its_event() {
    let bad = hostile("say-long-key", POISON);
    assert_snapshot!(one_event_fails(bad, FailureKind::InvalidAnswer));
}

#[test]
fn an_answer_too_few_is_an_error_of_the_event_that_has_none() {
    let message = one_event_fails(hostile("answer-too-few", POISON), FailureKind::InvalidAnswer);
    assert_eq!(message, "the rule gave 0 answers to 1 events");
}

#[test]
fn a_wrong_event_index_traps() {
    assert_snapshot!(one_event_fails(hostile("ask-beyond-the-batch", POISON), FailureKind::Trap));
}

#[test]
fn an_index_that_goes_back_traps_in_a_batch_and_is_right_alone() {
    // Alone, the event's index is 0, so a call with index 0 is valid: the second attempt answers the
    // event.
    let ran = beside_a_neighbour(hostile("ask-backwards", POISON));
    assert!(ran.output.failures.is_empty(), "{:?}", ran.output.failures);
}

#[test]
fn too_many_host_calls_trap() {
    assert_snapshot!(one_event_fails(
        hostile("call-the-host-too-often", POISON),
        FailureKind::Trap
    ));
}

#[test]
fn state_over_its_budget_fails_the_event() {
    assert_snapshot!(one_event_fails(hostile("overfill-state", POISON), FailureKind::OverBudget));
}

#[test]
fn too_many_wakes_are_an_error_of_the_event() {
    assert_snapshot!(one_event_fails(
        hostile("set-too-many-timers", POISON),
        FailureKind::InvalidAnswer
    ));
}

#[test]
fn what_an_event_wrote_before_it_failed_is_lost_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let status = json!({"name": "app", "state": {"running": {}}});
    let lines: Vec<Value> = (1..=6)
        .map(|version| pod_line("MODIFIED", "2026-01-01T00:00:00Z", "web", version, &status))
        .collect();
    let path = stream(folder.path(), "pods.jsonl", &lines);
    let good = rule("hostile", "hostile", json!({"behaviour": "nothing"}));
    let ran = replay(&[good], std::slice::from_ref(&path), options());
    let counts = |ran: &Ran| -> Vec<String> {
        ran.output.verdicts.iter().map(|verdict| verdict.payload.get().to_owned()).collect()
    };
    assert_eq!(counts(&ran), ["1", "2", "3", "4", "5", "6"]);

    // Every second event fails after it wrote 1000; the next one must not see that value.
    let failing =
        rule("hostile", "hostile", json!({"behaviour": "fail-after-writing", "on": "web"}));
    for batch in [1, 64] {
        let options = Options { batch: batch.try_into().unwrap(), ..options() };
        let ran = replay(std::slice::from_ref(&failing), std::slice::from_ref(&path), options);
        assert_eq!(ran.output.failures.len(), 3);
        assert!(ran.output.failures.iter().all(|f| f.failure.kind == FailureKind::RuleError));
        assert_eq!(counts(&ran), ["1", "2", "3"], "in batches of {batch}");
    }
}

#[test]
fn a_rule_that_keeps_failing_goes_out_of_service_in_event_order() {
    let at = |workers: usize, batch: usize| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options();
        options.workers = workers.try_into().unwrap();
        options.batch = batch.try_into().unwrap();
        replay(&[hostile("trap", "")], &[pods(folder.path())], options)
    };
    let ran = at(1, 64);
    assert_eq!(ran.output.out_of_service.len(), 1);
    let kinds = ran.output.failures.iter().map(|failed| failed.failure.kind);
    let unanswered = kinds.filter(|kind| *kind == FailureKind::OutOfService).count();
    assert_eq!(unanswered, PODS - 10);
    assert_eq!(ran.text(), at(2, 3).text(), "neither workers nor batches change who was refused");
}

/// Returns the loader's result for a component as text.
fn load(bytes: Vec<u8>, settings: Value, grants: &[Capability]) -> String {
    let mut engine = Engine::start(options()).unwrap();
    let spec = RuleSpec {
        name: "bad".to_owned(),
        origin: "bad.wasm".into(),
        bytes,
        settings,
        limits: Limits::default(),
        grants: grants.iter().copied().collect(),
    };
    match engine.load(RuleId(0), spec) {
        Ok(_) => "loaded".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn modules_that_are_no_rules_get_an_error_that_names_the_mend() {
    let akkeris = std::fs::read(module("akkeris")).unwrap();
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let cases = [
        ("truncated", akkeris.get(..akkeris.len() / 2).unwrap().to_vec()),
        ("empty file", Vec::new()),
        ("text", b"hello".to_vec()),
        (
            "another world",
            wat(
                "(component (component $c) (instance $i (instantiate $c)) (export \"acme:other/run@1.0.0\" (instance $i)))",
            ),
        ),
        ("core module without bindings", wat("(module (func (export \"run\")))")),
        (
            "core module with WASI",
            wat(
                "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32))))",
            ),
        ),
        (
            "component with WASI",
            wat("(component (import \"wasi:cli/environment@0.2.0\" (instance)))"),
        ),
        ("unknown interface", wat("(component (import \"klaxon:rule/dns@0.1.0\" (instance)))")),
    ];
    let text: Vec<String> = cases
        .into_iter()
        .map(|(name, bytes)| format!("{name}:\n  {}", load(bytes, json!({}), &Capability::ALL)))
        .collect();
    // The offset at which a file ends early depends on the compiler that made it.
    insta::with_settings!({filters => vec![("offset 0x[0-9a-f]+", "offset N")]}, {
        assert_snapshot!(text.join("\n"));
    });
}

#[test]
fn a_core_module_with_embedded_bindings_is_made_a_component_at_load() {
    let built = module("akkeris");
    let core =
        built.parent().unwrap().join("../rules-build/wasm32-unknown-unknown/rule/akkeris.wasm");
    let bytes = std::fs::read(core).unwrap();
    assert!(!klaxon_build::is_component(&bytes), "this test needs a core module");
    assert_eq!(load(bytes, json!({}), &Capability::ALL), "loaded");
}

#[test]
fn imports_need_a_grant_and_settings_must_pass_the_schema() {
    let akkeris = || std::fs::read(module("akkeris")).unwrap();
    let text = [
        load(akkeris(), json!({}), &[]),
        load(akkeris(), json!({"repeat": 3}), &Capability::ALL),
        load(akkeris(), json!({"repet": "3m"}), &Capability::ALL),
        load(akkeris(), json!({"repeat": "1h"}), &Capability::ALL),
    ];
    assert_snapshot!(text.join("\n"));
}
