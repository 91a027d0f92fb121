//! JSONPath (RFC 9535) for a rule's `fields`: an inexpensive subset, evaluated within a budget.
//!
//! The paths come from a rule and the objects from the users of a cluster, and both are evaluated on the
//! one thread that all rules share. Constructs that are slow by themselves are therefore rejected when
//! the rule is loaded, and evaluation stops at a number of visited values and of found bytes, for all
//! paths of an interest together.

mod filter;
mod parse;
mod walk;

use serde_json::Value as Json;

use filter::Filter;
use klaxon_model::Value;
use walk::Budget;

/// Maximum size of a path in bytes.
const MOST_BYTES_OF_PATH: usize = 512;
/// Maximum number of segments of a path.
const MOST_SEGMENTS: usize = 32;
/// Maximum number of selectors of a segment.
const MOST_SELECTORS: usize = 16;
/// Maximum nesting of brackets and parentheses.
const MOST_NESTING: usize = 8;
/// Maximum number of values that the paths of one interest visit for one event.
const MOST_VISITS: usize = 100_000;
/// Maximum number of bytes that the paths of one interest find for one event.
const MOST_FOUND: usize = 256 << 10;

/// A parsed path of an interest.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPath {
    text: String,
    segments: Vec<Segment>,
}

/// One segment of a path, which selects values from each value that the previous segment selected.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    /// `true` for a descendant segment, which also selects from all nested values.
    descends: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone, PartialEq)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Filter),
}

/// An error: a path exceeded the budget of its event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldsOverBudget {
    /// Too many values were visited.
    #[error(
        "field {path:?}: the rule's fields look at more than {MOST_VISITS} values of this object; hint: name the members on the way in place of `..` and `*`"
    )]
    Visits {
        /// The path that exceeded the budget.
        path: String,
    },
    /// Too many bytes were found.
    #[error(
        "field {path:?}: the rule's fields find more than {MOST_FOUND} bytes in this object; hint: ask for the members that the rule reads"
    )]
    Found {
        /// The path that exceeded the budget.
        path: String,
    },
}

impl FieldPath {
    /// Parses a path.
    ///
    /// # Errors
    /// If the text is not a JSONPath, or one that is not supported: the error has the problem and a hint.
    pub fn parse(text: &str) -> Result<Self, String> {
        let segments = parse::segments(text)?;
        Ok(Self { text: text.to_owned(), segments })
    }

    /// Returns the value of each path in a document: a single match as it is, several matches as an
    /// array.
    ///
    /// # Errors
    /// The path at which the budget of the event was exceeded.
    pub fn evaluate(paths: &[Self], document: &Json) -> Result<Vec<Value>, FieldsOverBudget> {
        Self::evaluate_within(paths, document, &mut Budget::of_event())
    }

    fn evaluate_within(
        paths: &[Self],
        document: &Json,
        budget: &mut Budget,
    ) -> Result<Vec<Value>, FieldsOverBudget> {
        let value = |path: &Self| {
            let found = walk::find(&path.segments, document, budget);
            let value = found.and_then(|found| walk::value(&found, budget));
            value.map_err(|spent| spent.at(&path.text))
        };
        paths.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests;
