//! The Kubernetes object that an event is about.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Subject, Timestamp};

/// The API group: the part of an API version before the slash, empty for the core group.
pub fn api_group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether objects of a kind are Kubernetes Events: core/v1 and events.k8s.io/v1 show the same ones.
pub fn are_kubernetes_events(group: &str, kind: &str) -> bool {
    kind == "Event" && matches!(group, "" | "events.k8s.io")
}

/// Which object it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Empty for an object of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Identity {
    /// What tells objects apart: the uid; hand-made objects without one are told apart by name.
    pub fn unique(&self) -> Cow<'_, str> {
        if self.uid.is_empty() {
            Cow::Owned(format!("{}/{}/{}", self.kind, self.namespace, self.name))
        } else {
            Cow::Borrowed(&self.uid)
        }
    }

    /// The object's own partition. A node's is its name, for the Kubernetes Events about it carry
    /// the name in place of the uid.
    pub fn partition(&self) -> Cow<'_, str> {
        if self.kind == "Node" && self.group().is_empty() {
            Cow::Owned(format!("Node/{}", self.name))
        } else {
            self.unique()
        }
    }

    /// The API group: the part of the API version before the slash, empty for the core group.
    pub fn group(&self) -> &str {
        api_group(&self.api_version)
    }
}

/// Identity and metadata of an object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Which object it is.
    pub identity: Identity,
    /// The version of the object that this is.
    pub resource_version: String,
    /// 0 where the kind has none; what is larger than the type becomes its largest value.
    pub generation: u32,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When its deletion was asked for, or happened.
    pub deleted_at: Option<Timestamp>,
    /// Sorted by key.
    pub labels: Vec<Label>,
    /// Only those that some rule asks for; sorted by key.
    pub annotations: Vec<Label>,
    /// In the order of the object.
    pub owners: Vec<Owner>,
}

impl Meta {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
    }
}

/// A label or an annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// One owner reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// True for the managing controller.
    pub controller: bool,
}

/// A reference to an object, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Which object.
    pub identity: Identity,
    /// A part of it, such as `spec.containers{app}`.
    pub part: Option<String>,
}

/// An object as the host read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Identity and metadata.
    pub meta: Meta,
    /// What is read of the kinds that the host knows.
    pub subject: Subject,
    /// The whole object, redacted; only where some rule asks for fields of this kind.
    pub document: Option<Arc<Value>>,
}

impl Object {
    /// The object that this one is about: of a Kubernetes Event the one it regards, else itself.
    pub fn about(&self) -> &Identity {
        match &self.subject {
            Subject::KubernetesEvent(kubernetes_event) => &kubernetes_event.regarding.identity,
            _ => &self.meta.identity,
        }
    }
}
