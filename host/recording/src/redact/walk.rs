//! The walk over one object that classifies and redacts each value.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fields::{self, Api, Class};
use super::keep::Kept;
use super::pseudonym::Pseudonyms;
use super::shape::{is_identifier, is_measure, is_time};
use super::value_path::ValuePath;
use super::{Redactor, public, text};

/// A walk over one object, or over a list of them.
pub(super) struct Walk<'a> {
    redactor: &'a Redactor,
    api: Api,
    /// Names found that would stay in a message.
    names: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(redactor: &'a Redactor) -> Self {
        Self { redactor, api: Api::Custom, names: BTreeSet::new() }
    }

    /// Returns the names found that are also kept words.
    pub(super) fn into_names(self) -> BTreeSet<String> {
        self.names
    }

    pub(super) fn kept(&self) -> &'a Kept {
        &self.redactor.kept
    }

    pub(super) fn pseudonyms(&self) -> &'a Pseudonyms {
        &self.redactor.pseudonyms
    }

    /// Redacts a whole object.
    pub(super) fn root(&mut self, object: Value) -> Value {
        let field = |name| object.get(name).and_then(Value::as_str);
        self.api = Api::of(field("apiVersion"), field("kind"));
        self.value(object, &ValuePath::root())
    }

    /// Redacts the namespace of an object.
    pub(super) fn namespace(&mut self, namespace: &str) -> String {
        let root = ValuePath::root();
        let metadata = root.key_of("metadata");
        let path = metadata.key_of("namespace");
        if self.kept().below(&path) {
            return namespace.to_owned();
        }
        self.string(namespace, &path)
    }

    /// Redacts the value at a path.
    pub(super) fn value(&mut self, value: Value, path: &ValuePath<'_>) -> Value {
        // A path to keep does not apply to one kind only, so it must not expose all Secrets too.
        if self.api.is_data(path) && (self.api.is_kind("Secret") || !self.kept().below(path)) {
            return self.data(value);
        }
        if self.kept().below(path) {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.string(&text, path)),
            Value::Array(list) if path.is_up(&["items"]) => {
                list.into_iter().map(|item| self.item(item, path)).collect()
            }
            Value::Array(list) => {
                list.into_iter().map(|value| self.value(value, &path.element())).collect()
            }
            Value::Object(map) => self.map(map, path),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    /// Redacts an item of a list, as an object of its own if it has an `apiVersion`.
    fn item(&mut self, item: Value, path: &ValuePath<'_>) -> Value {
        if item.get("apiVersion").is_some_and(Value::is_string) {
            let mut walk = Walk::new(self.redactor);
            let item = walk.root(item);
            self.names.append(&mut walk.names);
            return item;
        }
        self.value(item, &path.element())
    }

    fn map(&mut self, map: Map<String, Value>, path: &ValuePath<'_>) -> Value {
        let key = path.key();
        if self.api.is_schema(path) {
            self.plain(map, path)
        } else if fields::is_label_map(key) && map.values().all(Value::is_string) {
            self.labels(map, path)
        } else if fields::is_quantity_map(key) {
            self.quantities(map, path)
        } else if fields::is_requirement(key) && map.contains_key("key") {
            self.requirement(map, path)
        } else {
            self.plain(map, path)
        }
    }

    /// Redacts a map whose keys are names of fields. A key that cannot be a field's name comes from the user.
    fn plain(&mut self, mut map: Map<String, Value>, path: &ValuePath<'_>) -> Value {
        if !self.api.is_schema(path) {
            self.remove(&mut map, path);
        }
        self.entries(map, path, |walk, key, value, path| {
            let value = walk.value(value, path);
            let stays = is_identifier(&key) || walk.kept().literal_key(&key);
            let stays = stays || walk.is_wanted(path);
            (if stays { key } else { walk.pseudonyms().name(&key) }, value)
        })
    }

    /// Replaces every entry of a map by the result of `change`.
    pub(super) fn entries(
        &mut self,
        map: Map<String, Value>,
        path: &ValuePath<'_>,
        change: impl Fn(&mut Self, String, Value, &ValuePath<'_>) -> (String, Value),
    ) -> Value {
        let mut changed = Map::new();
        for (key, value) in map {
            let (key, value) = change(self, key.clone(), value, &path.key_of(&key));
            changed.insert(key, value);
        }
        Value::Object(changed)
    }

    /// Removes fields that no rule reads and many clients write.
    fn remove(&self, map: &mut Map<String, Value>, path: &ValuePath<'_>) {
        if path.key() == "metadata" {
            map.remove("managedFields");
            map.remove("selfLink");
        }
        let annotations = path.key_of("annotations");
        if let Some(Value::Object(found)) = map.get_mut("annotations") {
            found.retain(|key, _| self.is_wanted(&annotations.key_of(key)));
            if found.is_empty() {
                map.remove("annotations");
            }
        }
    }

    /// Returns `true` for an annotation that stays, and for a key on the path to a field that stays.
    fn is_wanted(&self, path: &ValuePath<'_>) -> bool {
        (path.holder() == "annotations" && self.kept().annotation(path.key()))
            || self.kept().on_the_way(path)
    }

    /// Redacts the data of a Secret or a ConfigMap: only the number of entries remains.
    fn data(&self, value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let blank = |(key, _): (String, Value)| {
                    (self.pseudonyms().name(&key), Value::String(String::new()))
                };
                Value::Object(map.into_iter().map(blank).collect())
            }
            Value::Null => Value::Null,
            _ => Value::String(String::new()),
        }
    }

    fn string(&mut self, original: &str, path: &ValuePath<'_>) -> String {
        if path.holder() == "annotations" && self.kept().annotation(path.key()) {
            return original.to_owned();
        }
        let class = self.api.class(path);
        if class != Class::Whole && is_time(original) {
            return original.to_owned();
        }
        match class {
            Class::Keep => original.to_owned(),
            Class::Enum => self.listed(original, path),
            Class::Name => self.name(original, fields::is_public_object),
            Class::Namespace => self.name(original, public::is_namespace),
            Class::Component => self.name(original, public::is_component),
            Class::FieldPath => self.field_path(original),
            Class::LabelKey => self.label_key(original),
            Class::Finalizer if public::is_finalizer(original) => original.to_owned(),
            Class::Finalizer => self.label_key(original),
            Class::Whole => self.pseudonyms().segment(original),
            Class::Text => text::redact(self.redactor, original),
            Class::Unknown => text::redact_all(self.redactor, original),
        }
    }

    /// Redacts a value that an API lists: it stays. A condition's type may be any text in the form of a
    /// label's key. A reason should be one word; if it is a sentence, it is redacted as a message, unless a
    /// rule's module contains it.
    fn listed(&self, original: &str, path: &ValuePath<'_>) -> String {
        let is_cron = |c: char| c.is_ascii_digit() || " */,-?@".contains(c);
        let is_schedule = path.key() == "schedule"
            && (original.chars().all(is_cron) || original.starts_with('@'));
        let is_known = is_schedule || self.kept().literal_key(original) || original.is_empty();
        if is_identifier(original) || is_measure(original) || is_known {
            original.to_owned()
        } else if matches!(path.key(), "type" | "conditionType") {
            self.label_key(original)
        } else {
            text::redact(self.redactor, original)
        }
    }

    fn name(&mut self, original: &str, is_public: impl Fn(&str) -> bool) -> String {
        if is_public(original) || self.kept().name(original) {
            return original.to_owned();
        }
        if is_measure(original) {
            self.names.insert(original.to_owned());
        }
        self.learn_word(original);
        self.pseudonyms().name(original)
    }

    /// Learns a name that would stay in a message.
    pub(super) fn learn_word(&mut self, name: &str) {
        if self.kept().word(name) {
            self.names.insert(name.to_owned());
        }
    }

    /// Redacts a path such as `spec.containers{app}`: the path stays, the name in braces does not.
    fn field_path(&mut self, path: &str) -> String {
        let is_frame = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".[]".contains(&byte))
                && ["spec", "status", "metadata"].iter().any(|start| text.starts_with(start))
        };
        let braced =
            path.split_once('{').and_then(|(frame, rest)| Some((frame, rest.strip_suffix('}')?)));
        let quoted =
            path.split_once("['").and_then(|(frame, rest)| Some((frame, rest.strip_suffix("']")?)));
        match (braced, quoted) {
            (Some((frame, name)), _) if is_frame(frame) => {
                format!("{frame}{{{}}}", self.name(name, |_| false))
            }
            (_, Some((frame, key))) if is_frame(frame) => {
                format!("{frame}['{}']", self.label_key(key))
            }
            _ if is_frame(path) => path.to_owned(),
            _ => text::redact(self.redactor, path),
        }
    }
}
