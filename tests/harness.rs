//! Tests of the harness: each wrong rule and each wrong expectation must fail, with a message that names
//! the problem, its location and a hint.

use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{KLAXON, SOURCE_LINE, module, options, pod_line, stream};

/// A folder with test files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs `klaxon test`. Returns the exit code and the output, without parts that differ between
    /// machines.
    fn test(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(KLAXON)
            .arg("test")
            .args(arguments)
            .current_dir(self.path())
            .env("NO_COLOR", "1")
            .env("KLAXON_CACHE", options().cache.unwrap())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        let text = text.replace(self.path().to_str().unwrap(), "DIR");
        (
            output.status.code().unwrap(),
            text.replace(module("akkeris").parent().unwrap().to_str().unwrap(), "RULES"),
        )
    }
}

/// Writes a stream of three pods of an app: `crash` ends with an error, `oom` is killed for memory, `ok`
/// runs.
fn pods(folder: &Folder) {
    let end = |reason: &str, code: i32| {
        json!({"name": "app", "restartCount": 2,
               "state": {"terminated": {"reason": reason, "exitCode": code}}})
    };
    let runs = json!({"name": "app", "ready": true, "state": {"running": {}}});
    let lines = [
        pod_line("ADDED", "2026-01-01T00:00:00Z", "ok", 1, &runs),
        pod_line("MODIFIED", "2026-01-01T00:00:01Z", "crash", 2, &end("Error", 1)),
        pod_line("MODIFIED", "2026-01-01T00:00:02Z", "oom", 3, &end("OOMKilled", 137)),
    ];
    stream(folder.path(), "pods.jsonl", &lines);
}

/// Returns a test file with one test of a rule on these pods.
fn suite(rule: &str, settings: &Value, case: &Value) -> String {
    let mut case = case.clone();
    case["name"] = json!("the pods");
    case["stream"] = json!("pods.jsonl");
    json!({"rule": module(rule), "settings": settings, "tests": [case]}).to_string()
}

#[track_caller]
fn says(exit: i32, rule: &str, settings: Value, case: Value) -> String {
    let folder = Folder::new();
    pods(&folder);
    folder.write("pods.test.yaml", &suite(rule, &settings, &case));
    let (code, text) = folder.test(&[]);
    assert_eq!(code, exit, "{text}");
    text
}

fn right() -> Value {
    json!([
        {"code": "H10", "object": "pod/crash", "payload": {"action": "crashed", "restarts": 2}},
        {"code": "R14", "object": {"kind": "Pod", "namespace": "a", "name": "oom"}},
    ])
}

#[test]
fn what_is_right_passes() {
    let all = json!({"expect": right(), "expect_any": [{"code": "R14"}], "count": {"R14": 1, "H9": 0},
        "limits": {"fuel": "2_000_000", "memory": "8MiB"}});
    let text = says(0, "akkeris", json!({}), all);
    assert!(text.contains("ok   the pods (") && text.contains("1 passed, 0 failed"), "{text}");
    let before = json!({"expect": "none", "snapshot_until": "2026-01-01T00:00:01.500Z"});
    says(1, "hostile", json!({"behaviour": "nothing"}), before);
    let says_two = json!({"count": {"R14": 1, "H10": 1}});
    says(0, "akkeris", json!({}), says_two);
}

#[test]
fn wrong_expectations() {
    let mut table = String::new();
    let mut row = |title: &str, case: Value| {
        table.push_str(&format!("## {title}\n{}\n", says(1, "akkeris", json!({}), case)));
    };
    row("a verdict too many is said", json!({"expect": [right()[0]]}));
    row("a verdict is not said", json!({"expect": [right()[0], right()[1], {"code": "H8"}]}));
    row("the order is another", json!({"expect": [right()[1], right()[0]]}));
    row("nothing was expected", json!({"expect": "none"}));
    row(
        "a field that is not there",
        json!({"expect": [
        {"code": "H10", "payload": {"cause": "memory"}}, right()[1]]}),
    );
    row(
        "a field has another value",
        json!({"expect": [
        {"code": "H10", "object": "pod/crash"}, {"code": "R14", "object": "pod/a/crash"}]}),
    );
    row(
        "a list is shorter",
        json!({"expect": [
        {"code": "H10", "payload": {"dynos": []}}, right()[1]]}),
    );
    row("another severity", json!({"expect": [{"code": "H10", "severity": "info"}, right()[1]]}));
    row("not among them in this order", json!({"expect_any": [{"code": "R14"}, {"code": "H10"}]}));
    row("another count", json!({"count": {"H10": 2}}));
    row("a code that the rule does not declare", json!({"count": {"R15": 0}}));
    row(
        "an event costs too much",
        json!({"count": {"R14": 1}, "limits": {"fuel": 1, "memory": "64KiB"}}),
    );
    row("there is no snapshot", json!({"expect": "snapshot"}));
    // The cost of an event changes with the compiler of the rule.
    insta::with_settings!({filters => vec![(r"used \d+ fuel", "used [n] fuel"), (r"grew to \d+", "grew to [n]")]}, {
        assert_snapshot!(table);
    });
}

#[test]
fn wrong_rules() {
    let mut table = String::new();
    for (title, behaviour) in [
        ("it keeps state in memory", "count-in-memory"),
        ("the order of a map leaks", "leak-map-order"),
        ("it traps", "trap"),
        ("it says a code that it does not declare", "say-undeclared-code"),
    ] {
        let settings = json!({"behaviour": behaviour});
        let text = says(1, "hostile", settings, json!({"count": {"SEEN": 3}}));
        table.push_str(&format!("## {title}\n{text}\n"));
    }
    // The iteration order of a map depends on the hashes of the standard library.
    insta::with_settings!({filters => vec![(r#"\["\w+(","\w+){7}"\]"#, "[words]"), (r#""id":"\w+""#, "\"id\":\"…\""), SOURCE_LINE]}, {
        assert_snapshot!(table);
    });
}

#[test]
fn state_that_nobody_reads_is_told() {
    let case = |partition: &str| json!({"state": {partition: {"said/R14": 1_767_225_600_000_i64}}, "count": {"R14": 0}});
    let text = says(0, "akkeris", json!({}), case("uid-oom"));
    assert!(text.contains("1 passed"), "what was said before is known: {text}");
    assert_snapshot!(says(
        1,
        "akkeris",
        json!({}),
        json!({"state": {"oom": {"said/R14": 0}}, "count": {"R14": 1}})
    ));
}

#[test]
fn codes_that_no_test_says_are_missed() {
    let folder = Folder::new();
    pods(&folder);
    let mut file: Value =
        serde_json::from_str(&suite("akkeris", &json!({}), &json!({"count": {"H10": 1}}))).unwrap();
    file["coverage"] = json!("100%");
    folder.write("pods.test.yaml", &file.to_string());
    let (code, text) = folder.test(&[]);
    assert_eq!(code, 1, "{text}");
    assert_snapshot!(text);
    assert_eq!(folder.test(&["--coverage=11%"]).0, 0, "the command line decides");
    assert_eq!(folder.test(&["--filter", "pods"]).0, 1);
    assert_eq!(folder.test(&["--filter", "pods", "--coverage=11%"]).0, 2, "one or the other");
    file["coverage"] = json!(11);
    folder.write("pods.test.yaml", &file.to_string());
    assert_eq!(folder.test(&[]).0, 0, "one of nine: R14 is said, and nobody asks for it");
    let (code, text) = folder.test(&["--coverage"]);
    assert_eq!(code, 0);
    assert!(text.contains("coverage: 1 of 9 codes (11%); no passing test says R14, H9"), "{text}");
}

#[test]
fn wrong_files() {
    let mut table = String::new();
    let mut row = |title: &str, exit: i32, text: &str| {
        let folder = Folder::new();
        pods(&folder);
        folder.write("broken.jsonl", "nonsense\n");
        folder.write("it.test.yaml", &text.replace("RULE", module("akkeris").to_str().unwrap()));
        let (code, text) = folder.test(&["it.test.yaml"]);
        assert_eq!(code, exit, "{title}: {text}");
        table.push_str(&format!("## {title}\n{text}\n"));
    };
    row(
        "unknown keys, each of them",
        1,
        "rule: RULE\nsetings: {}\ntests:\n  - name: a\n    stream: pods.jsonl\n    expext: none\n    expect:\n      - {code: H10, objekt: pod/web}\n",
    );
    row("no rule, no tests", 1, "settings: {}\n");
    row("an empty list of tests", 1, "rule: RULE\ntests: []\n");
    row("nothing to expect, nothing to run", 1, "rule: RULE\ntests:\n  - name: a\n");
    row(
        "stream and events",
        1,
        "rule: RULE\ntests:\n  - {name: a, stream: pods.jsonl, events: [], expect: none}\n",
    );
    row(
        "two tests of one name",
        1,
        "rule: RULE\ntests:\n  - {name: a b, events: [], expect: none}\n  - {name: A-b, events: [], expect: none}\n",
    );
    row(
        "wrong values",
        1,
        "rule: RULE\ncoverage: 101%\ntests:\n  - name: a\n    stream: none.jsonl\n    snapshot_until: noon\n    advance: soon\n    expect: nothing\n    limits: {fuel: much, memory: 8}\n",
    );
    row(
        "wrong values that the schema cannot know",
        1,
        "rule: RULE\ncoverage: 101\ntests:\n  - name: a\n    stream: none.jsonl\n    snapshot_until: noon\n    expect: [{code: H10, object: web-1}]\n    count: {}\n    expect_any: []\n",
    );
    row("no YAML", 1, "rule: [\n");
    row("no such rule", 2, "rule: nowhere\ntests:\n  - {name: a, events: [], expect: none}\n");
    row("a folder without a rule", 2, "rule: .\ntests:\n  - {name: a, events: [], expect: none}\n");
    row(
        "settings that the rule refuses",
        2,
        "rule: RULE\nsettings: {repeat: often}\ntests:\n  - {name: a, events: [], expect: none}\n",
    );
    row(
        "settings of one test that the rule refuses",
        2,
        "rule: RULE\ntests:\n  - {name: a, events: [], expect: none, settings: {repeat: often}}\n  - {name: b, stream: pods.jsonl, count: {H10: 1}}\n",
    );
    row(
        "a broken stream",
        2,
        "rule: RULE\ntests:\n  - {name: a, stream: broken.jsonl, expect: none}\n",
    );
    row(
        "a broken event",
        2,
        "rule: RULE\ntests:\n  - {name: a, events: [{type: ADDED}, {a: 1}], expect: none}\n",
    );
    assert_snapshot!(table);
}

#[test]
fn no_test_is_a_failure() {
    let folder = Folder::new();
    let (code, text) = folder.test(&[]);
    assert_eq!(code, 1);
    assert_snapshot!(text);
    assert_eq!(folder.test(&["elsewhere"]).0, 2, "a path that is not there");
    pods(&folder);
    folder.write("pods.test.yaml", &suite("akkeris", &json!({}), &json!({"count": {"H10": 1}})));
    assert_eq!(folder.test(&[]).0, 0);
    let (code, text) = folder.test(&["--filter", "nothing of this name"]);
    assert_eq!(code, 1);
    assert!(text.contains("no test has \"nothing of this name\" in its name"), "{text}");
    assert_eq!(
        folder.test(&[".", "pods.test.yaml"]).1.matches("ok  ").count(),
        1,
        "one file is run once"
    );
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (code, text) = folder.test(&[".", "empty"]);
    assert_eq!(code, 1);
    assert!(text.contains("no test was found below empty"), "{text}");
    std::os::unix::fs::symlink("../pods.test.yaml", folder.path().join("empty/linked.test.yml"))
        .unwrap();
    let (_, text) = folder.test(&["empty"]);
    assert!(text.contains("empty/linked.test.yml"), "links are followed: {text}");
}

#[test]
fn snapshots_are_of_instas_form() {
    let folder = Folder::new();
    pods(&folder);
    let file = |settings: Value| suite("akkeris", &settings, &json!({"expect": "snapshot"}));
    folder.write("pods.test.yaml", &file(json!({})));
    let snap = "snapshots/pods__the_pods.snap";
    assert_eq!(folder.test(&["--update=review"]).0, 1, "to be looked at first");
    assert!(folder.path().join(format!("{snap}.new")).exists());
    assert_eq!(folder.test(&["--update"]).0, 0);
    assert!(!folder.path().join(format!("{snap}.new")).exists());
    assert_eq!(folder.test(&[]).0, 0);
    assert_snapshot!("written", folder.read(snap));
    // insta itself reads the file, and finds the same contents.
    let contents = folder.read(snap).split("\n---\n").nth(1).unwrap().to_owned();
    let snapshots = folder.path().join("snapshots");
    insta::with_settings!({snapshot_path => snapshots, prepend_module_to_snapshot => false}, {
        assert_snapshot!("pods__the_pods", contents);
    });
    let changed = folder.read(snap).replace("H10", "H9");
    folder.write(snap, &changed);
    let (code, text) = folder.test(&[]);
    assert_eq!(code, 1);
    assert_snapshot!("differs", text);
}

/// Returns a pod's event to be written into the test file.
fn event(name: &str, version: &str, change: &str) -> Value {
    json!({"at": "2026-01-01T00:00:00Z", "type": change, "object": {"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "a", "uid": name, "resourceVersion": version}}})
}

#[test]
fn slips_that_would_make_a_test_hold_whatever_the_rule_says() {
    let mut table = String::new();
    let mut row = |title: &str, tests: Value| {
        let folder = Folder::new();
        pods(&folder);
        folder.write("empty.jsonl", "");
        folder.write(
            "deployments.jsonl",
            &format!(
                "{}\n",
                json!({"type": "ADDED", "object":
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}})
            ),
        );
        let file = json!({"rule": module("hostile"), "settings": {"behaviour": "nothing"}, "tests": tests});
        folder.write("it.test.yaml", &serde_json::to_string_pretty(&file).unwrap());
        let (code, text) = folder.test(&["it.test.yaml"]);
        assert_eq!(code, 1, "{title}: {text}");
        table.push_str(&format!("## {title}\n{text}\n"));
    };
    let seen = json!({"code": "SEEN"});
    row(
        "keys without a value",
        json!([
            {"name": "a", "stream": "pods.jsonl", "expect": null, "count": {"SEEN": 3}},
            {"name": "b", "stream": "pods.jsonl", "expect": [
                {"code": "SEEN", "object": null, "title": null}, seen, seen]},
            {"name": "c", "stream": "pods.jsonl", "count": {"SEEN": 3}, "limits": {"fuel": null}},
        ]),
    );
    row(
        "a payload of null is compared",
        json!([
        {"name": "a", "stream": "pods.jsonl", "expect": [{"code": "SEEN", "payload": null}, seen, seen]}]),
    );
    row(
        "what names nothing",
        json!([
        {"name": "a", "stream": "pods.jsonl", "count": {"SEEN": 3}, "limits": {}},
        {"name": "b", "stream": "pods.jsonl", "expect": [{"code": "SEEN", "object": {}}, seen, seen]}]),
    );
    row(
        "a type that is none",
        json!([
        {"name": "a", "events": [event("x", "1", "ADDDED")], "expect": "none"}]),
    );
    row(
        "a version that was forgotten",
        json!([
        {"name": "a", "events": [event("x", "1", "ADDED"), event("x", "1", "MODIFIED")],
         "expect": [seen]}]),
    );
    row(
        "nothing to answer",
        json!([
            {"name": "a", "events": [], "expect": "none"},
            {"name": "b", "stream": "empty.jsonl", "count": {"SEEN": 0}},
            {"name": "c", "stream": "deployments.jsonl", "expect": "none"},
        ]),
    );
    row(
        "numbers that differ in their last digit",
        json!([
        {"name": "a", "stream": "pods.jsonl", "expect": [
            {"code": "SEEN", "payload": 9_007_199_254_740_993_u64}, seen, seen]}]),
    );
    assert_snapshot!(table);
}

#[test]
fn memory_is_that_of_one_instance_for_all_events() {
    let leak = |limit: &str| json!({"count": {"SEEN": 3}, "limits": {"memory": limit}});
    let settings = json!({"behaviour": "leak-memory"});
    says(0, "hostile", settings.clone(), leak("6MiB"));
    let text = says(1, "hostile", settings, leak("3MiB"));
    assert!(text.contains("the instance grew to") && text.contains("(pods.jsonl:3)"), "{text}");
}

#[test]
fn a_pattern_beside_the_test_file_needs_no_folder() {
    let folder = Folder::new();
    pods(&folder);
    let file = json!({"rule": module("akkeris"), "tests": [
        {"name": "a", "stream": "p*.jsonl", "count": {"R14": 1}}]});
    folder.write("it.test.yaml", &file.to_string());
    let (code, text) = folder.test(&["it.test.yaml"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_fails_is_not_written_as_if_it_were_right() {
    let folder = Folder::new();
    pods(&folder);
    let file = |count: u64| {
        suite("akkeris", &json!({}), &json!({"expect": "snapshot", "count": {"R14": count}}))
    };
    folder.write("pods.test.yaml", &file(2));
    assert_eq!(folder.test(&["--update"]).0, 1);
    assert!(!folder.path().join("snapshots").exists());
    folder.write("pods.test.yaml", &file(1));
    assert_eq!(folder.test(&["--update"]).0, 0);
    let snap = "snapshots/pods__the_pods.snap";
    let with_other_ends = folder.read(snap).replace('\n', "\r\n");
    folder.write(snap, &with_other_ends);
    assert_eq!(folder.test(&[]).0, 0, "the ends of lines are the checkout's business");
    folder.write("snapshots/pods__gone.snap", "---\nsource: x\n---\nx\n");
    let (code, text) = folder.test(&[]);
    assert_eq!(code, 0);
    assert!(text.contains("note no test has snapshot"), "{text}");
    assert_eq!(folder.test(&["--update"]).0, 0);
    assert!(!folder.path().join("snapshots/pods__gone.snap").exists());
}

#[test]
fn long_lists_are_compared_in_no_time() {
    let folder = Folder::new();
    let lines: Vec<Value> = (1..=3000)
        .map(|n| pod_line("ADDED", "2026-01-01T00:00:00Z", &format!("pod-{n}"), n, &json!({})))
        .collect();
    stream(folder.path(), "pods.jsonl", &lines);
    let expected: Vec<Value> = (1..=3000).map(|_| json!({"code": "SEEN", "payload": 2})).collect();
    folder.write(
        "pods.test.yaml",
        &suite("hostile", &json!({"behaviour": "nothing"}), &json!({"expect": expected})),
    );
    let (code, text) = folder.test(&[]);
    assert_eq!(code, 1);
    assert!(text.lines().count() < 100, "{text}");
    assert!(text.contains("- SEEN payload: 2") && text.contains("+ SEEN pod/a/pod-1"), "{text}");
}

#[test]
fn reports_for_programs() {
    let folder = Folder::new();
    pods(&folder);
    folder.write("a.test.yaml", &suite("akkeris", &json!({}), &json!({"expect": right()})));
    folder.write("b.test.yaml", &suite("akkeris", &json!({}), &json!({"expect": "none"})));
    folder.write("c.test.yaml", "rule: [\n");
    let (code, text) = folder.test(&["--output", "json", "--junit", "report.xml", "--jobs", "2"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_snapshot!("json", serde_json::to_string_pretty(&report).unwrap());
    assert_snapshot!("junit", folder.read("report.xml"));
    for jobs in ["1", "2", "8"] {
        let (_, again) = folder.test(&["--output", "json", "--jobs", jobs]);
        assert_eq!(text, again, "the order is that of the files");
    }
    assert_eq!(folder.test(&["--junit", "nowhere/report.xml"]).0, 2);
    assert_eq!(
        folder.test(&["--jobs", "18446744073709551615"]).0,
        1,
        "not more threads than files"
    );
}
