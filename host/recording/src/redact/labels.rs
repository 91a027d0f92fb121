//! Redaction of labels and of fields with label keys: selectors, taints, tolerations, extended resources.

use serde_json::{Map, Value};

use super::public;
use super::shape::{is_identifier, is_quantity};
use super::value_path::ValuePath;
use super::walk::Walk;

/// Returns `true` for the fields of a requirement that hold values of its key.
fn holds_values(field: &str) -> bool {
    matches!(field, "value" | "values")
}

impl Walk<'_> {
    /// Redacts the key of a label.
    pub(super) fn label_key(&self, key: &str) -> String {
        if public::is_label_key(key) || self.kept().label_key(key) {
            key.to_owned()
        } else {
            self.pseudonyms().name(key)
        }
    }

    /// Redacts the value of a label with that key.
    pub(super) fn label_value(&mut self, key: &str, value: &str) -> String {
        if self.kept().label_value(key, value) {
            return value.to_owned();
        }
        self.learn_word(value);
        self.pseudonyms().name(value)
    }

    /// Redacts a map from label keys to values.
    pub(super) fn labels(&mut self, map: Map<String, Value>, path: &ValuePath<'_>) -> Value {
        self.entries(map, path, |walk, key, value, path| {
            (walk.label_key(&key), walk.values_of(&key, value, path))
        })
    }

    /// Redacts the values of a key, one or a list; other types than strings are walked as usual.
    fn values_of(&mut self, key: &str, value: Value, path: &ValuePath<'_>) -> Value {
        if self.kept().below(path) {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.label_value(key, &text)),
            Value::Array(list) => {
                let values = list.into_iter();
                values.map(|value| self.values_of(key, value, &path.element())).collect()
            }
            other => self.value(other, path),
        }
    }

    /// Redacts a taint, a toleration, or a part of a selector: a `key` with its values.
    pub(super) fn requirement(&mut self, map: Map<String, Value>, path: &ValuePath<'_>) -> Value {
        let label = map.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.entries(map, path, |walk, key, value, path| match value {
            Value::String(text) if key == "key" && !walk.kept().below(path) => {
                (key, Value::String(walk.label_key(&text)))
            }
            Value::String(text) if matches!(key.as_str(), "operator" | "effect") => {
                (key, Value::String(text))
            }
            value if holds_values(&key) => {
                let values = walk.values_of(&label, value, path);
                (key, values)
            }
            value => {
                let value = walk.value(value, path);
                (key, value)
            }
        })
    }

    /// Redacts a map from resources to quantities.
    pub(super) fn quantities(&mut self, map: Map<String, Value>, path: &ValuePath<'_>) -> Value {
        self.entries(map, path, |walk, key, value, path| {
            let is_quantity = value.as_str().is_some_and(is_quantity);
            let value = if is_quantity { value } else { walk.value(value, path) };
            // Extended resources have a domain; a key without one may be a field, as in a LimitRange.
            let stays = is_identifier(&key) || public::is_resource(&key);
            (if stays { key } else { walk.label_key(&key) }, value)
        })
    }
}
