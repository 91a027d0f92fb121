//! Tests of the redaction: crafted objects, texts, nasty input, and all fixtures.

mod fixtures;
mod nasty;
mod objects;
mod texts;

use serde_json::Value;

use super::{Keep, Redactor};

/// A redactor that keeps nothing of the user's.
fn redactor() -> Redactor {
    with(Keep::default())
}

fn with(keep: Keep) -> Redactor {
    Redactor::new(&[7; 32], keep)
}

/// An object as a redactor leaves it.
fn redacted(redactor: &Redactor, object: &Value) -> Value {
    serde_json::from_str(&redactor.object(&object.to_string()).unwrap()).unwrap()
}

/// What is at a pointer, which must be a string.
fn at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} in {object}"))
}

fn set<T: From<&'static str> + Ord>(items: &[&'static str]) -> std::collections::BTreeSet<T> {
    items.iter().map(|item| T::from(item)).collect()
}
