//! Names that every cluster has, and that give nothing away.

use super::vocabulary::is_listed;

/// True for a namespace that every cluster has.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "default" | "kube-system" | "kube-public" | "kube-node-lease")
}

/// True for the first part of a URL or of a container's id, if it is well known.
pub(super) fn is_scheme(name: &str) -> bool {
    matches!(name, "http" | "https" | "tcp" | "udp" | "unix" | "grpc" | "oci")
        || matches!(name, "containerd" | "docker" | "docker-pullable" | "cri-o" | "file")
}

/// True for a component that is part of Kubernetes, as events name their source.
pub(super) fn is_component(name: &str) -> bool {
    is_listed(COMPONENTS, name)
}

/// True for a key of a label, taint or finalizer that is the same in every cluster.
pub(super) fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        // Whoever runs the cluster names the roles of its nodes, and what comes after this prefix.
        Some(("node-role.kubernetes.io", role)) => is_listed(NODE_ROLES, role),
        Some((prefix, _)) => {
            is_domain(prefix) && !prefix.ends_with("node-restriction.kubernetes.io")
        }
        None => is_listed(LABEL_KEYS, key),
    }
}

/// True for the finalizers that are built in.
pub(super) fn is_finalizer(key: &str) -> bool {
    matches!(key, "foregroundDeletion" | "orphan" | "kubernetes") || is_domain(key)
}

/// True for a resource that a container can ask for everywhere.
pub(super) fn is_resource(key: &str) -> bool {
    let key = key.strip_prefix("requests.").or_else(|| key.strip_prefix("limits.")).unwrap_or(key);
    key.starts_with("hugepages-") || is_listed(RESOURCES, key)
}

/// True for a domain of the Kubernetes project. That of its image registry is not meant: images
/// are redacted, and a message must agree with the field.
pub(super) fn is_domain(domain: &str) -> bool {
    ["kubernetes.io", "k8s.io", "x-k8s.io"].iter().any(|known| {
        domain
            .strip_suffix(known)
            .is_some_and(|rest| rest.is_empty() || (rest.ends_with('.') && rest != "registry."))
    })
}

/// What events name as their source.
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

/// Keys without a domain. Those with a dot are no labels: selectors of fields ask for them.
const LABEL_KEYS: &str = "
app chart component controller-revision-hash controller-uid heritage job-name metadata.name
metadata.namespace name pod-template-generation pod-template-hash release role spec.nodeName tier
version
";

/// Roles of nodes that say nothing about whose they are.
const NODE_ROLES: &str = "
control-plane master worker node etcd infra
";

/// Resources without a domain.
const RESOURCES: &str = "
cpu memory storage ephemeral-storage pods services secrets configmaps persistentvolumeclaims
replicationcontrollers resourcequotas attachable-volumes
";
