//! Selection of the objects of a request: namespace, label selector and field selector.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::Body;

/// A filter of the objects that a request denotes.
#[derive(Debug, Default)]
pub(super) struct Filter {
    namespace: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, PartialEq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    /// Also true of objects without the label.
    NotIn(Vec<String>),
}

#[derive(Debug)]
struct Field {
    path: String,
    value: String,
    equal: bool,
}

impl Filter {
    pub(super) fn new(
        namespace: Option<&str>,
        query: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            labels: labels(text("labelSelector"))?,
            fields: fields(text("fieldSelector"))?,
        })
    }

    /// Returns `true` if there is a selector. A server then does not report the number of remaining items.
    pub(super) fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn matches(&self, body: &Body) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == body.namespace)
            && self.labels.iter().all(|requirement| requirement.holds(&body.labels))
            && self.fields.iter().all(|field| field.holds(body))
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => !value.is_some_and(|value| values.contains(value)),
        }
    }
}

impl Field {
    fn holds(&self, body: &Body) -> bool {
        let equal = match self.path.as_str() {
            "metadata.name" => body.name == self.value,
            "metadata.namespace" => body.namespace == self.value,
            path => look_up(&body.value(), path) == self.value,
        };
        equal == self.equal
    }
}

/// Returns a field as text, or an empty string if there is none, like a real server.
fn look_up(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn labels(selector: &str) -> Result<Vec<Requirement>, String> {
    terms(selector).into_iter().map(|term| requirement(&term)).collect()
}

/// Splits at the commas outside of parentheses.
fn terms(selector: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for sign in selector.chars() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        terms.last_mut().unwrap().push(sign);
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn requirement(term: &str) -> Result<Requirement, String> {
    let term = term.trim();
    let of = |key: &str, test| Ok(Requirement { key: key.trim().to_owned(), test });
    if let Some((head, values)) = term.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(|| format!("no ) in {term:?}"))?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => of(key, Test::In(values)),
            [key, "notin"] => of(key, Test::NotIn(values)),
            _ => Err(format!("unable to parse requirement {term:?}")),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return of(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return of(key, Test::In(vec![value.trim().to_owned()]));
    }
    match term.strip_prefix('!') {
        _ if term.contains(char::is_whitespace) => {
            Err(format!("unable to parse requirement {term:?}"))
        }
        Some(key) => of(key, Test::Missing),
        None => of(term, Test::Exists),
    }
}

fn fields(selector: &str) -> Result<Vec<Field>, String> {
    let field = |term: &str| {
        let (equal, parts) = match term.split_once("!=") {
            Some(parts) => (false, parts),
            None => (
                true,
                term.split_once("==")
                    .or_else(|| term.split_once('='))
                    .ok_or_else(|| format!("invalid selector: {term:?}; can't understand it"))?,
            ),
        };
        Ok(Field { path: parts.0.trim().to_owned(), value: parts.1.trim().to_owned(), equal })
    };
    selector.split(',').filter(|term| !term.trim().is_empty()).map(field).collect()
}
