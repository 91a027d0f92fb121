//! Tests of an etcd restored from a snapshot: versions are reused, and no server reports it.

use std::time::Duration;

use serde_json::json;

use crate::continuity::{WATCHES, site};
use crate::objects::{PODS, must, pod};
use crate::plane::{Part, Plane};
use crate::support::live::Site;

const API: [Part; 2] = [Part::Etcd, Part::ApiServer];

/// Starts a service that has seen `kept`, `changed` and `lost`. The snapshot of etcd contains only the first two,
/// in their first form.
async fn before_the_restore() -> (Plane, Site, std::path::PathBuf) {
    let plane = Plane::start(&API).await;
    let client = plane.client().await;
    must(&client, "POST", PODS, pod("kept", 1)).await;
    must(&client, "POST", PODS, pod("changed", 1)).await;
    let site = site(&plane);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    let snapshot = plane.save_etcd();
    let output = json!({"metadata": {"annotations": {"step": "2"}}});
    must(&client, "PATCH", &format!("{PODS}/changed"), output).await;
    must(&client, "POST", PODS, pod("lost", 1)).await;
    for number in 0..20 {
        let map = json!({"metadata": {"name": format!("map-{number}")}});
        must(&client, "POST", "/api/v1/namespaces/default/configmaps", map).await;
    }
    site.wait("what the snapshot does not know", |seen| {
        seen.iter().any(|one| one == "added Pod/lost")
    });
    site.wait_until_following(&WATCHES);
    running.stop();
    (plane, site, snapshot)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_restore_is_noticed_by_its_lower_version() {
    let (mut plane, site, snapshot) = before_the_restore().await;
    plane.restore_etcd(&snapshot, None).await;
    let running = site.start();
    let seen = site.wait("what the restore undid", |seen| {
        seen.iter().any(|one| one == "deleted Pod/lost gap")
    });
    assert!(seen.contains(&"modified Pod/changed gap".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"modified Pod/kept gap".to_owned()), "{seen:?}");
    let gaps = site.gaps();
    assert!(gaps.iter().any(|gap| gap.contains("another history")), "{gaps:?}");
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_restore_is_noticed_after_its_history_has_passed_ours() {
    let (mut plane, site, snapshot) = before_the_restore().await;
    plane.restore_etcd(&snapshot, None).await;
    let client = plane.client().await;
    for number in 0..60 {
        let map = json!({"metadata": {"name": format!("later-{number}")}});
        must(&client, "POST", "/api/v1/namespaces/default/configmaps", map).await;
    }
    let running = site.start();
    site.wait("what the restore undid", |seen| {
        seen.iter().any(|one| one == "deleted Pod/lost gap")
            && seen.iter().any(|one| one == "modified Pod/changed gap")
    });
    let gaps = site.gaps();
    assert!(gaps.iter().any(|gap| gap.contains("another history")), "{gaps:?}");
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_under_our_feet_is_noticed_too() {
    let plane = Plane::start(&API).await;
    let client = plane.client().await;
    must(&client, "POST", PODS, pod("kept", 1)).await;
    let site = site(&plane);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    let mut plane = plane;
    let snapshot = plane.save_etcd();
    must(&client, "POST", PODS, pod("lost", 1)).await;
    site.wait("the new pod", |seen| seen.iter().any(|one| one == "added Pod/lost"));
    plane.restore_etcd(&snapshot, None).await;
    site.wait("its loss", |seen| seen.iter().any(|one| one == "deleted Pod/lost gap"));
    must(&plane.client().await, "POST", PODS, pod("next", 1)).await;
    site.wait("what comes after", |seen| seen.iter().any(|one| one == "added Pod/next"));
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_with_bumped_revisions_is_a_gap() {
    let (mut plane, site, snapshot) = before_the_restore().await;
    plane.restore_etcd(&snapshot, Some(1_000_000)).await;
    let running = site.start();
    site.wait("what the restore undid", |seen| {
        seen.iter().any(|one| one == "deleted Pod/lost gap")
            && seen.iter().any(|one| one == "modified Pod/changed gap")
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!site.seen().contains(&"modified Pod/kept gap".to_owned()));
    running.stop();
}
