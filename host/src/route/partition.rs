//! Which events share state and are kept in order.

use std::sync::Arc;

use super::known::{Membership, uid};
use crate::model::{Identity, Object, PartitionBy, Subject, Value};

/// How an interest partitions, with a field's place among the interest's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Partitioning {
    Plain(PartitionBy),
    Field(usize),
}

/// The partition of an object.
pub(super) fn of(by: &Partitioning, object: &Object, fields: &[Value]) -> Arc<str> {
    let meta = &object.meta;
    let namespace = meta.identity.namespace.as_str();
    match by {
        Partitioning::Plain(PartitionBy::Object | PartitionBy::Field(_)) => by_object(object),
        Partitioning::Plain(PartitionBy::Namespace) => namespace.into(),
        Partitioning::Plain(PartitionBy::WholeCluster) => "".into(),
        Partitioning::Plain(PartitionBy::Label(key)) => match meta.label(key) {
            Some(value) => format!("{namespace}/{value}").into(),
            None => by_object(object),
        },
        Partitioning::Field(place) => match fields.get(*place) {
            Some(Value::Text(value) | Value::Json(value)) => format!("{namespace}/{value}").into(),
            Some(Value::Integer(value)) => format!("{namespace}/{value}").into(),
            Some(Value::Number(value)) => format!("{namespace}/{value}").into(),
            Some(Value::Boolean(value)) => format!("{namespace}/{value}").into(),
            Some(Value::Null) | None => by_object(object),
        },
    }
}

/// Whether an object is still in the partition that it was in, found without making its name anew.
pub(super) fn same(by: &Partitioning, was: &Membership, object: &Object, fields: &[Value]) -> bool {
    match by {
        Partitioning::Plain(PartitionBy::WholeCluster) => was.partition.is_empty(),
        Partitioning::Plain(PartitionBy::Object)
            if !matches!(object.subject, Subject::Notice(_)) =>
        {
            *was.partition == *object.meta.identity.uid
        }
        _ => was.partition == of(by, object, fields),
    }
}

/// A Kubernetes Event's partition is that of the object it regards. A node's is its name, for the
/// Events about it carry the name in place of the uid.
fn by_object(object: &Object) -> Arc<str> {
    match &object.subject {
        Subject::Notice(notice) => of_identity(&notice.regarding.identity),
        _ => of_identity(&object.meta.identity),
    }
}

fn of_identity(identity: &Identity) -> Arc<str> {
    if identity.kind == "Node" {
        format!("Node/{}", identity.name).into()
    } else {
        uid(identity).into()
    }
}
