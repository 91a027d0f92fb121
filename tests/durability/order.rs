//! Tests that nothing is sent before it is on disk, in the order of the system calls.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{spawn, strace, terminate};
use crate::fake_api::FakeApi;
use crate::receivers::{pod, receiver, site, wait, webhook};

/// Positions in the trace at which a delivery was written to the log, was on disk, and was first sent.
#[derive(Debug, Default, Clone, Copy)]
struct Moments {
    written: Option<usize>,
    on_disk: Option<usize>,
    sent: Option<usize>,
}

/// Reads a trace of strace with paths. strace reports a long call in two lines, the second of which shows its
/// return.
fn moments(trace: &Path, ids: &[String]) -> BTreeMap<String, Moments> {
    let text = String::from_utf8_lossy(&std::fs::read(trace).unwrap()).into_owned();
    let mut all: BTreeMap<String, Moments> =
        ids.iter().map(|id| (id.clone(), Moments::default())).collect();
    let mut syncing: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let (thread, call) = line.split_once(' ').unwrap_or(("", line));
        let call = call.trim_start();
        let is_log = call.contains("klaxon.db-wal>");
        let begins_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        let ends_sync = call.contains("fdatasync resumed>") || call.contains("fsync resumed>");
        if begins_sync && is_log && call.ends_with("<unfinished ...>") {
            syncing.insert(thread, at);
        }
        let synced_since = if begins_sync && is_log && call.ends_with("= 0") {
            Some(at)
        } else if ends_sync && call.ends_with("= 0") {
            syncing.remove(thread)
        } else {
            None
        };
        for (id, moments) in &mut all {
            if let Some(since) = synced_since
                && moments.written.is_some_and(|written| written < since)
            {
                moments.on_disk.get_or_insert(at);
            }
            if !call.contains(id.as_str()) {
                continue;
            }
            if is_log {
                moments.written.get_or_insert(at);
            } else if call.contains("TCP:") || call.contains("socket:") {
                moments.sent.get_or_insert(at);
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_delivery_is_sent_before_it_is_on_disk() {
    let api = FakeApi::start().await;
    let (server, taken) = receiver(|_| 204).await;
    let site = site(&api, json!({"notify": webhook(&server.uri())}));
    let trace = site.folder.path().join("trace");
    let calls = "trace=fsync,fdatasync,pwrite64,pwritev,write,writev,sendto,sendmsg";
    let path = trace.to_str().unwrap();
    // Long enough for a whole page of the log.
    let under = strace(&["-f", "-y", "-yy", "-s", "8192", "-e", calls, "-o", path]);
    let mut service = spawn(&site, Some(under));
    site.wait_until_following(&["Pod"]);
    for number in 0..40 {
        api.put(pod(&format!("pod-{number}"), 0));
        if number % 8 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    }
    wait("all deliveries", || taken.lock().unwrap().len() == 40);
    site.wait_for_rows("SELECT count(*) FROM deliveries WHERE state = 'sent'", &["40"]);
    terminate(&mut service);
    let ids = site.rows("SELECT id FROM deliveries");
    let mut late = Vec::new();
    for (id, moments) in moments(&trace, &ids) {
        let Moments { written: Some(written), on_disk: Some(on_disk), sent: Some(sent) } = moments
        else {
            panic!("{id} is not in the trace: {moments:?}");
        };
        if !(written < on_disk && on_disk < sent) {
            late.push((id, moments));
        }
    }
    assert!(late.is_empty(), "sent before it was on disk: {late:?}");
}

/// Tests the reader of traces: it detects a send before the sync, and a sync that failed.
#[test]
fn a_trace_in_the_wrong_order_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let lines = [
        r#"7 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "webhook-id: one", 15, 0, NULL, 0) = 15"#,
        r#"8 pwrite64(5</j/klaxon.db-wal>, "one two", 7, 0) = 7"#,
        r"8 fdatasync(5</j/klaxon.db-wal> <unfinished ...>",
        r#"7 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "webhook-id: two", 15, 0, NULL, 0) = 15"#,
        r"8 <... fdatasync resumed>)           = 0",
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let all = moments(&path, &["one".to_owned(), "two".to_owned()]);
    assert_eq!(
        (all["one"].written, all["one"].on_disk, all["one"].sent),
        (Some(1), Some(4), Some(0))
    );
    assert_eq!((all["two"].on_disk, all["two"].sent), (Some(4), Some(3)));
    std::fs::write(&path, lines.join("\n").replace("= 0", "= -1 EIO")).unwrap();
    assert_eq!(moments(&path, &["one".to_owned()])["one"].on_disk, None);
}
