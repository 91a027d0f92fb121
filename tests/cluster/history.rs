//! Tests of an etcd restored from a snapshot, which the API server does not report.

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;
use crate::support::live::Site;

/// Runs a service that sees `kept`, `changed` and `lost`. The saved snapshot has the first two in their
/// first form.
async fn restored(then: impl FnOnce(&FakeApi, &crate::fake_api::Saved)) -> (FakeApi, Site) {
    let api = FakeApi::start().await;
    api.put(pod("kept", "web"));
    api.put(pod("changed", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    let saved = api.snapshot();
    api.put(pod("changed", "other"));
    api.put(pod("lost", "web"));
    site.wait("the changes", |seen| seen.len() == 4);
    site.wait_until_following(&WATCHES);
    running.stop();
    then(&api, &saved);
    (api, site)
}

async fn finds_what_the_restore_undid(
    then: impl FnOnce(&FakeApi, &crate::fake_api::Saved),
) -> Vec<String> {
    let (api, site) = restored(then).await;
    let running = site.start();
    let seen = site.wait("what was undone", |seen| {
        seen.contains(&"deleted Pod/lost gap".to_owned())
            && seen.contains(&"modified Pod/changed gap".to_owned())
    });
    assert!(!seen.iter().any(|one| one.ends_with("kept gap")), "{seen:?}");
    api.put(pod("next", "web"));
    site.wait("what comes after", |seen| seen.contains(&"added Pod/next".to_owned()));
    running.stop();
    site.gaps()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_version_is_another_history() {
    let gaps = finds_what_the_restore_undid(|api, saved| api.restore(saved, None)).await;
    assert!(gaps.iter().any(|gap| gap.starts_with("Pod: the cluster is at version")), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_is_noticed_after_it_has_passed_ours() {
    let gaps = finds_what_the_restore_undid(|api, saved| {
        api.restore(saved, None);
        api.bump(1000);
    })
    .await;
    assert!(gaps.iter().any(|gap| gap.contains("which was never seen")), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bumped_versions_are_a_gap() {
    let gaps = finds_what_the_restore_undid(|api, saved| api.restore(saved, Some(1_000_000))).await;
    assert!(gaps.iter().any(|gap| gap.starts_with("Pod")), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_vanished_is_noticed_too() {
    let api = FakeApi::start().await;
    api.put(pod("kept", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    let saved = api.snapshot();
    api.put(pod("lost", "web"));
    site.wait("the new pod", |seen| seen.len() == 2);
    running.stop();
    api.restore(&saved, None);
    // Every existing object has a known version: only the missing object shows the restore.
    api.bump(1000);
    let running = site.start();
    site.wait("its loss", |seen| seen.contains(&"deleted Pod/lost gap".to_owned()));
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_version_of_another_history_is_another_event() {
    let (api, site) = restored(|api, saved| {
        api.restore(saved, None);
        // In the first revision epoch this version was another change of the same pod.
        api.put(pod("changed", "third"));
    })
    .await;
    let running = site.start();
    site.wait("the change", |seen| seen.contains(&"modified Pod/changed gap".to_owned()));
    running.stop();
    let mut ids = site.rows("SELECT id FROM verdicts");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    drop(api);
}
