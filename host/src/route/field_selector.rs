//! Field selectors as kubectl's `--field-selector` takes them.

use serde_json::Value;

use crate::model::Object;

/// A parsed selector: all requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FieldSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// # Errors
    /// Where a requirement is none: which, and what forms there are.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                requirement(part).ok_or_else(|| {
                    format!(
                        "field selector {text:?}: {part:?} is no requirement; write path=value or \
                         path!=value"
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it looks at more than the metadata that is always read.
    pub(super) fn needs_document(&self) -> bool {
        self.0.iter().any(|one| one.path != "metadata.name" && one.path != "metadata.namespace")
    }

    /// The paths that it looks at.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|requirement| requirement.path.as_str())
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let identity = &object.meta.identity;
        self.0.iter().all(|requirement| {
            let found = match requirement.path.as_str() {
                "metadata.name" => identity.name.clone(),
                "metadata.namespace" => identity.namespace.clone(),
                path => {
                    object.document.as_deref().map_or(String::new(), |json| look_up(json, path))
                }
            };
            (found == requirement.value) == requirement.equal
        })
    }
}

fn requirement(text: &str) -> Option<Requirement> {
    let (path, value, equal) = if let Some((path, value)) = text.split_once("!=") {
        (path, value, false)
    } else {
        let (path, value) = text.split_once("==").or_else(|| text.split_once('='))?;
        (path, value, true)
    };
    let (path, value) = (path.trim().to_owned(), value.trim().to_owned());
    (!path.is_empty() && !path.contains(char::is_whitespace) && !value.contains('='))
        .then_some(Requirement { path, value, equal })
}

/// The value at a dotted path as text; empty where there is none, as the API server compares it.
fn look_up(json: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(json, |json, key| json.get(key));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
