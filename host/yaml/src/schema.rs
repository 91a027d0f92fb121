//! Converts errors of a JSON Schema to messages with hints.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::{Number, Value};

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
            validator.iter_errors(value).flat_map(|error| explain(schema, value, &error)).collect()
        }
        Err(error) => vec![(String::new(), format!("the schema itself is wrong: {error}"))],
    }
}

/// The message for a key of a mapping that knows no keys.
const NO_KEY: &str = "unknown key; hint: remove it, no key is known here";

/// Returns the words of a `oneOf` whose alternatives are constants, each with its own description.
fn words(schema: &Value, error: &ValidationError<'_>) -> Option<String> {
    let forms = schema.pointer(error.schema_path().as_str())?.as_array()?;
    let words = forms.iter().map(|form| form.get("const")?.as_str());
    Some(words.collect::<Option<Vec<_>>>()?.join(", "))
}

/// Converts one error to messages; the message for an unknown key suggests the nearest known key.
fn explain(schema: &Value, whole: &Value, error: &ValidationError<'_>) -> Found {
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
                        match known.as_slice() {
                            [] => NO_KEY.to_owned(),
                            known => format!("unknown key; {}", nearest(key, known)),
                        },
                    )
                })
                .collect()
        }
        ValidationErrorKind::AnyOf { context } => match meant(&pointer, context) {
            Some(errors) => errors.iter().flat_map(|error| explain(schema, whole, error)).collect(),
            None => vec![by_description(schema, error)],
        },
        // No key is known, and none is allowed.
        ValidationErrorKind::FalseSchema => {
            match whole.pointer(&pointer).and_then(Value::as_object) {
                Some(members) if !members.is_empty() => members
                    .keys()
                    .map(|key| (format!("{pointer}/{}", escape(key)), NO_KEY.to_owned()))
                    .collect(),
                _ => vec![(pointer, NO_KEY.to_owned())],
            }
        }
        ValidationErrorKind::OneOfNotValid { .. } => match words(schema, error) {
            Some(words) => {
                let message = format!("this is none of the known words; hint: use one of {words}");
                vec![(pointer, message)]
            }
            None => vec![by_description(schema, error)],
        },
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

/// Returns a message whose hint is the description beside the keyword that failed. No message quotes the value: it may
/// hold a secret that was substituted from a file.
fn by_description(schema: &Value, error: &ValidationError<'_>) -> (String, String) {
    let keyword = error.schema_path().to_string();
    let above = keyword.rsplit_once('/').map_or("", |(above, _)| above);
    let expected = schema.pointer(above);
    let text = expected.and_then(|schema| schema.get("description")).and_then(Value::as_str);
    let text = text.unwrap_or_default().trim_end_matches('.').replace('\n', " ");
    let text = text.as_str();
    let message = match (error.kind(), error.instance().as_ref()) {
        (ValidationErrorKind::Type { .. }, Value::Number(number))
            if let Some(examples) = expected.and_then(|schema| with_unit(schema, number)) =>
        {
            let example = match uncapitalized(text) {
                text if text.contains("such as ") => text,
                _ => format!("one with a unit, such as {examples}"),
            };
            hinted("this number has no unit".to_owned(), &example)
        }
        (ValidationErrorKind::Type { kind }, actual) => {
            let form = form(kind);
            let separator = if form.is_empty() || text.is_empty() { "" } else { ": " };
            hinted(
                format!("this is {}", described(actual)),
                &format!("{form}{separator}{}", uncapitalized(text)),
            )
        }
        (ValidationErrorKind::AnyOf { .. }, _) => {
            hinted("this has none of the forms that it may have".to_owned(), &uncapitalized(text))
        }
        _ => hinted(error.masked_with("the value").to_string(), &uncapitalized(text)),
    };
    (error.instance_path().to_string(), message)
}

fn hinted(what: String, expected: &str) -> String {
    if expected.is_empty() { what } else { format!("{what}; hint: write {expected}") }
}

/// Returns examples of a quantity if a schema accepts a number as soon as a unit follows it.
fn with_unit(schema: &Value, number: &Number) -> Option<&'static str> {
    let quantities = [("s", "30s or 30m"), ("MiB", "64KiB or 32MiB")];
    let validator = jsonschema::validator_for(schema).ok()?;
    let accepts = |unit: &str| validator.is_valid(&Value::from(format!("{number}{unit}")));
    let has_pattern = schema.get("pattern").is_some();
    quantities
        .into_iter()
        .find(|(unit, _)| has_pattern && accepts(unit))
        .map(|(_, examples)| examples)
}

/// Returns a sentence as the continuation of another one: its first letter is small, unless it begins an abbreviation.
fn uncapitalized(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping of keys to values",
    }
}

/// Returns the form of a value of the expected type.
fn form(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Single(JsonType::Array) => "a list",
        TypeKind::Single(JsonType::Boolean) => "true or false",
        TypeKind::Single(JsonType::Integer) => "a whole number",
        TypeKind::Single(JsonType::Null) => "nothing",
        TypeKind::Single(JsonType::Number) => "a number",
        TypeKind::Single(JsonType::Object) => "a mapping of keys to values",
        TypeKind::Single(JsonType::String) => "a string",
        TypeKind::Multiple(_) => "",
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(schema: &Value, value: &Value) -> String {
        let found = against_schema(schema, value);
        let [(pointer, message)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(pointer, "");
        message.clone()
    }

    #[test]
    fn a_number_in_place_of_a_quantity_has_no_unit() {
        let span = json!({"type": "string", "pattern": "^[0-9]+[smhd]$", "description": "A time"});
        let told = "this number has no unit; hint: write one with a unit, such as 30s or 30m";
        assert_eq!(message(&span, &json!(30)), told);
        let told = "this is a number; hint: write a string: a time";
        assert_eq!(message(&span, &json!(-1)), told);
        let cpu = json!({"type": "string", "pattern": "^[0-9]+m?s$",
            "description": "The CPU time of one call, such as 20ms"});
        let told = "this number has no unit; hint: write the CPU time of one call, such as 20ms";
        assert_eq!(message(&cpu, &json!(30)), told);
        let size = json!({"type": "string", "pattern": "^[0-9]+ ?(KiB|MiB)?$"});
        let told = "this number has no unit; hint: write one with a unit, such as 64KiB or 32MiB";
        assert_eq!(message(&size, &json!(64)), told);
    }

    #[test]
    fn a_word_that_is_not_known_lists_those_that_are() {
        let word = |name: &str| json!({"const": name, "description": "One"});
        let schema = json!({"oneOf": [word("block"), word("skip")], "description": "At the limit"});
        let told = "this is none of the known words; hint: use one of block, skip";
        assert_eq!(message(&schema, &json!("skp")), told);
    }

    #[test]
    fn a_key_where_none_is_known_is_named() {
        let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let bare = json!({"type": "object", "additionalProperties": false});
        for schema in [schema, bare] {
            let found = against_schema(&schema, &json!({"repaet": "5m"}));
            assert_eq!(found, [("/repaet".to_owned(), NO_KEY.to_owned())]);
        }
    }

    #[test]
    fn a_hint_is_one_line() {
        let schema = json!({"type": "string", "description": "A name\nof two lines"});
        assert_eq!(
            message(&schema, &json!(true)),
            "this is true or false; hint: write a string: a name of two lines"
        );
    }

    #[test]
    fn a_value_of_another_type_is_described_and_never_quoted() {
        let string = json!({"type": "string", "description": "The URL of the receiver."});
        let told = "this is a list; hint: write a string: the URL of the receiver";
        assert_eq!(message(&string, &json!(["secret"])), told);
        let switch = json!({"type": "boolean", "description": "TLS is used"});
        let told = "this is a string; hint: write true or false: TLS is used";
        assert_eq!(message(&switch, &json!("secret")), told);
        let several = json!({"type": ["string", "boolean"], "description": "One of two"});
        let told = "this is a number; hint: write one of two";
        assert_eq!(message(&several, &json!(12345)), told);
        assert_eq!(
            message(&json!({"type": "array"}), &json!(1)),
            "this is a number; hint: write a list"
        );
        assert_eq!(message(&json!({"type": ["string", "array"]}), &json!(1)), "this is a number");
    }
}
