//! The kinds that the server knows, and discovery.

use serde_json::{Value, json};

/// A kind of object that is served.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    /// `true` if there is a watch cache. Without one there are no bookmarks, and a restart does not shorten the
    /// window.
    pub(crate) cached: bool,
    /// `true` for the kind of a custom resource definition. Items of its lists carry `kind` and `apiVersion`; those
    /// of built-in kinds do not.
    pub(crate) custom: bool,
}

impl Kind {
    /// A built-in kind, namespaced and with a watch cache. The group may be empty.
    pub(crate) fn built_in(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced: true,
            cached: true,
            custom: false,
        }
    }

    /// A namespaced kind of a custom resource definition.
    pub(crate) fn custom(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self { custom: true, ..Self::built_in(group, version, kind, plural) }
    }

    /// Makes the kind cluster-scoped.
    pub(crate) fn cluster_scoped(self) -> Self {
        Self { namespaced: false, ..self }
    }

    /// Removes the watch cache of the kind.
    pub(crate) fn uncached(self) -> Self {
        Self { cached: false, ..self }
    }

    pub(super) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    pub(super) fn is_event(&self) -> bool {
        self.kind == "Event" && matches!(self.group.as_str(), "" | "events.k8s.io")
    }

    /// Returns the fields that a typed server leaves in the object of a bookmark. A strict decoder of the kind
    /// refuses them.
    pub(super) fn left_in_bookmarks(&self) -> &'static str {
        match self.kind.as_str() {
            _ if self.custom => "",
            "Pod" => r#","spec":{"containers":null},"status":{}"#,
            "Deployment" => concat!(
                r#","spec":{"selector":null,"template":{"metadata":{},"#,
                r#""spec":{"containers":null}},"strategy":{}},"status":{}"#
            ),
            "Event" => concat!(
                r#","involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"#,
                r#""eventTime":null,"reportingComponent":"","reportingInstance":"""#
            ),
            "Lease" => r#","spec":{}"#,
            _ => r#","spec":{},"status":{}"#,
        }
    }
}

/// The kinds that are served from the start. Both groups of Events show the same stored objects.
pub(super) fn presets() -> Vec<Kind> {
    vec![
        Kind::built_in("", "v1", "Pod", "pods"),
        Kind::built_in("", "v1", "Event", "events").uncached(),
        Kind::built_in("events.k8s.io", "v1", "Event", "events").uncached(),
        Kind::built_in("", "v1", "Node", "nodes").cluster_scoped(),
        Kind::built_in("", "v1", "Namespace", "namespaces").cluster_scoped(),
        Kind::built_in("apps", "v1", "Deployment", "deployments"),
        Kind::built_in("batch", "v1", "Job", "jobs"),
        Kind::built_in("coordination.k8s.io", "v1", "Lease", "leases"),
    ]
}

/// Answers a discovery path. `None` if no such group or version is served.
pub(super) fn discovery<'a>(
    path: &str,
    kinds: impl Iterator<Item = &'a Kind> + Clone,
) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4",
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z",
            "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64"})),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": []})),
        ["api", version] => resources("", version, kinds),
        ["apis"] => {
            let mut names: Vec<&str> = kinds.clone().map(|kind| kind.group.as_str()).collect();
            names.retain(|name| !name.is_empty());
            names.sort_unstable();
            names.dedup();
            let groups: Vec<Value> =
                names.iter().filter_map(|name| group(name, kinds.clone())).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let mut group = group(name, kinds)?;
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            Some(group)
        }
        ["apis", group, version] => resources(group, version, kinds),
        _ => None,
    }
}

fn group<'a>(name: &str, kinds: impl Iterator<Item = &'a Kind>) -> Option<Value> {
    let mut versions: Vec<&str> =
        kinds.filter(|kind| kind.group == name).map(|kind| kind.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

fn resources<'a>(
    group: &str,
    version: &str,
    kinds: impl Iterator<Item = &'a Kind>,
) -> Option<Value> {
    let kinds: Vec<&Kind> =
        kinds.filter(|kind| kind.group == group && kind.version == version).collect();
    let group_version = kinds.first()?.api_version();
    let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let resources: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({"name": kind.plural, "singularName": kind.kind.to_lowercase(),
                "namespaced": kind.namespaced, "kind": kind.kind, "verbs": verbs})
        })
        .collect();
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": resources}))
}
