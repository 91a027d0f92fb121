//! Validation of settings against the JSON Schema of a rule's manifest.

use serde_json::Value;

use klaxon_yaml::against_schema;

/// An error in settings: the location as a JSON Pointer (RFC 6901), and the message.
pub(super) type SettingsError = (String, String);

/// Checks settings and returns every error.
///
/// # Errors
/// If the schema is not a JSON Schema.
pub(super) fn check(schema: &str, settings: &Value) -> Result<Vec<SettingsError>, String> {
    if schema.is_empty() {
        let given = settings.as_object().is_some_and(|members| !members.is_empty());
        let error = || (String::new(), "the rule has no settings".to_owned());
        return Ok(given.then(error).into_iter().collect());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    Ok(against_schema(&schema, settings))
}
