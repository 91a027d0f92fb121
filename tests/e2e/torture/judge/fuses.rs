//! Judges fuses: an uncut fuse burns down once, and one on a pod that was gone before a start does not burn down
//! after that start.

use std::collections::HashMap;

use super::Evidence;

pub(super) struct Judged {
    pub(super) faults: Vec<String>,
    pub(super) burnt: usize,
    pub(super) cut_in_time: usize,
}

pub(super) fn judge(run: &Evidence<'_>) -> Judged {
    let mut faults = Vec::new();
    let entries = run.ledger.deliveries.values().filter(|entry| entry.rule == "fuse");
    let made_at: HashMap<&str, i64> =
        entries.map(|entry| (entry.key.as_str(), entry.made_at)).collect();
    let mut reported: HashMap<&str, u32> = HashMap::new();
    for heard in run.record.of_rule("fuse") {
        *reported.entry(heard.verdict.key.as_str()).or_default() += 1;
    }
    for (uid, times) in reported.iter().filter(|(_, times)| **times > 1) {
        faults.push(format!("the fuse of {uid} burnt down {times} times"));
    }
    for uid in run.made.left_burning.iter().filter(|uid| !reported.contains_key(uid.as_str())) {
        faults.push(format!("the fuse of {uid} burnt down, and nobody said so"));
    }
    for cut in &run.deeds.cuts {
        let at = made_at.get(cut.uid.as_str()).copied();
        if let Some(at) = at.filter(|at| *at >= cut.since) {
            let (uid, since) = (&cut.uid, cut.since);
            faults.push(format!("pod {uid} was gone at {since}, and its fuse burnt down at {at}"));
        }
    }
    let in_time = run.deeds.cuts.iter().filter(|cut| !reported.contains_key(cut.uid.as_str()));
    let cut_in_time = in_time.count();
    if cut_in_time == 0 {
        faults.push("no fuse was cut while it burnt".to_owned());
    }
    Judged { faults, burnt: reported.len(), cut_in_time }
}
