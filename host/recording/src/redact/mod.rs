//! Redaction of recorded Kubernetes objects, so that a recording can be shared as a test fixture.
//!
//! Names, namespaces, label values, images, addresses and free text become keyed pseudonyms. The data on
//! which rules decide stays: structure, enums, reasons, numbers and times. The same original always has the
//! same pseudonym, so relations hold: names are replaced segment by segment, and a pod's name still begins
//! with that of its ReplicaSet. Without the key, a list of likely names cannot be matched against the
//! pseudonyms; the owner of a recording keeps the key or discards it.
//!
//! Guarantee: of names, images, addresses and messages, only these remain: values that [`Keep`] lists, values
//! that are public in every cluster, and words that Kubernetes itself writes.

mod address;
mod fields;
mod keep;
mod labels;
mod name;
mod pseudonym;
mod public;
mod shape;
mod text;
mod value_path;
mod vocabulary;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use keep::{Keep, Values};

use keep::Kept;
use pseudonym::Pseudonyms;
use serde_json::Value;
use walk::Walk;

/// Error of redacting an object.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The text is not JSON, or nested too deeply.
    #[error("not readable as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON is not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Redacts objects with one key.
///
/// Does not implement `Debug` on purpose: the key must not end up in a log.
pub struct Redactor {
    pseudonyms: Pseudonyms,
    kept: Kept,
    /// Names that equal a kept word, found by [`Redactor::learn`].
    learnt: BTreeSet<String>,
}

impl Redactor {
    /// Creates a redactor without learnt names. Two redactors with the same key give the same pseudonyms.
    #[must_use]
    pub fn new(key: &[u8; 32], keep: Keep) -> Self {
        Self { pseudonyms: Pseudonyms::new(key), kept: Kept::new(keep), learnt: BTreeSet::new() }
    }

    /// Learns the names in an object, so that messages that mention them are redacted.
    ///
    /// Only a name that is also a kept word needs this, for example a container called `node`: any other word
    /// of a message is redacted anyway. Call it for all objects before the first call of
    /// [`Redactor::object`]; otherwise the same message may be redacted in two ways.
    ///
    /// # Errors
    ///
    /// If the text is not a JSON object; nothing is learnt then.
    pub fn learn(&mut self, json: &str) -> Result<(), RedactError> {
        let mut walk = Walk::new(self);
        walk.root(parse(json)?);
        let names = walk.into_names();
        self.learnt.extend(names);
        Ok(())
    }

    /// Returns the object with all private data replaced.
    ///
    /// # Errors
    ///
    /// If the text is not a JSON object.
    pub fn object(&self, json: &str) -> Result<String, RedactError> {
        let redacted = Walk::new(self).root(parse(json)?);
        Ok(serde_json::to_string(&redacted)?)
    }

    /// Returns the pseudonym of a namespace, as the objects in it have it.
    #[must_use]
    pub fn namespace(&self, namespace: &str) -> String {
        Walk::new(self).namespace(namespace)
    }

    /// Returns a message with all but the kept words, numbers and times replaced.
    #[must_use]
    pub fn text(&self, message: &str) -> String {
        text::redact(self, message)
    }

    /// Returns `true` if a word stays in messages, so that a check of the output does not count the word as a
    /// leak.
    #[must_use]
    pub fn keeps_word(&self, word: &str) -> bool {
        self.kept.word(word)
    }
}

fn parse(json: &str) -> Result<Value, RedactError> {
    let value: Value = serde_json::from_str(json)?;
    if value.is_object() { Ok(value) } else { Err(RedactError::NotAnObject) }
}
