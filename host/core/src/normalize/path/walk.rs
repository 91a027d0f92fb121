//! Evaluation of a path's segments on a document, within a budget.

use std::io::{self, Write};

use serde_json::Value as Json;

use super::{FieldsOverBudget, MOST_FOUND, MOST_VISITS, Segment, Selector};
use klaxon_model::Value;

/// Bytes of text that are compared for the cost of one visit.
const BYTES_A_VISIT: usize = 64;

/// The remaining work for one event.
#[derive(Debug)]
pub(super) struct Budget {
    visits: usize,
    found: usize,
}

/// The part of the budget that is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Visits,
    Found,
}

impl Spent {
    pub(super) fn at(self, path: &str) -> FieldsOverBudget {
        let path = path.to_owned();
        match self {
            Self::Visits => FieldsOverBudget::Visits { path },
            Self::Found => FieldsOverBudget::Found { path },
        }
    }
}

impl Budget {
    pub(super) fn of_event() -> Self {
        Self { visits: MOST_VISITS, found: MOST_FOUND }
    }

    /// Returns the number of visits made.
    #[cfg(test)]
    pub(super) fn visited(&self) -> usize {
        MOST_VISITS - self.visits
    }

    pub(super) fn visit(&mut self, values: usize) -> Result<(), Spent> {
        // A rejected visit exhausts the budget too, so that smaller ones do not continue.
        let left = self.visits.checked_sub(values);
        self.visits = left.unwrap_or(0);
        left.map(drop).ok_or(Spent::Visits)
    }

    /// Charges for reading bytes of a text.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), Spent> {
        self.visit(bytes / BYTES_A_VISIT)
    }

    fn find(&mut self, bytes: usize) -> Result<(), Spent> {
        let left = self.found.checked_sub(bytes);
        self.found = left.unwrap_or(0);
        left.map(drop).ok_or(Spent::Found)
    }
}

/// Returns all values that the segments select, in the order of RFC 9535.
pub(super) fn find<'a>(
    segments: &[Segment],
    root: &'a Json,
    budget: &mut Budget,
) -> Result<Vec<&'a Json>, Spent> {
    let mut found = vec![root];
    for segment in segments {
        let mut next = Vec::new();
        for value in found {
            select(segment, value, root, &mut next, budget)?;
        }
        found = next;
    }
    Ok(found)
}

/// Recurses no deeper than the document, which the JSON parser limits to 128 levels.
fn select<'a>(
    segment: &Segment,
    value: &'a Json,
    root: &'a Json,
    found: &mut Vec<&'a Json>,
    budget: &mut Budget,
) -> Result<(), Spent> {
    for selector in &segment.selectors {
        budget.visit(1)?;
        match selector {
            Selector::Name(name) => found.extend(value.get(name)),
            Selector::Index(index) => found.extend(index_into(value, *index)),
            Selector::Wildcard => each_child(value, |child| {
                budget.visit(1)?;
                found.push(child);
                Ok(())
            })?,
            Selector::Slice { start, end, step } => {
                slice(value, *start, *end, *step, found, budget)?;
            }
            Selector::Filter(filter) => each_child(value, |child| {
                budget.visit(1)?;
                if filter.holds(child, root, budget)? {
                    found.push(child);
                }
                Ok(())
            })?,
        }
    }
    if segment.descends {
        each_child(value, |child| {
            budget.visit(1)?;
            select(segment, child, root, found, budget)
        })?;
    }
    Ok(())
}

fn each_child<'a>(
    value: &'a Json,
    act: impl FnMut(&'a Json) -> Result<(), Spent>,
) -> Result<(), Spent> {
    match value {
        Json::Array(items) => items.iter().try_for_each(act),
        Json::Object(members) => members.values().try_for_each(act),
        _ => Ok(()),
    }
}

/// Returns the item of an array; a negative index counts from the end.
pub(super) fn index_into(value: &Json, index: i64) -> Option<&Json> {
    let items = value.as_array()?;
    let length = i64::try_from(items.len()).ok()?;
    let index = if index < 0 { index.checked_add(length)? } else { index };
    items.get(usize::try_from(index).ok()?)
}

/// Selects a slice (RFC 9535, section 2.3.4.2.2).
fn slice<'a>(
    value: &'a Json,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    found: &mut Vec<&'a Json>,
    budget: &mut Budget,
) -> Result<(), Spent> {
    let Json::Array(items) = value else { return Ok(()) };
    let Ok(length) = i64::try_from(items.len()) else { return Ok(()) };
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let (mut at, last) = match step {
        0 => return Ok(()),
        1.. => (
            from_end(start.unwrap_or(0)).clamp(0, length),
            from_end(end.unwrap_or(length)).clamp(0, length),
        ),
        _ => {
            let end = end.map_or(-1, from_end);
            (from_end(start.unwrap_or(length - 1)).clamp(-1, length - 1), end.clamp(-1, length - 1))
        }
    };
    while if step > 0 { at < last } else { at > last } {
        budget.visit(1)?;
        found.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
        at = at.saturating_add(step);
    }
    Ok(())
}

/// Returns the selected values as one value.
pub(super) fn value(found: &[&Json], budget: &mut Budget) -> Result<Value, Spent> {
    match found {
        [] => Ok(Value::Null),
        [one] => single(one, budget),
        several => as_json(several, budget),
    }
}

fn single(json: &Json, budget: &mut Budget) -> Result<Value, Spent> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(float)) => Value::Number(float),
            (None, None) => Value::Text(number.to_string()),
        },
        Json::String(text) => {
            budget.find(text.len())?;
            Value::Text(text.clone())
        }
        Json::Array(_) | Json::Object(_) => return as_json(json, budget),
    })
}

/// Writes JSON within the budget.
fn as_json(json: &(impl serde::Serialize + ?Sized), budget: &mut Budget) -> Result<Value, Spent> {
    let mut room = Room { text: Vec::new(), most: budget.found };
    // Exceeding the budget is the only possible error of writing to memory.
    serde_json::to_writer(&mut room, json).map_err(|_| Spent::Found)?;
    budget.find(room.text.len())?;
    String::from_utf8(room.text).map(Value::Json).map_err(|_| Spent::Found)
}

/// A buffer with a maximum size.
struct Room {
    text: Vec<u8>,
    most: usize,
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most - self.text.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
