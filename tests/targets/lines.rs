//! Tests of the target `file`: nothing is lost to rotation, crashes, logrotate or a full disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klaxon_config::Target;
use klaxon_targets::{Attempt, Endpoint};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::support::targets::{bytes, delivery, endpoint, retried, target, verdict};

fn file_target(folder: &Path, settings: Value) -> Target {
    target(folder, json!({ "file": settings }))
}

fn small(folder: &Path) -> Arc<Endpoint> {
    let settings = json!({"path": "out.jsonl", "max_size": "20B", "keep": 3});
    endpoint(&file_target(folder, settings))
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

async fn write(sender: &Arc<Endpoint>, line: &str) {
    assert_eq!(sender.send(&bytes(1, line.as_bytes())).await, Attempt::Delivered);
}

#[tokio::test]
async fn a_verdict_is_a_line_and_the_file_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let target = file_target(folder.path(), json!({"path": "out.jsonl"}));
    let sender = endpoint(&target);
    for (number, code) in [(1, "R14"), (2, "H10")] {
        let delivery = delivery(number, &target, &verdict(code));
        assert_eq!(sender.send(&delivery).await, Attempt::Delivered);
    }
    let text = read(folder.path(), "out.jsonl");
    let codes: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["code"].clone())
        .collect();
    assert_eq!(codes, ["R14", "H10"]);
    assert!(text.ends_with("\n"));
    let mode = fs::metadata(folder.path().join("out.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_full_file_is_renamed_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let sender = small(folder.path());
    for number in 0..10 {
        write(&sender, &format!("{number}23456789\n")).await;
    }
    // Two lines of ten bytes fit.
    assert_eq!(read(folder.path(), "out.jsonl"), "823456789\n923456789\n");
    assert_eq!(read(folder.path(), "out.jsonl.1"), "623456789\n723456789\n");
    assert_eq!(read(folder.path(), "out.jsonl.3"), "223456789\n323456789\n");
    assert!(!folder.path().join("out.jsonl.4").exists());
}

#[tokio::test]
async fn a_line_that_is_larger_than_the_file_may_be_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let sender = small(folder.path());
    let long = format!("{}\n", "x".repeat(50));
    for line in ["a\n", &long, "b\n"] {
        write(&sender, line).await;
    }
    assert_eq!(read(folder.path(), "out.jsonl.2"), "a\n");
    assert_eq!(read(folder.path(), "out.jsonl.1"), long);
    assert_eq!(read(folder.path(), "out.jsonl"), "b\n");
}

#[tokio::test]
async fn a_rotation_that_a_crash_cut_off_loses_nothing_later() {
    let folder = tempfile::tempdir().unwrap();
    // The power failed after number 2 was renamed to 3.
    for (name, line) in
        [("out.jsonl.3", "c\n"), ("out.jsonl.1", "b\n"), ("out.jsonl", "a1234567\n")]
    {
        fs::write(folder.path().join(name), line).unwrap();
    }
    write(&small(folder.path()), "new 67890123\n").await;
    let names = ["out.jsonl", "out.jsonl.1", "out.jsonl.2", "out.jsonl.3"];
    let texts = names.map(|name| read(folder.path(), name));
    assert_eq!(texts, ["new 67890123\n", "a1234567\n", "b\n", "c\n"]);
}

#[tokio::test]
async fn a_torn_line_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("out.jsonl"), "whole\n{\"to").unwrap();
    let target = file_target(folder.path(), json!({"path": "out.jsonl"}));
    let sender = endpoint(&target);
    write(&sender, "next\n").await;
    assert_eq!(read(folder.path(), "out.jsonl"), "whole\n{\"to\nnext\n");
}

#[tokio::test]
async fn a_file_that_others_rename_or_remove_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let target = file_target(folder.path(), json!({"path": "out.jsonl"}));
    let sender = endpoint(&target);
    write(&sender, "1\n").await;
    fs::rename(&path, folder.path().join("kept")).unwrap();
    // logrotate's `create`.
    fs::write(&path, "").unwrap();
    write(&sender, "2\n").await;
    assert_eq!(read(folder.path(), "out.jsonl"), "2\n");
    fs::remove_file(&path).unwrap();
    write(&sender, "3\n").await;
    // logrotate's `copytruncate`.
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    write(&sender, "4\n").await;
    assert_eq!(read(folder.path(), "kept"), "1\n");
    assert_eq!(read(folder.path(), "out.jsonl"), "4\n");
}

#[tokio::test]
async fn what_cannot_be_written_waits_and_is_told_with_a_mend() {
    let folder = tempfile::tempdir().unwrap();
    let sender =
        |path: &str| endpoint(&file_target(folder.path(), json!({"path": path, "max_size": "5B"})));
    fs::create_dir(folder.path().join("there")).unwrap();
    let why = retried(sender("there").send(&bytes(1, b"a\n")).await);
    assert!(why.contains("is no plain file; hint: name another path"), "{why}");

    let away = sender("away/out.jsonl");
    let why = retried(away.send(&bytes(1, b"a\n")).await);
    assert!(why.contains("the folder ") && why.contains("hint: make it, or mount it"), "{why}");
    fs::create_dir(folder.path().join("away")).unwrap();
    assert_eq!(away.send(&bytes(1, b"a\n")).await, Attempt::Delivered);

    // The oldest file cannot be replaced: the lines stay in the current file.
    let stuck = sender("out.jsonl");
    for number in 1..=4 {
        fs::write(folder.path().join(format!("out.jsonl.{number}")), "").unwrap();
    }
    fs::create_dir(folder.path().join("out.jsonl.5")).unwrap();
    assert_eq!(stuck.send(&bytes(1, b"a\n")).await, Attempt::Delivered);
    let why = retried(stuck.send(&bytes(2, b"bbbb\n")).await);
    assert!(why.contains("cannot be renamed to"), "{why}");
    assert_eq!(read(folder.path(), "out.jsonl"), "a\n");
}

#[tokio::test]
async fn a_pipe_is_told_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
    let target = file_target(folder.path(), json!({"path": "out.jsonl"}));
    let sender = endpoint(&target);
    let why = retried(sender.send(&bytes(1, b"a\n")).await);
    assert!(why.contains("is no plain file"), "{why}");
    fs::remove_file(&path).unwrap();
    assert_eq!(sender.send(&bytes(1, b"a\n")).await, Attempt::Delivered);
}

/// An operation on a file.
#[derive(Debug, Clone)]
enum Step {
    /// Writes a line of this number of bytes.
    Line(usize),
    /// The process is killed, in the middle of a line or not.
    Crash { is_torn: bool },
    /// Another process renames the file.
    Rename,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..120_usize).prop_map(Step::Line),
        1 => any::<bool>().prop_map(|is_torn| Step::Crash { is_torn }),
        1 => Just(Step::Rename),
    ];
    prop::collection::vec(step, 1..60)
}

/// Returns all files of a folder, and the lines of the target's own files, oldest first.
fn all_lines(folder: &Path) -> (Vec<String>, Vec<String>) {
    let mut renamed = Vec::new();
    let mut own: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match name.strip_prefix("out.jsonl") {
            Some("") => own.push((0, path)),
            Some(rest) => own.push((rest.trim_start_matches('.').parse().unwrap(), path)),
            None => renamed.push(path),
        }
    }
    own.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let lines = |paths: Vec<PathBuf>| {
        let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    (lines(own.into_iter().map(|(_, path)| path).collect()), lines(renamed))
}

fn holds(steps: Vec<Step>, max_size: usize) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settings = json!({"path": "out.jsonl", "max_size": format!("{max_size}B"), "keep": 1000});
    let target = file_target(folder.path(), settings);
    let mut sender = endpoint(&target);
    let mut expected = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Line(length) => {
                let line = format!("{{{number}{}}}", "x".repeat(length));
                let attempt =
                    runtime.block_on(sender.send(&bytes(1, format!("{line}\n").as_bytes())));
                prop_assert_eq!(attempt, Attempt::Delivered);
                expected.push(line);
            }
            Step::Crash { is_torn } => {
                if is_torn && path.exists() {
                    let mut file = fs::File::options().append(true).open(&path).unwrap();
                    std::io::Write::write_all(&mut file, b"{torn").unwrap();
                }
                sender = endpoint(&target);
            }
            Step::Rename if path.exists() => {
                fs::rename(&path, folder.path().join(format!("renamed {number}"))).unwrap();
            }
            Step::Rename => {}
        }
    }
    let (own, renamed) = all_lines(folder.path());
    let whole = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.ends_with('}')).collect()
    };
    let (own, renamed) = (whole(own), whole(renamed));
    prop_assert!(expected.iter().filter(|line| own.contains(line)).eq(own.iter()), "order");
    let mut found = [own, renamed].concat();
    found.sort();
    expected.sort();
    prop_assert_eq!(found, expected);
    let size = |name: &str| fs::metadata(folder.path().join(name)).map_or(0, |data| data.len());
    prop_assert!(size("out.jsonl") <= (max_size as u64).max(130) + 6);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Each line is found once, whole and in order, after any rotations, crashes and renames.
    #[test]
    fn every_line_is_found_once(steps in steps(), max_size in 1..400_usize) {
        holds(steps, max_size)?;
    }
}
