//! Klaxon's own Lease (`coordination.k8s.io/v1`). It records when a journal was last in use, so that a lost journal
//! is recognized as a gap instead of a first start, and reveals another service that uses the same name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, error, info, warn};

use super::Cluster;
use super::api::{self, ApiError, Form, MOST_SMALL};
use super::permissions::Permission;
use klaxon_model::{Timestamp, clock};

/// The number of renewals without a trace of another holder after which that holder counts as gone.
const QUIET_LOOKS: u32 = 3;
/// The time limit of a request.
const WITHIN: Duration = Duration::from_secs(10);

/// The Lease of this service.
#[derive(Debug, Clone)]
pub struct Lease {
    namespace: String,
    name: String,
    holder: String,
}

/// The contents of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The journal for which the Lease was last renewed.
    pub holder: String,
    /// The time of the last renewal.
    pub renewed_at: Option<Timestamp>,
}

/// A warning for operators while another service renews the same Lease.
#[derive(Debug, Default)]
pub struct LeaseStatus {
    other: Mutex<Option<Other>>,
}

/// Another service with a journal of its own.
#[derive(Debug)]
struct Other {
    holder: String,
    lease: String,
    /// The number of consecutive renewals since then that found no trace of the other service.
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

    /// Records the holder that a read of the Lease found. `None` if the holder is this service.
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
    /// Creates the Lease of a cluster's name and a journal, in a namespace.
    pub fn new(namespace: &str, cluster: &str, journal: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name(cluster), holder: journal.to_owned() }
    }

    /// Returns the permissions that are needed to renew the Lease.
    pub fn permissions(namespace: &str, cluster: &str) -> Vec<Permission> {
        let permission = |verb: &str, name: Option<String>| Permission {
            group: "coordination.k8s.io".to_owned(),
            resource: "leases".to_owned(),
            verb: verb.to_owned(),
            namespace: Some(namespace.to_owned()),
            name,
        };
        let name = Some(name(cluster));
        vec![permission("get", name.clone()), permission("patch", name), permission("create", None)]
    }

    fn folder(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.folder(), self.name)
    }

    /// Returns the last holder of the Lease. `None` if there is no Lease or the account may not read it.
    ///
    /// # Errors
    /// Returns an [`ApiError`] if the request fails.
    pub async fn read(&self, client: &kube::Client) -> Result<Option<LeaseRecord>, ApiError> {
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
        Ok(holder.map(|holder| LeaseRecord { holder, renewed_at: found.spec.renew_time }))
    }

    /// Renews the Lease until the task is ended. If the Lease has another holder after this service renewed it, that
    /// holder is alive.
    pub async fn keep(self, cluster: Arc<Cluster>, status: Arc<LeaseStatus>) {
        let mut is_ours = false;
        loop {
            let (_, client) = cluster.client().await;
            if is_ours && let Ok(Some(record)) = self.read(&client).await {
                let other = Some(record.holder).filter(|holder| *holder != self.holder);
                status.saw(other, &self.path());
            }
            match self.renew(&client).await {
                Ok(()) => is_ours = true,
                // Logged once as a warning, when the Lease was read.
                Err(ApiError::Forbidden(why)) => debug!(why, "the Lease is not renewed"),
                Err(error) => debug!(%error, "the Lease is not renewed"),
            }
            // The interval is random: two services that renew in step would not see each other.
            let every = cluster.timing.lease.mul_f64(rand::rng().random_range(0.7..=1.0));
            tokio::time::sleep(every).await;
        }
    }

    async fn renew(&self, client: &kube::Client) -> Result<(), ApiError> {
        // A MicroTime has exactly six fractional digits.
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

/// Returns a valid object name (RFC 1123) for any cluster name.
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
