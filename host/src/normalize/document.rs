//! The whole object for rules that ask for fields by path, without what nobody was granted.

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use crate::model::Value;

pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object without `managedFields`, values of env vars, Secret data and the
/// last-applied-configuration annotation.
pub(super) fn redacted(json: &str) -> Result<Json, serde_json::Error> {
    let mut object: Json = serde_json::from_str(json)?;
    let is_secret = object["kind"] == "Secret";
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    if is_secret && let Some(secret) = object.as_object_mut() {
        secret.remove("data");
        secret.remove("stringData");
    }
    remove_env_values(&mut object);
    Ok(object)
}

/// Takes the `value` out of every item of every array called `env`, wherever a pod template may be.
fn remove_env_values(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(remove_env_values),
        Json::Object(members) => {
            for (key, member) in members {
                if key == "env"
                    && let Some(variables) = member.as_array_mut()
                {
                    for variable in variables.iter_mut().filter_map(Json::as_object_mut) {
                        variable.remove("value");
                    }
                }
                remove_env_values(member);
            }
        }
        _ => {}
    }
}

/// Reads a JSONPath expression (RFC 9535).
///
/// # Errors
/// Where it is none: what is wrong and where.
pub fn parse_path(text: &str) -> Result<JsonPath, String> {
    JsonPath::parse(text).map_err(|fault| fault.to_string())
}

/// What each path finds in a document: one match is that value, several are an array of them.
pub fn evaluate_fields(paths: &[JsonPath], document: &Json) -> Vec<Value> {
    paths
        .iter()
        .map(|path| {
            let found = path.query(document).all();
            match found.as_slice() {
                [] => Value::Null,
                [one] => value(one),
                several => {
                    let several: Vec<&Json> = several.to_vec();
                    serde_json::to_string(&several).map_or(Value::Null, Value::Json)
                }
            }
        })
        .collect()
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(float)) => Value::Number(float),
            (None, None) => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(_) | Json::Object(_) => Value::Json(json.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        let json = r#"{"kind":"Secret","data":{"a":"b"},"metadata":{"managedFields":[1],
            "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"x","keep":"y"}},
            "spec":{"template":{"spec":{"containers":[{"env":[{"name":"A","value":"secret"}]}]}}}}"#;
        let text = redacted(json).unwrap().to_string();
        for gone in ["secret", "\"b\"", "last-applied", "managedFields"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        assert!(text.contains("keep") && text.contains("\"name\":\"A\""));
    }

    #[test]
    fn fields_are_typed_by_what_is_found() {
        let json = serde_json::json!({"a": {"b": [1, 2.5, "x", null, true, {"c": 1}]}});
        let paths: Vec<JsonPath> = [
            "$.a.b[0]",
            "$.a.b[1]",
            "$.a.b[2]",
            "$.a.b[3]",
            "$.a.b[4]",
            "$.a.b[5]",
            "$.a.b[0:2]",
            "$.no",
        ]
        .iter()
        .map(|path| parse_path(path).unwrap())
        .collect();
        assert_eq!(
            evaluate_fields(&paths, &json),
            [
                Value::Integer(1),
                Value::Number(2.5),
                Value::Text("x".to_owned()),
                Value::Null,
                Value::Boolean(true),
                Value::Json(r#"{"c":1}"#.to_owned()),
                Value::Json("[1,2.5]".to_owned()),
                Value::Null,
            ]
        );
        assert!(parse_path("a.b").is_err());
    }
}
