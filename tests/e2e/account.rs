//! Changes that the API server confirmed, and the account of what was seen of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use klaxon::model::clock::{self, Stopwatch};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::{EVENTS, PODS, must, send, version};
use crate::support::live::Site;

/// How long the API server may be away, and how long a service may show no progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// A change that the API server confirmed.
pub(crate) struct Confirmed {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Milliseconds: not before it was asked for, not after it was confirmed.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What is in the cluster at the end.
pub(crate) struct Final {
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) count: u64,
}

/// What the witness says of an event.
#[derive(Deserialize)]
pub(crate) struct Sight {
    change: String,
    pub(crate) kind: String,
    name: String,
    uid: String,
    version: String,
    delta: u64,
}

/// What a judgement counted.
pub(crate) struct Tally {
    pub(crate) pods: usize,
    pub(crate) events: usize,
    pub(crate) sights: Vec<Sight>,
    /// States of pods that were passed over, each within a gap.
    pub(crate) within_gaps: usize,
    pub(crate) gaps: usize,
}

/// Sends a request until it is answered; a server that is away is waited for. None: an earlier attempt
/// had been answered, and that answer was lost.
pub(crate) async fn insist(
    client: &Client,
    method: &str,
    path: &str,
    body: &Value,
) -> Option<Value> {
    let since = Stopwatch::start();
    loop {
        match send(client, method, path, body).await {
            Ok(answer) => return Some(answer),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                return None;
            }
            Err(fault) => {
                assert!(since.elapsed() < PATIENCE, "{method} {path}: {fault}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Makes a change of a pod or a Kubernetes Event.
pub(crate) async fn change(
    client: &Client,
    kind: &'static str,
    name: &str,
    method: &str,
    body: &Value,
) -> Option<Confirmed> {
    let all = if kind == "Pod" { PODS } else { EVENTS };
    let path = if method == "POST" { all.to_owned() } else { format!("{all}/{name}") };
    let from = clock::now().as_millis();
    let answer = insist(client, method, &path, body).await?;
    let to = clock::now().as_millis();
    Some(Confirmed { kind, name: name.to_owned(), version: version(&answer), from, to })
}

/// By kind and name: the pods and Kubernetes Events that there are, but for those of the cluster itself.
pub(crate) async fn final_versions(client: &Client) -> HashMap<String, Final> {
    let mut last = HashMap::new();
    for (kind, path) in [("Pod", PODS), ("Event", EVENTS)] {
        let list = must(client, "GET", path, json!(null)).await;
        for item in list["items"].as_array().unwrap() {
            let name = item["metadata"]["name"].as_str().unwrap();
            if ["pod-", "event-", "fuse-"].iter().any(|ours| name.starts_with(ours)) {
                let uid = item["metadata"]["uid"].as_str().unwrap().to_owned();
                let count = item["count"].as_u64().unwrap_or(0);
                let known = Final { uid, version: version(item), count };
                last.insert(format!("{kind}/{name}"), known);
            }
        }
    }
    last
}

/// Waits until the journal knows every final state; a service that goes on is given its time.
#[track_caller]
pub(crate) fn wait_until_all_arrived(site: &Site, last: &HashMap<String, Final>) {
    wait_while_it_goes_on(site, "every final state", || {
        let select = "SELECT uid || ' ' || version FROM objects";
        let known: HashSet<String> = site.rows(select).into_iter().collect();
        last.values().all(|one| known.contains(&format!("{} {}", one.uid, one.version)))
    });
}

/// Waits until something is so, as long as the journal shows that the service gets on with its work.
#[track_caller]
pub(crate) fn wait_while_it_goes_on(site: &Site, what: &str, is_so: impl Fn() -> bool) {
    let done = || {
        site.rows(
            "SELECT (SELECT max(n) FROM verdicts), (SELECT max(cursor) FROM watches), \
             (SELECT count(*) FROM deliveries WHERE state = 'pending')",
        )
    };
    let mut before = done();
    let mut since = Stopwatch::start();
    while !is_so() {
        std::thread::sleep(Duration::from_millis(100));
        let now = done();
        if now != before {
            (before, since) = (now, Stopwatch::start());
        }
        assert!(since.elapsed() < PATIENCE, "{what} never came: {before:?} {:#?}", site.gaps());
    }
}

/// Every confirmed change was seen once, or lies within a gap of its kind; what is there in the end was
/// seen as it is, whatever the gaps; what Kubernetes Events counted is told once; what vanished is told
/// once.
pub(crate) fn judge(site: &Site, confirmed: &[Confirmed], last: &HashMap<String, Final>) -> Tally {
    let sights = sights(site);
    let seen = seen_once(&sights);
    let gaps = gaps(site);
    let mut within_gaps = 0;
    for change in confirmed {
        let name = format!("{}/{}", change.kind, change.name);
        if seen.contains(&(name.clone(), change.version.as_str(), false)) {
            continue;
        }
        within_gaps += 1;
        assert_eq!(change.kind, "Pod", "{name} {} was lost", change.version);
        let is_told = gaps.iter().any(|(watch, since, until)| {
            watch == change.kind && *since <= change.to && change.from <= *until
        });
        assert!(is_told, "{name} at {} was lost outside of every gap: {gaps:?}", change.to);
    }
    for (name, known) in last {
        let state = (name.clone(), known.version.as_str(), false);
        assert!(
            seen.contains(&state),
            "the final state of {name}, {}, was not seen",
            known.version
        );
    }
    judge_counts(&sights, last);
    judge_ends(&sights, last);
    let of = |kind: &str| confirmed.iter().filter(|change| change.kind == kind).count();
    Tally { pods: of("Pod"), events: of("Event"), sights, within_gaps, gaps: gaps.len() }
}

fn sights(site: &Site) -> Vec<Sight> {
    let select = "SELECT json_extract(body, '$.payload') FROM verdicts WHERE rule = 'witness' \
                  ORDER BY n";
    site.rows(select).iter().map(|sight| serde_json::from_str(sight).unwrap()).collect()
}

impl Sight {
    fn key(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    fn is_end(&self) -> bool {
        self.change == "deleted"
    }
}

/// Which states were seen, by name, version, and whether it was the end.
fn seen_once(sights: &[Sight]) -> HashSet<(String, &str, bool)> {
    let mut seen = HashSet::new();
    for sight in sights {
        let state = (sight.key(), sight.version.as_str(), sight.is_end());
        assert!(seen.insert(state), "seen twice: {} {}", sight.key(), sight.version);
    }
    seen
}

/// Watch, first and last moment of each gap.
fn gaps(site: &Site) -> Vec<(String, i64, i64)> {
    let rows = site.rows("SELECT watch, since, until FROM gaps");
    let gap = |row: &String| {
        let mut parts = row.rsplitn(3, ' ');
        let until = parts.next().unwrap().parse().unwrap();
        let since = parts.next().unwrap().parse().unwrap();
        (parts.next().unwrap().to_owned(), since, until)
    };
    rows.iter().map(gap).collect()
}

fn judge_counts(sights: &[Sight], last: &HashMap<String, Final>) {
    let mut deltas: HashMap<String, u64> = HashMap::new();
    for sight in sights.iter().filter(|sight| sight.kind == "Event") {
        *deltas.entry(sight.key()).or_default() += sight.delta;
    }
    for (name, known) in last.iter().filter(|(name, _)| name.starts_with("Event/")) {
        assert_eq!(deltas.get(name), Some(&known.count), "what {name} counted");
    }
}

fn judge_ends(sights: &[Sight], last: &HashMap<String, Final>) {
    let alive: HashSet<&str> = last.values().map(|known| known.uid.as_str()).collect();
    let mut ends: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for sight in sights.iter().filter(|sight| sight.kind == "Pod") {
        ends.entry(&sight.uid).or_default().push(sight.is_end());
    }
    for (uid, told) in ends {
        let times = told.iter().filter(|is_end| **is_end).count();
        let expected = usize::from(!alive.contains(uid));
        assert_eq!(times, expected, "the end of pod {uid} was told {times} times");
        assert!(
            told.iter().rev().skip(1).all(|is_end| !is_end),
            "pod {uid} was seen after its end"
        );
    }
}
