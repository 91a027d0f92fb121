//! Streams in every form: times, ties, lists, bookmarks, and invalid input.

use std::path::{Path, PathBuf};

use klaxon_test_support::manifests::{pod, watch_line};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Merged, Record, StreamFile, expand, matches};
use klaxon_model::{Coverage, Seen, SourceEvent};

fn write(folder: &Path, name: &str, text: &str) -> StreamFile {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    StreamFile::at(path)
}

fn line(at: &str, kind: &str, name: &str) -> String {
    watch_line(at, kind, pod(name, json!({}))).to_string()
}

/// Formats each record as `seconds name`, or by its kind.
fn read(files: &[StreamFile]) -> Result<Vec<String>, String> {
    let mut merged = Merged::open(files).map_err(|fault| fault.to_string())?;
    let mut found = Vec::new();
    while let Some((_, record)) = merged.next_record().map_err(|fault| fault.to_string())? {
        let what = match record.event {
            SourceEvent::Object { seen, json, .. } => {
                let object: Value = serde_json::from_str(&json).unwrap();
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if seen == Seen::Snapshot { format!("{name} (state)") } else { name }
            }
            SourceEvent::GapStarted { .. } => "gap".to_owned(),
            SourceEvent::ListCompleted { .. } => "list end".to_owned(),
            other => format!("{other:?}"),
        };
        let second =
            if record.at == jiff::Timestamp::MIN { -1 } else { record.at.as_second() % 60 };
        found.push(format!("{second} {what}"));
    }
    Ok(found)
}

const END: &str = r#"{"at":"2026-01-01T00:00:02Z","type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"annotations":{"k8s.io/initial-events-end":"true"}}}}"#;

#[test]
fn streams_are_merged_by_time_and_ties_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two, three) =
        ("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z");
    let first =
        write(folder.path(), "1", &[line(two, "ADDED", "a"), line(two, "ADDED", "b")].join("\n"));
    let second = write(
        folder.path(),
        "2",
        &[line(one, "ADDED", "c"), line(two, "ADDED", "d"), line(three, "ADDED", "e")].join("\n"),
    );
    assert_eq!(read(&[first, second]).unwrap(), ["1 c", "2 a", "2 b", "2 d", "3 e"]);
}

#[test]
fn a_clock_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        [line("2026-01-01T00:00:05Z", "ADDED", "a"), line("2026-01-01T00:00:01Z", "ADDED", "b")];
    assert_eq!(read(&[write(folder.path(), "1", &text.join("\n"))]).unwrap(), ["5 a", "5 b"]);
}

#[test]
fn without_times_of_its_own_a_line_has_the_newest_of_its_object() {
    let folder = tempfile::tempdir().unwrap();
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a",
        "creationTimestamp": "2026-01-01T00:00:01Z", "deletionTimestamp": "2026-01-01T00:00:59Z",
        "managedFields": [{"time": "2026-01-01T00:00:02Z"}]},
        "status": {"conditions": [{"lastTransitionTime": "2026-01-01T00:00:03Z"}],
            "containerStatuses": [{"lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:07Z"}}}]}});
    let stream = write(folder.path(), "1", &object.to_string());
    assert_eq!(read(&[stream]).unwrap(), ["7 a"], "what may lie in the future does not count");
}

#[test]
fn what_has_no_time_at_the_head_of_a_stream_has_the_first_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bare = pod("a", json!({})).to_string();
    let text = [bare.clone(), line("2026-01-01T00:00:07Z", "ADDED", "b")].join("\n");
    assert_eq!(read(&[write(folder.path(), "1", &text)]).unwrap(), ["7 a", "7 b"]);
    assert_eq!(read(&[write(folder.path(), "2", &bare)]).unwrap(), ["0 a"], "else the epoch");
}

#[test]
fn what_comes_before_the_end_of_the_initial_events_is_state() {
    let folder = tempfile::tempdir().unwrap();
    let at = "2026-01-01T00:00:01Z";
    let text = [line(at, "ADDED", "a"), END.to_owned(), line(at, "ADDED", "b")].join("\n");
    let found = read(&[write(folder.path(), "1", &text)]).unwrap();
    assert_eq!(found, ["1 a (state)", "2 list end", "2 b"]);
}

#[test]
fn after_a_410_a_list_is_not_state() {
    let folder = tempfile::tempdir().unwrap();
    let at = "2026-01-01T00:00:01Z";
    let gone = json!({"at": at, "type": "ERROR", "object": {"code": 410}}).to_string();
    let text = [gone, line(at, "ADDED", "a"), END.to_owned()].join("\n");
    let found = read(&[write(folder.path(), "1", &text)]).unwrap();
    assert_eq!(found, ["1 gap", "1 a", "2 list end"]);
}

#[test]
fn plain_lists_are_state_and_plain_objects_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let item = |name| pod(name, json!({"creationTimestamp": "2026-01-01T00:00:01Z"}));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [item("a"), item("b")]});
    let text = format!("{}\n\n{}\n", serde_json::to_string_pretty(&list).unwrap(), item("c"));
    let found = read(&[write(folder.path(), "1", &text)]).unwrap();
    assert_eq!(found, ["1 a (state)", "1 b (state)", "1 list end", "1 c"]);
}

#[test]
fn snapshot_until_says_so_for_recordings_without_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        [line("2026-01-01T00:00:01Z", "ADDED", "a"), line("2026-01-01T00:00:05Z", "ADDED", "b")];
    let mut stream = write(folder.path(), "1", &text.join("\n"));
    stream.snapshot_until = Some("2026-01-01T00:00:02Z".parse().unwrap());
    assert_eq!(read(&[stream]).unwrap(), ["1 a (state)", "5 b"]);
}

/// Returns the records of a text.
fn records(text: &str) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let mut merged = Merged::open(&[write(folder.path(), "1", text)]).unwrap();
    std::iter::from_fn(|| merged.next_record().unwrap()).map(|(_, record)| record).collect()
}

#[test]
fn objects_are_read_as_they_were_written() {
    let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#;
    for seen in [Seen::Present, Seen::Snapshot, Seen::Deleted, Seen::Outside] {
        for is_change in [false, true] {
            let event = SourceEvent::Object { seen, json: json.into(), is_change };
            let at = "2026-01-01T00:00:01Z".parse().unwrap();
            let text = super::line(&Record { at, line: 1, event }).unwrap().unwrap();
            // A stream does not say that an object is outside of a selector.
            let seen = if seen == Seen::Outside { Seen::Present } else { seen };
            let event = SourceEvent::Object { seen, json: json.into(), is_change };
            let read = records(&text);
            assert_eq!(read.len(), 1, "{text}");
            assert_eq!((read[0].at, &read[0].event), (at, &event), "{text}");
        }
    }
}

#[test]
fn the_end_of_a_list_is_read_with_its_kind_and_namespace() {
    for namespace in [None, Some("a".to_owned())] {
        let (group, kind) = ("apps".to_owned(), "Deployment".to_owned());
        let coverage = Some(Coverage { group, kind, namespace });
        let event = SourceEvent::ListCompleted { coverage };
        let at = "2026-01-01T00:00:01Z".parse().unwrap();
        let text = super::line(&Record { at, line: 1, event: event.clone() }).unwrap().unwrap();
        assert_eq!(records(&text)[0].event, event, "{text}");
    }
}

#[test]
fn a_recorders_own_marks_are_skipped_with_a_count() {
    let folder = tempfile::tempdir().unwrap();
    let stream = write(
        folder.path(),
        "1",
        "{\"type\":\"EOF\",\"object\":{}}\n{\"type\":\"HTTP\",\"status\":429}\n",
    );
    let mut merged = Merged::open(&[stream]).unwrap();
    assert!(merged.next_record().unwrap().is_none());
    assert_eq!(merged.skipped(), 2);
}

#[test]
fn an_object_that_is_null_is_an_object_and_not_a_mark() {
    let kinds = ["ADDED", "MODIFIED", "DELETED", "SNAPSHOT"];
    let text = kinds.map(|kind| json!({"type": kind, "object": null}).to_string()).join("\n");
    let objects = records(&text);
    assert_eq!(objects.len(), kinds.len());
    for record in objects {
        assert!(
            matches!(&record.event, SourceEvent::Object { json, .. } if &**json == "null"),
            "{record:?}"
        );
    }
    let marks = ["EOF", "ERROR", "BOOKMARK"];
    let text = marks.map(|kind| json!({"type": kind, "object": null}).to_string()).join("\n");
    let folder = tempfile::tempdir().unwrap();
    let mut merged = Merged::open(&[write(folder.path(), "1", &text)]).unwrap();
    assert!(merged.next_record().unwrap().is_none());
    assert_eq!(merged.skipped(), 3);
}

#[test]
fn a_file_that_is_no_json_is_no_stream() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str, text: &str| read(&[write(folder.path(), name, text)]);
    for right in ["", "\n\n"] {
        assert_eq!(text("right", right).unwrap(), [""; 0]);
    }
    let good = line("2026-01-01T00:00:01Z", "ADDED", "a");
    assert_eq!(text("blank", &format!(" \n{good}\n")).unwrap(), ["1 a"]);
    let error = text("wrong", "import sys\nprint()\n").unwrap_err();
    assert!(error.contains("this is no JSON (it begins with \"import sys\"); hint: "), "{error}");
    let error = text("later", &format!("{good}\nnonsense\n")).unwrap_err();
    assert!(error.contains("line 2: "), "{error}");
}

#[test]
fn a_pipe_without_a_writer_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let (sender, error) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(read(&[StreamFile::at(path)]).unwrap_err()));
    let error = error.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert!(error.contains("this is no regular file"), "{error}");
}

#[test]
fn patterns_name_the_files_of_a_folder_in_order() {
    assert!(matches("*.jsonl", "a.jsonl") && matches("a*b*c", "a-b-c") && matches("*", ""));
    assert!(!matches("*.jsonl", "a.json") && !matches("a*", "ba"));
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "b.jsonl", "");
    write(folder.path(), "a.jsonl", "");
    let names: Vec<PathBuf> = expand(&[PathBuf::from("*.jsonl")], folder.path())
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().into())
        .collect();
    assert_eq!(names, [PathBuf::from("a.jsonl"), PathBuf::from("b.jsonl")]);
    let fault = expand(&[PathBuf::from("*.zip")], folder.path()).unwrap_err().to_string();
    assert!(fault.contains("no stream matches *.zip"), "{fault}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_stream_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream");
        std::fs::write(&path, bytes).unwrap();
        drop(read(&[StreamFile::at(path)]));
    }

    #[test]
    fn any_lines_of_json_are_a_stream_or_an_error(
        lines in prop::collection::vec("(\\{|\\}|\"|type|:|ADDED|,|object|\\[|\\]|null| |\n|at|kind|List|items){0,20}", 0..5)
    ) {
        let folder = tempfile::tempdir().unwrap();
        drop(read(&[write(folder.path(), "stream", &lines.join("\n"))]));
    }
}
