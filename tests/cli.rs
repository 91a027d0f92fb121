//! Tests of the command line: exit codes, errors with hints, and help.

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{KLAXON, SOURCE_LINE, fixture, module, options, pod_line, stream};

fn klaxon(arguments: &[&str]) -> Output {
    Command::new(KLAXON).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn replay_prints_verdicts_and_a_summary() {
    let akkeris = module("akkeris");
    let streams = fixture("akkeris");
    let mut arguments = vec!["replay", "--rule", akkeris.to_str().unwrap()];
    arguments.extend(streams.iter().map(|path| path.to_str().unwrap()));
    let output = klaxon(&arguments);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).lines().count(), 17);
    assert_snapshot!(text(&output.stderr));
    assert_eq!(output.stdout, klaxon(&arguments).stdout, "two replays are byte-identical");
}

#[test]
fn replay_exits_with_1_where_a_rule_fails() {
    let folder = tempfile::tempdir().unwrap();
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &serde_json::json!({}));
    let path = stream(folder.path(), "pods.jsonl", &[line]);
    let settings = folder.path().join("settings.json");
    std::fs::write(&settings, r#"{"behaviour":"trap"}"#).unwrap();
    let hostile = module("hostile");
    let output = klaxon(&[
        "replay",
        "--rule",
        hostile.to_str().unwrap(),
        "--settings",
        settings.to_str().unwrap(),
        path.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    insta::with_settings!({filters => vec![SOURCE_LINE]}, {
        assert_snapshot!(text(&output.stderr));
    });
}

#[test]
fn what_kubectl_prints_is_a_stream_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let status = serde_json::json!({"name": "app", "state": {"terminated":
        {"reason": "Error", "exitCode": 1, "finishedAt": "2026-01-01T00:00:05Z"}}});
    let mut line = pod_line("ADDED", "", "web", 1, &status);
    line.as_object_mut().unwrap().remove("at");
    let path = folder.path().join("pods.json");
    let pretty = serde_json::to_string_pretty(&line).unwrap();
    let plain = serde_json::to_string_pretty(&line["object"]).unwrap();
    std::fs::write(&path, format!("{pretty}\n{plain}\n")).unwrap();
    let akkeris = module("akkeris");
    let output = klaxon(&["replay", "--rule", akkeris.to_str().unwrap(), path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["code"], "H10");
    assert_eq!(verdict["time"], "2026-01-01T00:00:05.000Z", "times in the object are the clock");
    assert!(text(&output.stderr).contains("1 repeated"));
}

#[test]
fn the_deletion_of_an_unknown_object_is_counted_as_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let at = |second: u8| format!("2026-01-01T00:00:0{second}Z");
    let gone = |name: &str, version| {
        pod_line("DELETED", &at(version), name, version.into(), &serde_json::json!({}))
    };
    let known = pod_line("ADDED", &at(1), "web", 1, &serde_json::json!({}));
    let lines = [known.clone(), known, gone("web", 2), gone("web", 2), gone("other", 3)];
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let path = folder.path().join("pods.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let akkeris = module("akkeris");
    let output = klaxon(&["replay", "--rule", akkeris.to_str().unwrap(), path.to_str().unwrap()]);
    let summary = text(&output.stderr);
    assert!(summary.contains("5 objects"), "{summary}");
    assert!(summary.contains("1 repeated, 2 unknown, 0 undecodable"), "{summary}");
}

#[test]
fn compressed_streams_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let pods = fixture("akkeris").into_iter().find(|path| path.ends_with("pods.jsonl")).unwrap();
    let bytes = std::fs::read(pods).unwrap();
    let path = folder.path().join("pods.jsonl.zst");
    std::fs::write(&path, zstd::encode_all(bytes.as_slice(), 3).unwrap()).unwrap();
    let akkeris = module("akkeris");
    let output = klaxon(&["replay", "--rule", akkeris.to_str().unwrap(), path.to_str().unwrap()]);
    assert_eq!(text(&output.stdout).lines().count(), 12, "{}", text(&output.stderr));
}

#[test]
fn a_broken_line_is_named_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.jsonl");
    let good = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &serde_json::json!({}));
    let akkeris = module("akkeris");
    for (broken, says) in [
        ("{\"type\":\"ADDED\",", "line 2: EOF while parsing"),
        ("nonsense", "line 2: expected ident"),
        ("{\"a\":1}", "line 2: this is neither a watch event"),
        (
            "{\"at\":\"noon\",\"type\":\"ADDED\",\"object\":{}}",
            "line 2: \"at\" is no RFC 3339 time",
        ),
    ] {
        std::fs::write(&path, format!("{good}\n{broken}\n")).unwrap();
        let output =
            klaxon(&["replay", "--rule", akkeris.to_str().unwrap(), path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{broken}");
        assert!(text(&output.stderr).contains(says), "{broken}: {}", text(&output.stderr));
    }
}

#[test]
fn timers_fire_after_the_last_event_only_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = "2026-01-01T00:00:00Z";
    let booting = serde_json::json!({"name": "app", "state": {"running": {"startedAt": at}}});
    let line = pod_line("ADDED", at, "web", 1, &booting);
    let path = stream(folder.path(), "pods.jsonl", &[line]);
    let akkeris = module("akkeris");
    let codes = |more: &[&str]| {
        let arguments = ["replay", "--rule", akkeris.to_str().unwrap(), path.to_str().unwrap()];
        let output = klaxon(&[&arguments[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).matches("\"code\":\"H20\",\"severity\"").count()
    };
    assert_eq!(codes(&[]), 0);
    assert_eq!(codes(&["--advance", "59s"]), 0);
    assert_eq!(codes(&["--advance", "90s"]), 1);
}

#[test]
fn replay_takes_rules_and_their_narrowing_from_a_configuration_and_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let crashed = serde_json::json!({"name": "app", "state": {"terminated":
        {"reason": "Error", "exitCode": 1}}});
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &crashed);
    let path = stream(folder.path(), "pods.jsonl", &[line]);
    let config = folder.path().join("klaxon.yaml");
    let replay = |interests: serde_json::Value| {
        let document = serde_json::json!({
            "apiVersion": "klaxon.dev/v1alpha1", "cluster": "prod",
            "sources": [{"name": "recorded", "replay": {"streams": ["pods.jsonl"]}}],
            "rules": [{"name": "crashes", "module": module("akkeris"), "targets": ["notify"],
                "interests": interests}],
            // Nothing listens on this port, and no delivery is expected.
            "targets": {"notify": {"webhook": {"url": "http://127.0.0.1:9/", "allow": ["loopback"]}}},
        });
        std::fs::write(&config, document.to_string()).unwrap();
        klaxon(&["replay", "--config", config.to_str().unwrap(), path.to_str().unwrap()])
    };
    let output = replay(serde_json::json!({}));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["rule"], "crashes");
    assert_eq!(verdict["cluster"], "prod");
    assert_eq!(verdict["targets"], serde_json::json!(["notify"]));
    let narrowed = replay(serde_json::json!({"pods": {"namespaces": ["elsewhere"]}}));
    assert_eq!((narrowed.status.code(), narrowed.stdout.len()), (Some(0), 0));
    let unknown = replay(serde_json::json!({"pod": {"namespaces": ["a"]}}));
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("it has: pods, deployments"),
        "{}",
        text(&unknown.stderr)
    );
}

#[test]
fn what_is_no_file_is_refused_and_not_taken_as_empty() {
    let akkeris = module("akkeris");
    let output = klaxon(&["replay", "--rule", akkeris.to_str().unwrap(), "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("save it to one first"), "{}", text(&output.stderr));
}

#[test]
fn every_fault_of_a_configuration_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("klaxon.yaml");
    std::fs::write(
        &path,
        "apiVersion: klaxon.dev/v1\n\
         cluster: test\n\
         sources:\n  - name: recorded\n    replay: {streams: [none.jsonl], sped: max}\n\
         rules:\n  - name: akkeris\n    modul: akkeris.wasm\n    targets: [notfy]\n    limits: {cpu: 20}\n\
         targets:\n  notify: {webhook: {url: \"${env:KLAXON_NO_SUCH_VARIABLE}\", secret: oops}}\n  both: {}\n",
    )
    .unwrap();
    let output = klaxon(&["run", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr).replace(folder.path().to_str().unwrap(), "DIR");
    assert_snapshot!("all_faults_of_form", stderr);

    std::fs::write(
        &path,
        "apiVersion: klaxon.dev/v1alpha1\n\
         cluster: test\n\
         sources:\n  - name: recorded\n    replay: {streams: [none.jsonl], speed: 0}\n\
         rules:\n  - name: a\n    module: a.wasm\n    targets: [notfy]\n  - name: a\n    module: a.wasm\n\
         targets:\n  notify: {webhook: {url: example.com, secret: oops, success: [500]}}\n  both: {}\n",
    )
    .unwrap();
    let output = klaxon(&["run", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr).replace(folder.path().to_str().unwrap(), "DIR");
    assert_snapshot!("all_faults_of_meaning", stderr);
}

/// Runs the service until it has logged or printed a line that contains `sign`, then sends the signal to
/// shut down.
fn stop_after(config: &serde_json::Value, folder: &std::path::Path, sign: &str) -> Output {
    let path = folder.join("klaxon.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut child = Command::new(KLAXON)
        .args(["run", "--drain", "1s", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let read_log = || std::fs::read_to_string(folder.join("log")).unwrap();
    while !read_log().contains(sign) {
        assert!(child.try_wait().unwrap().is_none(), "it ended: {}", read_log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    Output { status, stdout: Vec::new(), stderr: read_log().into_bytes() }
}

#[test]
fn told_to_stop_the_service_drains_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let state = |state: serde_json::Value| serde_json::json!({"name": "app", "state": state});
    let crashed = state(serde_json::json!({"terminated": {"reason": "Error", "exitCode": 1}}));
    let at = "2026-01-01T00:00:00Z";
    let booting = state(serde_json::json!({"running": {"startedAt": at}}));
    let lines = [
        pod_line("ADDED", at, "booting", 1, &booting),
        pod_line("ADDED", at, "crashed", 2, &crashed),
        // A day later, so that the service waits for it; its time must not fire the first pod's timer.
        pod_line("ADDED", "2026-01-02T00:00:00Z", "later", 3, &crashed),
    ];
    stream(folder.path(), "pods.jsonl", &lines);
    let config = serde_json::json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
        "sources": [{"name": "recorded", "replay": {"streams": ["pods.jsonl"], "speed": 1}}],
        "rules": [{"name": "akkeris", "module": module("akkeris"), "targets": ["out"]}],
        "targets": {"out": {"stdout": {}}},
    });
    let output = stop_after(&config, folder.path(), "\"name\":\"crashed\"");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("to out: 1 delivered") && !stderr.contains("H20"), "{stderr}");
}

#[test]
fn a_dead_receiver_with_a_full_queue_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let crashed = serde_json::json!({"name": "app", "state": {"terminated": {"reason": "Error", "exitCode": 1}}});
    // More than the queue and the deliveries in progress can hold, so that the pipeline waits for
    // capacity.
    let lines: Vec<serde_json::Value> = (1..=1000)
        .map(|n| pod_line("ADDED", "2026-01-01T00:00:00Z", &format!("pod-{n}"), n, &crashed))
        .collect();
    stream(folder.path(), "pods.jsonl", &lines);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = serde_json::json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
        "sources": [{"name": "recorded", "replay": {"streams": ["pods.jsonl"]}}],
        "rules": [{"name": "akkeris", "module": module("akkeris"), "targets": ["notify"]}],
        "targets": {"notify": {"webhook": {"url": format!("http://{closed}/"), "allow": ["loopback"]}}},
    });
    let output = stop_after(&config, folder.path(), "will be tried again");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("deliveries were still under way after 1s"), "{stderr}");
}

#[test]
fn what_was_decided_before_a_broken_line_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let crashed = serde_json::json!({"name": "app", "state": {"terminated": {"reason": "Error", "exitCode": 1}}});
    let good = pod_line("ADDED", "2026-01-01T00:00:00Z", "web", 1, &crashed);
    std::fs::write(folder.path().join("pods.jsonl"), format!("{good}\nnonsense\n")).unwrap();
    let path = folder.path().join("klaxon.yaml");
    let config = serde_json::json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
        "sources": [{"name": "recorded", "replay": {"streams": ["pods.jsonl"]}}],
        "rules": [{"name": "akkeris", "module": module("akkeris"), "targets": ["out"]}],
        "targets": {"out": {"stdout": {}}},
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let output = klaxon(&["run", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("line 2"), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[test]
fn a_fault_of_a_configuration_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "whsec_hunter2").unwrap();
    for webhook in [
        "{url: 'https://a', old_secrets: '${file:key}'}",
        "{url: 'https://a', secret: ['${file:key}']}",
        "'https://a/${file:key}'",
        "{url: 'https://a', headers: '${file:key}'}",
    ] {
        let path = folder.path().join("klaxon.yaml");
        std::fs::write(&path, format!("targets: {{notify: {{webhook: {webhook}}}}}\n")).unwrap();
        let output = klaxon(&["run", "--config", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2));
        assert!(!text(&output.stderr).contains("hunter2"), "{}", text(&output.stderr));
    }
}

#[test]
fn help_teaches() {
    for command in [
        &["--help"][..],
        &["replay", "--help"],
        &["run", "--help"],
        &["test", "--help"],
        &["record", "--help"],
        &["rule", "--help"],
        &["rule", "new", "--help"],
        &["rule", "inspect", "--help"],
        &["config", "check", "--help"],
    ] {
        let output = klaxon(command);
        assert_eq!(output.status.code(), Some(0));
        assert_snapshot!(
            format!("help_{}", command.join("_").replace("--", "")),
            text(&output.stdout)
        );
    }
    let output = klaxon(&["replay"]);
    assert_eq!(output.status.code(), Some(2), "bad usage");
}

#[test]
fn commands_that_send_nothing_need_no_secrets_of_targets() {
    let folder = tempfile::tempdir().unwrap();
    let stream = fixture("pki").remove(0);
    let config = |name: &str, source: Value| {
        let config = json!({
            "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
            "sources": [source],
            "rules": [{"name": "witness", "module": module("witness"), "targets": ["notify"]}],
            "targets": {"notify": {"webhook": {"url": "${env:KLAXON_TEST_NOT_SET}", "secret": "${file:not-there}"}}},
            "journal": {"path": "journal"},
        });
        let path = folder.path().join(name);
        std::fs::write(&path, config.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let live = config("live.yaml", json!({"name": "cluster", "kubernetes": {}}));
    let recorded = json!({"name": "recorded", "replay": {"streams": [stream]}});
    let config = config("recorded.yaml", recorded);
    let config = config.as_str();
    let run = |arguments: &[&str]| {
        let output = Command::new(KLAXON)
            .args(arguments)
            .env("KLAXON_CACHE", options().cache.unwrap())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&["config", "check", "--config", config]);
    assert_eq!(code, Some(1), "a check needs them: {told}");
    assert_eq!(run(&["config", "rbac", "--config", &live]), (Some(0), String::new()));
    let stream = stream.to_str().unwrap();
    let (code, told) = run(&["replay", "--config", config, stream]);
    assert_eq!(code, Some(0), "{told}");
    let (_, told) = run(&["journal", "--config", config, "ls"]);
    assert!(told.contains("journal") && !told.contains("KLAXON_TEST_NOT_SET"), "{told}");
}
