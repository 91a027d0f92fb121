//! Judges every promise against the cluster, the receivers' record and the ledger of the journal. Each oracle has
//! its own file. All violations are collected, so that one does not hide another.

pub(super) mod belief;
mod deliveries;
mod fuses;
mod lanes;
pub(super) mod policy;
mod sightings;

use std::collections::HashMap;

use super::Deeds;
use super::generator::Made;
use super::ledger::Ledger;
use super::plan::Plan;
use super::record::Record;
use crate::observation::{Comparison, Final, Gap, Sight};
use crate::receiver::Taken;

/// Violations of an oracle that are shown.
const SHOWN: usize = 10;

/// Everything that a run leaves behind.
pub(super) struct Evidence<'a> {
    pub(super) plan: Plan,
    pub(super) deeds: &'a Deeds,
    pub(super) made: &'a Made,
    pub(super) last: &'a HashMap<String, Final>,
    pub(super) taken: &'a Taken,
    pub(super) record: Record<'a>,
    pub(super) ledger: Ledger,
}

/// The figures of a run, in the order of the table.
pub(super) struct Report(Vec<(&'static str, String)>);

impl Evidence<'_> {
    /// Returns `true` for a moment at which rows of the journal may have gone unread, because the journal was full
    /// or the ledger could not read in time.
    pub(super) fn is_blind(&self, at: i64) -> bool {
        let was_full = self.deeds.full.iter().any(|(from, to)| (*from..=*to).contains(&at));
        was_full || self.ledger.is_unread(at)
    }
}

/// Judges a run: panics with all violations, or returns the figures.
pub(super) fn judge(run: &Evidence<'_>) -> Report {
    let sights: Vec<Sight> = run.record.payloads("witness");
    let of_widgets = |sight: &Sight| sight.kind == "Widget";
    let (_, sights): (Vec<_>, Vec<_>) = sights.into_iter().partition(of_widgets);
    let gaps: Vec<Gap> = run.ledger.gaps.iter().cloned().collect();
    let last = run.last.iter().filter(|(name, _)| !name.starts_with("Widget/"));
    let last: HashMap<String, Final> =
        last.map(|(name, known)| (name.clone(), known.clone())).collect();
    let confirmed = &run.made.confirmed;
    let (tally, lost) = Comparison { confirmed, last: &last, sights: &sights, gaps: &gaps }.judge();
    let pods = sights.iter().filter(|sight| sight.kind == "Pod").count();
    let deliveries = deliveries::judge(run);
    let lanes = lanes::judge(&run.record, pods);
    let fuses = fuses::judge(run);
    let policy = policy::judge(run);
    let faults = [
        nothing_went_wrong(run),
        lost,
        deliveries.faults,
        sightings::faults(run),
        lanes.faults,
        fuses.faults,
        policy.faults,
        belief::faults(&run.record, run.last),
    ];
    convict(faults);
    let deeds = run.deeds;
    Report(vec![
        ("seed", run.plan.seed.to_string()),
        ("kills of the service / of API servers while it was down / while it ran", {
            format!("{} / {} / {}", deeds.kills, deeds.servers_unseen, deeds.servers_seen)
        }),
        ("confirmed changes of pods / of Kubernetes Events", {
            format!("{} / {}", tally.pods, tally.events)
        }),
        ("Kubernetes Events / namespaces deleted", {
            format!("{} / {}", run.made.ended_events, run.made.ended_namespaces)
        }),
        ("compactions of etcd in a downtime / times a kind was not served", {
            format!("{} / {}", deeds.compactions, deeds.unserved)
        }),
        ("starts with another configuration / times the journal was full", {
            format!("{} / {}", deeds.reconfigured, deeds.full.len())
        }),
        ("events seen", sights.len().to_string()),
        ("lost outside of gaps", "0".to_owned()),
        ("passed over within gaps: states of pods / of Kubernetes Events", {
            let [pods, events] = [tally.pods_within_gaps, tally.events_within_gaps];
            format!("{pods} / {events}, within {} gaps", gaps.len())
        }),
        ("deliveries received", run.taken.receipts.len().to_string()),
        ("dead letters: of a receiver that fails some / of one that takes nothing", {
            format!("{} / {}", deliveries.given_up, deliveries.void)
        }),
        ("requests that the receivers failed", run.taken.failed.to_string()),
        ("requests that came again, with the same id and body", {
            run.taken.duplicates().to_string()
        }),
        ("ids with two bodies, events with two ids", "0".to_owned()),
        ("rows of numbers without a break", lanes.rows.to_string()),
        ("timers that came / that went with their pods in a downtime", {
            format!("{} / {}", fuses.burnt, fuses.cut_in_time)
        }),
        ("verdicts that the policy suppressed, in digests / that waited until another was over", {
            format!("{} / {}", policy.throttled, policy.inhibited)
        }),
        ("duration", format!("{} s", deeds.seconds)),
    ])
}

/// Panics if there is any violation, with the first ones of each oracle.
fn convict(faults: [Vec<String>; 8]) {
    let all: usize = faults.iter().map(Vec::len).sum();
    let shown: Vec<String> = faults.into_iter().flat_map(shown).collect();
    assert!(shown.is_empty(), "{all} faults:\n{}", shown.join("\n"));
}

fn shown(faults: Vec<String>) -> Vec<String> {
    let more = faults.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = faults.into_iter().take(SHOWN).collect();
    if more > 0 {
        shown.push(format!("… and {more} more of this oracle"));
    }
    shown
}

/// Judges that no event was quarantined, no target was refused, and the service never panicked.
fn nothing_went_wrong(run: &Evidence<'_>) -> Vec<String> {
    let quarantined = run.ledger.quarantined.iter().map(|one| format!("quarantined: {one}"));
    let refused = run.ledger.refused.iter().map(|one| format!("refused: {one}"));
    let panics = run.deeds.panics.iter().map(|one| format!("the service panicked: {one}"));
    quarantined.chain(refused).chain(panics).collect()
}

impl Report {
    pub(super) fn print(&self) {
        println!("\n| | |\n|---|---|");
        for (what, figure) in &self.0 {
            println!("| {what} | {figure} |");
        }
    }
}
