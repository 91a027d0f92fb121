//! Tests of retrying dead letters by an operator while the service runs.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::json;

use super::{pod, receiver, site, wait, webhook};
use crate::fake_api::FakeApi;
use crate::support::KLAXON;
use crate::support::live::Site;

const LETTERS: usize = 10_000;

fn journal(site: &Site, arguments: &[&str]) -> Output {
    let output = Command::new(KLAXON)
        .args(["journal", "--path"])
        .arg(site.folder.path().join("journal"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_dead_letters_arrive_with_their_ids_and_bodies() {
    let api = FakeApi::start().await;
    for number in 0..LETTERS {
        api.put(pod(&format!("pod-{number}"), 0));
    }
    // The receiver is down, and the queue has capacity for one delivery.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut target = webhook(&format!("http://127.0.0.1:{port}/"));
    target["max_queue"] = json!("1B");
    let mut site = site(&api, json!({ "notify": target }));
    site.timing.page = 500;
    let running = site.start();
    let dead = "SELECT count(*) FROM deliveries WHERE state = 'dead'";
    site.wait_for_rows(dead, &[&(LETTERS - 1).to_string()]);
    running.stop();
    let decided = "SELECT id || hex(body) FROM deliveries ORDER BY id";
    let before = site.rows(decided);

    let (server, taken) = receiver(|_| 204).await;
    let site = site.targets(json!({"notify": webhook(&server.uri())}));
    let running = site.start();
    // The queued delivery shows that the receiver is up.
    wait("the first", || !taken.lock().unwrap().is_empty());
    let said = journal(&site, &["retry", "--target", "notify"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("9999 dead letters"), "{said:?}");
    wait("all of them", || taken.lock().unwrap().len() >= LETTERS);
    site.wait_for_rows("SELECT count(*) FROM deliveries WHERE state = 'sent'", &["10000"]);
    running.stop();
    assert_eq!(site.rows(decided), before, "ids and bodies are as they were");
    let requests = server.received_requests().await.unwrap();
    let mut ids = BTreeSet::new();
    for request in &requests {
        let id = request.headers["webhook-id"].to_str().unwrap();
        let hex: String = request.body.iter().map(|byte| format!("{byte:02X}")).collect();
        assert!(before.binary_search(&format!("{id}{hex}")).is_ok(), "{id}");
        ids.insert(id.to_owned());
    }
    assert_eq!((ids.len(), requests.len()), (LETTERS, LETTERS), "each once");
}
