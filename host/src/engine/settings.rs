//! Settings against the JSON Schema that a rule's manifest carries.

use serde_json::Value;

/// What is wrong with settings: the place as a JSON Pointer, and the message.
pub(super) type SettingsError = (String, String);

/// Checks settings; every fault is listed.
///
/// # Errors
/// The schema's own fault, where it is no JSON Schema.
pub(super) fn check(schema: &str, settings: &Value) -> Result<Vec<SettingsError>, String> {
    if schema.is_empty() {
        let given = settings.as_object().is_some_and(|members| !members.is_empty());
        let error = || (String::new(), "the rule has no settings".to_owned());
        return Ok(given.then(error).into_iter().collect());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    Ok(validator
        .iter_errors(settings)
        .map(|error| (error.instance_path().to_string(), error.to_string()))
        .collect())
}
