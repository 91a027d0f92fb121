//! Recorded streams and the verdicts that were reviewed for them.

use insta::assert_snapshot;

use crate::support::{Ran, akkeris, fixture, options, replay};

/// What a reviewer compares with what really happened.
fn review(ran: &Ran) -> String {
    let mut text = String::new();
    for verdict in &ran.step.verdicts {
        text.push_str(&format!(
            "{} {} {:?} {:?} {}/{} key={} {}\n  {}\n",
            verdict.time,
            verdict.code,
            verdict.severity,
            verdict.status,
            verdict.object.namespace,
            verdict.object.name,
            verdict.key,
            verdict.id,
            verdict.payload.get()
        ));
    }
    for failure in &ran.step.failures {
        text.push_str(&format!("{failure:?}\n"));
    }
    let counts = serde_json::to_string_pretty(&ran.summary.counts).unwrap();
    text.push_str(&counts);
    text
}

#[test]
fn akkeris_compatible() {
    let ran = replay(&[akkeris(false)], &fixture("akkeris"), options());
    assert_snapshot!(review(&ran));
}

#[test]
fn akkeris_extended() {
    let ran = replay(&[akkeris(true)], &fixture("akkeris"), options());
    assert_snapshot!(review(&ran));
}

#[test]
fn the_raw_watch_gives_the_verdicts_of_kubectl() {
    let from_kubectl = replay(&[akkeris(true)], &fixture("akkeris"), options());
    let from_wire = replay(&[akkeris(true)], &fixture("akkeris/wire"), options());
    assert_eq!(from_kubectl.codes(), from_wire.codes());
    assert_snapshot!(review(&from_wire));
}

#[test]
fn scenarios_without_akkeris_apps_say_nothing() {
    for scenario in ["deployments", "eventarbiter", "jobs", "node-notready", "pki"] {
        let ran = replay(&[akkeris(true)], &fixture(scenario), options());
        assert_snapshot!(scenario, review(&ran));
    }
}

#[test]
fn both_event_apis_together_are_seen_once() {
    let mut streams = fixture("eventarbiter");
    let once = replay(&[akkeris(false)], &streams, options());
    streams.extend(fixture("eventarbiter/alt"));
    let both = replay(&[akkeris(false)], &streams, options());
    // No rule here asks for Kubernetes Events, so they are passed over before they are decoded.
    assert!(both.summary.counts.ignored > once.summary.counts.ignored);
    assert_eq!(once.codes(), both.codes());
}
