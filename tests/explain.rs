//! Tests of `klaxon replay --explain`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{KLAXON, SCENARIOS, fixture, module, options, pod_line, stream};

/// Runs `klaxon replay --explain`, and returns the explanation and the summary.
fn explain(arguments: &[&str], streams: &[PathBuf]) -> (String, Value) {
    let output = Command::new(KLAXON)
        .args(["replay", "--explain", "--output", "json"])
        .args(arguments)
        .args(streams)
        .env("KLAXON_CACHE", options().cache.unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let summary = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    (String::from_utf8(output.stdout).unwrap(), summary)
}

fn config(folder: &Path, rules: &Value) -> PathBuf {
    let config = json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
        "sources": [{"name": "recorded", "replay": {"streams": [fixture("pki")[0]]}}],
        "rules": rules,
        "targets": {"out": {"stdout": {}}},
    });
    let path = folder.join("klaxon.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn every_event_and_every_verdict_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |name: &str| json!({"name": name, "module": module(name), "targets": ["out"]});
    let path = config(folder.path(), &json!([rule("akkeris"), rule("eventarbiter")]));
    let mut explained = 0;
    for scenario in SCENARIOS {
        let (text, summary) = explain(&["--config", path.to_str().unwrap()], &fixture(scenario));
        let count = |name: &str| summary[name].as_u64().unwrap() as usize;
        let verdicts =
            text.matches(" firing, key ").count() + text.matches(" resolved, key ").count();
        assert_eq!(verdicts, count("verdicts"), "{scenario}: {text}");
        let events =
            text.lines().filter(|line| line.starts_with("  ") && line.contains(": emits "));
        assert_eq!(events.count(), count("events") - count("timers"), "{scenario}: {text}");
        assert!(!text.contains("(event "), "{scenario}: unattributed: {text}");
        explained += verdicts;
    }
    assert!(explained > 100, "{explained}");
}

#[test]
fn an_object_without_an_event_has_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |second: u8| format!("2026-01-01T00:00:0{second}Z");
    let pod = |kind: &str, second: u8, name: &str| {
        pod_line(kind, &at(second), name, second.into(), &json!({}))
    };
    let mut unlabelled = pod("ADDED", 3, "other");
    unlabelled["object"]["metadata"]["labels"] = json!({});
    let secret = json!({"at": at(4), "type": "ADDED", "object": {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}}});
    let lines = [
        pod("ADDED", 1, "web"),
        pod("ADDED", 1, "web"),
        unlabelled,
        secret,
        pod("DELETED", 5, "web"),
        pod("DELETED", 6, "gone"),
    ];
    let streams = [stream(folder.path(), "pods.jsonl", &lines)];
    let (akkeris, arbiter) = (module("akkeris"), module("eventarbiter"));
    let path = config(
        folder.path(),
        &json!([
            {"name": "akkeris", "module": akkeris, "targets": ["out"]},
            {"name": "narrow", "module": akkeris, "targets": ["out"],
             "interests": {"pods": {"namespaces": ["b"]}}},
            {"name": "arbiter", "module": arbiter, "targets": ["out"]},
        ]),
    );
    let (text, _) = explain(&["--config", path.to_str().unwrap()], &streams);
    insta::assert_snapshot!(text);
}

#[test]
fn suppressed_verdicts_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let arbiter = module("eventarbiter");
    let path = config(
        folder.path(),
        &json!([{"name": "arbiter", "module": arbiter, "targets": ["out"], "policy": {"repeat": "30s"}}]),
    );
    let streams = fixture("akkeris");
    let (text, summary) = explain(&["--config", path.to_str().unwrap()], &streams);
    let suppressed = summary["suppressed"].as_u64().unwrap() as usize;
    assert!(suppressed > 0);
    assert_eq!(text.matches(", suppressed by policy (repeat)").count(), suppressed);
}

#[test]
fn a_replay_without_an_event_refers_to_the_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let mut pod = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &json!({}));
    pod["object"]["metadata"]["labels"] = json!({});
    let stream = stream(folder.path(), "pods.jsonl", &[pod]);
    let output = Command::new(KLAXON)
        .args(["replay", "--rule"])
        .args([module("akkeris"), stream])
        .env("KLAXON_CACHE", options().cache.unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("no rule got an event; hint: `klaxon replay --explain` says why"),
        "{stderr}"
    );
}

/// Returns a Pod whose status is a number, which cannot be decoded.
fn undecodable(kind: &str, second: u8, version: u64) -> Value {
    let mut line = pod_line(kind, &at(second), "web", version, &json!({}));
    line["object"]["status"] = json!({ "phase": 5 });
    line
}

fn at(second: u8) -> String {
    format!("2026-01-01T00:00:{second:02}Z")
}

fn explain_witness(lines: &[Value]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let rule = json!([{"name": "witness", "module": module("witness"), "targets": ["out"]}]);
    let path = config(folder.path(), &rule);
    let streams = [stream(folder.path(), "pods.jsonl", lines)];
    explain(&["--config", path.to_str().unwrap()], &streams).0
}

#[test]
fn an_object_that_cannot_be_decoded_is_explained_as_the_pipeline_treats_it() {
    let pod = |kind: &str, second, version| pod_line(kind, &at(second), "web", version, &json!({}));
    let gap = json!({"at": at(2), "type": "ERROR", "object": {"code": 410, "message": "gone"}});
    let end = json!({"at": at(3), "type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1",
        "metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}}});
    let lines = [
        pod("ADDED", 1, 1),
        gap,
        undecodable("SNAPSHOT", 3, 3),
        end,
        pod("MODIFIED", 4, 4),
        undecodable("DELETED", 5, 5),
    ];
    insta::assert_snapshot!(explain_witness(&lines));
}

#[test]
fn each_event_of_an_object_without_a_version_has_its_own_outcome() {
    let lines = ["ADDED", "MODIFIED", "MODIFIED"].into_iter().zip(1..).map(|(kind, second)| {
        let mut line = pod_line(kind, &at(second), "web", 1, &json!({}));
        line["object"]["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        line
    });
    let text = explain_witness(&lines.collect::<Vec<_>>());
    let outcomes: Vec<usize> = text
        .lines()
        .filter(|line| line.starts_with("  "))
        .map(|line| line.matches("emits SAW").count())
        .collect();
    assert_eq!(outcomes, [1, 1, 1], "{text}");
}

#[test]
fn control_characters_of_a_stream_do_not_reach_the_terminal() {
    let mut line = pod_line("ADDED", &at(1), "\u{1b}[2J\nforged", 1, &json!({}));
    line["object"]["metadata"]["namespace"] = json!("\u{9b}31m");
    let gap =
        json!({"at": at(2), "type": "ERROR", "object": {"code": 410, "message": "\u{7}gone"}});
    let text = explain_witness(&[line, gap]);
    assert!(text.chars().all(|one| one == '\n' || !one.is_control()), "{text:?}");
    assert!(text.contains("Pod/ 31m/ [2J forged\n"), "{text}");
}

#[test]
fn a_verdict_that_an_inhibitor_delays_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |name: &str, policy: Value| json!({"name": name, "module": module(name), "targets": ["out"], "policy": policy});
    let inhibited = json!({"inhibited_by": [{"rule": "alarm", "code": "ALARM", "equal": "object", "for": "5s"}]});
    let rules = json!([rule("alarm", json!({})), rule("witness", inhibited)]);
    let path = config(folder.path(), &rules);
    let mut lines = Vec::new();
    for (second, label) in [(1, "alarm"), (2, "alarm"), (3, "none"), (30, "none")] {
        let kind = if second == 1 { "ADDED" } else { "MODIFIED" };
        let mut line = pod_line(kind, &at(second), "web", second.into(), &json!({}));
        line["object"]["metadata"]["labels"] = json!({ label: "yes" });
        lines.push(line);
    }
    let streams = [stream(folder.path(), "pods.jsonl", &lines)];
    let (text, summary) = explain(&["--config", path.to_str().unwrap()], &streams);
    assert!(text.contains(", delivered when no longer inhibited"), "{text}");
    assert!(!text.contains("made by the policy"), "{text}");
    let count = |what: &str| text.matches(what).count();
    let passed = count("emits ") - count("emits nothing") - count(", suppressed by policy");
    assert_eq!(passed, summary["verdicts"].as_u64().unwrap() as usize, "{text}");
}
