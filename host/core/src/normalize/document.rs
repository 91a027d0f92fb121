//! The whole object for rules that request fields by path, without confidential parts.

use serde_json::Value as Json;

pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Returns the object without `managedFields`, values of env vars, Secret data and the
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

/// Removes the `value` of every item of every array called `env`, because a pod template may be anywhere.
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
}
