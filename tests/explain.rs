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
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let summary = serde_json::from_str(told.lines().last().unwrap()).unwrap();
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
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("no rule got an event; hint: `klaxon replay --explain` says why"),
        "{told}"
    );
}
