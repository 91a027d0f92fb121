//! Tests of the target `statsd`: datagrams on real sockets.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use klaxon_config::Target;
use klaxon_model::Status;
use klaxon_targets::Attempt;
use serde_json::{Value, json};

use crate::support::targets::{bytes, delivery, endpoint, refused, retried, target, verdict};

fn statsd(address: &str, more: Value) -> Target {
    let mut settings = more;
    settings["address"] = json!(address);
    target(Path::new("."), json!({ "statsd": settings }))
}

fn server(at: &str) -> (UdpSocket, String) {
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

fn receive(socket: &UdpSocket) -> String {
    let mut datagram = [0; 1024];
    let length = socket.recv(&mut datagram).unwrap();
    String::from_utf8(datagram[..length].to_vec()).unwrap()
}

#[tokio::test]
async fn a_firing_verdict_is_a_counter() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let (socket, address) = server(at);
        let target = statsd(&address, json!({}));
        let sender = endpoint(&target);
        for code in ["R14", "H10"] {
            let delivery = delivery(1, &target, &verdict(code));
            assert_eq!(sender.send(&delivery).await, Attempt::Delivered);
        }
        assert_eq!(receive(&socket), "klaxon.akkeris.R14:1|c");
        assert_eq!(receive(&socket), "klaxon.akkeris.H10:1|c");
    }
}

#[tokio::test]
async fn each_address_of_a_name_has_its_turn() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let (socket, address) = server(at);
        let port = address.rsplit_once(':').unwrap().1;
        let target = statsd(&format!("localhost:{port}"), json!({}));
        let addresses = tokio::net::lookup_host(format!("localhost:{port}")).await.unwrap();
        if !addresses.into_iter().any(|one| one.to_string() == address) {
            continue;
        }
        let sender = endpoint(&target);
        let counter = delivery(1, &target, &verdict("R14"));
        if sender.send(&counter).await != Attempt::Delivered {
            assert_eq!(sender.send(&counter).await, Attempt::Delivered);
        }
        assert_eq!(receive(&socket), "klaxon.akkeris.R14:1|c");
    }
}

#[test]
fn a_counter_grows_by_as_much_as_the_event_did() {
    let target = statsd("127.0.0.1:8125", json!({"prefix": ""}));
    let mut verdict = verdict("BackOff");
    verdict.delta = Some(3);
    assert_eq!(delivery(1, &target, &verdict).body, b"akkeris.BackOff:3|c");
}

#[test]
fn names_keep_their_dots_and_lose_what_statsd_reads() {
    let target = statsd("127.0.0.1:8125", json!({}));
    let mut odd = verdict("a:b|c@d\ne f.g");
    odd.rule = "r|x".into();
    assert_eq!(delivery(1, &target, &odd).body, b"klaxon.r_x.a_b_c_d_e_f.g:1|c");
}

#[tokio::test]
async fn a_resolved_verdict_counts_only_where_it_has_a_name() {
    let mut resolved = verdict("R14");
    resolved.status = Status::Resolved;
    // Nothing listens there, so nothing may be sent.
    let silent = statsd("127.0.0.1:9", json!({}));
    let nothing = delivery(1, &silent, &resolved);
    assert!(nothing.body.is_empty());
    assert_eq!(endpoint(&silent).send(&nothing).await, Attempt::Delivered);
    // The metrics that kubernary sent for its checks.
    let names = json!({"prefix": "kubernary.", "firing": "{rule}.download.failed", "resolved": "{rule}.download.succeeded"});
    let kubernary = statsd("127.0.0.1:8125", names);
    resolved.rule = "s3".into();
    assert_eq!(delivery(1, &kubernary, &resolved).body, b"kubernary.s3.download.succeeded:1|c");
    resolved.status = Status::Firing;
    assert_eq!(delivery(1, &kubernary, &resolved).body, b"kubernary.s3.download.failed:1|c");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_and_found_again() {
    let (socket, address) = server("127.0.0.1:0");
    drop(socket);
    let target = statsd(&address, json!({}));
    let sender = endpoint(&target);
    let counter = delivery(1, &target, &verdict("R14"));
    let why = retried(sender.send(&counter).await);
    assert!(why.starts_with(&address) && why.contains("hint: start the statsd server"), "{why}");
    assert_eq!(sender.retry_for(), Duration::from_secs(10));
    let socket = UdpSocket::bind(&address).unwrap();
    assert_eq!(sender.send(&counter).await, Attempt::Delivered);
    assert_eq!(receive(&socket), "klaxon.akkeris.R14:1|c");
}

#[tokio::test]
async fn what_fits_into_no_datagram_is_refused() {
    let (_socket, address) = server("127.0.0.1:0");
    let sender = endpoint(&statsd(&address, json!({})));
    let why = refused(sender.send(&bytes(1, &[b'x'; 70_000])).await);
    assert!(why.contains("70000 bytes do not fit"), "{why}");
}

#[tokio::test]
async fn a_name_without_address_is_retried() {
    let sender = endpoint(&statsd("nowhere.invalid:8125", json!({})));
    let why = retried(sender.send(&bytes(1, b"a:1|c")).await);
    assert!(why.starts_with("nowhere.invalid:8125"), "{why}");
}
