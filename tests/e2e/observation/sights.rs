//! Compares confirmed changes with a rule's sights and the gap records.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use super::{Confirmed, Final};
use crate::support::live::Site;

/// The most that one change adds to the count of a Kubernetes Event.
const MOST_AT_ONCE: u64 = 3;

/// An event as the witness reports it.
#[derive(Deserialize)]
pub(crate) struct Sight {
    pub(crate) change: String,
    pub(crate) kind: String,
    namespace: String,
    name: String,
    pub(crate) uid: String,
    pub(crate) version: String,
    delta: u64,
}

/// A gap record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gap {
    pub(crate) watch: String,
    /// First and last moment of the gap, in milliseconds.
    pub(crate) since: i64,
    pub(crate) until: i64,
}

/// The data that is compared.
pub(crate) struct Comparison<'a> {
    pub(crate) confirmed: &'a [Confirmed],
    pub(crate) last: &'a HashMap<String, Final>,
    /// In the order in which they were reported.
    pub(crate) sights: &'a [Sight],
    pub(crate) gaps: &'a [Gap],
}

/// The figures of a comparison.
pub(crate) struct Tally {
    pub(crate) pods: usize,
    pub(crate) events: usize,
    /// States of pods and of Kubernetes Events that were missed, each within a gap of its kind.
    pub(crate) pods_within_gaps: usize,
    pub(crate) events_within_gaps: usize,
}

/// Returns the sights in the journal of a site.
pub(crate) fn sights(site: &Site) -> Vec<Sight> {
    let select = "SELECT json_extract(body, '$.payload') FROM verdicts WHERE rule = 'witness' \
                  ORDER BY n";
    site.rows(select).iter().map(|sight| serde_json::from_str(sight).unwrap()).collect()
}

/// Returns the gap records in the journal of a site.
pub(crate) fn gaps(site: &Site) -> Vec<Gap> {
    let rows = site.rows("SELECT since, until, watch FROM gaps");
    let gap = |row: &String| {
        let mut parts = row.splitn(3, ' ');
        let mut part = || parts.next().unwrap().to_owned();
        let [since, until] = [part(), part()].map(|moment| moment.parse().unwrap());
        Gap { watch: part(), since, until }
    };
    rows.iter().map(gap).collect()
}

impl Sight {
    fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    fn is_end(&self) -> bool {
        self.change == "deleted"
    }
}

impl Comparison<'_> {
    /// Judges that every confirmed change was seen once, or lies within a gap of its kind; that the final state of
    /// every object was seen, also within gaps; and that the count of a Kubernetes Event and the end of a pod were
    /// each reported once. Returns the figures and all violations.
    pub(crate) fn judge(&self) -> (Tally, Vec<String>) {
        let mut faults = Vec::new();
        let seen = self.seen_once(&mut faults);
        let of = |kind: &str| self.confirmed.iter().filter(|change| change.kind == kind).count();
        let mut tally = Tally {
            pods: of("Pod"),
            events: of("Event"),
            pods_within_gaps: 0,
            events_within_gaps: 0,
        };
        for change in self.confirmed {
            let name = format!("{}/{}", change.kind, change.name);
            if seen.contains(&(name.clone(), change.version.as_str(), false)) {
                continue;
            }
            match change.kind {
                "Pod" => tally.pods_within_gaps += 1,
                _ => tally.events_within_gaps += 1,
            }
            if !self.is_within_gap(change) {
                let Confirmed { version, from, to, .. } = change;
                faults.push(format!(
                    "{name} {version} ({from} to {to}) was lost outside of every gap"
                ));
            }
        }
        for (name, known) in self.last {
            let state = (name.clone(), known.version.as_str(), false);
            if !seen.contains(&state) {
                faults.push(format!("the final state of {name}, {}, was not seen", known.version));
            }
        }
        self.judge_counts(&seen, &mut faults);
        self.judge_ends(&mut faults);
        (tally, faults)
    }

    /// Returns the figures, and panics if there is any violation.
    #[track_caller]
    pub(crate) fn must_hold(&self) -> Tally {
        let (tally, faults) = self.judge();
        assert!(faults.is_empty(), "{faults:#?} {:?}", self.gaps);
        tally
    }

    fn is_within_gap(&self, change: &Confirmed) -> bool {
        let covers = |gap: &Gap| gap.since <= change.to && change.from <= gap.until;
        self.gaps.iter().any(|gap| gap.watch == change.kind && covers(gap))
    }

    /// Collects the states that were seen: name, version, and `true` for the end of the object.
    fn seen_once(&self, faults: &mut Vec<String>) -> HashSet<(String, &str, bool)> {
        let mut seen = HashSet::new();
        for sight in self.sights {
            let state = (sight.key(), sight.version.as_str(), sight.is_end());
            if !seen.insert(state) {
                faults.push(format!("seen twice: {} {}", sight.key(), sight.version));
            }
        }
        seen
    }

    /// Judges that the deltas of a Kubernetes Event add up to its count. The last change of a deleted one may lie
    /// within a gap; then the deltas add up to less.
    fn judge_counts(&self, seen: &HashSet<(String, &str, bool)>, faults: &mut Vec<String>) {
        let mut deltas: HashMap<String, u64> = HashMap::new();
        for sight in self.sights.iter().filter(|sight| sight.kind == "Event") {
            *deltas.entry(sight.key()).or_default() += sight.delta;
        }
        // The last confirmed change: a name is never reused.
        let mut ended: BTreeMap<String, &Confirmed> = BTreeMap::new();
        for change in self.confirmed.iter().filter(|change| change.kind == "Event") {
            let name = format!("Event/{}", change.name);
            let last = ended.entry(name).or_insert(change);
            if last.count < change.count {
                *last = change;
            }
        }
        let alive = self.last.iter().filter(|(name, _)| name.starts_with("Event/"));
        for (name, known) in alive {
            ended.remove(name);
            let sum = deltas.get(name).copied().unwrap_or_default();
            if sum != known.count {
                faults.push(format!(
                    "the deltas of {name} are {sum}, and its count is {}",
                    known.count
                ));
            }
        }
        for (name, last) in ended {
            let sum = deltas.get(&name).copied().unwrap_or_default();
            let is_whole = seen.contains(&(name.clone(), last.version.as_str(), false));
            // One more change may have been made: a server that died took its confirmation with it, and the
            // repeated request came after the end.
            if sum > last.count + MOST_AT_ONCE || is_whole && sum < last.count {
                faults.push(format!(
                    "the deltas of {name}, which has ended, are {sum}, and its count was {}",
                    last.count
                ));
            }
        }
    }

    fn judge_ends(&self, faults: &mut Vec<String>) {
        let alive: HashSet<&str> = self.last.values().map(|known| known.uid.as_str()).collect();
        let mut ends: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for sight in self.sights.iter().filter(|sight| sight.kind == "Pod") {
            ends.entry(&sight.uid).or_default().push(sight.is_end());
        }
        for (uid, reported) in ends {
            let times = reported.iter().filter(|is_end| **is_end).count();
            if times != usize::from(!alive.contains(uid)) {
                faults.push(format!("the end of pod {uid} was told {times} times"));
            }
            if reported.iter().rev().skip(1).any(|is_end| *is_end) {
                faults.push(format!("pod {uid} was seen after its end"));
            }
        }
    }
}
