//! The Kubernetes object that an event is about.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Subject, Timestamp};

/// Returns the API group: the part of an API version before the slash, empty for the core group.
pub fn api_group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Returns `true` if objects of a kind are Kubernetes Events. core/v1 and events.k8s.io/v1 serve the same
/// objects.
pub fn are_kubernetes_events(group: &str, kind: &str) -> bool {
    kind == "Event" && matches!(group, "" | "events.k8s.io")
}

/// The identity of an object: API version, kind, namespace, name and uid.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// API version, such as `apps/v1`.
    pub api_version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Uid of the object; empty in hand-made objects.
    pub uid: String,
}

impl Identity {
    /// Returns the key that distinguishes objects: the uid. Hand-made objects without one are
    /// distinguished by kind, namespace and name.
    pub fn unique(&self) -> Cow<'_, str> {
        if self.uid.is_empty() {
            Cow::Owned(format!("{}/{}/{}", self.kind, self.namespace, self.name))
        } else {
            Cow::Borrowed(&self.uid)
        }
    }

    /// Returns the object's own partition. A Node's partition is derived from its name, because
    /// Kubernetes Events about a Node carry the name in place of the uid.
    pub fn partition(&self) -> Cow<'_, str> {
        if self.kind == "Node" && self.group().is_empty() {
            Cow::Owned(format!("Node/{}", self.name))
        } else {
            self.unique()
        }
    }

    /// Returns the API group: the part of the API version before the slash, empty for the core group.
    pub fn group(&self) -> &str {
        api_group(&self.api_version)
    }
}

/// Identity and metadata of an object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Identity of the object.
    pub identity: Identity,
    /// The `resourceVersion` of this state of the object.
    pub resource_version: String,
    /// The generation; 0 if the kind has none. Values that exceed `u32` become `u32::MAX`.
    pub generation: u32,
    /// Creation time.
    pub created_at: Option<Timestamp>,
    /// Time at which deletion was requested, or happened.
    pub deleted_at: Option<Timestamp>,
    /// Labels, sorted by key.
    pub labels: Vec<Label>,
    /// Annotations that some rule asks for, sorted by key.
    pub annotations: Vec<Label>,
    /// Owner references, in the order of the object.
    pub owners: Vec<Owner>,
}

impl Meta {
    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
    }
}

/// A label or an annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Key of the label or annotation.
    pub key: String,
    /// Value of the label or annotation.
    pub value: String,
}

/// One owner reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// API version of the owner, such as `apps/v1`.
    pub api_version: String,
    /// Kind of the owner, such as `ReplicaSet`.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
    /// `true` for the managing controller.
    pub controller: bool,
}

/// A reference to an object, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Identity of the object.
    pub identity: Identity,
    /// A part of the object, such as `spec.containers{app}`.
    pub part: Option<String>,
}

/// An object as the host read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Identity and metadata.
    pub meta: Meta,
    /// The decoded fields of a kind that the host knows.
    pub subject: Subject,
    /// The whole object, redacted. `None` unless some rule asks for fields of this kind.
    pub document: Option<Arc<Value>>,
}

impl Object {
    /// Returns the object that this one is about: for a Kubernetes Event the object that it regards,
    /// otherwise the object itself.
    pub fn about(&self) -> &Identity {
        match &self.subject {
            Subject::KubernetesEvent(kubernetes_event) => &kubernetes_event.regarding.identity,
            _ => &self.meta.identity,
        }
    }
}
