//! JSONPath (RFC 9535) for a rule's `fields`: the part of it that costs little, walked within a budget.
//!
//! The paths come from a rule and the objects from the users of a cluster, and both are walked on the
//! one thread that all rules share. So what is slow by itself is refused when the rule is loaded, and
//! the rest stops at a number of visited values and of bytes found, for all paths of an interest together.

mod filter;
mod parse;
mod walk;

use serde_json::Value as Json;

use crate::model::Value;
use filter::Filter;
use walk::Budget;

/// Most bytes of a path.
const MOST_BYTES_OF_PATH: usize = 512;
/// Most segments of a path.
const MOST_SEGMENTS: usize = 32;
/// Most selectors of a segment.
const MOST_SELECTORS: usize = 16;
/// Most open brackets and parentheses.
const MOST_NESTING: usize = 8;
/// Most values of an object that the paths of one interest visit for one event.
const MOST_VISITS: usize = 100_000;
/// Most bytes that the paths of one interest find for one event.
const MOST_FOUND: usize = 256 << 10;

/// A path of an interest, ready to walk.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPath {
    text: String,
    segments: Vec<Segment>,
}

/// One step of a path, which finds values in each value that the step before it found.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    /// The step is also taken in all values below.
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

/// A path went over the budget of its event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldsOverBudget {
    /// Too many values were visited.
    #[error(
        "field {path:?}: the rule's fields look at more than {MOST_VISITS} values of this object; hint: name the members on the way in place of `..` and `*`"
    )]
    Visits {
        /// The path that went over the budget.
        path: String,
    },
    /// Too much was found.
    #[error(
        "field {path:?}: the rule's fields find more than {MOST_FOUND} bytes in this object; hint: ask for the members that the rule reads"
    )]
    Found {
        /// The path that went over the budget.
        path: String,
    },
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Where the text is no JSONPath, or one that is not supported: what is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let segments = parse::segments(text)?;
        Ok(Self { text: text.to_owned(), segments })
    }

    /// Returns the value of each path in a document: one match is that value, several are an array of them.
    ///
    /// # Errors
    /// The path at which the budget of the event was used up.
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
