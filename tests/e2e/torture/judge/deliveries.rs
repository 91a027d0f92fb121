//! Judges deliveries: each was received as in the journal, or is a dead letter with its reason if one is expected;
//! and receivers got nothing else.

use std::collections::{HashMap, HashSet};

use super::Evidence;
use crate::torture::ledger::{Entry, State};
use crate::torture::setup::{GIVEN_UP, VOID};

pub(super) struct Judged {
    pub(super) faults: Vec<String>,
    /// Dead letters of the receiver that fails some of its requests.
    pub(super) given_up: usize,
    /// Dead letters of the receiver that takes nothing.
    pub(super) void: usize,
}

pub(super) fn judge(run: &Evidence<'_>) -> Judged {
    let mut judged = Judged { faults: ids(run), given_up: 0, void: 0 };
    let mut places: HashMap<(&str, &str, &str), u64> = HashMap::new();
    for entry in run.ledger.deliveries.values() {
        let id = &entry.id;
        judged.given_up += usize::from(entry.target == GIVEN_UP && is_dead(entry));
        judged.void += usize::from(entry.target == VOID && is_dead(entry));
        match run.taken.receipts.get(id) {
            None => judged.faults.extend(not_received(entry)),
            Some(receipt) if receipt.path != entry.target => {
                judged.faults.push(format!("{id} went elsewhere: to {}", receipt.path));
            }
            Some(receipt) => {
                if Entry::hash(&receipt.body) != entry.body {
                    let fault = format!("{id} came with another body than the journal's");
                    judged.faults.push(fault);
                }
                let place = (entry.target.as_str(), entry.rule.as_str(), entry.key.as_str());
                let before = places.insert(place, receipt.first);
                if before.is_some_and(|before| before > receipt.first) {
                    judged.faults.push(format!("{id} came before what was decided before it"));
                }
            }
        }
        if entry.state == State::Pending && entry.target != VOID {
            judged.faults.push(format!("{id} for {} still waits", entry.target));
        }
    }
    if judged.given_up == 0 {
        judged.faults.push("no delivery was given up, so dead letters were not tested".to_owned());
    }
    judged
}

fn is_dead(entry: &Entry) -> bool {
    matches!(entry.state, State::Dead(_))
}

/// Returns the violation of a delivery that never came, if it is one.
fn not_received(entry: &Entry) -> Option<String> {
    let Entry { id, target, state, .. } = entry;
    let may_be_dead = target == GIVEN_UP || target == VOID;
    match state {
        State::Dead(reason) if reason.is_empty() => {
            Some(format!("{id} is a dead letter of {target} without a reason"))
        }
        State::Dead(_) if may_be_dead => None,
        State::Dead(reason) => Some(format!("{id} for {target} was given up: {reason}")),
        State::Pending if target == VOID => None,
        State::Pending => Some(format!("{id} for {target} was never received")),
        State::Sent => Some(format!("{id} for {target} was sent and never received")),
        State::Removed => Some(format!(
            "{id} for {target} is neither received nor a dead letter: it was removed while it waited"
        )),
    }
}

/// Judges ids: the same id always came with the same body, each received delivery was decided, and no event has two
/// ids.
fn ids(run: &Evidence<'_>) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    let differing = run.taken.differing.iter();
    faults.extend(differing.map(|id| format!("the same id with another body: {id}")));
    let known = run.ledger.by_id();
    let mut decided = HashSet::new();
    for heard in run.record.all() {
        let (verdict, receipt) = (&heard.verdict, heard.receipt);
        if !decided.insert((receipt.path.as_str(), verdict.id.as_str())) {
            let id = &verdict.id;
            faults.push(format!("two deliveries of the verdict {id} to {}", receipt.path));
        }
    }
    for (id, receipt) in &run.taken.receipts {
        if receipt.path == VOID {
            faults.push(format!("{id} was received where nothing is taken"));
        } else if !known.contains_key(id.as_str()) && !run.is_blind(receipt.at) {
            faults.push(format!("received and not in the journal: {id}"));
        }
    }
    faults
}
