//! Converts errors of a JSON Schema to messages with hints.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::escape;

/// Errors, each with its JSON Pointer (RFC 6901) and message.
pub type Found = Vec<(String, String)>;

/// Removes `null` from the types of optional values: a key without a value is a mistake, and would otherwise be
/// treated like a missing key.
pub fn without_null(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            for (_, member) in members.iter_mut() {
                *member = without_null(member.take());
            }
            let null = Value::from("null");
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|one| *one != null);
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.retain(|one| !one.is_null());
            }
            let is_null = |form: &Value| form.get("type") == Some(&null);
            if let Some(Value::Array(forms)) = members.get_mut("anyOf") {
                forms.retain(|form| !is_null(form));
                if let [Value::Object(only)] = forms.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    for (key, member) in only {
                        // The description of the property takes precedence over the description of its type.
                        members.entry(key).or_insert(member);
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = without_null(item.take());
            }
        }
        _ => {}
    }
    schema
}

/// Validates a value against a schema without references, in which the path of an error also locates the subschema.
pub fn against_schema(schema: &Value, value: &Value) -> Found {
    match jsonschema::validator_for(schema) {
        Ok(validator) => {
            validator.iter_errors(value).flat_map(|error| explain(schema, &error)).collect()
        }
        Err(error) => vec![(String::new(), format!("the schema itself is wrong: {error}"))],
    }
}

/// Converts one error to messages; the message for an unknown key suggests the nearest known key.
fn explain(schema: &Value, error: &ValidationError<'_>) -> Found {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let above = error.schema_path().to_string();
            let above = above.rsplit_once('/').map_or("", |(above, _)| above);
            let properties = schema.pointer(above).and_then(|schema| schema.get("properties"));
            let known: Vec<&str> = properties
                .and_then(Value::as_object)
                .map(|properties| properties.keys().map(String::as_str).collect())
                .unwrap_or_default();
            unexpected
                .iter()
                .map(|key| {
                    (
                        format!("{pointer}/{}", escape(key)),
                        format!("unknown key; {}", nearest(key, &known)),
                    )
                })
                .collect()
        }
        ValidationErrorKind::AnyOf { context } => match meant(&pointer, context) {
            Some(errors) => errors.iter().flat_map(|error| explain(schema, error)).collect(),
            None => vec![by_description(schema, error)],
        },
        // No key is known, and none is allowed.
        ValidationErrorKind::FalseSchema => {
            vec![(pointer, "unknown key; hint: remove it, no key is known here".to_owned())]
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![(pointer, format!("{name:?} is missing; hint: add it"))]
        }
        ValidationErrorKind::Constant { expected_value } => {
            vec![(pointer, format!("this is not {expected_value}; hint: write that"))]
        }
        _ => vec![by_description(schema, error)],
    }
}

/// Returns a message whose hint is the description beside the keyword that failed.
fn by_description(schema: &Value, error: &ValidationError<'_>) -> (String, String) {
    let keyword = error.schema_path().to_string();
    let above = keyword.rsplit_once('/').map_or("", |(above, _)| above);
    let description = schema.pointer(above).and_then(|schema| schema.get("description"));
    let hint = description.and_then(Value::as_str).map_or(String::new(), |text| {
        format!("; hint: write {}{}", form(error.kind()), text.trim_end_matches('.'))
    });
    // The value is masked: it may hold a secret that was substituted from a file.
    let what = match error.kind() {
        ValidationErrorKind::AnyOf { .. } => {
            "this has none of the forms that it may have".to_owned()
        }
        _ => error.masked_with("the value").to_string(),
    };
    (error.instance_path().to_string(), format!("{what}{hint}"))
}

/// Returns the form of a value of the expected type, before its description.
fn form(kind: &ValidationErrorKind) -> String {
    use jsonschema::error::TypeKind;
    let ValidationErrorKind::Type { kind: TypeKind::Single(expected) } = kind else {
        return String::new();
    };
    let form = match expected {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "keys with values",
        JsonType::String => "a string",
    };
    format!("{form}: ")
}

/// Selects the alternative of an `anyOf` that the author meant: the only one of which every error is deeper than the
/// value itself, or concerns the value's keys.
fn meant<'a, 'e>(
    pointer: &str,
    forms: &'a [Vec<ValidationError<'e>>],
) -> Option<&'a [ValidationError<'e>]> {
    let is_inside = |error: &ValidationError<'_>| {
        error.instance_path().to_string() != pointer
            || matches!(
                error.kind(),
                ValidationErrorKind::AdditionalProperties { .. }
                    | ValidationErrorKind::Required { .. }
            )
    };
    let mut meant = flat(pointer, forms).into_iter().filter(|errors| errors.iter().all(is_inside));
    let only = meant.next().filter(|errors| !errors.is_empty())?;
    meant.next().is_none().then_some(only)
}

/// Flattens alternatives that consist of alternatives themselves, such as an optional one.
fn flat<'a, 'e>(
    pointer: &str,
    forms: &'a [Vec<ValidationError<'e>>],
) -> Vec<&'a [ValidationError<'e>]> {
    let inner = |errors: &'a Vec<ValidationError<'e>>| match errors.as_slice() {
        [only] if only.instance_path().to_string() == pointer => match only.kind() {
            ValidationErrorKind::AnyOf { context } => flat(pointer, context),
            _ => vec![errors.as_slice()],
        },
        _ => vec![errors.as_slice()],
    };
    forms.iter().flat_map(inner).collect()
}

/// Returns a hint for a name that is none of the known ones.
pub fn nearest(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|one| (strsim::damerau_levenshtein(name, one), one))
        .min()
        .filter(|(distance, one)| *distance <= 2.max(one.len() / 3));
    match nearest {
        Some((_, one)) => format!("hint: did you mean {one:?}?"),
        None => format!("hint: use one of {}", known.join(", ")),
    }
}
