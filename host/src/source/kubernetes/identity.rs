//! Identifies a cluster: its namespace `kube-system` is made with it, and lives as long as it does.

use std::time::Duration;

use serde::Deserialize;

use super::api::{self, ApiError, Form, MOST_SMALL};
use super::permissions::Right;

const PATH: &str = "/api/v1/namespaces/kube-system";
/// The time limit of the answer.
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Found {
    metadata: FoundMeta,
}

#[derive(Deserialize)]
struct FoundMeta {
    uid: String,
}

/// The right to read it: in the namespace itself, so that a Role there is enough.
pub fn right() -> Right {
    Right {
        group: String::new(),
        resource: "namespaces".to_owned(),
        verb: "get".to_owned(),
        namespace: Some("kube-system".to_owned()),
        name: Some("kube-system".to_owned()),
    }
}

/// The uid of the cluster's namespace `kube-system`.
///
/// # Errors
/// Where the account may not read it, or the API server cannot be asked.
pub async fn cluster_uid(client: &kube::Client) -> Result<String, ApiError> {
    let bytes = api::get(client, PATH, Form::Full, WITHIN, MOST_SMALL).await?;
    let found: Found = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::Broken(format!("{PATH} cannot be read: {error}")))?;
    Ok(found.metadata.uid)
}
