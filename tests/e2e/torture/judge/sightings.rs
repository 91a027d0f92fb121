//! Judges that rules of one module report the same for each event, independent of route and receiver: each
//! receiver's record predicts the others'. This needs no row of the journal that may have been removed.

use std::collections::{BTreeMap, HashSet};

use super::Evidence;
use crate::torture::ledger::State;
use crate::torture::record::{Alarm, Record};
use crate::torture::setup::{GIVEN_UP, VOID};

/// A state of a pod, with the code that was reported for it.
type Sighting = (String, Alarm);

pub(super) fn faults(run: &Evidence<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let all = received(&run.record, "alarm", &mut faults);
    let read = all_but_unread(run, &all);
    let moved = received(&run.record, "mover", &mut faults);
    differ("mover", (&all, &all), &moved, "was not received at either of its targets", &mut faults);
    let mut given_up = received(&run.record, GIVEN_UP, &mut faults);
    given_up.extend(unsent(run, GIVEN_UP));
    differ(
        GIVEN_UP,
        (&read, &all),
        &given_up,
        "is neither received nor a dead letter",
        &mut faults,
    );
    let void = unsent(run, VOID);
    differ(VOID, (&read, &all), &void, "neither waits nor is a dead letter", &mut faults);
    faults.extend(events_once(run));
    faults
}

/// Returns the sightings of a rule that were received, each once.
fn received(record: &Record<'_>, rule: &str, faults: &mut Vec<String>) -> HashSet<Sighting> {
    let mut received = HashSet::new();
    for heard in record.of_rule(rule) {
        let Some(alarm) = heard.verdict.alarm() else { continue };
        let sighting = (heard.verdict.code.clone(), alarm);
        if !received.insert(sighting.clone()) {
            faults.push(format!("two ids for one event: {rule} {}", shown(&sighting)));
        }
    }
    received
}

/// Returns the deliveries of a rule that are in the ledger and were not sent.
fn unsent(run: &Evidence<'_>, rule: &str) -> HashSet<Sighting> {
    let of_rule = run.ledger.deliveries.values().filter(|entry| entry.rule == rule);
    let unsent = of_rule.filter(|entry| matches!(entry.state, State::Pending | State::Dead(_)));
    unsent.filter_map(|entry| Some((entry.said.code.clone(), entry.said.alarm.clone()?))).collect()
}

/// Returns the sightings that were decided while the ledger read everything. For others, a dead letter may have
/// gone unread.
fn all_but_unread(run: &Evidence<'_>, all: &HashSet<Sighting>) -> HashSet<Sighting> {
    let of_rule = run.ledger.deliveries.values().filter(|entry| entry.rule == "alarm");
    let read = of_rule.filter(|entry| !run.is_blind(entry.made_at));
    let read = read.filter_map(|one| Some((one.said.code.clone(), one.said.alarm.clone()?)));
    read.filter(|one| all.contains(one)).collect()
}

/// Compares the sightings of a rule with the required and the permitted ones.
fn differ(
    rule: &str,
    (must, may): (&HashSet<Sighting>, &HashSet<Sighting>),
    found: &HashSet<Sighting>,
    why: &str,
    faults: &mut Vec<String>,
) {
    let missing = must.difference(found);
    faults.extend(missing.map(|one| format!("{rule}: {} {why}", shown(one))));
    let strange = found.difference(may);
    faults.extend(strange.map(|one| format!("{rule}: {} was not said by alarm", shown(one))));
}

fn shown((code, alarm): &Sighting) -> String {
    let Alarm { change, namespace, name, uid, version } = alarm;
    format!("{code} {namespace}/{name} {uid} {version} {change}")
}

/// Judges that rules that name the event in their payload name each once.
fn events_once(run: &Evidence<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for rule in ["counter", "slow", "fuse"] {
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for heard in run.record.of_rule(rule) {
            let payload: serde_json::Value = heard.verdict.payload();
            *times.entry(payload["event"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let twice = times.into_iter().filter(|(_, times)| *times > 1);
        faults.extend(twice.map(|(event, _)| format!("two ids for one event: {rule} {event}")));
    }
    faults
}
