//! The service killed again and again in a storm of changes, and the API server with it.

use std::collections::{BTreeMap, HashMap};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use klaxon::model::clock;
use serde_json::{Value, json};

use crate::continuity::site;
use crate::objects::{EVENTS, PODS, event, must, pod, send, version};
use crate::plane::{Part, Plane};
use crate::support::KLAXON;
use crate::support::live::Site;

const CHANGES: u64 = 5_000;
const PODS_THERE: u64 = 100;
const KILLS: u32 = 20;
const SERVER_KILLS: u32 = 5;

/// A change that the API server confirmed.
struct Confirmed {
    kind: &'static str,
    name: String,
    version: String,
    /// Milliseconds: not before it was asked for, not after it was confirmed.
    from: i64,
    to: i64,
}

pub(crate) fn spawn(site: &Site) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(site.folder.path().join("klaxon.log"))
        .unwrap();
    Command::new(KLAXON)
        .args(["run", "--workers", "1", "--config"])
        .arg(site.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Makes changes until there are enough; a server that is away is waited for.
async fn storm(client: kube::Client) -> Vec<Confirmed> {
    let mut confirmed = Vec::new();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for step in 0..CHANGES {
        // Every fifth change is a Kubernetes Event, new or counted up.
        let (kind, name, path, body, method) = if step % 5 == 0 {
            let number = step / 5 % 400;
            let count = counts.entry(number).or_default();
            *count += 1 + step % 3;
            let name = format!("event-{number}");
            match *count <= 3 && step < 2_000 {
                true => ("Event", name.clone(), EVENTS.to_owned(), event(&name, *count), "POST"),
                false => {
                    let path = format!("{EVENTS}/{name}");
                    ("Event", name, path, json!({ "count": *count }), "PATCH")
                }
            }
        } else {
            let name = format!("pod-{}", step % PODS_THERE);
            let path = format!("{PODS}/{name}");
            let step = json!({"metadata": {"annotations": {"step": step.to_string()}}});
            ("Pod", name, path, step, "PATCH")
        };
        let from = clock::now().as_millis();
        let since = clock::Stopwatch::start();
        let answer = loop {
            match send(&client, method, &path, &body).await {
                Ok(answer) => break Some(answer),
                // It was made, and the answer was lost: what is there now is what was confirmed.
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                    break None;
                }
                Err(fault) => {
                    assert!(since.elapsed() < Duration::from_secs(60), "{method} {path}: {fault}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        if let Some(answer) = answer {
            let to = clock::now().as_millis();
            confirmed.push(Confirmed { kind, name, version: version(&answer), from, to });
        }
    }
    confirmed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_kills_in_a_storm_of_five_thousand_changes() {
    let mut plane = Plane::start(&[Part::Etcd, Part::ApiServer]).await;
    let client = plane.client().await;
    for number in 0..PODS_THERE {
        must(&client, "POST", PODS, pod(&format!("pod-{number}"), 0)).await;
    }
    let site = site(&plane);
    let mut service = spawn(&site);
    site.wait_until_following(&["Pod", "Event"]);
    let storming = tokio::spawn(storm(client.clone()));
    let (mut kills, mut server_kills) = (0, 0);
    while kills < KILLS {
        // Never the same moment twice.
        let pause = 250 + u64::from(kills * 137 % 400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        service.kill().unwrap();
        service.wait().unwrap();
        kills += 1;
        if kills % (KILLS / SERVER_KILLS) == 0 && server_kills < SERVER_KILLS {
            plane.kill(Part::ApiServer);
            plane.restart(Part::ApiServer).await;
            server_kills += 1;
        }
        service = spawn(&site);
    }
    let confirmed = storming.await.unwrap();
    let last = final_versions(&client).await;
    wait_until_all_arrived(&site, &last);
    service.kill().unwrap();
    service.wait().unwrap();
    judge(&site, &confirmed, &last);
}

async fn final_versions(client: &kube::Client) -> HashMap<String, (String, u64)> {
    let mut last = HashMap::new();
    for (kind, path) in [("Pod", PODS), ("Event", EVENTS)] {
        let list = must(client, "GET", path, json!(null)).await;
        for item in list["items"].as_array().unwrap() {
            let name = item["metadata"]["name"].as_str().unwrap();
            if name.starts_with("pod-") || name.starts_with("event-") {
                let count = item["count"].as_u64().unwrap_or(0);
                last.insert(format!("{kind}/{name}"), (version(item), count));
            }
        }
    }
    last
}

fn key(sight: &Value) -> String {
    format!("{}/{}", sight["kind"].as_str().unwrap(), sight["name"].as_str().unwrap())
}

fn wait_until_all_arrived(site: &Site, last: &HashMap<String, (String, u64)>) {
    site.wait("every final state", |_| {
        let mut seen = HashMap::new();
        for verdict in site.sights("witness") {
            let sight = &verdict["payload"];
            seen.insert(key(sight), sight["version"].as_str().unwrap().to_owned());
        }
        last.iter().all(|(name, (version, _))| seen.get(name) == Some(version))
    });
}

fn judge(site: &Site, confirmed: &[Confirmed], last: &HashMap<String, (String, u64)>) {
    let sights: Vec<Value> =
        site.sights("witness").into_iter().map(|one| one["payload"].clone()).collect();
    let mut seen: HashMap<(String, String), u32> = HashMap::new();
    let mut deltas: HashMap<String, u64> = HashMap::new();
    for sight in &sights {
        let version = sight["version"].as_str().unwrap().to_owned();
        *seen.entry((key(sight), version)).or_default() += 1;
        *deltas.entry(key(sight)).or_default() += sight["delta"].as_u64().unwrap();
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "seen twice: {twice:?}");

    let select = "SELECT watch, since, until FROM gaps";
    let gaps: Vec<(String, i64, i64)> = site
        .rows(select)
        .iter()
        .map(|row| {
            let mut parts = row.rsplitn(3, ' ');
            let until = parts.next().unwrap().parse().unwrap();
            let since = parts.next().unwrap().parse().unwrap();
            (parts.next().unwrap().to_owned(), since, until)
        })
        .collect();
    let mut lost = 0;
    for change in confirmed {
        let name = format!("{}/{}", change.kind, change.name);
        if seen.contains_key(&(name.clone(), change.version.clone())) {
            continue;
        }
        lost += 1;
        assert_eq!(change.kind, "Pod", "{name} {} was lost", change.version);
        let is_told = gaps.iter().any(|(watch, since, until)| {
            watch == change.kind && *since <= change.to && change.from <= *until
        });
        assert!(is_told, "{name} at {} was lost outside of every gap: {gaps:?}", change.to);
    }
    // What a Kubernetes Event counted is told, once.
    for (name, (_, count)) in last.iter().filter(|(name, _)| name.starts_with("Event/")) {
        assert_eq!(deltas.get(name), Some(count), "{name}");
    }
    let kinds = |kind: &str| confirmed.iter().filter(|change| change.kind == kind).count();
    println!(
        "{} changes of pods and {} of Kubernetes Events confirmed, {} seen, {lost} within {} gaps",
        kinds("Pod"),
        kinds("Event"),
        sights.len(),
        gaps.len()
    );
}
