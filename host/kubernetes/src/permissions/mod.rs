//! Reviews the permissions that Klaxon needs: one SelfSubjectAccessReview for each.

mod table;

use std::fmt;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{describe, is_credential, shorten};

pub use table::{document, table};

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// The number of concurrent reviews.
const AT_ONCE: usize = 8;
/// The time limit of a review. A review is small: an API server that takes longer counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(10);
/// The number of attempts for a review that a busy API server rejects.
const TRIES: u32 = 3;
/// The upper bound on the pause that a busy API server requests between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One permission that the cluster must grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// The API group; empty for the core.
    pub group: String,
    /// The resource in the plural, such as `pods`; may have a subresource, as in `pods/log`.
    pub resource: String,
    /// The verb, such as `watch`.
    pub verb: String,
    /// The namespace. `None` means the whole cluster.
    pub namespace: Option<String>,
    /// The object's name. `None` means all objects.
    pub name: Option<String>,
}

/// The cluster's answer to a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The permission is granted.
    Granted,
    /// The permission is not granted.
    Missing {
        /// The authorizer's reason.
        why: String,
    },
    /// The review gave no answer. The permission may be granted all the same.
    Unknown {
        /// The reason for which there is no answer.
        why: String,
    },
}

/// The reason for which permissions cannot be reviewed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The API server did not answer.
    #[error("the API server cannot be reached: {why}; hint: check the address and the network")]
    Unreachable {
        /// The reason.
        why: String,
    },
    /// The API server rejected the credential.
    #[error(
        "the API server answered 401: {why}; hint: the credential is wrong or has expired, \
         make a new one"
    )]
    Unauthorized {
        /// The API server's message.
        why: String,
    },
    /// There is no usable credential.
    #[error("{why}")]
    Credential {
        /// The reason.
        why: String,
    },
    /// The API server, or a proxy in front of it, is too busy or broken to answer.
    #[error("the API server gives no answer: {why}; hint: try again when it is well")]
    Unavailable {
        /// The answer that was received instead.
        why: String,
    },
    /// The endpoint is not a Kubernetes API server.
    #[error(
        "what answers is no Kubernetes API server: {why}; hint: check the address, its path and \
         proxies"
    )]
    Stranger {
        /// The endpoint's answer.
        why: String,
    },
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.qualified())?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace:?}"),
            None => f.write_str(" in the whole cluster"),
        }
    }
}

impl Permission {
    /// Returns the resource with its group in kubectl's notation, such as `deployments.apps/scale`.
    pub fn qualified(&self) -> String {
        match (self.group.as_str(), self.resource.split_once('/')) {
            ("", _) => self.resource.clone(),
            (group, Some((resource, below))) => format!("{resource}.{group}/{below}"),
            (group, None) => format!("{}.{group}", self.resource),
        }
    }

    /// Returns the spec of the review (authorization.k8s.io/v1, ResourceAttributes).
    fn attributes(&self) -> Value {
        let mut attributes = json!({"verb": self.verb});
        let (resource, below) = match self.resource.split_once('/') {
            Some((resource, below)) => (resource, Some(below)),
            None => (self.resource.as_str(), None),
        };
        let members = [
            ("group", Some(self.group.as_str())),
            ("resource", Some(resource)),
            ("subresource", below),
            ("namespace", self.namespace.as_deref()),
            ("name", self.name.as_deref()),
        ];
        for (key, member) in members {
            if let Some(text) = member.filter(|text| !text.is_empty()) {
                attributes[key] = text.into();
            }
        }
        json!({"resourceAttributes": attributes})
    }
}

/// Reviews each permission; the answers are in the order of `permissions`.
///
/// # Errors
/// Returns a [`ReviewError`] if the API server cannot be reached or rejects the credential.
pub async fn review(
    client: &Client,
    permissions: &[Permission],
) -> Result<Vec<(Permission, Answer)>, ReviewError> {
    let questions: Vec<(Permission, Value)> = permissions
        .iter()
        .map(|permission| (permission.clone(), permission.attributes()))
        .collect();
    stream::iter(questions)
        .map(|(permission, spec)| async move { Ok((permission, ask(client, &spec).await?)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Checks that the API server accepts the credential, with a review of no particular permission.
///
/// # Errors
/// Returns the same errors as [`review`].
pub async fn probe(client: &Client) -> Result<(), ReviewError> {
    let spec = json!({"nonResourceAttributes": {"path": "/version", "verb": "get"}});
    ask(client, &spec).await.map(drop)
}

#[derive(Deserialize)]
struct Reviewed {
    status: Option<ReviewStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewStatus {
    allowed: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    evaluation_error: String,
}

async fn ask(client: &Client, spec: &Value) -> Result<Answer, ReviewError> {
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": spec,
    });
    let mut tried = 1;
    loop {
        let (status, headers, said) = post(client, body.to_string().into_bytes()).await?;
        if !is_busy(status) || tried == TRIES {
            return judge(status, &said);
        }
        tried += 1;
        tokio::time::sleep(pause(&headers)).await;
    }
}

async fn post(
    client: &Client,
    body: Vec<u8>,
) -> Result<(StatusCode, HeaderMap, Vec<u8>), ReviewError> {
    let request = Request::post(PATH).header(CONTENT_TYPE, "application/json");
    let request = request
        .body(Body::from(body))
        .map_err(|error| ReviewError::Unreachable { why: error.to_string() })?;
    let exchange = async {
        let response = client.send(request).await?;
        let (parts, body) = response.into_parts();
        Ok((parts.status, parts.headers, body.collect_bytes().await?.to_vec()))
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let why = describe(&error);
            Err(if is_credential(&error) {
                ReviewError::Credential { why }
            } else {
                ReviewError::Unreachable { why }
            })
        }
        Err(_) => Err(ReviewError::Unreachable { why: format!("no answer within {PATIENCE:?}") }),
    }
}

fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn pause(headers: &HeaderMap) -> Duration {
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    asked.map_or(Duration::from_millis(200), Duration::from_secs).min(LONGEST_PAUSE)
}

fn judge(status: StatusCode, said: &[u8]) -> Result<Answer, ReviewError> {
    let (is_kubernetes, message) = message(said);
    let answered = || format!("status {}{}", status.as_u16(), colon(&message));
    if status == StatusCode::UNAUTHORIZED {
        let why = if message.is_empty() { "no reason given".to_owned() } else { message };
        return Err(ReviewError::Unauthorized { why });
    }
    // An account may lack the permission to create reviews (the role system:basic-user grants it).
    if is_kubernetes && (status == StatusCode::FORBIDDEN || is_busy(status)) {
        return Ok(Answer::Unknown { why: format!("not reviewed: {}", answered()) });
    }
    if is_busy(status) {
        return Err(ReviewError::Unavailable { why: answered() });
    }
    if !status.is_success() {
        return Err(ReviewError::Stranger { why: answered() });
    }
    let reviewed = serde_json::from_slice::<Reviewed>(said).ok().and_then(|said| said.status);
    let Some(reviewed) = reviewed else {
        return Err(ReviewError::Stranger { why: answered() });
    };
    if reviewed.allowed {
        return Ok(Answer::Granted);
    }
    let reasons = [reviewed.reason, reviewed.evaluation_error];
    let reasons: Vec<String> =
        reasons.iter().filter(|text| !text.is_empty()).map(|text| shorten(text)).collect();
    let why = if reasons.is_empty() { "no rule allows it".to_owned() } else { reasons.join(": ") };
    Ok(Answer::Missing { why })
}

/// Returns `true` if an answer is a Kubernetes Status, and the Status's message or else the answer's beginning.
fn message(said: &[u8]) -> (bool, String) {
    let status = serde_json::from_slice::<Value>(said).ok();
    let status = status.as_ref().filter(|status| status["kind"] == "Status");
    let message = status.and_then(|status| status["message"].as_str());
    let text = message.map_or_else(|| shorten(&String::from_utf8_lossy(said)), shorten);
    (status.is_some(), text)
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests;
