//! Which events share state and are kept in order.

use std::sync::Arc;

use crate::model::{Failure, FailureKind, Object, PartitionBy, Value};

/// Most bytes of a field's value that names a partition: the host remembers it for every object.
const MOST_BYTES: usize = 512;

/// How an interest partitions, with a field's place among the interest's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Partitioning {
    Plain(PartitionBy),
    Field(usize),
}

/// The partition of an object.
///
/// # Errors
/// Where the field that names it is too long.
pub(super) fn of(
    by: &Partitioning,
    object: &Object,
    fields: &[Value],
) -> Result<Arc<str>, Arc<Failure>> {
    let Partitioning::Field(place) = by else { return Ok(without_fields(by, object)) };
    let text = match fields.get(*place) {
        Some(Value::Text(text) | Value::Json(text)) => text.clone(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Boolean(value)) => value.to_string(),
        Some(Value::Null) | None => return Ok(by_object(object)),
    };
    if text.len() > MOST_BYTES {
        let message = format!(
            "the field that names the event's partition has {} bytes, and may have {MOST_BYTES}; hint: partition by a field that is a short name",
            text.len()
        );
        return Err(Arc::new(Failure { kind: FailureKind::OverBudget, message }));
    }
    Ok(format!("{}/{text}", object.meta.identity.namespace).into())
}

/// The partition of an object whose fields are not looked at; by a field, that of the object itself.
pub(super) fn without_fields(by: &Partitioning, object: &Object) -> Arc<str> {
    let meta = &object.meta;
    let namespace = meta.identity.namespace.as_str();
    match by {
        Partitioning::Field(_)
        | Partitioning::Plain(PartitionBy::Object | PartitionBy::Field(_)) => by_object(object),
        Partitioning::Plain(PartitionBy::Namespace) => namespace.into(),
        Partitioning::Plain(PartitionBy::WholeCluster) => "".into(),
        Partitioning::Plain(PartitionBy::Label(key)) => match meta.label(key) {
            Some(value) => format!("{namespace}/{value}").into(),
            None => by_object(object),
        },
    }
}

/// A Kubernetes Event's partition is that of the object it regards.
fn by_object(object: &Object) -> Arc<str> {
    object.about().partition().into()
}
