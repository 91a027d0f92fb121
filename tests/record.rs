//! Tests of redacted recordings: rules give the same verdicts on them, and nothing private is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use klaxon::assembly::assemble;
use klaxon_core::verdict::Targets;
use klaxon_harness::record::says_the_same;
use klaxon_harness::{Replay, RuleUnderTest, Sandboxes};
use klaxon_model::Origin;
use klaxon_recording::{Merged, StreamFile};
use serde_json::{Value, json};

use crate::support::{KLAXON, SCENARIOS, fixture, module, options, pod_line, replay, rule, stream};

fn record(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(KLAXON)
        .arg("record")
        .args(arguments)
        .current_dir(folder)
        .env("KLAXON_CACHE", options().cache.unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Records a scenario for both rules, and returns the folder with the recording.
fn recorded(scenario: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "0123456789abcdef0123456789abcdef").unwrap();
    let streams = fixture(scenario);
    let mut arguments = vec!["--key", "key", "-o", "out", "--from"];
    arguments.extend(streams.iter().map(|path| path.to_str().unwrap()));
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let rules = [module("akkeris"), module("eventarbiter")];
    arguments.push("--rule");
    arguments.extend(rules.iter().map(|path| path.to_str().unwrap()));
    let output = record(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{scenario}: {}", stderr(&output));
    folder
}

#[test]
fn codes_are_the_same_before_and_after() {
    let mut codes = 0;
    for scenario in SCENARIOS {
        let folder = recorded(scenario);
        let before = fixture(scenario);
        let written = |path: &PathBuf| folder.path().join("out").join(path.file_name().unwrap());
        let after: Vec<PathBuf> = before.iter().map(written).collect();
        let rules = [
            rule("akkeris", "akkeris", json!({"extended": true})),
            rule("eventarbiter", "eventarbiter", json!({})),
        ];
        let said = |streams: &[PathBuf]| {
            let verdicts = replay(&rules, streams, options()).output.verdicts.into_iter();
            verdicts
                .map(|one| format!("{} {} {:?}", one.time, one.code, one.delta))
                .collect::<Vec<_>>()
        };
        assert_eq!(said(&before), said(&after), "{scenario}");
        codes += said(&before).len();
    }
    assert!(codes > 500, "{codes}");
}

/// Collects every string of these fields, at any depth.
fn texts(value: &Value, fields: &[&str], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if fields.contains(&key.as_str()) => {
                        found.insert(text.clone());
                    }
                    other => texts(other, fields, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, fields, found)),
        _ => {}
    }
}

/// Values that exist in every cluster or are written by Kubernetes.
const PUBLIC: [&str; 9] = [
    "default",
    "kube-system",
    "node-controller",
    "kubelet",
    "default-scheduler",
    "kube-root-ca.crt",
    "deployment-controller",
    "app",
    "http",
];

#[test]
fn no_name_image_or_address_is_left() {
    let private = ["name", "namespace", "image", "nodeName", "hostIP", "podIP", "ip", "host"];
    let mut checked = 0;
    for scenario in ["akkeris", "eventarbiter", "node-notready", "deployments"] {
        let folder = recorded(scenario);
        for path in fixture(scenario) {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut originals = BTreeSet::new();
            for line in text.lines() {
                texts(&serde_json::from_str(line).unwrap(), &private, &mut originals);
            }
            let written = folder.path().join("out").join(path.file_name().unwrap());
            let written = std::fs::read_to_string(written).unwrap();
            for original in originals {
                let is_word = original.len() < 5 || PUBLIC.contains(&original.as_str());
                if is_word || original.chars().all(|c| c.is_ascii_lowercase()) && original.len() < 7
                {
                    continue;
                }
                checked += 1;
                assert!(!written.contains(&original), "{original:?} is left in {}", path.display());
            }
        }
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn without_redaction_a_copy_has_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    for scenario in SCENARIOS {
        for path in fixture(scenario) {
            let source = path.to_str().unwrap();
            let output = record(
                folder.path(),
                &["--no-redact", "--force", "-o", "copy.jsonl.zst", "--from", source],
            );
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let records = |path: PathBuf| {
                let mut merged = Merged::open(&[StreamFile::at(path)]).unwrap();
                let mut records = Vec::new();
                while let Some((_, record)) = merged.next_record().unwrap() {
                    // White space and the order of keys may differ, lines do.
                    let kind = format!("{:?}", record.event);
                    let object = match record.event {
                        klaxon_model::SourceEvent::Object { seen, json, is_change } => {
                            let json: Value = serde_json::from_str(&json).unwrap();
                            format!("{seen:?} {is_change} {json}")
                        }
                        _ => kind,
                    };
                    records.push((record.at, object));
                }
                records
            };
            let copied = records(folder.path().join("copy.jsonl.zst"));
            assert_eq!(records(path.clone()), copied, "{}", path.display());
        }
    }
}

#[test]
fn lists_and_gaps_are_kept_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let pod = |kind: &str, at: &str, name: &str, version: u64| {
        pod_line(kind, &format!("2026-01-01T00:00:0{at}Z"), name, version, &json!({}))
    };
    let crashed =
        json!({"name": "app", "state": {"terminated": {"reason": "Error", "exitCode": 1}}});
    let news = pod_line("ADDED", "2026-01-01T00:00:01Z", "news", 1, &crashed);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod("ADDED", "2", "item", 2)["object"]]});
    stream(folder.path(), "list.jsonl", &[news.clone(), list, pod("MODIFIED", "3", "news", 3)]);
    let gap = json!({"at": "2026-01-01T00:00:03Z", "type": "ERROR", "object": {"code": 410, "message": "too old"}});
    let lines = [
        pod("ADDED", "1", "a", 1),
        gap,
        pod("ADDED", "4", "a", 2),
        pod("MODIFIED", "5", "a", 3),
        pod("ADDED", "8", "b", 4),
        news,
    ];
    stream(folder.path(), "gap.jsonl", &lines);
    for (name, until) in [("list.jsonl", None), ("gap.jsonl", Some("2026-01-01T00:00:06Z"))] {
        let mut arguments = vec!["--no-redact", "--force", "-o", "copy.jsonl", "--from", name];
        arguments.extend(until.iter().flat_map(|until| ["--snapshot-until", until]));
        let output = record(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let ran = |name: &str, until: Option<&str>| {
            let rules = [rule("count", "hostile", json!({"behaviour": "nothing"}))];
            let origin = Origin { cluster: "test".to_owned(), source: "replay".to_owned() };
            let mut pipeline = assemble(&rules, Targets::Any, origin, options()).unwrap();
            let path = folder.path().join(name);
            let snapshot_until = until.map(|until| until.parse().unwrap());
            let streams = vec![StreamFile { snapshot_until, ..StreamFile::at(path) }];
            let mut said = Vec::new();
            Replay { streams, advance_ms: 0 }
                .run(&mut pipeline, |output| {
                    said.extend(output.verdicts.iter().map(|v| format!("{} {}", v.id, v.payload)));
                    said.extend(output.gaps.iter().map(|gap| format!("{} {}", gap.from, gap.to)));
                    Ok::<_, std::convert::Infallible>(())
                })
                .unwrap();
            said
        };
        assert_eq!(ran(name, until), ran("copy.jsonl", None), "{name}");
    }
}

#[test]
fn the_namespace_of_a_stream_is_kept_under_its_pseudonym() {
    let folder = tempfile::tempdir().unwrap();
    let at = "2026-01-01T00:00:01Z";
    let mut pod = pod_line("SNAPSHOT", at, "web", 1, &json!({}));
    pod["object"]["metadata"]["namespace"] = json!("acmeshop");
    let end = json!({"at": at, "type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "acmeshop", "annotations": {"k8s.io/initial-events-end": "true"}}}});
    stream(folder.path(), "pod@acmeshop.jsonl", &[pod, end]);
    let output = record(folder.path(), &["--from", "pod@acmeshop.jsonl", "-o", "out.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert!(!text.contains("acmeshop"), "{text}");
    let namespaces = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line.pointer("/object/metadata/namespace").cloned()
    });
    let namespaces: Vec<Option<Value>> = namespaces.collect();
    assert_eq!(namespaces.len(), 2);
    assert!(namespaces[0].is_some() && namespaces[0] == namespaces[1], "{text}");
}

#[test]
fn what_is_private_in_unusual_places_is_not_left() {
    let folder = tempfile::tempdir().unwrap();
    let pod = json!({"at": "2026-01-01T00:00:00Z", "type": "ADDED", "object": {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1-2-3-0", "namespace": "acmeshop", "labels": {"app": "web"}},
        "spec": {"nodeName": "vm-203-0-113-7", "hostname": "static-198-51-100-4.isp.net",
            "containers": [{"name": "acmeapp", "image": "r/acmeapp:1", "env": [{"name": "A", "value": "hunter2"}]}],
            "readinessGates": [{"conditionType": "target-health.elbv2.k8s.aws/k8s-acmeshop-acmeweb"}]},
        "status": {"hostIP": "203.0.113.7", "conditions": [
            {"type": "target-health.elbv2.k8s.aws/k8s-acmeshop-acmeweb", "status": "True",
             "reason": "Failed to sync acmeweb in acmeshop",
             "message": "secret \"registry\" not found"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]}}});
    stream(folder.path(), "pods.jsonl", &[pod]);
    let arguments = [
        "--from",
        "pods.jsonl",
        "-o",
        "out/",
        "--keep",
        "field:$.spec.containers[?@.name=='acmeapp'].image",
    ];
    let output = record(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = std::fs::read_to_string(folder.path().join("out/pods.jsonl")).unwrap();
    for private in
        ["203-0-113-7", "198-51-100-4", "203.0.113.7", "acmeshop", "acmeweb", "hunter2", "registry"]
    {
        assert!(!text.contains(private), "{private} is left in {text}");
    }
    for public in ["\"Ready\"", "ContainersNotReady", "r/acmeapp:1", "-1-2-3-0"] {
        assert!(text.contains(public), "{public} is gone from {text}");
    }
    let one: Value = serde_json::from_str(&text).unwrap();
    let gate = one.pointer("/object/spec/readinessGates/0/conditionType");
    assert_eq!(gate, one.pointer("/object/status/conditions/0/type"), "the relation holds");
}

#[test]
fn a_recording_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.jsonl"), "{nonsense\n").unwrap();
    std::fs::write(folder.path().join("old.jsonl"), "old").unwrap();
    let output = record(folder.path(), &["--force", "--from", "broken.jsonl", "-o", "old.jsonl"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(folder.path().join("old.jsonl")).unwrap(), "old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "and nothing half-written");
}

#[test]
fn a_file_that_exists_is_replaced_only_with_force() {
    let folder = tempfile::tempdir().unwrap();
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &json!({}));
    stream(folder.path(), "pods.jsonl", &[line]);
    let old = folder.path().join("old.jsonl");
    std::fs::write(&old, "old").unwrap();
    let output = record(folder.path(), &["--from", "pods.jsonl", "-o", "old.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    let message = "error: old.jsonl: it is there already; hint: name another -o, or replace it with --force\n";
    assert_eq!(stderr(&output), message);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "old");
    let output = record(folder.path(), &["--force", "--from", "pods.jsonl", "-o", "old.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_ne!(std::fs::read_to_string(&old).unwrap(), "old");
    // A cluster is not recorded first.
    let output = record(folder.path(), &["--kinds", "pods", "-o", "."]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("there are streams already, such as ./"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn everything_else_is_checked_before_a_cluster_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "old").unwrap();
    std::fs::write(folder.path().join("short"), "0123").unwrap();
    let rule = module("akkeris");
    let live = ["--force", "--kubeconfig", "/nowhere/kubeconfig"];
    let pods = ["--kinds", "pods"];
    let of_rule = ["--rule", rule.to_str().unwrap()];
    for (what, arguments, says) in [
        (&pods, &["-o", "-"][..], "-o -: a recording is proven before it is shown"),
        (&pods, &["-o", "nowhere/x.jsonl"], "check -o"),
        (&pods, &["-o", "file/x.jsonl"], "check -o"),
        (&pods, &["-o", "/dev/null"], "this is no regular file, and is never replaced"),
        (&of_rule, &["-o", "file"], "this is no folder"),
        (&of_rule, &["-o", "x.jsonl"], "streams are written to a folder, and this is the name of"),
        (&pods, &["-o", "x.jsonl", "--key", "short"], "less than 16 bytes"),
        (&pods, &["-o", "x.jsonl", "--keep", "shop"], "of no kind"),
        (&pods, &["-o", "x.jsonl"], "kubeconfig"),
    ] {
        let output = record(folder.path(), &[&live[..], what, arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(says), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left");
}

#[test]
fn devices_and_symbolic_links_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &json!({}));
    stream(folder.path(), "pods.jsonl", &[line]);
    std::fs::write(folder.path().join("end.jsonl"), "old").unwrap();
    std::os::unix::fs::symlink("end.jsonl", folder.path().join("link.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/null", folder.path().join("null.jsonl")).unwrap();
    let output = record(folder.path(), &["--force", "--from", "pods.jsonl", "-o", "null.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("this is no regular file"), "{}", stderr(&output));
    let output = record(folder.path(), &["--force", "--from", "pods.jsonl", "-o", "link.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "link.jsonl: 1 line\n");
    for link in ["link.jsonl", "null.jsonl"] {
        assert!(std::fs::symlink_metadata(folder.path().join(link)).unwrap().is_symlink());
    }
    assert_ne!(std::fs::read_to_string(folder.path().join("end.jsonl")).unwrap(), "old");
    // A folder in place of the second file: the first is not written either.
    std::fs::create_dir_all(folder.path().join("out/b.jsonl")).unwrap();
    for name in ["a.jsonl", "b.jsonl"] {
        std::fs::copy(folder.path().join("pods.jsonl"), folder.path().join(name)).unwrap();
    }
    let output = record(folder.path(), &["--force", "--from", "a.jsonl", "b.jsonl", "-o", "out"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("b.jsonl: this is a folder"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
}

#[test]
fn a_time_that_cannot_be_read_is_told_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--from", "x.jsonl", "-o", "y.jsonl", "--snapshot-until", "yesterday"];
    let output = record(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    let told = "write a time such as 2026-11-20T10:00:00Z";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

#[test]
fn several_streams_are_not_written_to_a_folder_with_the_name_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &json!({}));
    stream(folder.path(), "a.jsonl", std::slice::from_ref(&line));
    stream(folder.path(), "b.jsonl", &[line]);
    let output = record(folder.path(), &["--from", "a.jsonl", "b.jsonl", "-o", "two.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    let message = "-o two.jsonl: 2 streams are written to a folder, and this is the name of a file";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
    assert!(!folder.path().join("two.jsonl").exists());
    let output = record(folder.path(), &["--kinds", "pods,events", "-o", "two.jsonl"]);
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
}

#[test]
fn the_same_key_gives_the_same_pseudonyms() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "0123456789abcdef").unwrap();
    std::fs::write(folder.path().join("b"), "0123456789abcdeF").unwrap();
    std::fs::write(folder.path().join("short"), "0123").unwrap();
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "secretname", 1, &json!({}));
    stream(folder.path(), "pods.jsonl", &[line]);
    let with = |key: &[&str], out: &str| {
        let output = record(folder.path(), &[&["--from", "pods.jsonl", "-o", out], key].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        std::fs::read_to_string(folder.path().join(out)).unwrap()
    };
    let a = with(&["--key", "a"], "1.jsonl");
    assert_eq!(a, with(&["--key", "a"], "2.jsonl"));
    assert_ne!(a, with(&["--key", "b"], "3.jsonl"));
    assert_ne!(with(&[], "4.jsonl"), with(&[], "5.jsonl"), "random keys");
    assert!(!a.contains("secretname") && !a.contains("shop"), "{a}");
    let kept = with(&["--keep", "label:akkeris.io/app-name"], "6.jsonl");
    assert!(kept.contains(r#""akkeris.io/app-name":"shop""#), "{kept}");
    let wrong = |arguments: &[&str], says: &str| {
        let output = record(folder.path(), &[&["--from", "pods.jsonl"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    };
    wrong(&["-o", "x", "--key", "short"], "less than 16 bytes");
    wrong(&["-o", "x", "--keep", "shop"], "of no kind");
    wrong(&["-o", "x", "--keep", "field:spec"], "no path such as");
    wrong(&["-o", "pods.jsonl"], "would be overwritten");
    wrong(&["-o", "nowhere/x"], "check -o");
}

#[test]
fn a_rule_that_says_something_else_of_the_recording_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let status = |reason: &str, code: i32| json!({"name": "app", "state": {"terminated": {"reason": reason, "exitCode": code}}});
    let pods = |name: &str, status: &Value| {
        let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, status);
        StreamFile::at(stream(folder.path(), name, &[line]))
    };
    let crashed = pods("crashed.jsonl", &status("Error", 1));
    let killed = pods("killed.jsonl", &status("OOMKilled", 137));
    let silent = pods("silent.jsonl", &json!({}));
    let sandboxes = Sandboxes::start(options().cache).unwrap();
    let rule = RuleUnderTest::load(&sandboxes, &module("akkeris"), json!({})).unwrap();
    let compared =
        |after: &StreamFile| says_the_same(&rule, vec![crashed.clone()], vec![after.clone()]);
    assert_eq!(compared(&crashed), Ok(1));
    let why = compared(&killed).unwrap_err();
    assert!(
        why.contains("says H10 at 2026-01-01T00:00:00.000Z of the original and R14 at"),
        "{why}"
    );
    assert!(compared(&silent).unwrap_err().contains("and nothing of the recording"));
}
