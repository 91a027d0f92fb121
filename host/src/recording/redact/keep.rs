//! What stays although it is none of Kubernetes' own: the caller's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::place::Place;
use super::vocabulary;

/// What of the user's own stays. Empty by default: then only public text does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Words that stay in messages, in any case. Names never consult them.
    pub words: BTreeSet<String>,
    /// Names and namespaces that stay wherever they occur as such.
    pub names: BTreeSet<String>,
    /// Labels whose key stays, and which of their values. Taints and selectors follow them. An
    /// entry decides alone: the literals are not asked about its values.
    pub labels: BTreeMap<String, Values>,
    /// Annotations that stay with their value; all others are removed.
    pub annotations: BTreeSet<String>,
    /// Paths of object keys from the root, below which everything stays as it is; `*` stands for
    /// any element of an array. The data of a Secret does not stay, whatever is written here.
    pub fields: Vec<Vec<String>>,
    /// Bytes of the rules' modules. A label's key that occurs in them stays, and so does its value
    /// if that occurs too and `literal_values` is set: a rule can only compare with text that it
    /// contains.
    pub literals: Vec<u8>,
    /// Whether values of labels are looked for in the literals.
    pub literal_values: bool,
}

/// Which values of a label stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// None.
    Pseudonym,
    /// These.
    Only(BTreeSet<String>),
    /// All.
    All,
}

/// Shorter keys occur in any module by chance.
const SHORTEST_KEY: usize = 3;
/// Values are only looked for if the key was found, so they may be a little shorter.
const SHORTEST_VALUE: usize = 2;

/// [`Keep`] in the form that it is asked in.
pub(super) struct Kept {
    words: BTreeSet<String>,
    names: BTreeSet<String>,
    literal_values: bool,
    labels: BTreeMap<String, Values>,
    annotations: BTreeSet<String>,
    fields: Vec<Vec<String>>,
    /// As text: searching a `str` is fast, and what is not UTF-8 equals no label anyway.
    literals: String,
    /// What was looked for in them, and whether it was there: labels repeat in every object.
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

    /// True if the caller wants this name kept.
    pub(super) fn name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn annotation(&self, key: &str) -> bool {
        key == "k8s.io/initial-events-end" || self.annotations.contains(key)
    }

    fn is_literal(&self, text: &str) -> bool {
        // Whoever panicked while holding the lock had added a whole entry, or none.
        let mut looked_for = self.looked_for.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = looked_for.get(text) {
            return *found;
        }
        let found = self.literals.contains(text);
        looked_for.insert(text.to_owned(), found);
        found
    }

    /// True if a rule can ask for this key.
    pub(super) fn literal_key(&self, key: &str) -> bool {
        key.len() >= SHORTEST_KEY && self.is_literal(key)
    }

    /// True if the caller wants the key of this label kept.
    pub(super) fn label_key(&self, key: &str) -> bool {
        self.labels.contains_key(key) || self.literal_key(key)
    }

    /// True if the caller wants this value of this label kept.
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

    /// True if everything from here on stays.
    pub(super) fn below(&self, place: &Place<'_>) -> bool {
        self.fields.iter().any(|path| place.is(path))
    }

    /// True if a field to keep lies at or below this place, so that the way to it must stay too.
    pub(super) fn on_the_way(&self, place: &Place<'_>) -> bool {
        let depth = place.depth();
        self.fields.iter().any(|path| path.get(..depth).is_some_and(|start| place.is(start)))
    }
}
