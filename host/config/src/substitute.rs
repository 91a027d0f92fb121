//! Substitutes `${env:NAME}` and `${file:PATH}` in strings. Any other `$` stays unchanged.

use std::path::Path;

use serde_json::Value;

use klaxon_yaml::escape;

/// Substitutes in all strings below a value. Pushes each failure as (pointer, message).
pub(super) fn all(
    value: &mut Value,
    pointer: &str,
    base: &Path,
    errors: &mut Vec<(String, String)>,
) {
    match value {
        Value::String(text) => match one(text, base) {
            Ok(replaced) => *text = replaced,
            Err(why) => errors.push((pointer.to_owned(), why)),
        },
        Value::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                all(item, &format!("{pointer}/{place}"), base, errors);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                all(member, &format!("{pointer}/{}", escape(key)), base, errors);
            }
        }
        _ => {}
    }
}

fn one(text: &str, base: &Path) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        let Some((reference, tail)) = after.split_once('}') else {
            result.push_str("${");
            rest = after;
            continue;
        };
        match reference.split_once(':') {
            Some(("env", name)) => result.push_str(&std::env::var(name).map_err(|_| {
                format!("the environment variable {name} is not set; hint: set it")
            })?),
            Some(("file", path)) => {
                let content = std::fs::read_to_string(base.join(path))
                    .map_err(|error| format!("the file {path} cannot be read: {error}"))?;
                result.push_str(content.trim_end_matches(['\r', '\n']));
            }
            _ => {
                result.push_str("${");
                result.push_str(reference);
                result.push('}');
            }
        }
        rest = tail;
    }
    result.push_str(rest);
    Ok(result)
}
