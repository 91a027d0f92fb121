//! What was promised, against the cluster, the journal and the receiver.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use super::generator::Made;
use super::{Deeds, Plan};
use crate::account::{self, Final, Tally};
use crate::receiver::{Receipt, Taken};
use crate::support::live::Site;

/// The figures of a run.
pub(super) struct Report(Vec<(&'static str, String)>);

/// What a rule that counts says of an event.
#[derive(Deserialize)]
struct Counted {
    lane: String,
    n: u64,
    event: String,
    previous: String,
}

pub(super) fn judge(
    site: &Site,
    plan: Plan,
    deeds: &Deeds,
    made: &Made,
    last: &HashMap<String, Final>,
    taken: &Taken,
) -> Report {
    let tally = account::judge(site, &made.confirmed, last);
    nothing_went_wrong(site);
    let deliveries = judge_deliveries(site, taken);
    judge_ids(taken);
    let pods = tally.sights.iter().filter(|sight| sight.kind == "Pod").count();
    let lanes = judge_lanes(taken, "counter", pods);
    judge_lanes(taken, "slow", pods);
    let (burnt, cut_in_time) = judge_fuses(site, deeds, made);
    report(plan, deeds, taken, &tally, [deliveries, lanes, burnt, cut_in_time])
}

/// No event was set aside, and none was given up on.
fn nothing_went_wrong(site: &Site) {
    let aside = site.rows("SELECT rule, reason FROM quarantine");
    assert_eq!(aside, [""; 0], "events that were set aside");
    let refused = site.rows("SELECT verdict, target FROM refusals");
    assert_eq!(refused, [""; 0], "targets that were refused");
    let unsent = "SELECT v.id FROM verdicts v WHERE NOT EXISTS \
                  (SELECT 1 FROM deliveries d WHERE d.verdict = v.n AND d.state = 'sent')";
    assert_eq!(site.rows(unsent), [""; 0], "verdicts that were not delivered");
}

/// The receiver has what is in the journal, all of it and nothing else, in order by rule and key.
/// Returns how many there are.
fn judge_deliveries(site: &Site, taken: &Taken) -> usize {
    assert_eq!(taken.differing, [""; 0], "the same id with another body");
    let journal = site.journal();
    let select = "SELECT d.id, d.target, v.rule || ' ' || d.key, d.body FROM deliveries d \
                  JOIN verdicts v ON v.n = d.verdict ORDER BY d.n";
    let mut statement = journal.prepare(select).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut places: HashMap<String, u64> = HashMap::new();
    let mut ids = HashSet::new();
    while let Some(row) = rows.next().unwrap() {
        let id: String = row.get(0).unwrap();
        let target: String = row.get(1).unwrap();
        let receipt = taken.receipts.get(&id);
        let receipt = receipt.unwrap_or_else(|| panic!("{id} was sent and never received"));
        assert_eq!(receipt.path, target, "{id} went elsewhere");
        let body: Vec<u8> = row.get(3).unwrap();
        assert_eq!(receipt.body, body, "{id} came with another body than the journal's");
        let key = row.get(2).unwrap();
        if let Some(before) = places.insert(key, receipt.first) {
            assert!(before < receipt.first, "{id} came before what was decided before it");
        }
        ids.insert(id);
    }
    let strange: Vec<&String> = taken.receipts.keys().filter(|id| !ids.contains(*id)).collect();
    assert!(strange.is_empty(), "received and not in the journal: {strange:?}");
    ids.len()
}

/// One event, one id.
fn judge_ids(taken: &Taken) {
    let mut decided = HashSet::new();
    for receipt in taken.receipts.values() {
        let body: serde_json::Value = serde_json::from_slice(&receipt.body).unwrap();
        let event = match receipt.path.as_str() {
            "witness" => format!("{} {} {}", body["uid"], body["version"], body["change"]),
            _ => body["event"].as_str().unwrap().to_owned(),
        };
        let event = format!("{} {event}", receipt.path);
        assert!(decided.insert(event.clone()), "two ids for one event: {event}");
    }
}

/// The numbers of each lane are one row, in which each knows the one before: a verdict and the state that
/// it left were committed together, each time. Returns how many lanes there are.
fn judge_lanes(taken: &Taken, rule: &str, events: usize) -> usize {
    let counted = |receipt: &&Receipt| serde_json::from_slice::<Counted>(&receipt.body).unwrap();
    let mut lanes: BTreeMap<String, Vec<Counted>> = BTreeMap::new();
    for one in taken.at(rule).iter().map(counted) {
        lanes.entry(one.lane.clone()).or_default().push(one);
    }
    let all: usize = lanes.values().map(Vec::len).sum();
    assert_eq!(all, events, "{rule} counted what the witness saw");
    for (lane, row) in &lanes {
        let mut previous = "";
        for (n, one) in (1..).zip(row) {
            assert_eq!((one.n, one.previous.as_str()), (n, previous), "{rule}, {lane}");
            previous = &one.event;
        }
    }
    lanes.len()
}

/// A fuse that nobody cut is told once; of one whose pod was gone before a start nothing is said after
/// it. Returns how many were told, and how many were cut in time.
fn judge_fuses(site: &Site, deeds: &Deeds, made: &Made) -> (usize, usize) {
    let select = "SELECT json_extract(v.body, '$.key'), d.made_at FROM verdicts v \
                  JOIN deliveries d ON d.verdict = v.n WHERE v.rule = 'fuse'";
    let mut told: HashMap<String, i64> = HashMap::new();
    for row in site.rows(select) {
        let (uid, at) = row.split_once(' ').unwrap();
        let before = told.insert(uid.to_owned(), at.parse().unwrap());
        assert_eq!(before, None, "the fuse of {uid} was told twice");
    }
    for uid in &made.left_burning {
        assert!(told.contains_key(uid), "the fuse of {uid} burnt down, and nobody said so");
    }
    for cut in &deeds.cuts {
        let at = told.get(&cut.uid);
        assert!(
            at.is_none_or(|at| *at < cut.since),
            "pod {} was gone at {}, and its fuse was told at {at:?}",
            cut.uid,
            cut.since
        );
    }
    let in_time = deeds.cuts.iter().filter(|cut| !told.contains_key(&cut.uid)).count();
    assert!(in_time > 0, "no fuse was cut while it burnt");
    (told.len(), in_time)
}

fn report(
    plan: Plan,
    deeds: &Deeds,
    taken: &Taken,
    tally: &Tally,
    [deliveries, lanes, burnt, cut_in_time]: [usize; 4],
) -> Report {
    let gaps = format!("{} states of pods, within {} gaps", tally.within_gaps, tally.gaps);
    Report(vec![
        ("seed", plan.seed.to_string()),
        ("kills of the service / of the API server", {
            format!("{} / {}", deeds.kills, deeds.server_kills)
        }),
        ("confirmed changes of pods / of Kubernetes Events", {
            format!("{} / {}", tally.pods, tally.events)
        }),
        ("events seen", tally.sights.len().to_string()),
        ("lost outside of gaps", "0".to_owned()),
        ("passed over", gaps),
        ("deliveries decided, sent and received", deliveries.to_string()),
        ("requests that the receiver failed", taken.failed.to_string()),
        ("requests that came again, with the same id and body", taken.duplicates().to_string()),
        ("ids with two bodies, events with two ids", "0".to_owned()),
        ("rows of numbers without a break", format!("2 × {lanes}")),
        ("wakes that came / that went with their pods in a downtime", {
            format!("{burnt} / {cut_in_time}")
        }),
        ("duration", format!("{} s", deeds.seconds)),
    ])
}

impl Report {
    pub(super) fn print(&self) {
        println!("\n| | |\n|---|---|");
        for (what, figure) in &self.0 {
            println!("| {what} | {figure} |");
        }
    }
}
