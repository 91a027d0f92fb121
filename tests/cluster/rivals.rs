//! Tests of two services with separate journals in one cluster.

use std::time::Duration;

use super::{WATCHES, admin, pod, site, wait_for_page};
use crate::fake_api::FakeApi;

#[tokio::test(flavor = "multi_thread")]
async fn two_services_with_journals_of_their_own_notice_each_other() {
    let api = FakeApi::start().await;
    api.put(pod("one", "web"));
    let (mut first, mut second) = (site(&api), site(&api));
    for site in [&mut first, &mut second] {
        site.timing.lease = Duration::from_millis(200);
    }
    let addresses = [admin(&mut first), admin(&mut second)];
    let running = first.start();
    first.wait_until_following(&WATCHES);
    wait_for_page(&addresses[0], "/readyz", "ready").await;
    let rival = second.start();
    second.wait_until_following(&WATCHES);
    let ids =
        [&first, &second].map(|site| site.rows("SELECT value FROM meta WHERE key = 'journal'"));
    for (address, other) in addresses.iter().zip([&ids[1], &ids[0]]) {
        let (status, page) = wait_for_page(address, "/readyz", &other[0]).await;
        assert_eq!(status, 200, "it is ready all the same: {page}");
        assert!(page.contains("Lease") && page.contains("hint: stop one of them"), "{page}");
        wait_for_page(address, "/metrics", "klaxon_lease_contended 1").await;
    }
    rival.stop();
    wait_for_page(&addresses[0], "/metrics", "klaxon_lease_contended 0").await;
    running.stop();
}
