//! Tests of the documentation: the commands of its pages run as they are written.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{KLAXON, options, root};

/// Returns the code blocks of a page of `docs` in one language, with their lines.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line == format!("```{language}") {
            inside = true;
            found.push((number, String::new()));
        } else if line == "```" {
            inside = false;
        } else if let Some((_, block)) = found.last_mut().filter(|_| inside) {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

/// Runs the commands of a page in a folder, one block after the other, and returns their output in order.
#[track_caller]
fn run(page: &str, folder: &Path, after_first: impl Fn()) -> String {
    let binaries = Path::new(KLAXON).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut printed = String::new();
    let blocks = blocks(page, "sh");
    assert!(!blocks.is_empty(), "{page} has no commands");
    for (place, (line, block)) in blocks.into_iter().enumerate() {
        if place == 1 {
            after_first();
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(folder)
            .env("PATH", &path)
            .env("KLAXON_CACHE", options().cache.unwrap())
            // Removes cargo's settings for this test, which a user does not have.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{page}:{line}:\n{block}\n{text}");
        printed.push_str(&text);
    }
    printed
}

/// Returns an empty folder, and the folder with the artifacts that cargo built there before.
fn folder() -> (PathBuf, PathBuf) {
    let folder = Path::new(KLAXON).ancestors().nth(2).unwrap().join("book");
    let built = folder.join("oom/target");
    let kept = folder.with_extension("kept");
    if built.exists() {
        drop(std::fs::remove_dir_all(&kept));
        std::fs::rename(&built, &kept).unwrap();
    }
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    (folder, kept)
}

#[test]
fn the_first_hour_of_a_rules_author() {
    let (folder, kept) = folder();
    let printed = run("book/first-rule.md", &folder, || {
        // The rule is created again, so cargo rebuilds it; its dependencies need not be rebuilt.
        if kept.exists() {
            std::fs::rename(&kept, folder.join("oom/target")).unwrap();
        }
    });
    for says in [
        "made oom; next: klaxon test oom",
        "3 passed, 0 failed",
        "4 passed, 0 failed",
        "OOM                      error    Out of memory",
        "rule oom says the same 1 code as before",
        "built oom 0.1.0 into oom.wasm",
        "klaxon.yaml: no problem found, 1 rule loaded",
        "to out: 1 delivered",
    ] {
        assert!(printed.contains(says), "{says:?} is not in:\n{printed}");
    }
    let printed = run("book/testing-rules.md", &folder, || ());
    for says in ["snap a long answer is reviewed once and kept", "11 passed, 0 failed"] {
        assert!(printed.contains(says), "{says:?} is not in:\n{printed}");
    }
    // Runs the rule's own tests with cargo, with the SDK that the binary carries.
    let cargo = Command::new("cargo")
        .args(["test", "--quiet", "--lib"])
        .current_dir(folder.join("oom"))
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
}

#[test]
fn who_comes_from_appup() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run("migrate/appup.md", folder.path(), || ());
    let answers: Vec<&str> = printed.lines().filter(|line| line.starts_with("app is")).collect();
    let expected = ["down 503", "up 200", "up 200", "down 200", "down 503", "up 200"];
    assert_eq!(answers, expected.map(|answer| format!("app is {answer}")), "{printed}");
}
