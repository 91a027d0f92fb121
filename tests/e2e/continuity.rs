//! Tests of interruptions: those that lose nothing, and those that are reported as gaps.

use serde_json::json;

use crate::objects::{EVENTS, PODS, event, must, pod};
use crate::plane::{Part, Plane};
use crate::support::live::Site;

const API: [Part; 2] = [Part::Etcd, Part::ApiServer];
pub(crate) const WATCHES: [&str; 3] = ["Pod", "Deployment.apps", "Event"];

pub(crate) fn site(plane: &Plane) -> Site {
    let kubeconfig = plane.kubeconfig().to_owned();
    Site::new(|_| kubeconfig)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_compaction_behind_our_back_lose_nothing() {
    let plane = Plane::start(&API).await;
    let client = plane.client().await;
    must(&client, "POST", PODS, pod("old", 1)).await;
    let site = site(&plane);
    let running = site.start();
    site.wait("the list", |seen| seen.iter().any(|one| one == "snapshot Pod/old"));
    site.wait_until_following(&WATCHES);
    running.stop();
    let before = site.seen().len();
    must(&client, "POST", PODS, pod("new", 1)).await;
    must(&client, "POST", EVENTS, event("one", 1)).await;
    must(&client, "PATCH", &format!("{EVENTS}/one"), json!({"count": 4})).await;
    plane.compact().await;
    let running = site.start();
    let seen = site.wait("what came meanwhile", |seen| seen.len() >= before + 2);
    running.stop();
    assert!(seen.contains(&"added Pod/new".to_owned()), "{seen:?}");
    // The watch window of Events is etcd's own. After a compaction, their counts show the missed changes.
    assert!(seen.contains(&"added Event/one".to_owned()), "{seen:?}");
    let delta = site.sights("witness").iter().filter_map(|one| one["delta"].as_u64()).sum::<u64>();
    assert_eq!(delta, 4);
    let is_complete = |gap: &String| !gap.starts_with("Event") || gap.contains("are complete");
    assert!(site.gaps().iter().all(is_complete), "{:?}", site.gaps());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_stopped_and_killed_under_an_open_watch() {
    let mut plane = Plane::start(&API).await;
    let client = plane.client().await;
    must(&client, "POST", PODS, pod("first", 1)).await;
    let site = site(&plane);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    for (round, is_killed) in [(2, false), (3, true)] {
        if is_killed {
            plane.kill(Part::ApiServer);
        } else {
            plane.terminate(Part::ApiServer);
        }
        plane.restart(Part::ApiServer).await;
        let output = json!({"metadata": {"annotations": {"step": round.to_string()}}});
        let changed = must(&client, "PATCH", &format!("{PODS}/first"), output).await;
        let version = crate::objects::version(&changed);
        must(&client, "POST", EVENTS, event(&format!("event-{round}"), 1)).await;
        site.wait("the change after the restart", |_| {
            let sights = site.sights("witness");
            let has = |version: &str| sights.iter().any(|one| one["payload"]["version"] == version);
            let name = format!("event-{round}");
            has(&version) && sights.iter().any(|one| one["payload"]["name"] == *name)
        });
    }
    running.stop();
    // No state was reported twice.
    let mut versions: Vec<String> = site
        .sights("witness")
        .iter()
        .map(|one| format!("{} {}", one["payload"]["uid"], one["payload"]["version"]))
        .collect();
    versions.sort();
    let all = versions.len();
    versions.dedup();
    assert_eq!(versions.len(), all, "{:?}", site.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_list_that_is_interrupted_half_way_begins_again() {
    const PODS_THERE: usize = 2_000;
    let plane = Plane::start(&API).await;
    let client = plane.client().await;
    let made = (0..20).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move {
            for number in (writer..PODS_THERE).step_by(20) {
                must(&client, "POST", PODS, pod(&format!("pod-{number}"), 0)).await;
            }
        })
    });
    let made: Vec<_> = made.collect();
    for writer in made {
        writer.await.unwrap();
    }
    let site = site(&plane);
    let mut service = crate::storm::spawn(&site);
    site.wait("a part of the list", |seen| !seen.is_empty());
    service.kill().unwrap();
    service.wait().unwrap();
    let part = site.seen().len();
    assert!(part < PODS_THERE, "the whole list was committed at once: {part}");
    let mut service = crate::storm::spawn(&site);
    let seen = site.wait("all of it", |seen| seen.len() >= PODS_THERE);
    site.wait_until_following(&WATCHES);
    service.kill().unwrap();
    service.wait().unwrap();
    // Each object came once, by its id, and as a snapshot.
    assert_eq!(seen.len(), PODS_THERE);
    assert!(seen.iter().all(|one| one.starts_with("snapshot Pod/")));
    println!("killed after {part} of {PODS_THERE}");
}
