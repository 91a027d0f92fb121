//! Tests on a misbehaving cluster: after any fault every object is seen in its last state, nothing is
//! seen twice, and missed changes are reported as gaps.

mod access;
mod backfills;
mod backlog;
mod faults;
mod history;
mod identity;
mod kubernetes_events;
mod large;
mod operate;
mod outbox;
mod policy;
mod random;
mod resume;
mod rivals;
mod selection;
mod unserved;

use std::time::Duration;

use klaxon_model::Timestamp;
use klaxon_model::clock::Stopwatch;
use klaxon_test_support::manifests;
use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::support::http::free_address;
use crate::support::live::Site;

const WATCHES: [&str; 3] = ["Pod", "Deployment.apps", "Event"];

fn pod(name: &str, tier: &str) -> Value {
    manifests::pod(name, json!({"labels": {"tier": tier}}))
}

fn widget(name: &str) -> Value {
    json!({"apiVersion": "example.test/v1", "kind": "Widget",
        "metadata": {"name": name, "namespace": "a"}, "spec": {"size": 3}})
}

/// Returns a Kubernetes Event about the pod `web`.
fn kubernetes_event(name: &str, count: u64) -> Value {
    manifests::kubernetes_event(name, count, json!({}))
}

fn site(api: &FakeApi) -> Site {
    Site::new(|folder| api.kubeconfig(folder))
}

/// Serves health and metrics of a site on a free port, and returns the address.
fn admin(site: &mut Site) -> String {
    let address = free_address();
    site.admin(&address);
    address
}

/// Waits until a page of the admin server contains a text, and returns its status and the page.
async fn wait_for_page(address: &str, path: &str, text: &str) -> (u16, String) {
    let since = Stopwatch::start();
    let mut last = (0, String::new());
    while since.elapsed() < Duration::from_secs(30) {
        if let Ok(response) = reqwest::get(format!("http://{address}{path}")).await {
            last = (response.status().as_u16(), response.text().await.unwrap_or_default());
            if last.1.contains(text) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} never had {text:?}: {last:?}");
}

/// Asserts that exactly one gap record of a watch covers a moment.
#[track_caller]
fn assert_one_gap_covers(site: &Site, watch: &str, at: Timestamp) {
    let covers = format!(
        "SELECT count(*) FROM gaps WHERE watch = '{watch}' AND since <= {0} AND until >= {0}",
        at.as_millis()
    );
    assert_eq!(site.rows(&covers), ["1"], "{:?}", site.rows("SELECT * FROM gaps"));
}
