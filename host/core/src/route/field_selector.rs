//! Field selectors in the syntax of kubectl's `--field-selector`.

use std::io::{self, Write};

use serde_json::Value;

use super::interest::check_length;
use klaxon_model::Object;

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
    /// Parses a selector.
    ///
    /// # Errors
    /// If a requirement is invalid; the error names it and the valid forms.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        check_length("field", text)?;
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

    /// Returns `true` if it needs more than the metadata always decoded.
    pub(super) fn needs_document(&self) -> bool {
        self.0.iter().any(|one| one.path != "metadata.name" && one.path != "metadata.namespace")
    }

    /// Returns the paths that it compares.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|requirement| requirement.path.as_str())
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let identity = &object.meta.identity;
        self.0.iter().all(|requirement| {
            let is_found = match requirement.path.as_str() {
                "metadata.name" => identity.name == requirement.value,
                "metadata.namespace" => identity.namespace == requirement.value,
                path => {
                    let json = object.document.as_deref();
                    is_text_of(json.and_then(|json| look_up(json, path)), &requirement.value)
                }
            };
            is_found == requirement.equal
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

/// Returns the value at a dotted path.
fn look_up<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(json, |json, key| json.get(key))
}

/// Returns `true` if a value's text form equals a text. `None` equals the empty text, as in the API
/// server. A value of any size is compared only up to the first difference.
fn is_text_of(found: Option<&Value>, text: &str) -> bool {
    match found {
        Some(Value::String(found)) => found == text,
        Some(Value::Null) | None => text.is_empty(),
        Some(other) => {
            let mut rest = Rest(text.as_bytes());
            serde_json::to_writer(&mut rest, other).is_ok() && rest.0.is_empty()
        }
    }
}

/// The part of a text that has not been compared yet; writing fails at the first byte that differs.
struct Rest<'a>(&'a [u8]);

impl Write for Rest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use klaxon_model::{Meta, Subject};

    #[test]
    fn values_of_any_type_are_compared_as_they_are_written() {
        let document =
            json!({"spec": {"n": 3, "yes": true, "text": "x", "none": null, "list": [1, 2]}});
        let object = Object {
            meta: Meta::default(),
            subject: Subject::Other,
            document: Some(Arc::new(document)),
        };
        let matches = |text: &str| FieldSelector::parse(text).unwrap().matches(&object);
        for yes in [
            "spec.n=3",
            "spec.n!=30",
            "spec.yes==true",
            "spec.text=x",
            "spec.none=",
            "spec.no=",
            "spec.list!=[1",
            "metadata.name=",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in
            ["spec.n=", "spec.n=30", "spec.n!=3", "spec.text=xy", "spec.none=null", "spec.no=x"]
        {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn a_long_selector_is_refused_with_its_length() {
        let error = FieldSelector::parse(&"a=b,".repeat(1000)).unwrap_err();
        assert!(error.contains("has 4000 bytes") && error.contains("hint: "), "{error}");
    }
}
