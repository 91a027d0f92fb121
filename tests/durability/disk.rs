//! Tests of disks that fail, and of full disks.

use std::path::Path;
use std::process::Command;

use klaxon_model::clock::Stopwatch;
use serde_json::json;

use super::{log, spawn, strace, terminate};
use crate::fake_api::FakeApi;
use crate::receivers::{pod, receiver, site, wait, webhook};

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_sync_ends_the_service_with_a_clear_message_and_nothing_is_lost() {
    fails_to_sync("inject=fsync,fdatasync:error=EIO:when=25+", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_that_fails_when_the_log_is_folded_into_the_file() {
    fails_to_sync("inject=fsync,fdatasync:error=EIO:when=1+", Some("klaxon.db")).await;
}

/// Makes the syncing calls `fails` fail, for one file of the journal if given.
async fn fails_to_sync(fails: &str, file: Option<&str>) {
    let api = FakeApi::start().await;
    let (server, taken) = receiver(|_| 204).await;
    let site = site(&api, json!({"notify": webhook(&server.uri())}));
    if file.is_some() {
        // The first syncs, which create the journal, are not to fail.
        let mut service = spawn(&site, None);
        site.wait_until_following(&["Pod"]);
        terminate(&mut service);
    }
    let mut arguments = vec!["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", fails];
    let path = file.map(|file| site.folder.path().join("journal").join(file));
    let path = path.map(|path| path.display().to_string());
    if let Some(path) = &path {
        arguments.extend(["-P", path]);
    }
    let under = strace(&arguments);
    let mut service = spawn(&site, Some(under));
    site.wait_until_following(&["Pod"]);
    let since = Stopwatch::start();
    let mut made = 0;
    let status = loop {
        if let Some(status) = service.try_wait().unwrap() {
            break status;
        }
        assert!(since.elapsed() < crate::support::live::PATIENCE, "it goes on: {}", log(&site));
        for _ in 0..if file.is_some() { 50 } else { 1 } {
            api.put(pod(&format!("pod-{made}"), 0));
            made += 1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(1));
    let log = log(&site);
    assert!(log.contains("error: the journal's disk failed"), "{log}");
    assert!(log.contains("hint: check the disk, then start again"), "{log}");
    // On a healthy disk again, everything arrives, and duplicates have the same id.
    let mut service = spawn(&site, None);
    wait("all pods", || {
        let mut seen = taken.lock().unwrap().clone();
        seen.sort();
        seen.dedup();
        seen.len() == made
    });
    terminate(&mut service);
    let requests = server.received_requests().await.unwrap();
    let mut ids: Vec<&str> =
        requests.iter().map(|one| one.headers["webhook-id"].to_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), made);
}

/// A small file system, while it is mounted.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Mounts the disk. `None` if this user may not mount; in CI that is an error.
    #[expect(clippy::print_stdout, reason = "whoever runs it sees what was left out")]
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "klaxon-test"])
            .arg(at)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "a small disk cannot be mounted; hint: run the tests as root, in a container that may mount"
        );
        println!("not tested: only root may mount a small disk");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_intake_and_room_lets_it_go_on() {
    let api = FakeApi::start().await;
    let (server, taken) = receiver(|_| 204).await;
    let site = site(&api, json!({"notify": webhook(&server.uri())}));
    let folder = site.folder.path().join("journal");
    let Some(_disk) = SmallDisk::mount(&folder, "4m") else { return };
    let mut service = spawn(&site, None);
    site.wait_until_following(&["Pod"]);
    // Another program fills the disk up to the last pages.
    let ballast = folder.join("ballast");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=4096"])
        .arg(format!("of={}", ballast.display()))
        .output()
        .unwrap();
    assert!(!filled.status.success(), "the disk is full then");
    for number in 0..300 {
        api.put(pod(&format!("pod-{number}"), number));
    }
    wait("the full disk", || log(&site).contains("intake waits until there is"));
    let before = taken.lock().unwrap().len();
    assert!(before < 300, "{before}");
    assert!(service.try_wait().unwrap().is_none(), "it has not ended");
    std::fs::remove_file(&ballast).unwrap();
    wait("all of it", || taken.lock().unwrap().len() >= 300);
    wait("that it is told", || log(&site).contains("the journal has room again"));
    terminate(&mut service);
    let mut seen = taken.lock().unwrap().clone();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 300, "each of them");
    assert_eq!(site.rows("SELECT count(*) FROM gaps"), ["0"]);
}
