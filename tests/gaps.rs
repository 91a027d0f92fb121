//! Tests of gaps: an interrupted stream is recorded as a gap, and changes within it are found by a
//! relist.

use klaxon_test_support::manifests;
use serde_json::{Value, json};

use crate::support::{Ran, akkeris, options, pod_line, replay, rule, stream};

const AT: [&str; 4] = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:10:00Z",
    "2026-01-01T00:10:01Z",
    "2026-01-01T00:10:02Z",
];

fn running() -> Value {
    json!({"name": "app", "ready": true, "state": {"running": {"startedAt": AT[0]}}})
}

fn killed_since() -> Value {
    json!({"name": "app", "ready": true, "state": {"running": {"startedAt": AT[0]}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137,
            "finishedAt": "2026-01-01T00:05:00Z"}}})
}

fn expired(at: &str) -> Value {
    json!({"at": at, "type": "ERROR", "object": {"kind": "Status", "code": 410,
        "message": "too old resource version: 3 (9)"}})
}

fn list_end(at: &str) -> Value {
    json!({"at": at, "type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1",
        "metadata": {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}}})
}

fn run(lines: &[Value]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = stream(folder.path(), "pods.jsonl", lines);
    let rules = [akkeris(false), rule("count", "hostile", json!({"behaviour": "nothing"}))];
    let mut ran = replay(&rules, &[path], options());
    for gap in &mut ran.output.gaps {
        gap.scope = "pods.jsonl".to_owned();
    }
    ran
}

fn before() -> Vec<Value> {
    ["same", "changed", "gone"]
        .into_iter()
        .zip(1..)
        .map(|(name, version)| pod_line("ADDED", AT[0], name, version, &running()))
        .collect()
}

fn events(ran: &Ran) -> Vec<String> {
    let counted = ran.output.verdicts.iter().filter(|verdict| verdict.code == "SEEN");
    counted.map(|v| format!("{} gap={} {}", v.object.name, v.gap, v.payload.get())).collect()
}

#[test]
fn changed_new_and_vanished_objects_are_found_and_the_rest_is_not_repeated() {
    let mut lines = before();
    lines.extend([
        expired(AT[1]),
        pod_line("ADDED", AT[2], "same", 1, &running()),
        pod_line("ADDED", AT[2], "changed", 8, &killed_since()),
        pod_line("ADDED", AT[2], "new", 9, &running()),
        list_end(AT[2]),
        pod_line("MODIFIED", AT[3], "same", 10, &running()),
    ]);
    let ran = run(&lines);
    assert_eq!(
        events(&ran),
        [
            "same gap=false 1",
            "changed gap=false 1",
            "gone gap=false 1",
            "changed gap=true 2",
            "new gap=true 1",
            "gone gap=true 2",
            "same gap=false 2",
        ]
    );
    assert_eq!(ran.summary.counts.repeated, 1);
    let gaps: Vec<Value> =
        ran.output.gaps.iter().map(|gap| serde_json::to_value(gap).unwrap()).collect();
    assert_eq!(
        gaps,
        [json!({"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T00:10:01.000Z",
            "scope": "pods.jsonl", "kinds": ["Pod"], "reason": "too old resource version: 3 (9)"})]
    );
    // The container was killed for memory during the gap and is running again: only lastState shows it.
    assert!(ran.codes().contains(&"R14 changed".to_owned()), "{:?}", ran.codes());
}

#[test]
fn wakes_are_held_while_a_list_is_compared() {
    let booting = |ready: bool| json!({"name": "app", "ready": ready, "state": {"running": {"startedAt": AT[0]}}});
    let at = |second: u32| format!("2026-01-01T00:0{}:{:02}Z", second / 60, second % 60);
    let gone = |version, ready| {
        vec![
            pod_line("ADDED", AT[0], "web", 1, &booting(false)),
            expired(&at(59)),
            pod_line("ADDED", &at(61), "web", version, &booting(ready)),
            list_end(&at(61)),
            pod_line("ADDED", &at(70), "other", 9, &running()),
        ]
    };
    // The timer was due at 60 s, within the gap. When the gap ends the pod is ready, or still is not.
    assert!(!run(&gone(2, true)).codes().contains(&"H20 web".to_owned()));
    let late = run(&gone(1, false));
    let said = late.output.verdicts.iter().find(|verdict| verdict.code == "H20").unwrap();
    assert_eq!(said.time.to_string(), "2026-01-01T00:01:01.000Z");
}

/// Runs a gap whose list has `same` unchanged, and `gone` with a number in place of a string.
fn list_with_a_number_at(place: &str) -> Ran {
    let mut broken = pod_line("ADDED", AT[2], "gone", 7, &running());
    *broken["object"].pointer_mut(place).unwrap() = json!(7);
    let mut lines = before();
    lines.extend([
        expired(AT[1]),
        pod_line("ADDED", AT[2], "same", 1, &running()),
        broken,
        list_end(AT[2]),
    ]);
    run(&lines)
}

#[test]
fn an_object_that_cannot_be_decoded_has_not_vanished() {
    let ran = list_with_a_number_at("/status/phase");
    assert_eq!(events(&ran).get(3..).unwrap(), ["changed gap=true 2"]);
    assert_eq!(ran.output.quarantine.len(), 1);
}

#[test]
fn the_end_of_an_object_that_cannot_be_decoded_is_news() {
    let mut lines = before();
    let mut broken = pod_line("DELETED", AT[1], "gone", 7, &running());
    broken["object"]["status"]["phase"] = json!(7);
    lines.push(broken);
    let ran = run(&lines);
    assert_eq!(events(&ran).get(3..).unwrap(), ["gone gap=false 2"]);
    assert_eq!(ran.output.quarantine.len(), 1);
}

#[test]
fn an_object_that_is_null_cannot_be_decoded() {
    let ran = run(&[json!({"at": AT[0], "type": "ADDED", "object": null})]);
    assert_eq!((ran.summary.counts.undecodable, ran.summary.skipped), (1, 0));
    assert_eq!(ran.output.quarantine.len(), 1);
    assert!(
        ran.output.quarantine[0].reason.contains("cannot be decoded"),
        "{}",
        ran.output.quarantine[0].reason
    );
}

#[test]
fn an_object_of_which_only_the_uid_can_be_read_has_not_vanished() {
    let ran = list_with_a_number_at("/metadata/name");
    assert_eq!(events(&ran).get(3..).unwrap(), ["changed gap=true 2"]);
    assert_eq!(ran.output.quarantine.len(), 1);
}

#[test]
fn an_object_of_which_nothing_can_be_read_hides_nothing_that_vanished() {
    let ran = list_with_a_number_at("/metadata");
    assert_eq!(events(&ran).get(3..).unwrap().len(), 2, "{:?}", events(&ran));
    let reason = &ran.output.quarantine[0].reason;
    assert!(reason.contains("no name of it can be read"), "{reason}");
}

#[test]
fn with_an_object_go_its_wakes_though_the_rule_never_hears_of_the_end() {
    let booting =
        json!({"name": "app", "ready": false, "state": {"running": {"startedAt": AT[0]}}});
    let ran = run(&[
        pod_line("ADDED", AT[0], "web", 1, &booting),
        pod_line("DELETED", AT[0], "web", 2, &booting),
        pod_line("ADDED", AT[1], "other", 3, &running()),
    ]);
    assert_eq!((ran.summary.counts.timers, ran.summary.counts.pending_timers), (0, 0));
}

#[test]
fn state_about_an_object_that_nobody_watches_lasts_while_it_is_written() {
    let lines: Vec<Value> = (0..30u32)
        .map(|hour| {
            let at = format!("2026-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24);
            // Its pod is in no stream.
            let event =
                manifests::kubernetes_event("e", 1, manifests::stored(&format!("e{hour}"), 1));
            manifests::watch_line(&at, "ADDED", event)
        })
        .collect();
    let ran = run(&lines);
    let last = ran.output.verdicts.last().unwrap();
    assert_eq!(last.payload.get(), "30");
}

#[test]
fn without_a_mark_the_list_ends_with_the_first_change() {
    let mut lines = before();
    lines.extend([
        expired(AT[1]),
        pod_line("ADDED", AT[2], "same", 1, &running()),
        pod_line("MODIFIED", AT[3], "same", 10, &running()),
    ]);
    let ran = run(&lines);
    assert_eq!(
        events(&ran).get(3..).unwrap(),
        ["changed gap=true 2", "gone gap=true 2", "same gap=false 2"]
    );
}

#[test]
fn a_deletion_that_is_marked_as_part_of_the_list_does_not_end_it() {
    let mut within = pod_line("DELETED", AT[2], "changed", 8, &running());
    within["change"] = json!(false);
    let mut lines = before();
    lines.extend([
        expired(AT[1]),
        pod_line("SNAPSHOT", AT[2], "same", 1, &running()),
        within,
        pod_line("SNAPSHOT", AT[2], "gone", 3, &running()),
        list_end(AT[2]),
    ]);
    let ran = run(&lines);
    assert_eq!(events(&ran)[3..], ["changed gap=false 2"]);
    assert_eq!(ran.output.gaps.len(), 1);
}

#[test]
fn a_stream_that_ends_within_a_list_takes_nothing_as_vanished() {
    let mut lines = before();
    lines.extend([expired(AT[1]), pod_line("ADDED", AT[2], "same", 1, &running())]);
    let ran = run(&lines);
    assert_eq!(events(&ran).len(), 3);
    assert!(ran.output.gaps[0].reason.contains("the stream ended before"), "{:?}", ran.output.gaps);
}

#[test]
fn a_gap_of_one_stream_does_not_delete_the_objects_of_another() {
    let of_b = |kind: &str, at: &str, version: u64| {
        let mut line = pod_line(kind, at, "elsewhere", version, &running());
        line["object"]["metadata"]["namespace"] = json!("b");
        line
    };
    let of_a = |end: Value| {
        [
            pod_line("ADDED", AT[0], "same", 1, &running()),
            expired(AT[1]),
            pod_line("SNAPSHOT", AT[2], "same", 1, &running()),
            end,
        ]
    };
    let mut named = list_end(AT[2]);
    named["object"]["metadata"]["namespace"] = json!("a");
    for (end, namespace) in [(list_end(AT[2]), None), (named, Some("a".to_owned()))] {
        let folder = tempfile::tempdir().unwrap();
        let a = stream(folder.path(), "pod@a.jsonl", &of_a(end));
        let b = [of_b("ADDED", AT[0], 2), of_b("MODIFIED", AT[3], 3)];
        let b = stream(folder.path(), "pod@b.jsonl", &b);
        let rules = [rule("count", "hostile", json!({"behaviour": "nothing"}))];
        let ran = replay(&rules, &[a, b], options());
        let expected = ["same gap=false 1", "elsewhere gap=false 1", "elsewhere gap=false 2"];
        assert_eq!(events(&ran), expected);
        assert_eq!(ran.output.gaps[0].namespace, namespace);
    }
}

#[test]
fn the_initial_list_of_a_watch_is_state_and_not_news() {
    let release = |app: &str, version: u64| {
        let replicas = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": 1, "availableReplicas": 1, "conditions": [{"type": "Progressing",
                "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": AT[0]}]});
        json!({"at": AT[0], "type": "ADDED", "object": {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": app, "namespace": "a", "uid": app, "generation": 1,
                "resourceVersion": version.to_string(),
                "labels": {"akkeris.io/app-name": app, "akkeris.io/release-uuid": "1"}},
            "status": replicas}})
    };
    let folder = tempfile::tempdir().unwrap();
    let lines = [release("old", 1), list_end(AT[0]), release("new", 2)];
    let path = stream(folder.path(), "deployments.jsonl", &lines);
    let ran = replay(&[akkeris(false)], &[path], options());
    assert_eq!(ran.codes(), ["released new"]);
}
