//! Tests of NATS servers that announce others.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use klaxon_config::Target;
use klaxon_targets::{Attempt, Delivery};
use serde_json::json;

use crate::support::targets::{delivery, endpoint, target, verdict};

/// Starts a server that announces another one, and stops listening once it has a client.
fn fleeting(announced: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        greet(&stream, &announced);
    });
    address
}

/// Performs the server's part of the handshake with a client.
fn greet(mut stream: &TcpStream, announced: &str) {
    let info = json!({
        "server_id": "fake", "server_name": "fake", "version": "2.10.0", "go": "go1", "host": "127.0.0.1",
        "port": 4222, "headers": true, "max_payload": 1_048_576, "proto": 1, "client_id": 1,
        "connect_urls": [announced],
    });
    write!(stream, "INFO {info}\r\n").unwrap();
    for line in BufReader::new(stream).lines() {
        if line.unwrap().starts_with("PING") {
            stream.write_all(b"PONG\r\n").unwrap();
            return;
        }
    }
}

/// Starts a server that reports each connection.
fn listening() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, received) = sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let is_heard = stream.is_ok_and(|_| tell.send(()).is_ok());
            if !is_heard {
                return;
            }
        }
    });
    (address, received)
}

fn made(address: &str, discover: bool) -> (Target, Delivery) {
    let nats = json!({"url": format!("nats://{address}"), "discover": discover, "timeout": "8s",
        "user": "me", "password": "secret"});
    let target = target(Path::new("."), json!({ "nats": nats }));
    let delivery = delivery(1, &target, &verdict("R14"));
    (target, delivery)
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_servers_get_our_credentials_only_where_they_are_allowed() {
    for discover in [true, false] {
        let (announced, received) = listening();
        let (target, delivery) = made(&fleeting(announced), discover);
        let sender = endpoint(&target);
        // Returns once the connection attempt fails, after each server has been tried.
        let attempt = sender.send(&delivery).await;
        assert!(matches!(attempt, Attempt::Retry(_)), "{attempt:?}");
        let is_asked = received.recv_timeout(Duration::from_millis(10)).is_ok();
        assert_eq!(is_asked, discover);
    }
}
