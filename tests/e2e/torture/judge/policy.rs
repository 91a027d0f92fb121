//! Judges the promises of the policy: pairs, repeats, throttles with their digests, and inhibition.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::Evidence;
use crate::torture::ledger::Entry;
use crate::torture::record::{Record, Verdict};

pub(super) struct Judged {
    pub(super) faults: Vec<String>,
    /// Verdicts in digests.
    pub(super) throttled: u64,
    /// Firings that were released after their inhibitor was resolved.
    pub(super) inhibited: usize,
}

/// The payload of a digest.
#[derive(Deserialize)]
struct Digest {
    suppressed: u64,
    codes: BTreeMap<String, u64>,
}

pub(super) fn judge(run: &Evidence<'_>) -> Judged {
    let mut faults = pairs(&run.record);
    faults.extend(repeats(&run.record));
    faults.extend(sums(&run.record));
    let (waited, early) = inhibition(run);
    faults.extend(early);
    let throttled = digests(&run.record).iter().map(|digest| digest.suppressed).sum();
    if throttled == 0 {
        faults.push("nothing was throttled, so digests were not tested".to_owned());
    }
    Judged { faults, throttled, inhibited: waited }
}

/// Returns the verdicts of each incident of a rule, in the order in which they came.
fn incidents<'a>(
    record: &'a Record<'_>,
    rule: &str,
) -> BTreeMap<(&'a str, &'a str), Vec<&'a Verdict>> {
    let mut incidents: BTreeMap<_, Vec<&Verdict>> = BTreeMap::new();
    for heard in record.of_rule(rule) {
        let verdict = &heard.verdict;
        incidents.entry((verdict.code.as_str(), verdict.key.as_str())).or_default().push(verdict);
    }
    incidents
}

/// Judges that with `pair` a `resolved` comes only after a firing, and a second firing only with another severity.
fn pairs(record: &Record<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for ((code, key), verdicts) in incidents(record, "paired") {
        let mut open: Option<&str> = None;
        for verdict in verdicts {
            match (open, verdict.is_firing()) {
                (None, false) => {
                    faults.push(format!(
                        "paired: {code} {key} was resolved, and nobody heard it fire"
                    ));
                }
                (Some(severity), true) if severity == verdict.severity => {
                    faults
                        .push(format!("paired: {code} {key} fired twice with severity {severity}"));
                }
                _ => {}
            }
            open = verdict.is_firing().then_some(verdict.severity.as_str());
        }
    }
    faults
}

/// Judges that within `repeat`, which is longer than a run, an incident fires once with each severity in a row.
fn repeats(record: &Record<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for ((code, key), verdicts) in incidents(record, "guarded") {
        for pair in verdicts.windows(2) {
            let [before, now] = pair else { continue };
            if before.is_firing() && now.is_firing() && before.severity == now.severity {
                faults.push(format!("guarded: {code} {key} fired again within the time of repeat"));
            }
        }
    }
    faults
}

fn digests(record: &Record<'_>) -> Vec<Digest> {
    let digests = record.of_rule("throttled").iter().filter(|one| one.verdict.code == "digest");
    digests.map(|one| one.verdict.payload()).collect()
}

/// Judges that deliveries and digests add up to the verdicts of the rule. Another rule of the same module, without
/// a policy, has the total.
pub(in crate::torture) fn sums(record: &Record<'_>) -> Vec<String> {
    let count = |rule: &str| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for heard in record.of_rule(rule).iter().filter(|one| one.verdict.code != "digest") {
            *counts.entry(heard.verdict.code.clone()).or_default() += 1;
        }
        counts
    };
    let (said, mut reported) = (count("alarm"), count("throttled"));
    let mut faults = Vec::new();
    for digest in digests(record) {
        let sum: u64 = digest.codes.values().sum();
        if sum != digest.suppressed {
            faults.push(format!("a digest reports {} of {:?}", digest.suppressed, digest.codes));
        }
        for (code, suppressed) in digest.codes {
            *reported.entry(code).or_default() += suppressed;
        }
    }
    if said != reported {
        faults.push(format!("throttled: {reported:?} were delivered or in a digest, of {said:?}"));
    }
    faults
}

/// Judges that while a guard fires, no other incident begins to fire in its namespace. Returns the number of
/// firings that were delivered at the moment in which a guard was resolved, and all violations.
fn inhibition(run: &Evidence<'_>) -> (usize, Vec<String>) {
    let mut faults = Vec::new();
    let (mut waited, mut guards) = (0, HashMap::<&str, bool>::new());
    let mut firing: HashMap<&str, bool> = HashMap::new();
    let mut just_resolved = false;
    for entry in run.ledger.deliveries.values().filter(|entry| entry.target == "guarded") {
        let Entry { key, said, .. } = entry;
        let Some(alarm) = &said.alarm else { continue };
        let is_firing = said.status == "firing";
        if said.code == "GUARD" {
            guards.insert(&alarm.namespace, is_firing && !run.is_blind(entry.made_at));
            just_resolved = !is_firing;
            continue;
        }
        let was_firing = firing.insert(key, is_firing).unwrap_or_default();
        let begins = is_firing && !was_firing;
        let is_held = guards.get(alarm.namespace.as_str()).copied().unwrap_or_default();
        if begins && is_held && !run.is_blind(entry.made_at) {
            faults.push(format!("guarded: {key} fired while a guard fired: {}", entry.id));
        }
        waited += usize::from(begins && just_resolved);
        just_resolved &= begins;
    }
    (waited, faults)
}
