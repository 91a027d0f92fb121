//! Identifies a cluster by the uid of its namespace `kube-system`, which exists as long as the cluster does.

use std::time::Duration;

use serde::Deserialize;

use super::api::{self, ApiError, Form, MOST_SMALL};
use super::permissions::Permission;

const PATH: &str = "/api/v1/namespaces/kube-system";
/// The time limit of the request.
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Found {
    metadata: FoundMeta,
}

#[derive(Deserialize)]
struct FoundMeta {
    uid: String,
}

/// Returns the permission to read the namespace. It is requested within the namespace itself, so that a Role there
/// suffices.
pub fn permission() -> Permission {
    Permission {
        group: String::new(),
        resource: "namespaces".to_owned(),
        verb: "get".to_owned(),
        namespace: Some("kube-system".to_owned()),
        name: Some("kube-system".to_owned()),
    }
}

/// Returns the uid of the cluster's namespace `kube-system`.
///
/// # Errors
/// Returns an [`ApiError`] if the account may not read the namespace, or the request fails.
pub async fn cluster_uid(client: &kube::Client) -> Result<String, ApiError> {
    let bytes = api::get(client, PATH, Form::Full, WITHIN, MOST_SMALL).await?;
    let found: Found = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::Broken(format!("{PATH} cannot be read: {error}")))?;
    Ok(found.metadata.uid)
}
