//! Plans the watches: one for each kind, or one for each kind and namespace.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::api::{self, ApiError, Form, MOST_SMALL};
use super::permissions::Permission;
use klaxon_config as config;
use klaxon_core::route::Need;
use klaxon_model::{Coverage, Id, are_kubernetes_events};

/// A planned watch.
#[derive(Debug, Clone)]
pub struct WatchPlan {
    /// The watch's name in logs, gaps and the journal, such as `Pod`, `Deployment.apps` or `Pod in shop`.
    pub name: Arc<str>,
    /// The rules that need the watch, and its selectors.
    pub need: Need,
    /// The only namespace that is watched. `None` means all namespaces.
    pub namespace: Option<String>,
    /// The digest of kind, selectors and form. A cursor is not valid for a watch with another digest.
    pub digest: String,
}

/// A kind as the API server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The resource name in paths, such as `pods`.
    pub plural: String,
    /// `true` if the kind's objects belong to namespaces.
    pub namespaced: bool,
}

impl Served {
    /// Guesses the form in which the API server serves a kind, before it was asked.
    pub fn guess(need: &Need) -> Self {
        let (group, version) =
            need.api_version.split_once('/').unwrap_or(("", need.api_version.as_str()));
        let kind = kube::core::GroupVersionKind::gvk(group, version, &need.kind);
        let plural = kube::core::ApiResource::from_gvk(&kind).plural;
        Self { plural, namespaced: !is_of_cluster(need) }
    }
}

/// Plans the watches for the rules' needs. If the account sees only some namespaces, each namespaced kind is
/// watched in each of them.
pub fn plan(needs: &[Need], settings: &config::Kubernetes) -> Vec<WatchPlan> {
    let mut plans = Vec::new();
    for need in needs {
        let namespaces = match (&need.namespaces, settings.namespaces.as_slice()) {
            _ if is_of_cluster(need) => None,
            (None, []) => None,
            (Some(wanted), []) => Some(wanted.clone()),
            (None, allowed) => Some(allowed.to_vec()),
            (Some(wanted), allowed) => {
                Some(wanted.iter().filter(|name| allowed.contains(name)).cloned().collect())
            }
        };
        match namespaces {
            None => plans.push(WatchPlan::new(need, None)),
            Some(names) => {
                plans.extend(names.into_iter().map(|name| WatchPlan::new(need, Some(name))));
            }
        }
    }
    plans
}

/// Returns `true` for kinds without namespaces that exist in every cluster; for others the server is asked.
fn is_of_cluster(need: &Need) -> bool {
    const OF_CLUSTER: [(&str, &[&str]); 3] = [
        ("", &["Namespace", "Node", "PersistentVolume"]),
        ("storage.k8s.io", &["CSINode", "StorageClass", "VolumeAttachment"]),
        ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ];
    OF_CLUSTER
        .iter()
        .any(|(group, kinds)| *group == need.group() && kinds.contains(&need.kind.as_str()))
}

impl WatchPlan {
    fn new(need: &Need, namespace: Option<String>) -> Self {
        let mut name = need.kind.clone();
        if !need.group().is_empty() {
            name = format!("{name}.{}", need.group());
        }
        if let Some(namespace) = &namespace {
            name = format!("{name} in {namespace}");
        }
        let digest = Id::of(
            "watch",
            &[
                &need.api_version,
                &need.label_selector,
                &need.field_selector,
                &u64::from(need.metadata_only),
            ],
        );
        Self {
            name: name.into(),
            need: need.clone(),
            namespace,
            digest: digest.as_str().to_owned(),
        }
    }

    /// Returns the kind and namespace that the watch covers.
    pub fn coverage(&self) -> Coverage {
        Coverage {
            group: self.need.group().to_owned(),
            kind: self.need.kind.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// Returns `true` if the watch is of Kubernetes Events. The API server has no watch cache for them, so it sends
    /// no bookmarks.
    pub fn is_of_events(&self) -> bool {
        are_kubernetes_events(self.need.group(), &self.need.kind)
    }

    pub(super) fn form(&self) -> Form {
        if self.need.metadata_only { Form::Metadata } else { Form::Full }
    }

    /// Returns the permissions that the watch needs.
    pub fn permissions(&self, served: &Served) -> Vec<Permission> {
        let mut verbs = vec!["list", "watch"];
        // An object that no longer matches a selector looks deleted, so it is requested by name.
        if self.need.selects() {
            verbs.push("get");
        }
        let permissions = verbs.into_iter().map(|verb| Permission {
            group: self.need.group().to_owned(),
            resource: served.plural.clone(),
            verb: verb.to_owned(),
            namespace: self.namespace.clone(),
            name: None,
        });
        permissions.collect()
    }

    /// Returns the path of the kind's objects, or of the one object with the given name.
    pub(super) fn path(
        &self,
        served: &Served,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> String {
        let mut path = root(&self.need.api_version);
        if let Some(namespace) =
            namespace.or(self.namespace.as_deref()).filter(|_| served.namespaced)
        {
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        path.push('/');
        path.push_str(&served.plural);
        if let Some(name) = name {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    /// Returns the query parameters that select the objects.
    pub(super) fn selection(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        if !self.need.label_selector.is_empty() {
            query.push(("labelSelector", self.need.label_selector.clone()));
        }
        if !self.need.field_selector.is_empty() {
            query.push(("fieldSelector", self.need.field_selector.clone()));
        }
        query
    }
}

fn root(api_version: &str) -> String {
    if api_version.contains('/') {
        format!("/apis/{api_version}")
    } else {
        format!("/api/{api_version}")
    }
}

/// Joins a path and its query.
pub(super) fn query(path: &str, parameters: &[(&str, String)]) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    namespaced: bool,
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: GroupVersion,
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
}

/// Finds a resource by its kubectl name, such as `pods` or `deployments.apps`, and returns the need for all of its
/// objects.
///
/// # Errors
/// Returns a message with a hint if the resource is not served or the API server cannot be asked.
pub async fn find(client: &kube::Client, name: &str) -> Result<Need, String> {
    let within = Duration::from_secs(10);
    let (plural, group) = name.split_once('.').unwrap_or((name, ""));
    let api_version = if group.is_empty() {
        "v1".to_owned()
    } else {
        let asked =
            api::get(client, &format!("/apis/{group}"), Form::Full, within, MOST_SMALL).await;
        let bytes = asked.map_err(|error| format!("resource {name:?}: group {group}: {error}"))?;
        let found: Group = serde_json::from_slice(&bytes)
            .map_err(|error| format!("resource {name:?}: group {group}: {error}"))?;
        found.preferred_version.group_version
    };
    let asked = api::get(client, &root(&api_version), Form::Full, within, MOST_SMALL).await;
    let bytes = asked.map_err(|error| format!("resource {name:?}: {error}"))?;
    let found: Resources =
        serde_json::from_slice(&bytes).map_err(|error| format!("resource {name:?}: {error}"))?;
    let found = found.resources.into_iter().find(|one| one.name == plural);
    let kind = found.ok_or_else(|| {
        format!(
            "resource {name:?} is not served; hint: write it as `kubectl api-resources` names it, with its group, such as deployments.apps"
        )
    })?;
    Ok(Need {
        api_version,
        kind: kind.kind,
        namespaces: None,
        label_selector: String::new(),
        field_selector: String::new(),
        metadata_only: false,
        rules: Vec::new(),
    })
}

/// Asks the API server for the form in which it serves a kind. `None` if the kind is not served.
///
/// # Errors
/// Returns an [`ApiError`] if the request fails.
pub async fn discover(
    client: &kube::Client,
    need: &Need,
    within: Duration,
) -> Result<Option<Served>, ApiError> {
    let bytes =
        match api::get(client, &root(&need.api_version), Form::Full, within, MOST_SMALL).await {
            Ok(bytes) => bytes,
            Err(ApiError::NotServed(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
    let found: Resources = serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::Broken(format!("what {} serves cannot be read: {error}", need.api_version))
    })?;
    let found = found.resources.into_iter();
    // Names with a slash are subresources of other kinds, such as pods/status.
    let mut found = found.filter(|one| one.kind == need.kind && !one.name.contains('/'));
    Ok(found.next().map(|one| Served { plural: one.name, namespaced: one.namespaced }))
}

/// Returns another version of the kind's group in which the kind is served. `None` if there is none.
///
/// # Errors
/// Returns an [`ApiError`] if a request fails.
pub(super) async fn served_elsewhere(
    client: &kube::Client,
    need: &Need,
    within: Duration,
) -> Result<Option<String>, ApiError> {
    if need.group().is_empty() {
        return Ok(None);
    }
    let path = format!("/apis/{}", need.group());
    let bytes = match api::get(client, &path, Form::Full, within, MOST_SMALL).await {
        Ok(bytes) => bytes,
        Err(ApiError::NotServed(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let group: Group = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::Broken(format!("what {path} has cannot be read: {error}")))?;
    for GroupVersion { group_version } in group.versions {
        if group_version == need.api_version {
            continue;
        }
        let other = Need { api_version: group_version, ..need.clone() };
        if discover(client, &other, within).await?.is_some() {
            return Ok(Some(other.api_version));
        }
    }
    Ok(None)
}
