//! Tests that kill the service and the API server repeatedly during a storm of changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::continuity::site;
use crate::objects::{PODS, event, must, pod};
use crate::observation::{self, Comparison, Confirmed, change};
use crate::plane::{Part, Plane};
use crate::support::KLAXON;
use crate::support::live::Site;

const CHANGES: u64 = 5_000;
const PODS_THERE: u64 = 100;
const KILLS: u32 = 20;
const SERVER_KILLS: u32 = 5;

/// Starts the program on a site, with one worker.
pub(crate) fn spawn(site: &Site) -> Child {
    spawn_on(site.folder.path(), &site.config(), 1)
}

/// Starts the program with a configuration; its log is in the folder.
pub(crate) fn spawn_on(folder: &Path, config: &Path, workers: u32) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("klaxon.log"))
        .unwrap();
    Command::new(KLAXON)
        .args(["run", "--workers", &workers.to_string(), "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Makes changes until there are enough, and waits for a server that is away.
async fn storm(client: kube::Client) -> Vec<Confirmed> {
    let mut confirmed = Vec::new();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for step in 0..CHANGES {
        // Every fifth change is a Kubernetes Event, either new or with a higher count.
        let made = if step % 5 == 0 {
            let number = step / 5 % 400;
            let count = counts.entry(number).or_default();
            *count += 1 + step % 3;
            let name = format!("event-{number}");
            let (method, body) = match *count <= 3 && step < 2_000 {
                true => ("POST", event(&name, *count)),
                false => ("PATCH", json!({ "count": *count })),
            };
            change(&client, "Event", ("default", &name), method, &body).await
        } else {
            let name = format!("pod-{}", step % PODS_THERE);
            let step = json!({"metadata": {"annotations": {"step": step.to_string()}}});
            change(&client, "Pod", ("default", &name), "PATCH", &step).await
        };
        confirmed.extend(made);
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
        // Each kill comes after another delay.
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
    let last = observation::final_versions(&client).await;
    observation::wait_until_all_arrived(&site, &last);
    service.kill().unwrap();
    service.wait().unwrap();
    let (sights, gaps) = (observation::sights(&site), observation::gaps(&site));
    let all = Comparison { confirmed: &confirmed, last: &last, sights: &sights, gaps: &gaps };
    let tally = all.must_hold();
    println!(
        "{} changes of pods and {} of Kubernetes Events confirmed, {} seen, {} within {} gaps",
        tally.pods,
        tally.events,
        sights.len(),
        tally.pods_within_gaps + tally.events_within_gaps,
        gaps.len()
    );
}
