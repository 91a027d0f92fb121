//! Tests of durability: the service as a process, with its system calls traced or made to fail.

mod disk;
mod hang;
mod order;
mod power_loss;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::KLAXON;
use crate::support::live::Site;

/// strace, which watches system calls and makes them fail.
fn strace(arguments: &[&str]) -> Command {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "strace is missing, with which system calls are watched; hint: install strace"
    );
    let mut command = Command::new("strace");
    command.args(arguments);
    command
}

/// Starts the service, alone or under a command; its log goes into a file of the site.
fn spawn(site: &Site, under: Option<Command>) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log_of(site)).unwrap();
    let mut command = match under {
        Some(mut under) => {
            under.arg(KLAXON);
            under
        }
        None => Command::new(KLAXON),
    };
    command
        .args(["run", "--workers", "1", "--drain", "5s", "--config"])
        .arg(site.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn log_of(site: &Site) -> std::path::PathBuf {
    site.folder.path().join("klaxon.log")
}

fn log(site: &Site) -> String {
    std::fs::read_to_string(log_of(site)).unwrap()
}

/// Ends a process with SIGTERM, like an orchestrator.
fn terminate(child: &mut Child) {
    signal(child, "-TERM");
}

/// Sends a signal and waits for the end. A traced process belongs to the process group of strace.
fn signal(child: &mut Child, signal: &str) {
    let pid = child.id();
    // strace does not forward signals: the service is its child.
    let children =
        std::fs::read_to_string(Path::new("/proc").join(format!("{pid}/task/{pid}/children")));
    let traced = children.ok().and_then(|text| text.split_whitespace().next().map(str::to_owned));
    let target = traced.unwrap_or_else(|| pid.to_string());
    assert!(Command::new("kill").args([signal, &target]).status().unwrap().success());
    child.wait().unwrap();
}
