//! Tests of the errors of invalid targets.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::file::TargetFile;
use super::{Login, Origin, Target, TargetKind};
use crate::validate::Check;
use klaxon_yaml::Found;

/// Validates a target from its written form, or returns the errors.
fn read(base: &Path, written: Value) -> Result<TargetKind, Found> {
    let file: TargetFile = serde_json::from_value(written).unwrap();
    let mut check = Check::new(base, Vec::new());
    let target = super::target(&mut check, "t", file, Origin::default());
    match target {
        Some(Target { kind, .. }) if check.found.is_empty() => Ok(kind),
        _ => Err(check.found),
    }
}

/// Returns the only error of a target: its pointer and its message.
#[track_caller]
fn fault(written: Value) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("no.creds"), "secret").unwrap();
    let found = read(folder.path(), written).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    let (at, text) = found.into_iter().next().unwrap();
    assert!(text.contains("hint: "), "{text}");
    assert!(!text.contains("secret"), "{text}");
    (at.replace("/targets/t/", ""), text)
}

#[test]
fn every_fault_has_its_location_and_hint() {
    let url = "nats://127.0.0.1:4222";
    let faults = [
        ("order", json!({"file": {"path": "a"}, "order": "none", "coalesce": true})),
        ("file/path", json!({"file": {"path": ".."}})),
        ("file/max_size", json!({"file": {"path": "a", "max_size": "0B"}})),
        ("file/keep", json!({"file": {"path": "a", "keep": 0}})),
        ("statsd/address", json!({"statsd": {"address": "localhost"}})),
        ("statsd/address", json!({"statsd": {"address": ":8125"}})),
        ("statsd/address", json!({"statsd": {"address": "::1:8125"}})),
        ("statsd/address", json!({"statsd": {"address": "a:0"}})),
        ("statsd/prefix", json!({"statsd": {"address": "a:1", "prefix": "a|b"}})),
        ("statsd/firing", json!({"statsd": {"address": "a:1", "firing": "{rule}:{code}"}})),
        ("statsd/firing", json!({"statsd": {"address": "a:1", "firing": "{pod}"}})),
        ("statsd/resolved", json!({"statsd": {"address": "a:1", "resolved": "{pod"}})),
        ("nats/url", json!({"nats": {"url": "nats://me:secret@a"}})),
        ("nats/url", json!({"nats": {"url": "nats://a,http://b"}})),
        ("nats/subject", json!({"nats": {"url": url, "subject": "a.{pod}"}})),
        ("nats/subject", json!({"nats": {"url": url, "subject": "a.*"}})),
        ("nats/timeout", json!({"nats": {"url": url, "timeout": "0s"}})),
        ("nats/credentials", json!({"nats": {"url": url, "credentials": "away.creds"}})),
        ("nats/credentials", json!({"nats": {"url": url, "credentials": "no.creds"}})),
        ("nats", json!({"nats": {"url": url, "user": "me"}})),
        ("nats", json!({"nats": {"url": url, "password": "secret"}})),
        (
            "nats",
            json!({"nats": {"url": url, "token": "secret", "user": "a", "password": "secret"}}),
        ),
    ];
    for (place, written) in faults {
        assert_eq!(fault(written.clone()).0, place, "{written}");
    }
}

#[test]
fn a_nats_target_prints_nothing_secret() {
    let written =
        json!({"nats": {"url": "nats://a, tls://b:1", "user": "me", "password": "secret"}});
    let target = read(std::path::Path::new("."), written).unwrap();
    let TargetKind::Nats(nats) = &target else { panic!("{target:?}") };
    assert_eq!(nats.servers, ["nats://a", "tls://b:1"]);
    assert!(matches!(&nats.login, Login::User(user, _) if user == "me"));
    assert!(!format!("{target:?}").contains("secret"));
}
