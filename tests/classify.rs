//! Tests of recorded streams against their reviewed verdicts.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Ran, SCENARIOS, akkeris, fixture, options, replay, rule};

/// Formats the verdicts for a reviewer to compare with the recorded incident.
fn review(ran: &Ran) -> String {
    let mut text = String::new();
    for verdict in &ran.output.verdicts {
        text.push_str(&format!(
            "{} {} {:?} {:?} {}/{} key={}{} {}\n  {}\n",
            verdict.time,
            verdict.code,
            verdict.severity,
            verdict.status,
            verdict.object.namespace,
            verdict.object.name,
            verdict.key,
            verdict.delta.map_or(String::new(), |delta| format!(" delta={delta}")),
            verdict.id,
            verdict.payload.get()
        ));
    }
    for failure in &ran.output.failures {
        text.push_str(&format!("{failure:?}\n"));
    }
    for gap in &ran.output.gaps {
        let file = gap.scope.rsplit('/').next().unwrap();
        text.push_str(&format!(
            "gap in {file}, {:?}, from {} to {}: {}\n",
            gap.kinds, gap.from, gap.to, gap.reason
        ));
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
    for scenario in SCENARIOS.iter().filter(|name| !name.starts_with("akkeris")) {
        let ran = replay(&[akkeris(true)], &fixture(scenario), options());
        assert_snapshot!(scenario.replace('/', "_"), review(&ran));
    }
}

#[test]
fn eventarbiter_on_every_scenario() {
    for scenario in SCENARIOS {
        let ran = replay(
            &[rule("eventarbiter", "eventarbiter", json!({}))],
            &fixture(scenario),
            options(),
        );
        assert_snapshot!(format!("eventarbiter_on_{}", scenario.replace('/', "_")), review(&ran));
    }
}

#[test]
fn the_storm_of_a_joining_node_is_quieted_by_repeat() {
    let scheduling = |settings: serde_json::Value| {
        let rules = [rule("eventarbiter", "eventarbiter", settings)];
        let ran = replay(&rules, &fixture("eventarbiter"), options());
        let verdicts = ran.output.verdicts.into_iter();
        verdicts.filter(|verdict| verdict.payload.get().contains("FailedScheduling")).count()
    };
    let (all, quiet) = (scheduling(json!({})), scheduling(json!({"repeat": "1h"})));
    assert!(all > 100 && quiet < 20, "{all} and {quiet}");
}

#[test]
fn both_event_apis_together_are_seen_once() {
    let rules = [rule("count", "hostile", json!({"behaviour": "nothing"}))];
    let once = replay(&rules, &fixture("eventarbiter"), options());
    let mut streams = fixture("eventarbiter");
    streams.extend(fixture("eventarbiter/alt"));
    let both = replay(&rules, &streams, options());
    let of_events = |ran: &Ran| {
        let verdicts = ran.output.verdicts.iter();
        verdicts.filter(|verdict| verdict.object.kind == "Event").count()
    };
    assert!(of_events(&once) > 150, "{}", of_events(&once));
    assert_eq!(of_events(&once), of_events(&both));
    assert!(both.summary.counts.repeated > once.summary.counts.repeated + 150);
}
