//! Tests of the target `nats` over TLS, with certificates on both sides.

use std::fs;

use klaxon_targets::Attempt;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;

use super::server::Server;
use crate::support::targets::{delivery, endpoint, retried, target, verdict};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
fn certificate(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn both_sides_are_known_by_their_certificates() {
    let ours = authority("ours");
    let (server_pem, server_key) = certificate(&ours, "127.0.0.1");
    let (client_pem, client_key) = certificate(&ours, "klaxon");
    let mut server = Server::new("include tls.conf");
    let files = [
        ("ca.pem", ours.pem()),
        ("other.pem", authority("other").pem()),
        ("server.pem", server_pem),
        ("server.key", server_key),
        ("client.pem", client_pem),
        ("client.key", client_key),
    ];
    for (name, content) in &files {
        fs::write(server.file(name), content).unwrap();
    }
    let of = |name: &str| server.file(name).display().to_string();
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        of("server.pem"),
        of("server.key"),
        of("ca.pem")
    );
    fs::write(server.file("tls.conf"), tls).unwrap();
    server.start().await;

    let attempt = async |tls: serde_json::Value| {
        let folder = server.file("");
        let target = target(&folder, json!({"nats": {"url": server.url(), "tls": tls}}));
        let sender = endpoint(&target);
        sender.send(&delivery(1, &target, &verdict("R14"))).await
    };
    let known = json!({"ca": "ca.pem", "certificate": "client.pem", "key": "client.key"});
    // The connection succeeds; only the stream is missing.
    let why = retried(attempt(known).await);
    assert!(why.starts_with("no stream captures"), "{why}");

    let strange = json!({"ca": "other.pem", "certificate": "client.pem", "key": "client.key"});
    let why = retried(attempt(strange).await);
    assert!(why.contains("UnknownIssuer"), "{why}");
    let system = json!({});
    let why = retried(attempt(system).await);
    assert!(why.contains("UnknownIssuer"), "{why}");
    let unknown = json!({"ca": "ca.pem"});
    assert!(matches!(attempt(unknown).await, Attempt::Retry { .. }));
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_where_tls_is_asked_for() {
    let server = Server::started("").await;
    fs::write(server.file("ca.pem"), authority("other").pem()).unwrap();
    let tls = json!({"ca": "ca.pem"});
    let target = target(&server.file(""), json!({"nats": {"url": server.url(), "tls": tls}}));
    let sender = endpoint(&target);
    let why = retried(sender.send(&delivery(1, &target, &verdict("R14"))).await);
    assert!(why.contains("no connection to"), "{why}");
}
