//! Redaction of recorded Kubernetes objects, so that a recording can be shared as a test fixture.
//!
//! Names, namespaces, label values, images, addresses and free text become keyed pseudonyms; what
//! a rule decides on stays: structure, enums, reasons, numbers and times. The same original gives
//! the same pseudonym everywhere, so relations hold: names are replaced segment by segment, and a
//! pod's name still begins with that of its ReplicaSet. Without the key, pseudonyms cannot be tried
//! against a list of likely names; whoever shares a recording keeps the key or throws it away.
//!
//! What is promised: nothing of a name, an image, an address or a message is left but what
//! [`Keep`] names, what is public in every cluster, and the words that Kubernetes itself writes.

mod address;
mod fields;
mod keep;
mod labels;
mod name;
mod place;
mod pseudonym;
mod public;
mod shape;
mod text;
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

/// Why an object cannot be redacted.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// It is not JSON, or nested too deeply.
    #[error("not readable as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Redacts objects with one key.
///
/// It has no `Debug` on purpose: the key must not end up in a log.
pub struct Redactor {
    pseudonyms: Pseudonyms,
    kept: Kept,
    /// Names that would pass for a kept word, as [`Redactor::learn`] found them.
    learnt: BTreeSet<String>,
}

impl Redactor {
    /// A redactor that knows no names yet. Two with the same key give the same pseudonyms.
    #[must_use]
    pub fn new(key: &[u8; 32], keep: Keep) -> Self {
        Self { pseudonyms: Pseudonyms::new(key), kept: Kept::new(keep), learnt: BTreeSet::new() }
    }

    /// Takes note of the names in an object, so that texts are redacted where they mention them.
    ///
    /// Only a name that is also a kept word needs this, such as a container called `node`: any
    /// other word of a text is redacted anyway. Call it for all objects before the first call of
    /// [`Redactor::object`], else the same message may come out in two ways.
    ///
    /// # Errors
    ///
    /// If the text is no JSON object; nothing is learnt then.
    pub fn learn(&mut self, json: &str) -> Result<(), RedactError> {
        let mut walk = Walk::new(self);
        walk.root(parse(json)?);
        let names = walk.into_names();
        self.learnt.extend(names);
        Ok(())
    }

    /// The object with all that is private replaced.
    ///
    /// # Errors
    ///
    /// If the text is no JSON object.
    pub fn object(&self, json: &str) -> Result<String, RedactError> {
        let redacted = Walk::new(self).root(parse(json)?);
        Ok(serde_json::to_string(&redacted)?)
    }

    /// A message with all but the kept words, numbers and times replaced.
    #[must_use]
    pub fn text(&self, message: &str) -> String {
        text::redact(self, message)
    }

    /// True if a word stays in messages; what a check of the output must not count as a leak.
    #[must_use]
    pub fn keeps_word(&self, word: &str) -> bool {
        self.kept.word(word)
    }
}

fn parse(json: &str) -> Result<Value, RedactError> {
    let value: Value = serde_json::from_str(json)?;
    if value.is_object() { Ok(value) } else { Err(RedactError::NotAnObject) }
}
