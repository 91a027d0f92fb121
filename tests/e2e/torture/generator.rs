//! Changes of a cluster by several concurrent writers, up to an allowed number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::namespaces;
use crate::objects::{EVENTS, PODS, event, must, pod};
use crate::observation::{Confirmed, change, insist};

const WRITERS: u64 = 8;
/// Pods of each writer. Writers share no pods, so that the changes of an object are sequential.
const PODS_EACH: u64 = 12;
/// Number of partitions of the rules that count.
const LANES: u64 = 16;

/// Several writers at work.
pub(super) struct Generator {
    client: Client,
    allowed: Arc<Semaphore>,
    total: AtomicU64,
    made: Arc<AtomicU64>,
    /// Fuses that burn and are to be cut.
    fuses: Arc<Mutex<Vec<Fuse>>>,
    writers: Vec<JoinHandle<Made>>,
}

/// A pod with a fuse.
struct Fuse {
    name: String,
    uid: String,
}

/// The changes that were made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) confirmed: Vec<Confirmed>,
    /// Pods with a fuse that burns down, because it is never cut.
    pub(super) left_burning: Vec<String>,
    /// Kubernetes Events and namespaces that were deleted.
    pub(super) ended_events: usize,
    pub(super) ended_namespaces: usize,
}

struct Writer {
    number: u64,
    client: Client,
    random: StdRng,
    /// Counts of the existing Kubernetes Events, by their number.
    counts: BTreeMap<u64, u64>,
    next_event: u64,
    steps: u64,
    fuses: Arc<Mutex<Vec<Fuse>>>,
    made: Made,
}

/// The pods that the writers change.
pub(super) async fn first_pods(client: &Client) {
    for number in 0..WRITERS * PODS_EACH {
        must(client, "POST", PODS, labelled(&format!("pod-{number}"), number, 0)).await;
    }
}

fn labelled(name: &str, number: u64, output: u64) -> Value {
    let mut pod = pod(name, output);
    pod["metadata"]["labels"] = json!({ "lane": format!("lane-{}", number % LANES) });
    pod
}

impl Generator {
    pub(super) fn start(client: &Client, seed: u64) -> Self {
        let allowed = Arc::new(Semaphore::new(0));
        let (made, fuses) = (Arc::default(), Arc::default());
        let writers = (0..WRITERS)
            .map(|number| {
                let writer = Writer {
                    number,
                    client: client.clone(),
                    random: StdRng::seed_from_u64(seed.wrapping_add(number)),
                    counts: BTreeMap::new(),
                    next_event: 0,
                    steps: 0,
                    fuses: Arc::clone(&fuses),
                    made: Made::default(),
                };
                tokio::spawn(writer.run(allowed.clone(), Arc::clone(&made)))
            })
            .collect();
        let total = AtomicU64::new(0);
        Self { client: client.clone(), allowed, total, made, fuses, writers }
    }

    /// Allows more changes.
    pub(super) fn allow(&self, changes: u64) {
        self.total.fetch_add(changes, Ordering::Relaxed);
        self.allowed.add_permits(usize::try_from(changes).unwrap());
    }

    /// Waits until at most `left` allowed changes remain to be made.
    pub(super) async fn caught_up(&self, left: u64) {
        while self.allowed.available_permits() as u64 > left {
            self.are_well();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Panics if a writer has ended early, which only a failure causes.
    fn are_well(&self) {
        assert!(!self.writers.iter().any(JoinHandle::is_finished), "a writer has failed");
    }

    /// Waits until all allowed changes are made.
    pub(super) async fn idle(&self) {
        while self.made() < self.total.load(Ordering::Relaxed) {
            self.are_well();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Deletes the pods with burning fuses, except those that are left to burn down. Returns their uids when they
    /// are gone.
    pub(super) async fn cut_fuses(&self) -> Vec<String> {
        let fuses = std::mem::take(&mut *self.fuses.lock().unwrap());
        let mut cut = Vec::new();
        for fuse in fuses {
            delete(&self.client, &fuse.name).await;
            cut.push(fuse.uid);
        }
        cut
    }

    /// Waits until all allowed changes are made, and returns them.
    pub(super) async fn end(self) -> Made {
        self.idle().await;
        self.allowed.close();
        let mut all = Made::default();
        for writer in self.writers {
            all.add(writer.await.unwrap());
        }
        // Fuses that were lit after the last kill burn down too.
        let fuses = std::mem::take(&mut *self.fuses.lock().unwrap());
        all.left_burning.extend(fuses.into_iter().map(|fuse| fuse.uid));
        all
    }
}

impl Made {
    pub(super) fn add(&mut self, other: Made) {
        self.confirmed.extend(other.confirmed);
        self.left_burning.extend(other.left_burning);
        self.ended_events += other.ended_events;
        self.ended_namespaces += other.ended_namespaces;
    }
}

impl Writer {
    async fn run(mut self, allowed: Arc<Semaphore>, made: Arc<AtomicU64>) -> Made {
        while let Ok(permit) = allowed.acquire().await {
            permit.forget();
            self.steps += 1;
            match self.random.random_range(0..100) {
                0..50 => self.output().await,
                50..60 => self.alarm().await,
                60..82 => self.event().await,
                82..85 => self.end_event().await,
                85..95 => self.replace().await,
                95 => self.made.add(namespaces::one(&self.client, self.number, self.steps).await),
                _ => self.fuse().await,
            }
            made.fetch_add(1, Ordering::Relaxed);
        }
        self.made
    }

    /// Picks one of the writer's own pods, and returns its name and number.
    fn pod(&mut self) -> (String, u64) {
        let number = self.number * PODS_EACH + self.random.random_range(0..PODS_EACH);
        (format!("pod-{number}"), number)
    }

    async fn output(&mut self) {
        let (name, _) = self.pod();
        let output = json!({"metadata": {"annotations": {"step": self.steps.to_string()}}});
        self.change("Pod", &name, "PATCH", &output).await;
    }

    async fn change(&mut self, kind: &'static str, name: &str, method: &str, body: &Value) {
        let made = change(&self.client, kind, ("default", name), method, body).await;
        self.made.confirmed.extend(made);
    }

    /// Gives a pod the label on which a rule fires, or another severity, or removes it.
    async fn alarm(&mut self) {
        let (name, _) = self.pod();
        let level = [json!("error"), json!("critical"), Value::Null];
        let level = &level[self.random.random_range(0..level.len())];
        let label = json!({"metadata": {"labels": {"alarm": level}}});
        self.change("Pod", &name, "PATCH", &label).await;
    }

    /// Makes a Kubernetes Event, or raises the count of one.
    async fn event(&mut self) {
        let known: Vec<u64> = self.counts.keys().copied().collect();
        let is_new = known.is_empty() || self.random.random_ratio(1, 4);
        let number = match is_new {
            true => self.next_event,
            false => known[self.random.random_range(0..known.len())],
        };
        self.next_event += u64::from(is_new);
        let count = self.counts.entry(number).or_default();
        *count += self.random.random_range(1..=3);
        let name = format!("event-{}-{number}", self.number);
        let (method, body) = match is_new {
            true => ("POST", event(&name, *count)),
            false => ("PATCH", json!({ "count": *count })),
        };
        self.change("Event", &name, method, &body).await;
    }

    /// Deletes a Kubernetes Event long before its TTL; its name is not reused.
    async fn end_event(&mut self) {
        let known: Vec<u64> = self.counts.keys().copied().collect();
        if known.is_empty() {
            return self.event().await;
        }
        let number = known[self.random.random_range(0..known.len())];
        self.counts.remove(&number);
        let path = format!("{EVENTS}/event-{}-{number}", self.number);
        insist(&self.client, "DELETE", &path, &json!({})).await;
        self.made.ended_events += 1;
    }

    /// Replaces a pod with another one of the same name.
    async fn replace(&mut self) {
        let (name, number) = self.pod();
        delete(&self.client, &name).await;
        let pod = labelled(&name, number, self.steps);
        self.change("Pod", &name, "POST", &pod).await;
    }

    async fn fuse(&mut self) {
        let name = format!("fuse-{}-{}", self.number, self.steps);
        let mut pod = labelled(&name, self.steps, 0);
        pod["metadata"]["labels"]["fuse"] = json!("lit");
        self.change("Pod", &name, "POST", &pod).await;
        let path = format!("{PODS}/{name}");
        let found = insist(&self.client, "GET", &path, &json!(null)).await;
        let uid = found.unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
        if self.random.random_ratio(1, 8) {
            self.made.left_burning.push(uid);
        } else {
            self.fuses.lock().unwrap().push(Fuse { name, uid });
        }
    }
}

/// Deletes a pod. The pod was not scheduled, so it is gone when the deletion is confirmed.
async fn delete(client: &Client, name: &str) {
    let now = json!({"gracePeriodSeconds": 0});
    insist(client, "DELETE", &format!("{PODS}/{name}"), &now).await;
}
