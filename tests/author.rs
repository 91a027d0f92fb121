//! Tests of the commands for rule authors and operators: inspect, bench, config check, schemas,
//! completions.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{KLAXON, fixture, module, options, root};

fn klaxon(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(KLAXON)
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("KLAXON_CACHE", options().cache.unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn printed(folder: &Path, arguments: &[&str], exit: i32) -> String {
    let output = klaxon(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Replaces paths, which differ between machines.
fn stable(text: &str) -> String {
    let folder = module("akkeris").parent().unwrap().display().to_string();
    text.replace(&folder, "RULES")
}

const NUMBERS: [(&str, &str); 3] =
    [(r"blake3:\w+", "blake3:…"), (r"\d[\d ]*\d (KiB|fuel|ns)", "N $1"), (r"p99 [\d ]+", "p99 N")];

#[test]
fn errors_of_the_compiler_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"broken\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "pub fn f() { not_defined() }\n").unwrap();
    let output = klaxon(folder.path(), &["rule", "build", "."]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr.contains("E0425") && stderr.contains("src/lib.rs:1:14"), "{stderr}");
}

#[test]
fn inspect_shows_what_a_rule_asks_for_and_may_say() {
    for rule in ["akkeris", "eventarbiter"] {
        let path = module(rule);
        let text = printed(&root(), &["rule", "inspect", path.to_str().unwrap()], 0);
        insta::with_settings!({filters => NUMBERS.to_vec()}, {
            assert_snapshot!(format!("inspect_{rule}"), stable(&text));
        });
    }
}

#[test]
fn inspect_measures_the_same_cost_each_time() {
    let path = module("akkeris");
    let cost = || {
        let arguments = ["rule", "inspect", "--output", "json", path.to_str().unwrap()];
        let text = printed(&root(), &arguments, 0);
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["imports"], json!(["state"]));
        assert_eq!(found["codes"].as_array().unwrap().len(), 9);
        assert_eq!(found["interests"][1]["partition"], "by label akkeris.io/app-name");
        assert!(found["measured"]["costs"]["events"].as_u64().unwrap() > 500);
        found["measured"]["costs"].clone()
    };
    assert_eq!(cost(), cost(), "fuel and memory are those of the rule, not of the machine");
}

#[test]
fn bench_measures_recorded_streams() {
    let (path, streams) = (module("akkeris"), fixture("akkeris"));
    let mut arguments = vec!["rule", "bench", "--output", "json", path.to_str().unwrap()];
    arguments.extend(streams.iter().map(|path| path.to_str().unwrap()));
    let found: Value = serde_json::from_str(&printed(&root(), &arguments, 0)).unwrap();
    let number = |path: &str| found.pointer(path).unwrap().as_u64().unwrap();
    assert!(number("/costs/events") > 200);
    assert!(number("/speed/events_per_second") > 100);
    assert!(number("/speed/nanoseconds/p50") <= number("/speed/nanoseconds/p99"));
    assert!(number("/costs/fuel/p50") > 1000 && number("/costs/memory/max") > 65536);
    let other = fixture("pki").into_iter().find(|path| path.ends_with("pkis.jsonl")).unwrap();
    let arguments = ["rule", "bench", path.to_str().unwrap(), other.to_str().unwrap()];
    let output = klaxon(&root(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no event that the rule answers"));
}

#[test]
fn what_is_no_rule_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.wasm"), "text").unwrap();
    for (arguments, says) in [
        (["rule", "inspect", "text.wasm"], "no WebAssembly module (it begins with \"text\")"),
        (["rule", "inspect", "nowhere"], "there is no nowhere"),
        (["rule", "build", "."], "has no Cargo.toml"),
        (["rule", "new", "Not A Name"], "is no name for a rule"),
        (["schema", "settings", "text.wasm"], "no WebAssembly module (it begins with \"text\")"),
    ] {
        let output = klaxon(folder.path(), &arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn config_check_names_every_problem_of_rules_too() {
    let folder = tempfile::tempdir().unwrap();
    let write = |rules: &Value| {
        let config = json!({
            "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
            "sources": [{"name": "recorded", "replay": {"streams": [fixture("pki")[0]]}}],
            "rules": rules,
            "targets": {"out": {"stdout": {}}},
        });
        let text = serde_json::to_string_pretty(&config).unwrap();
        std::fs::write(folder.path().join("klaxon.yaml"), text).unwrap();
    };
    let akkeris = module("akkeris");
    write(&json!([{"name": "a", "module": akkeris, "targets": ["out"]}]));
    let text = printed(folder.path(), &["config", "check"], 0);
    assert_eq!(text, "klaxon.yaml: no problem found, 1 rule loaded\n");
    let large = json!({"backlog": "1GiB"});
    write(&json!([{"name": "a", "module": akkeris, "targets": ["out"], "limits": large}]));
    let text = printed(folder.path(), &["config", "check"], 0);
    let warning = text.lines().next().unwrap_or_default();
    for part in
        ["klaxon.yaml: warning: ", "up to 1.1 GiB in all", "raise journal.max_size to 4.5 GiB"]
    {
        assert!(warning.contains(part), "{text}");
    }
    let misspelt = json!({"inhibited_by": ["a/R41"]});
    write(&json!([
        {"name": "a", "module": akkeris, "targets": ["out"]},
        {"name": "b", "module": akkeris, "targets": ["out"], "policy": misspelt},
    ]));
    let text = printed(folder.path(), &["config", "check"], 1);
    let line = text
        .lines()
        .find(|line| line.contains("rules[1].policy.inhibited_by: "))
        .unwrap_or_default();
    assert!(line.contains("a declares no such code; hint: did you mean \"R14\"?"), "{text}");
    std::fs::write(folder.path().join("text.wasm"), "text").unwrap();
    write(&json!([
        {"name": "module", "module": "text.wasm"},
        {"name": "settings", "module": akkeris, "settings": {"repeat": "often"}},
        {"name": "grants", "module": akkeris, "grants": {"state": "0B"}},
        {"name": "interests", "module": akkeris, "interests": {"pod": {"namespaces": ["a"]}}},
        {"name": "right", "module": akkeris},
    ]));
    let text = printed(folder.path(), &["config", "check"], 1);
    assert_snapshot!(stable(&text).replace(folder.path().to_str().unwrap(), "DIR"));
    let text = printed(folder.path(), &["config", "check", "--output", "json"], 1);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["problems"].as_array().unwrap().len(), 4);
    assert_eq!(found["problems"][1]["path"], "rules[1].settings.repeat");
    assert_eq!(
        klaxon(folder.path(), &["config", "check", "--config", "none.yaml"]).status.code(),
        Some(2)
    );
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_binary() {
    for (kind, file) in [("config", "klaxon.schema.json"), ("test", "test.schema.json")] {
        let file = root().join("docs/schemas").join(file);
        let shipped = std::fs::read_to_string(&file).unwrap();
        let ours = printed(&root(), &["schema", kind], 0);
        assert!(shipped == ours, "hint: klaxon schema {kind} > {}", file.display());
        jsonschema::validator_for(&serde_json::from_str(&ours).unwrap()).unwrap();
    }
    let path = module("eventarbiter");
    let text = printed(&root(), &["schema", "settings", path.to_str().unwrap()], 0);
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({"event_filter": "pod_failed", "repeat": "1h"})));
    assert!(!validator.is_valid(&json!({"filter": "pod_failed"})));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&root(), &["completions", shell], 0);
        for command in ["replay", "test", "record", "inspect", "completions"] {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
}
