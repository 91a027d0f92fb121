//! The caller's allowlist: data that stays although it does not come from Kubernetes itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::value_path::ValuePath;
use super::vocabulary;

/// Allowlist of the user's data. Empty by default: then only public text stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Words that stay in messages, in any case. Not used for names.
    pub words: BTreeSet<String>,
    /// Names and namespaces that stay wherever they occur as such.
    pub names: BTreeSet<String>,
    /// Labels whose key stays, with the values that stay. Taints and selectors follow them. `literals` are
    /// not searched for the values of a label listed here.
    pub labels: BTreeMap<String, Values>,
    /// Annotations that stay with their value; all others are removed.
    pub annotations: BTreeSet<String>,
    /// Paths of object keys from the root, below which everything stays; `*` stands for any element of an
    /// array. The data of a Secret never stays, even if a path names it.
    pub fields: Vec<Vec<String>>,
    /// Bytes of the rules' modules. A label's key that occurs in them stays, and so does its value if it
    /// occurs too and `literal_values` is set: a rule can compare only with strings that it contains.
    pub literals: Vec<u8>,
    /// `true` to search the literals for values of labels.
    pub literal_values: bool,
}

/// The values of a label that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// No value.
    Pseudonym,
    /// These values.
    Only(BTreeSet<String>),
    /// All values.
    All,
}

/// Minimum length of a key to search for: shorter keys occur in any module by chance.
const SHORTEST_KEY: usize = 3;
/// Minimum length of a value to search for; less than that of a key, because values are searched only if the
/// key was found.
const SHORTEST_VALUE: usize = 2;

/// [`Keep`], prepared for lookups.
pub(super) struct Kept {
    words: BTreeSet<String>,
    names: BTreeSet<String>,
    literal_values: bool,
    labels: BTreeMap<String, Values>,
    annotations: BTreeSet<String>,
    fields: Vec<Vec<String>>,
    /// Literals as text: searching a `str` is fast, and bytes that are not UTF-8 equal no label.
    literals: String,
    /// Cached results of searching the literals: labels repeat in every object.
    looked_for: Mutex<BTreeMap<String, bool>>,
}

impl Kept {
    pub(super) fn new(keep: Keep) -> Self {
        let mut words: BTreeSet<String> =
            keep.words.iter().map(|word| word.to_lowercase()).collect();
        words.extend(vocabulary::words().map(str::to_owned));
        Self {
            words,
            names: keep.names,
            literal_values: keep.literal_values,
            labels: keep.labels,
            annotations: keep.annotations,
            fields: keep.fields,
            literals: String::from_utf8_lossy(&keep.literals).into_owned(),
            looked_for: Mutex::default(),
        }
    }

    pub(super) fn word(&self, word: &str) -> bool {
        self.words.contains(word) || self.words.contains(&word.to_lowercase())
    }

    /// Returns `true` if the caller keeps this name.
    pub(super) fn name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn annotation(&self, key: &str) -> bool {
        key == "k8s.io/initial-events-end" || self.annotations.contains(key)
    }

    fn is_literal(&self, text: &str) -> bool {
        // A thread that panicked while holding the lock had added a complete entry or none.
        let mut looked_for = self.looked_for.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = looked_for.get(text) {
            return *found;
        }
        let found = self.literals.contains(text);
        looked_for.insert(text.to_owned(), found);
        found
    }

    /// Returns `true` if a rule can contain this key.
    pub(super) fn literal_key(&self, key: &str) -> bool {
        key.len() >= SHORTEST_KEY && self.is_literal(key)
    }

    /// Returns `true` if the caller keeps the key of this label.
    pub(super) fn label_key(&self, key: &str) -> bool {
        self.labels.contains_key(key) || self.literal_key(key)
    }

    /// Returns `true` if the caller keeps this value of this label.
    pub(super) fn label_value(&self, key: &str, value: &str) -> bool {
        match self.labels.get(key) {
            Some(Values::All) => true,
            Some(Values::Only(values)) => values.contains(value),
            Some(Values::Pseudonym) => false,
            None => {
                self.literal_values
                    && value.len() >= SHORTEST_VALUE
                    && self.literal_key(key)
                    && self.is_literal(value)
            }
        }
    }

    /// Returns `true` if everything below this path stays.
    pub(super) fn below(&self, path: &ValuePath<'_>) -> bool {
        self.fields.iter().any(|field| path.is(field))
    }

    /// Returns `true` if a field to keep lies at or below this path: then the keys on its path must stay
    /// too.
    pub(super) fn on_the_way(&self, path: &ValuePath<'_>) -> bool {
        let depth = path.depth();
        self.fields.iter().any(|field| field.get(..depth).is_some_and(|start| path.is(start)))
    }
}
