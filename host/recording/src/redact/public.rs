//! Names that exist in every cluster and therefore reveal nothing.

use super::vocabulary::is_listed;

/// Returns `true` for a namespace that exists in every cluster.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "default" | "kube-system" | "kube-public" | "kube-node-lease")
}

/// Returns `true` for a well-known first part of a URL or of a container's id.
pub(super) fn is_scheme(name: &str) -> bool {
    matches!(name, "http" | "https" | "tcp" | "udp" | "unix" | "grpc" | "oci")
        || matches!(name, "containerd" | "docker" | "docker-pullable" | "cri-o" | "file")
}

/// Returns `true` for a component of Kubernetes, as in the source of Kubernetes Events.
pub(super) fn is_component(name: &str) -> bool {
    is_listed(COMPONENTS, name)
}

/// Returns `true` for a key of a label, taint or finalizer that is the same in every cluster.
pub(super) fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        // Operators define the roles of their nodes, and the names after `node-restriction.kubernetes.io`.
        Some(("node-role.kubernetes.io", role)) => is_listed(NODE_ROLES, role),
        Some((prefix, _)) => {
            is_domain(prefix) && !prefix.ends_with("node-restriction.kubernetes.io")
        }
        None => is_listed(LABEL_KEYS, key),
    }
}

/// Returns `true` for a built-in finalizer.
pub(super) fn is_finalizer(key: &str) -> bool {
    matches!(key, "foregroundDeletion" | "orphan" | "kubernetes") || is_domain(key)
}

/// Returns `true` for a resource that a container can request in every cluster.
pub(super) fn is_resource(key: &str) -> bool {
    let key = key.strip_prefix("requests.").or_else(|| key.strip_prefix("limits.")).unwrap_or(key);
    key.starts_with("hugepages-") || is_listed(RESOURCES, key)
}

/// Returns `true` for a domain of the Kubernetes project, except its image registry: images are redacted, and
/// a message must agree with the field.
pub(super) fn is_domain(domain: &str) -> bool {
    ["kubernetes.io", "k8s.io", "x-k8s.io"].iter().any(|known| {
        domain
            .strip_suffix(known)
            .is_some_and(|rest| rest.is_empty() || (rest.ends_with('.') && rest != "registry."))
    })
}

/// Components that Kubernetes Events name as their source.
const COMPONENTS: &str = "
attachdetach-controller certificate-controller cloud-node-controller
cloud-node-lifecycle-controller cluster-autoscaler controllermanager cronjob-controller
daemon-controller daemonset-controller default-scheduler deployment-controller
disruption-controller endpoint-controller endpoint-slice-controller
endpoint-slice-mirroring-controller ephemeral-volume-controller garbage-collector-controller
horizontal-pod-autoscaler ingress-controller job-controller kernel-monitor kube-apiserver
kube-controller-manager kube-proxy kube-scheduler kubelet namespace-controller node-controller
node-lifecycle-controller node-problem-detector persistentvolume-controller
persistentvolume-expander pod-garbage-collector replicaset-controller replication-controller
resource-claim-controller resource-quota-controller route-controller service-controller
statefulset-controller taint-eviction-controller
";

/// Keys without a domain. Those with a dot are field names in field selectors, not labels.
const LABEL_KEYS: &str = "
app chart component controller-revision-hash controller-uid heritage job-name metadata.name
metadata.namespace name pod-template-generation pod-template-hash release role spec.nodeName tier
version
";

/// Node roles that do not identify a user.
const NODE_ROLES: &str = "
control-plane master worker node etcd infra
";

/// Resources without a domain.
const RESOURCES: &str = "
cpu memory storage ephemeral-storage pods services secrets configmaps persistentvolumeclaims
replicationcontrollers resourcequotas attachable-volumes
";
