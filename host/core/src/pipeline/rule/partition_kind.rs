//! The owner of a partition: one object, or several that share it.

use klaxon_model::{Event, PartitionBy, RuleInfo, SlotKind};

/// Returns the owner of an event's partition.
pub(super) fn kind_of(rule: &RuleInfo, event: &Event) -> SlotKind {
    let interests = &rule.manifest.interests;
    let index = usize::try_from(event.interest).unwrap_or(usize::MAX);
    let is_own = match interests.get(index).map(|interest| &interest.partition) {
        Some(PartitionBy::Object) => true,
        Some(PartitionBy::Namespace | PartitionBy::WholeCluster) | None => false,
        // An object without the label or the field is in a partition of its own.
        Some(PartitionBy::Label(_) | PartitionBy::Field(_)) => is_object(&event.partition),
    };
    if is_own { SlotKind::Object } else { SlotKind::Shared }
}

/// Returns the owner of a partition whose state was written before owners were stored, as far as the manifest
/// determines it. `None` if the rule partitions both by object and by namespace.
pub(in crate::pipeline) fn kind_of_old(rule: &RuleInfo, partition: &str) -> Option<SlotKind> {
    let is_whole =
        |by: &PartitionBy| matches!(by, PartitionBy::Namespace | PartitionBy::WholeCluster);
    let by = || rule.manifest.interests.iter().map(|interest| &interest.partition);
    match (by().any(is_whole), by().any(|by| !is_whole(by))) {
        (true, true) => None,
        (true, false) => Some(SlotKind::Shared),
        (false, _) if is_object(partition) => Some(SlotKind::Object),
        (false, _) => Some(SlotKind::Shared),
    }
}

/// Returns `true` if a partition by object, label or field is an object's own. A shared partition has the namespace,
/// which may be empty, and a slash before its value; a namespace's name does not begin with a capital letter.
fn is_object(partition: &str) -> bool {
    !partition.contains('/') || partition.starts_with(|first: char| first.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::is_object;

    #[test]
    fn a_partition_by_label_is_an_objects_own_where_the_label_is_missing() {
        for own in ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "Node/worker-1", "Pod/a/web"] {
            assert!(is_object(own), "{own}");
        }
        for shared in ["a/shop", "/shop", "3f2504e0-4f89-11d3-9a0c-0305e82c3301/shop", "a/"] {
            assert!(!is_object(shared), "{shared}");
        }
    }
}
