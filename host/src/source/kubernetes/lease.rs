//! A Lease of ours (`coordination.k8s.io/v1`): it says when a journal was last in use, so that a
//! journal which is lost is a gap and not a first start; and whether another one is in use now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, error, info, warn};

use super::Cluster;
use super::api::{self, ApiError, Form, MOST_SMALL};
use super::permissions::Right;
use crate::model::{Timestamp, clock};

/// After so many renewals without a trace of another holder there is none any longer.
const QUIET_LOOKS: u32 = 3;
/// How long a request may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Our Lease.
#[derive(Debug, Clone)]
pub struct Lease {
    namespace: String,
    name: String,
    holder: String,
}

/// What the Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The journal that it was renewed for.
    pub holder: String,
    /// When that was last.
    pub renewed_at: Option<Timestamp>,
}

/// A report for operators when another service renews the Lease too.
#[derive(Debug, Default)]
pub struct LeaseStatus {
    other: Mutex<Option<Other>>,
}

/// Another service with a journal of its own.
#[derive(Debug)]
struct Other {
    holder: String,
    lease: String,
    /// Looks since that found no trace of it.
    quiet: u32,
}

impl LeaseStatus {
    /// Returns a warning if another service watches the same cluster under the same name.
    pub fn trouble(&self) -> Option<String> {
        let other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        other.as_ref().map(|other| {
            format!(
                "another Klaxon with the journal {} renews the Lease {}: both watch this cluster and send everything twice; hint: stop one of them, or give them different `cluster` names",
                other.holder, other.lease
            )
        })
    }

    /// Notes the holder that a look has found; `None`: it is this service.
    fn saw(&self, holder: Option<String>, lease: &str) {
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        match (holder, other.as_mut()) {
            (Some(holder), Some(known)) if known.holder == holder => known.quiet = 0,
            (Some(holder), _) => {
                error!(
                    holder,
                    lease,
                    "another Klaxon with a journal of its own watches this cluster under the same name: everything is sent twice; hint: stop one of them, or give them different `cluster` names"
                );
                *other = Some(Other { holder, lease: lease.to_owned(), quiet: 0 });
            }
            (None, Some(known)) => {
                known.quiet += 1;
                if known.quiet >= QUIET_LOOKS {
                    info!(
                        holder = known.holder,
                        lease, "the other Klaxon does not renew the Lease any longer"
                    );
                    *other = None;
                }
            }
            (None, None) => {}
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Found {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    renew_time: Option<Timestamp>,
}

impl Lease {
    /// For a cluster's name and a journal, in a namespace.
    pub fn new(namespace: &str, cluster: &str, journal: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name(cluster), holder: journal.to_owned() }
    }

    /// What the cluster must allow, so that the Lease can be kept.
    pub fn rights(namespace: &str, cluster: &str) -> Vec<Right> {
        let right = |verb: &str, name: Option<String>| Right {
            group: "coordination.k8s.io".to_owned(),
            resource: "leases".to_owned(),
            verb: verb.to_owned(),
            namespace: Some(namespace.to_owned()),
            name,
        };
        let name = Some(name(cluster));
        vec![right("get", name.clone()), right("patch", name), right("create", None)]
    }

    fn folder(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.folder(), self.name)
    }

    /// Whom it was renewed for last; none where there is none, or the account may not look.
    ///
    /// # Errors
    /// Where it cannot be asked for.
    pub async fn read(&self, client: &kube::Client) -> Result<Option<Held>, ApiError> {
        let bytes = match api::get(client, &self.path(), Form::Full, WITHIN, MOST_SMALL).await {
            Ok(bytes) => bytes,
            Err(ApiError::NotServed(_)) => return Ok(None),
            Err(ApiError::Forbidden(why)) => {
                warn!(
                    why,
                    "no Lease is kept: a journal that is lost will look like a first start; hint: `klaxon config rbac` prints what is needed"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let found: Found = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::Broken(format!("the Lease cannot be read: {error}")))?;
        let holder = found.spec.holder_identity.filter(|holder| !holder.is_empty());
        Ok(holder.map(|holder| Held { holder, renewed_at: found.spec.renew_time }))
    }

    /// Renews it until the task is ended. Another holder that it finds where it has renewed the Lease
    /// itself is alive.
    pub async fn keep(self, cluster: Arc<Cluster>, status: Arc<LeaseStatus>) {
        let mut is_ours = false;
        loop {
            let (_, client) = cluster.client().await;
            if is_ours && let Ok(Some(held)) = self.read(&client).await {
                let other = Some(held.holder).filter(|holder| *holder != self.holder);
                status.saw(other, &self.path());
            }
            match self.renew(&client).await {
                Ok(()) => is_ours = true,
                // Said once, when it was read.
                Err(ApiError::Forbidden(why)) => debug!(why, "the Lease is not renewed"),
                Err(error) => debug!(%error, "the Lease is not renewed"),
            }
            // Two services that renew in step would not see each other.
            let every = cluster.timing.lease.mul_f64(rand::rng().random_range(0.7..=1.0));
            tokio::time::sleep(every).await;
        }
    }

    async fn renew(&self, client: &kube::Client) -> Result<(), ApiError> {
        // A MicroTime has six digits, no fewer.
        let now = clock::wall().to_string().replace('Z', "000Z");
        let spec = json!({"holderIdentity": self.holder, "renewTime": now});
        let patch = json!({ "spec": spec });
        match api::send(client, Method::PATCH, &self.path(), &patch, WITHIN).await {
            Err(ApiError::NotServed(_)) => {
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec,
                });
                let made = api::send(client, Method::POST, &self.folder(), &lease, WITHIN).await;
                made.map(drop)
            }
            outcome => outcome.map(drop),
        }
    }
}

/// A name that an object may have (RFC 1123), for any name of a cluster.
fn name(cluster: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let clean: String = cluster
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    format!("klaxon-{}", clean.trim_matches('-')).trim_end_matches('-').chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::{LeaseStatus, name};

    #[test]
    fn another_holder_is_told_until_it_leaves_no_trace_any_longer() {
        let status = LeaseStatus::default();
        status.saw(None, "lease");
        assert_eq!(status.trouble(), None);
        status.saw(Some("theirs".to_owned()), "lease");
        for _ in 0..2 {
            status.saw(None, "lease");
            let trouble = status.trouble().unwrap();
            assert!(
                trouble.contains("journal theirs") && trouble.contains("Lease lease"),
                "{trouble}"
            );
        }
        status.saw(Some("theirs".to_owned()), "lease");
        for _ in 0..3 {
            assert!(status.trouble().is_some());
            status.saw(None, "lease");
        }
        assert_eq!(status.trouble(), None);
    }

    #[test]
    fn any_name_of_a_cluster_gives_one_that_an_object_may_have() {
        assert_eq!(name("prod-eu-1"), "klaxon-prod-eu-1");
        assert_eq!(name("Prod EU/1!"), "klaxon-prod-eu-1");
        assert_eq!(name("ü"), "klaxon");
    }
}
