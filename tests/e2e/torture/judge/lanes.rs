//! Judges the numbers of each lane: they form one chain for each version of the state, in which each names the one
//! before. This proves that each verdict was committed together with the state that it left.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::torture::record::Record;

pub(super) struct Judged {
    pub(super) faults: Vec<String>,
    pub(super) rows: usize,
}

/// A verdict of a rule that counts.
#[derive(Deserialize)]
struct Counted {
    lane: String,
    state: u32,
    n: u64,
    event: String,
    previous: String,
}

/// Judges all lanes. `pods` is the number of pod events that the witness saw.
pub(super) fn judge(record: &Record<'_>, pods: usize) -> Judged {
    let mut judged = Judged { faults: Vec::new(), rows: 0 };
    for rule in ["counter", "slow"] {
        let mut rows: BTreeMap<(String, u32), Vec<Counted>> = BTreeMap::new();
        let mut all = 0;
        for one in record.payloads::<Counted>(rule) {
            all += 1;
            rows.entry((one.lane.clone(), one.state)).or_default().push(one);
        }
        if all != pods {
            judged.faults.push(format!("{rule} counted {all} events, and the witness saw {pods}"));
        }
        for ((lane, state), row) in &rows {
            judged.faults.extend(
                break_of(row)
                    .map(|fault| format!("{rule}, {lane}, state version {state}: {fault}")),
            );
        }
        judged.rows += rows.len();
    }
    judged
}

/// Returns the first break of a chain.
fn break_of(row: &[Counted]) -> Option<String> {
    let mut previous = "";
    for (n, one) in (1..).zip(row) {
        if (one.n, one.previous.as_str()) != (n, previous) {
            return Some(format!(
                "number {} after {:?} came where {n} after {previous:?} was due",
                one.n, one.previous
            ));
        }
        previous = &one.event;
    }
    None
}
