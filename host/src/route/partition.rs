//! Which events share state and are kept in order.

use std::sync::Arc;

use crate::model::{Object, PartitionBy, Value};

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

/// A Kubernetes Event's partition is that of the object it regards.
fn by_object(object: &Object) -> Arc<str> {
    object.about().partition().into()
}
