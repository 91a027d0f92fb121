//! A Lease of ours (`coordination.k8s.io/v1`): it says when a journal was last in use, so that a
//! journal which is lost is a gap and not a first start.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, warn};

use super::Cluster;
use super::api::{self, Fault, Form};
use super::rights::Right;
use crate::model::{Timestamp, clock};

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(10);
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
    pub async fn read(&self, client: &kube::Client) -> Result<Option<Held>, Fault> {
        let bytes = match api::get(client, &self.path(), Form::Full, WITHIN).await {
            Ok(bytes) => bytes,
            Err(Fault::NotServed(_)) => return Ok(None),
            Err(Fault::Forbidden(why)) => {
                warn!(
                    why,
                    "no Lease is kept: a journal that is lost will look like a first start; mend: `klaxon config rbac` prints what is needed"
                );
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        let found: Found = serde_json::from_slice(&bytes)
            .map_err(|fault| Fault::Broken(format!("the Lease cannot be read: {fault}")))?;
        let holder = found.spec.holder_identity.filter(|holder| !holder.is_empty());
        Ok(holder.map(|holder| Held { holder, renewed_at: found.spec.renew_time }))
    }

    /// Renews it until the task is ended.
    pub async fn keep(self, cluster: Arc<Cluster>) {
        loop {
            let (_, client) = cluster.client().await;
            match self.renew(&client).await {
                Ok(()) => {}
                // Said once, when it was read.
                Err(Fault::Forbidden(why)) => debug!(why, "the Lease is not renewed"),
                Err(fault) => debug!(%fault, "the Lease is not renewed"),
            }
            tokio::time::sleep(RENEW).await;
        }
    }

    async fn renew(&self, client: &kube::Client) -> Result<(), Fault> {
        // A MicroTime has six digits, no fewer.
        let now = clock::wall().to_string().replace('Z', "000Z");
        let spec = json!({"holderIdentity": self.holder, "renewTime": now});
        let patch = json!({ "spec": spec });
        match api::send(client, Method::PATCH, &self.path(), &patch, WITHIN).await {
            Err(Fault::NotServed(_)) => {
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
    use super::name;

    #[test]
    fn any_name_of_a_cluster_gives_one_that_an_object_may_have() {
        assert_eq!(name("prod-eu-1"), "klaxon-prod-eu-1");
        assert_eq!(name("Prod EU/1!"), "klaxon-prod-eu-1");
        assert_eq!(name("ü"), "klaxon");
    }
}
