//! Changes that the API server confirmed, and the comparison with what a rule has seen of them.

mod sights;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use klaxon_model::clock::{self, Stopwatch};
use kube::Client;
use serde_json::{Value, json};

use crate::objects::{must, objects_of, send, version};
use crate::support::live::Site;
pub(crate) use sights::{Comparison, Gap, Sight, gaps, sights};

/// Longest time for which the API server may be away, and for which a service may show no progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// A change that the API server confirmed.
pub(crate) struct Confirmed {
    pub(crate) kind: &'static str,
    /// Namespace and name.
    pub(crate) name: String,
    pub(crate) version: String,
    /// The count of a Kubernetes Event.
    pub(crate) count: u64,
    /// Start of the request and end of its confirmation, in milliseconds.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// An object of the cluster at the end.
#[derive(Clone)]
pub(crate) struct Final {
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) count: u64,
    pub(crate) labels: Value,
}

/// Sends a request until it is answered, and waits for a server that is away. `None` if the object does not exist
/// (any more), exists already, or is in a terminating namespace: an earlier attempt may have been answered, and
/// that answer was lost.
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
            Err(kube::Error::Api(status)) if status.message.contains("being terminated") => {
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
    (namespace, name): (&str, &str),
    method: &str,
    body: &Value,
) -> Option<Confirmed> {
    let all = objects_of(kind, namespace);
    let path = if method == "POST" { all } else { format!("{all}/{name}") };
    let from = clock::now().as_millis();
    let answer = insist(client, method, &path, body).await?;
    let to = clock::now().as_millis();
    let count = answer["count"].as_u64().unwrap_or_default();
    let name = format!("{namespace}/{name}");
    Some(Confirmed { kind, name, version: version(&answer), count, from, to })
}

/// Prefixes of the names of objects that tests make.
const OURS: [&str; 5] = ["pod-", "event-", "fuse-", "guard", "widget-"];

/// Returns the pods and Kubernetes Events of all namespaces, except those of the cluster itself, by kind, namespace
/// and name.
pub(crate) async fn final_versions(client: &Client) -> HashMap<String, Final> {
    let mut last = HashMap::new();
    for (kind, path) in [("Pod", "/api/v1/pods"), ("Event", "/api/v1/events")] {
        last.extend(finals_of(client, kind, path).await);
    }
    last
}

/// Lists the objects at a path.
pub(crate) async fn finals_of(client: &Client, kind: &str, path: &str) -> Vec<(String, Final)> {
    let list = must(client, "GET", path, json!(null)).await;
    let ours = list["items"].as_array().unwrap().iter().filter_map(|item| {
        let metadata = &item["metadata"];
        let name = metadata["name"].as_str().unwrap();
        let is_ours = OURS.iter().any(|ours| name.starts_with(ours));
        let known = Final {
            uid: metadata["uid"].as_str().unwrap().to_owned(),
            version: version(item),
            count: item["count"].as_u64().unwrap_or_default(),
            labels: metadata["labels"].clone(),
        };
        let namespace = metadata["namespace"].as_str().unwrap();
        is_ours.then(|| (format!("{kind}/{namespace}/{name}"), known))
    });
    ours.collect()
}

/// Waits until the journal knows every final state, as long as the service makes progress.
#[track_caller]
pub(crate) fn wait_until_all_arrived(site: &Site, last: &HashMap<String, Final>) {
    wait_while_it_goes_on(site, "every final state", || {
        let select = "SELECT uid || ' ' || version FROM objects";
        let known: HashSet<String> = site.rows(select).into_iter().collect();
        last.values().all(|one| known.contains(&format!("{} {}", one.uid, one.version)))
    });
}

/// Waits until a condition holds, as long as the journal shows that the service makes progress.
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
