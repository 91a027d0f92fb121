//! Classes of fields: tables for the built-in API groups, and rules for all others.

use super::value_path::ValuePath;
use super::vocabulary::is_listed;

/// Class of a string, which determines its redaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Stays: the kind of an object, or a value whose order matters.
    Keep,
    /// One of the values that an API lists. A value of another form is redacted, because controllers may
    /// write any text.
    Enum,
    /// A name, an id, an image or an address.
    Name,
    /// A name of a namespace or a service account; those that exist in every cluster stay.
    Namespace,
    /// A name of a component; those of Kubernetes' own components stay.
    Component,
    /// A path in an object, with a name in braces.
    FieldPath,
    /// The key of a label, a taint or an annotation.
    LabelKey,
    /// A finalizer.
    Finalizer,
    /// A value that may contain anything, such as a password: not even its words stay.
    Whole,
    /// A message.
    Text,
    /// A string of unknown meaning.
    Unknown,
}

/// The API of an object, which determines how much is known about its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Api {
    /// An object of a built-in API group, with its kind.
    BuiltIn(String),
    /// A custom resource, or no Kubernetes object at all.
    Custom,
}

impl Api {
    pub(super) fn of(api_version: Option<&str>, kind: Option<&str>) -> Self {
        let group = api_version.map(|text| text.rsplit_once('/').map_or("", |(group, _)| group));
        let is_known = |group: &str| {
            matches!(group, "" | "apps" | "autoscaling" | "batch" | "extensions" | "policy")
                || group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io")
        };
        match (group, kind) {
            (Some(group), Some(kind)) if is_known(group) => Self::BuiltIn(kind.to_owned()),
            _ => Self::Custom,
        }
    }

    pub(super) fn is_kind(&self, wanted: &str) -> bool {
        matches!(self, Self::BuiltIn(kind) if kind == wanted)
    }

    /// Returns `true` within a schema, where keys are names of fields and do not have their usual meaning.
    pub(super) fn is_schema(&self, path: &ValuePath<'_>) -> bool {
        self.is_kind("CustomResourceDefinition") && path.keys().any(|key| key == "openAPIV3Schema")
    }

    /// Returns `true` for a map whose values are the user's data.
    pub(super) fn is_data(&self, path: &ValuePath<'_>) -> bool {
        let holds_data = self.is_kind("Secret") || self.is_kind("ConfigMap");
        holds_data && ["data", "stringData", "binaryData"].iter().any(|key| path.is_up(&[key]))
    }

    /// Returns the class of the string at this path.
    pub(super) fn class(&self, path: &ValuePath<'_>) -> Class {
        if self.is_schema(path) {
            return if matches!(path.key(), "type" | "format") { Class::Keep } else { Class::Text };
        }
        match self {
            Self::BuiltIn(kind) => built_in(kind, path),
            Self::Custom => custom(path),
        }
    }
}

fn custom(path: &ValuePath<'_>) -> Class {
    let is_condition = path.is_up(&[path.key(), "conditions", "status"]);
    match (path.holder(), path.key()) {
        ("" | "ownerReferences", "apiVersion" | "kind") => Class::Keep,
        (_, "type" | "status" | "reason") if is_condition => Class::Enum,
        (_, "message") if is_condition => Class::Text,
        ("metadata", key) => metadata(key),
        ("ownerReferences", _) => Class::Name,
        _ => Class::Unknown,
    }
}

/// Metadata is the same for all objects.
fn metadata(key: &str) -> Class {
    match key {
        "resourceVersion" => Class::Keep,
        "namespace" => Class::Namespace,
        "finalizers" => Class::Finalizer,
        _ => Class::Name,
    }
}

fn built_in(kind: &str, path: &ValuePath<'_>) -> Class {
    match (path.holder(), path.key()) {
        ("env" | "httpHeaders", "value") | (_, "command" | "args") => Class::Whole,
        ("source" | "deprecatedSource", "component") => Class::Component,
        ("metadata", "name") if kind == "Namespace" => Class::Namespace,
        ("metadata", key) => metadata(key),
        ("items" | "secretKeyRef" | "configMapKeyRef" | "fileKeyRef", "key") => Class::Name,
        (_, "resourceVersion" | "apiVersion" | "kind") => Class::Keep,
        (_, "message" | "note") => Class::Text,
        (_, "namespace" | "namespaces" | "serviceAccount" | "serviceAccountName") => {
            Class::Namespace
        }
        (_, "reportingComponent" | "reportingController" | "reportingInstance")
        | (_, "schedulerName" | "managedBy" | "controllerName") => Class::Component,
        (_, "fieldPath") => Class::FieldPath,
        (_, "finalizers") => Class::Finalizer,
        (_, "key" | "topologyKey" | "labelKey" | "matchLabelKeys" | "mismatchLabelKeys") => {
            Class::LabelKey
        }
        (_, key) if is_listed(ENUMS, key) => Class::Enum,
        (_, key) if is_listed(NAMES, key) || key.ends_with("Name") || key.ends_with("Names") => {
            Class::Name
        }
        _ => Class::Text,
    }
}

/// Returns `true` for names of objects that exist in every cluster.
pub(super) fn is_public_object(name: &str) -> bool {
    // `None` is the `clusterIP` of a headless Service. A namespace may also be referenced by its name alone.
    // `default` is not listed, because a workload may have that name.
    matches!(name, "kube-root-ca.crt" | "None" | "kube-system" | "kube-public" | "kube-node-lease")
}

/// Returns `true` for the keys of maps of labels. The `selector` of a Service is one of them.
pub(super) fn is_label_map(key: &str) -> bool {
    matches!(key, "labels" | "matchLabels" | "nodeSelector" | "selector")
}

/// Returns `true` for fields that select labels, taints or fields by a `key` with values.
pub(super) fn is_requirement(key: &str) -> bool {
    matches!(key, "taints" | "tolerations" | "matchExpressions" | "matchFields")
}

/// Returns `true` for maps from resources to quantities.
pub(super) fn is_quantity_map(key: &str) -> bool {
    matches!(key, "limits" | "requests" | "capacity" | "allocatable" | "allocatedResources")
        || matches!(key, "hard" | "used" | "overhead" | "defaultRequest" | "podFixed")
}

/// Fields whose values the API itself lists. Those of Kubernetes Events are free text, but rules depend on
/// them. A `schedule` consists of numbers and stars.
const ENUMS: &str = "
accessModes action architecture completionMode conditionType concurrencyPolicy dnsPolicy effect
externalTrafficPolicy fsGroupChangePolicy imagePullPolicy internalTrafficPolicy ipFamilies
ipFamilyPolicy mountPropagation nodeAffinityPolicy nodeTaintsPolicy operatingSystem operator
pathType persistentVolumeReclaimPolicy phase podManagementPolicy podReplacementPolicy
preemptionPolicy procMount protocol qosClass reason reclaimPolicy recursiveReadOnly restartPolicy
schedule scheme scope scopes sessionAffinity status strategy terminationMessagePolicy type
unhealthyPodEvictionPolicy volumeBindingMode volumeMode whenDeleted whenScaled whenUnsatisfiable
";

/// Fields that hold a name, an id, an image or an address, and whose key does not end in `Name`.
const NAMES: &str = "
address addresses bootID clusterIP clusterIPs containerID driver externalID generateName group
groups host hostIP hostIPs hostname hostnames image imageID instance ip machineID name names
nameservers plural podIP podIPs prefix providerID searches server singular subdomain systemUUID
targetPort uid user volumesInUse
";
