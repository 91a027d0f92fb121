//! Partitions: determine the events that share state and order.

use std::sync::Arc;

use klaxon_model::{Failure, FailureKind, Object, PartitionBy, Value};

/// Maximum size in bytes of a field's value that names a partition: it is stored for every object.
const MOST_BYTES: usize = 512;

/// The partitioning of an interest; a field is given by its index among the interest's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Partitioning {
    Plain(PartitionBy),
    Field(usize),
}

/// Returns the partition of an object.
///
/// # Errors
/// If the field that names the partition is too long.
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

/// Returns the partition of an object without evaluating fields; a partition by field becomes that of the
/// object itself.
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

/// Returns the object's own partition; for a Kubernetes Event that of the object it regards.
fn by_object(object: &Object) -> Arc<str> {
    object.about().partition().into()
}
