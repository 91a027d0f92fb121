//! Tests of the redaction: crafted objects, texts, hostile input, and all fixtures.

mod fixtures;
mod nasty;
mod objects;
mod texts;

use serde_json::Value;

use super::{Keep, Redactor};

/// Creates a redactor that keeps none of the user's data.
fn redactor() -> Redactor {
    with(Keep::default())
}

fn with(keep: Keep) -> Redactor {
    Redactor::new(&[7; 32], keep)
}

/// Returns an object redacted by a redactor.
fn redacted(redactor: &Redactor, object: &Value) -> Value {
    serde_json::from_str(&redactor.object(&object.to_string()).unwrap()).unwrap()
}

/// Returns the string at a JSON Pointer (RFC 6901).
fn at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} in {object}"))
}

fn set<T: From<&'static str> + Ord>(items: &[&'static str]) -> std::collections::BTreeSet<T> {
    items.iter().map(|item| T::from(item)).collect()
}
