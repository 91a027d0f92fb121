//! Tests of the target `nats` with a credentials file, on a server that identifies users by tokens that an account
//! signed.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use klaxon_targets::Attempt;
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::server::Server;
use crate::support::targets::{delivery, endpoint, retried, target, verdict};

/// Makes a JWT like those of `nsc`: the claims of one key, signed by the issuer's.
fn token(issuer: &KeyPair, about: &KeyPair, name: &str, what: &Value) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = part(json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": about.public_key(),
        "name": name, "nats": what,
    }));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn account(operator: &KeyPair, account: &KeyPair, name: &str) -> String {
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let mut limits = limits;
    if name != "system" {
        for key in ["mem_storage", "disk_storage", "streams", "consumer"] {
            limits[key] = json!(-1);
        }
    }
    let what = json!({"type": "account", "version": 2, "limits": limits});
    token(operator, account, name, &what)
}

fn credentials(account: &KeyPair) -> String {
    let user = KeyPair::new_user();
    let what = json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1});
    let token = token(account, &user, "klaxon", &what);
    let seed = user.seed().unwrap();
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test]
async fn a_credentials_file_lets_us_in() {
    let (operator, system, ours) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let operator_token =
        token(&operator, &operator, "operator", &json!({"type": "operator", "version": 2}));
    let config = format!(
        "operator: {operator_token}\nsystem_account: {}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {}, {}: {} }}",
        system.public_key(),
        system.public_key(),
        account(&operator, &system, "system"),
        ours.public_key(),
        account(&operator, &ours, "ours"),
    );
    let server = Server::started(&config).await;
    let right = credentials(&ours);
    fs::write(server.file("right.creds"), &right).unwrap();
    fs::write(server.file("wrong.creds"), credentials(&KeyPair::new_account())).unwrap();
    let attempt = async |name: &str| {
        let settings = json!({"url": server.url(), "credentials": name});
        let target = target(&server.file(""), json!({ "nats": settings }));
        let sender = endpoint(&target);
        sender.send(&delivery(1, &target, &verdict("R14"))).await
    };
    let why = retried(attempt("wrong.creds").await);
    assert!(why.contains("hint: check credentials of the target"), "{why}");

    let options = async_nats::ConnectOptions::with_credentials(&right).unwrap();
    let context = server.jetstream(options).await;
    let config = async_nats::jetstream::stream::Config {
        name: "klaxon".to_owned(),
        subjects: vec!["klaxon.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    assert_eq!(attempt("right.creds").await, Attempt::Delivered);
}
