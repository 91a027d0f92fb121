//! Tests of the files that a recording is written to.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

fn streams(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// Writes something to every part, as a recording does.
fn fill(destination: &Destination) {
    for part in destination.parts() {
        std::fs::write(part, "new").unwrap();
    }
}

/// Returns the names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn only_a_regular_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pipe = Command::new("mkfifo").arg(at("pipe.jsonl")).status().unwrap();
    assert!(pipe.success());
    symlink("nowhere", at("dangling.jsonl")).unwrap();
    symlink("/dev/null", at("device.jsonl")).unwrap();
    for force in [false, true] {
        for (name, says) in [
            (at("pipe.jsonl"), "this is no regular file, and is never replaced"),
            (at("device.jsonl"), "this is no regular file, and is never replaced"),
            (PathBuf::from("/dev/null"), "this is no regular file, and is never replaced"),
            (at("dangling.jsonl"), "this is a symbolic link to nothing"),
        ] {
            let early = Destination::check(&name, force, 1).unwrap_err();
            assert!(early.contains(says), "{early}");
            let error = Destination::prepare(&name, force, &streams(&["p"])).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
    assert_eq!(names(folder.path()), ["dangling.jsonl", "device.jsonl", "pipe.jsonl"]);
}

#[test]
fn a_symbolic_link_stays_and_its_end_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("elsewhere");
    std::fs::create_dir(&end).unwrap();
    std::fs::write(end.join("end.jsonl"), "old").unwrap();
    let link = folder.path().join("link.jsonl");
    symlink("elsewhere/end.jsonl", &link).unwrap();
    let error = Destination::prepare(&link, false, &streams(&["p"])).unwrap_err();
    assert!(error.contains("it is there already"), "{error}");
    let destination = Destination::prepare(&link, true, &streams(&["p"])).unwrap();
    fill(&destination);
    assert_eq!(destination.finish().unwrap(), std::slice::from_ref(&link));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
    assert_eq!(names(&end), ["end.jsonl"]);
}

#[test]
fn two_streams_are_not_written_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), "old").unwrap();
    symlink("a.jsonl", folder.path().join("b.jsonl")).unwrap();
    let both = streams(&["x/a.jsonl", "x/b.jsonl"]);
    let error = Destination::prepare(folder.path(), true, &both).unwrap_err();
    assert!(error.contains("two streams would be written to"), "{error}");
}

#[test]
fn a_folder_in_place_of_a_file_is_found_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("b.jsonl")).unwrap();
    for force in [false, true] {
        let both = streams(&["a.jsonl", "b.jsonl"]);
        let error = Destination::prepare(folder.path(), force, &both).unwrap_err();
        assert!(error.contains("b.jsonl: this is a folder, and is never replaced"), "{error}");
    }
    assert_eq!(names(folder.path()), ["b.jsonl"]);
}

#[test]
fn an_error_leaves_no_part_and_no_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/out");
    let both = streams(&["a.jsonl", "b.jsonl"]);
    let destination = Destination::prepare(&out, false, &both).unwrap();
    fill(&destination);
    drop(destination);
    assert!(names(folder.path()).is_empty());
    // The second file becomes a folder while the streams are written.
    let destination = Destination::prepare(&out, false, &both).unwrap();
    fill(&destination);
    std::fs::create_dir(out.join("b.jsonl")).unwrap();
    let error = destination.finish().unwrap_err();
    assert!(error.contains("this is a folder"), "{error}");
    assert_eq!(names(&out), ["b.jsonl"]);
    std::fs::remove_dir(out.join("b.jsonl")).unwrap();
    // The second cannot be named.
    let destination = Destination::prepare(&out, false, &both).unwrap();
    fill(&destination);
    std::fs::remove_file(out.join(".part.b.jsonl")).unwrap();
    let error = destination.finish().unwrap_err();
    assert!(error.contains("written so far: 1 of 2 streams; hint: "), "{error}");
    assert_eq!(names(&out), ["a.jsonl"]);
}

#[test]
fn a_destination_that_cannot_be_written_is_found_early() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "old").unwrap();
    for (out, number) in
        [("nowhere/x.jsonl", 1), ("file/x.jsonl", 1), ("file/", 1), ("file", 2), ("x.jsonl", 2)]
    {
        let all = &streams(&["a", "b"])[..number];
        let error = Destination::prepare(&at(out), true, all).unwrap_err();
        assert!(error.contains("; hint: "), "{out}: {error}");
    }
    for (out, streams) in [("-", 1), ("x.jsonl", 2)] {
        Destination::check(Path::new(out), true, streams).unwrap_err();
    }
    Destination::check(&at("file"), true, 2).unwrap_err();
    Destination::check(&at("file/"), true, 1).unwrap_err();
    Destination::check(&at("folder/"), true, 1).unwrap();
    Destination::check(&at("new"), false, 2).unwrap();
    Destination::check(&at("file"), true, 1).unwrap();
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn streams_that_are_empty_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let all = streams(&["raw/a.jsonl", "raw/b.jsonl"]);
    let mut destination = Destination::prepare(folder.path(), false, &all).unwrap();
    destination.retain(&streams(&["raw/b.jsonl"]));
    fill(&destination);
    assert_eq!(destination.finish().unwrap(), [folder.path().join("b.jsonl")]);
    assert_eq!(names(folder.path()), ["b.jsonl"]);
}
