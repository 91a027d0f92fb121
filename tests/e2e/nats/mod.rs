//! Tests of the target `nats` on a real server.

mod credentials;
mod server;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream;
use klaxon_config::Target;
use klaxon_targets::{Attempt, Delivery, Endpoint};
use rustix::process::Signal;
use serde_json::{Value, json};

use self::server::{Server, stored};
use crate::support::targets::{delivery, endpoint, refused, retried, target, verdict};

fn nats(server: &Server, more: Value) -> Target {
    let mut settings = more;
    settings["url"] = json!(server.url());
    target(Path::new("/"), json!({ "nats": settings }))
}

fn oom(number: u64, target: &Target) -> Delivery {
    delivery(number, target, &verdict("R14"))
}

#[tokio::test]
async fn a_verdict_is_stored_with_its_id_and_headers() {
    let server = Server::started("").await;
    let context = server.stream(stream::Config::default()).await;
    let target = nats(&server, json!({}));
    let sender = endpoint(&target);
    let mut event = verdict("BackOff");
    event.delta = Some(3);
    let sent = delivery(1, &target, &event);
    assert_eq!(sender.send(&sent).await, Attempt::Delivered);

    let stream = context.get_stream("klaxon").await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    assert_eq!(message.subject.as_str(), "klaxon.akkeris.BackOff");
    assert_eq!(message.payload, sent.body);
    let body: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(body["payload"]["action"], "crashed");
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(header("Nats-Msg-Id").as_deref(), Some(sent.id.as_str()));
    assert_eq!(header("content-type").as_deref(), Some("application/json"));
    assert_eq!(header("klaxon-delta").as_deref(), Some("3"));
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_stored_once() {
    let server = Server::started("").await;
    let context = server.stream(stream::Config::default()).await;
    let target = nats(&server, json!({}));
    let sender = endpoint(&target);
    for number in [1, 1, 2] {
        assert_eq!(sender.send(&oom(number, &target)).await, Attempt::Delivered);
    }
    // Also from another connection, as after a crash of the service.
    let again = endpoint(&target);
    assert_eq!(again.send(&oom(1, &target)).await, Attempt::Delivered);
    assert_eq!(stored(&context).await, 2);
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_server() {
    let mut server = Server::started("").await;
    server.stream(stream::Config::default()).await;
    let target = nats(&server, json!({"timeout": "3s"}));
    let sender = endpoint(&target);
    assert_eq!(sender.send(&oom(1, &target)).await, Attempt::Delivered);
    server.kill();
    let why = retried(sender.send(&oom(2, &target)).await);
    assert!(why.contains(&server.url()), "{why}");
    server.start().await;
    // The same sender reconnects to it.
    assert_eq!(until_delivered(&sender, &oom(2, &target)).await, Attempt::Delivered);
    let context = server.jetstream(async_nats::ConnectOptions::new()).await;
    assert_eq!(stored(&context).await, 2);
}

/// Sends until the delivery succeeds, like the dispatcher.
async fn until_delivered(sender: &Arc<Endpoint>, delivery: &Delivery) -> Attempt {
    let mut last = sender.send(delivery).await;
    for _ in 0..600 {
        if last == Attempt::Delivered {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = sender.send(delivery).await;
    }
    last
}

#[tokio::test]
async fn a_server_that_is_away_for_long_is_told_anew() {
    let mut server = Server::started("").await;
    server.stream(stream::Config::default()).await;
    let target = nats(&server, json!({"timeout": "1s"}));
    let sender = endpoint(&target);
    assert_eq!(sender.send(&oom(1, &target)).await, Attempt::Delivered);
    server.kill();
    // The client notices by itself.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut why = String::new();
    for _ in 0..20 {
        // The client reconnects for some seconds; then a new client reports the cause.
        why = retried(sender.send(&oom(2, &target)).await);
        if why.contains("refused") {
            break;
        }
    }
    assert!(why.contains("no connection to") && why.contains("refused"), "{why}");
    server.start().await;
    assert_eq!(sender.send(&oom(2, &target)).await, Attempt::Delivered);
    let context = server.jetstream(async_nats::ConnectOptions::new()).await;
    assert_eq!(stored(&context).await, 2);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_and_found_again() {
    let server = Server::started("").await;
    let context = server.stream(stream::Config::default()).await;
    let target = nats(&server, json!({"timeout": "500ms"}));
    let sender = endpoint(&target);
    assert_eq!(sender.send(&oom(1, &target)).await, Attempt::Delivered);
    server.signal(Signal::STOP);
    let why = retried(sender.send(&oom(2, &target)).await);
    assert!(why.contains("did not acknowledge klaxon.akkeris.R14 within 500ms"), "{why}");
    let why = retried(sender.send(&oom(2, &target)).await);
    assert!(why.contains("no connection to"), "{why}");
    server.signal(Signal::CONT);
    assert_eq!(until_delivered(&sender, &oom(2, &target)).await, Attempt::Delivered);
    assert_eq!(stored(&context).await, 2);
}

#[tokio::test]
async fn many_at_once_are_each_stored_once_while_the_server_dies() {
    let mut server = Server::started("").await;
    server.stream(stream::Config::default()).await;
    let target = nats(&server, json!({"timeout": "3s"}));
    let sender = endpoint(&target);
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (sender, delivery) = (sender.clone(), oom(number, &target));
        under_way.spawn(async move { until_delivered(&sender, &delivery).await });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.kill();
    server.start().await;
    while let Some(attempt) = under_way.join_next().await {
        assert_eq!(attempt.unwrap(), Attempt::Delivered);
    }
    let context = server.jetstream(async_nats::ConnectOptions::new()).await;
    assert_eq!(stored(&context).await, 200);
}

#[tokio::test]
async fn a_subject_that_no_stream_captures_waits_for_one() {
    let server = Server::started("").await;
    let target = nats(&server, json!({}));
    let sender = endpoint(&target);
    let why = retried(sender.send(&oom(1, &target)).await);
    assert!(
        why.starts_with("no stream captures subject klaxon.akkeris.R14; hint: `nats stream add`"),
        "{why}"
    );
    let context = server.stream(stream::Config::default()).await;
    assert_eq!(sender.send(&oom(1, &target)).await, Attempt::Delivered);
    assert_eq!(stored(&context).await, 1);
}

#[tokio::test]
async fn a_server_that_is_away_at_first_is_found_later() {
    let mut server = Server::new("");
    let target = nats(&server, json!({"timeout": "3s"}));
    let sender = endpoint(&target);
    let why = retried(sender.send(&oom(1, &target)).await);
    assert!(why.contains("no connection to nats://127.0.0.1"), "{why}");
    assert!(why.contains("refused"), "{why}");
    server.start().await;
    let context = server.stream(stream::Config::default()).await;
    assert_eq!(sender.send(&oom(1, &target)).await, Attempt::Delivered);
    assert_eq!(stored(&context).await, 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let target = target(Path::new("/"), json!({"nats": {"url": url, "timeout": "300ms"}}));
    let sender = endpoint(&target);
    let delivery = oom(1, &target);
    // Only ends a hang: the result shows that the target's own timeout elapsed.
    let attempt = tokio::time::timeout(Duration::from_secs(180), sender.send(&delivery));
    let why = retried(attempt.await.unwrap());
    assert!(why.contains("no connection to"), "{why}");
}

#[tokio::test]
async fn wrong_secrets_are_told_without_them() {
    let server = Server::started("authorization { users: [{user: me, password: right}] }").await;
    let wrong = nats(&server, json!({"user": "me", "password": "wr0ng"}));
    let why = retried(endpoint(&wrong).send(&oom(1, &wrong)).await);
    assert!(why.contains("does not let us in"), "{why}");
    assert!(why.contains("hint: check user and password"), "{why}");
    assert!(!why.contains("wr0ng"), "{why}");
    let nobody = nats(&server, json!({}));
    let why = retried(endpoint(&nobody).send(&oom(1, &nobody)).await);
    assert!(why.contains("does not let us in"), "{why}");

    let right = nats(&server, json!({"user": "me", "password": "right"}));
    let options = async_nats::ConnectOptions::new();
    let context = server.jetstream(options.user_and_password("me".into(), "right".into())).await;
    let config = stream::Config {
        name: "klaxon".into(),
        subjects: vec!["klaxon.>".into()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    assert_eq!(endpoint(&right).send(&oom(1, &right)).await, Attempt::Delivered);
}

#[tokio::test]
async fn a_token_lets_us_in() {
    let server = Server::started("authorization { token: right }").await;
    let right = nats(&server, json!({"token": "right"}));
    let why = retried(endpoint(&right).send(&oom(1, &right)).await);
    assert!(why.starts_with("no stream captures"), "{why}");
    let wrong = nats(&server, json!({"token": "wr0ng"}));
    let why = retried(endpoint(&wrong).send(&oom(1, &wrong)).await);
    assert!(why.contains("hint: check token"), "{why}");
}

#[tokio::test]
async fn a_missing_right_is_told_when_no_answer_comes() {
    let users = "authorization { users: [{user: me, password: p, permissions: {publish: [\"other.>\"], \
                 subscribe: [\"_INBOX.>\"]}}] }";
    let server = Server::started(users).await;
    let target = nats(&server, json!({"user": "me", "password": "p", "timeout": "500ms"}));
    let why = retried(endpoint(&target).send(&oom(1, &target)).await);
    assert!(why.contains("did not acknowledge klaxon.akkeris.R14 within 500ms"), "{why}");
    assert!(why.contains("Permissions Violation"), "{why}");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = Server::started("max_payload: 4096").await;
    let context =
        server.stream(stream::Config { max_message_size: 1024, ..Default::default() }).await;
    let target = nats(&server, json!({}));
    let sender = endpoint(&target);
    let mut delivery = oom(1, &target);
    delivery.body = vec![b'x'; 2000];
    let why = refused(sender.send(&delivery).await);
    assert!(why.contains("hint: raise the stream's maximum message size"), "{why}");
    delivery.body = vec![b'x'; 8000];
    let why = refused(sender.send(&delivery).await);
    assert!(why.contains("hint: raise max_payload of the server"), "{why}");
    delivery.address = Some("klaxon.".repeat(500));
    let why = refused(sender.send(&delivery).await);
    assert!(why.contains("the subject has 3500 bytes"), "{why}");
    assert_eq!(stored(&context).await, 0);
}

#[tokio::test]
async fn a_full_stream_is_waited_for() {
    let server = Server::started("").await;
    let context = server
        .stream(stream::Config {
            max_messages: 1,
            discard: stream::DiscardPolicy::New,
            ..Default::default()
        })
        .await;
    let target = nats(&server, json!({}));
    let sender = endpoint(&target);
    assert_eq!(sender.send(&oom(1, &target)).await, Attempt::Delivered);
    let why = retried(sender.send(&oom(2, &target)).await);
    assert!(why.contains("maximum messages exceeded"), "{why}");
    context.get_stream("klaxon").await.unwrap().purge().await.unwrap();
    assert_eq!(sender.send(&oom(2, &target)).await, Attempt::Delivered);
}
