//! Judges the belief of each receiver: the last verdict of each key must match the cluster's final state.

use std::collections::{BTreeMap, HashMap};

use crate::observation::Final;
use crate::torture::record::{Alarm, Record};

/// The rules that fire exactly while a pod has the label.
const EXACT: [&str; 3] = ["alarm", "paired", "guarded"];

/// Compares each receiver's belief with the final state of the cluster.
pub(in crate::torture) fn faults(
    record: &Record<'_>,
    last: &HashMap<String, Final>,
) -> Vec<String> {
    let mut faults = existence(record, last);
    let alarms = alarms(last);
    for rule in EXACT {
        let heard = record.last(rule, "ALARM");
        for (uid, known) in &alarms {
            match heard.get(uid) {
                None => faults.push(format!("{rule} never said that {uid} fires, which does")),
                Some(last) if !last.is_firing() => {
                    faults.push(format!("{rule} said last that {uid} is resolved, and it fires"));
                }
                Some(last) if last.severity != known.severity => faults.push(format!(
                    "{rule} said last that {uid} is {}, and it is {}",
                    last.severity, known.severity
                )),
                Some(_) => {}
            }
        }
        faults.extend(false_alarms(record, rule, &alarms));
    }
    for rule in ["alarm", "guest"] {
        faults.extend(old_alarms(record, rule, &alarms));
    }
    // A throttled firing may never have been received, but a received one is resolved.
    faults.extend(false_alarms(record, "throttled", &alarms));
    faults
}

/// An object with the label.
struct Alarmed<'a> {
    severity: &'a str,
    version: &'a str,
}

/// Returns the objects whose rules fire, by uid.
fn alarms(last: &HashMap<String, Final>) -> BTreeMap<&str, Alarmed<'_>> {
    let with_label = last.values().filter_map(|known| {
        let level = known.labels["alarm"].as_str()?;
        let severity = if level == "critical" { "critical" } else { "error" };
        Some((known.uid.as_str(), Alarmed { severity, version: &known.version }))
    });
    with_label.collect()
}

/// Judges that the witness fires for what exists, and resolves what has ended.
fn existence(record: &Record<'_>, last: &HashMap<String, Final>) -> Vec<String> {
    let mut faults = Vec::new();
    let heard = record.last("witness", "SAW");
    let alive: HashMap<&str, &String> =
        last.iter().map(|(name, known)| (known.uid.as_str(), name)).collect();
    for (uid, name) in &alive {
        match heard.get(uid) {
            None => faults.push(format!("the witness never said that {name} exists")),
            Some(last) if !last.is_firing() => {
                faults.push(format!("the witness said last that {name} has ended, and it exists"));
            }
            Some(_) => {}
        }
    }
    for (uid, verdict) in heard {
        // The witness does not report the end of a Kubernetes Event.
        let sight: crate::observation::Sight = verdict.payload();
        if verdict.is_firing() && sight.kind != "Event" && !alive.contains_key(uid) {
            faults.push(format!("the witness never said that {} {uid} has ended", sight.kind));
        }
    }
    faults
}

fn false_alarms(
    record: &Record<'_>,
    rule: &str,
    alarms: &BTreeMap<&str, Alarmed<'_>>,
) -> Vec<String> {
    let heard = record.last(rule, "ALARM").into_iter();
    let wrong = heard.filter(|(uid, last)| last.is_firing() && !alarms.contains_key(uid));
    wrong.map(|(uid, _)| format!("{rule} said last that {uid} fires, and it does not")).collect()
}

/// Judges that the last firing of each firing object is of its final state.
fn old_alarms(
    record: &Record<'_>,
    rule: &str,
    alarms: &BTreeMap<&str, Alarmed<'_>>,
) -> Vec<String> {
    let heard = record.last(rule, "ALARM");
    let mut faults = Vec::new();
    for (uid, known) in alarms {
        let last = heard.get(uid).filter(|last| last.is_firing());
        let version = last.map(|last| last.payload::<Alarm>().version);
        if version.as_deref() != Some(known.version) {
            let said = version.unwrap_or_else(|| "nothing".to_owned());
            faults.push(format!(
                "{rule} said last {said} of {uid}, which fires as {}",
                known.version
            ));
        }
    }
    faults
}
