//! Comparing a list with what was known, after a period in which changes may have been missed.

use std::collections::HashSet;
use std::sync::Arc;

use super::object_index::{Known, KnownObjects};
use crate::model::{Coverage, Meta, Telling, Timestamp};

/// Returns `true` if a known object belongs to a watch or stream.
pub(super) fn covers(coverage: &Coverage, known: &Known) -> bool {
    coverage.covers(known.group(), &known.kind, &known.namespace)
}

/// What an observation must know of the comparison that it is part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    pub(super) since: Timestamp,
    pub(super) telling: Telling,
    pub(super) is_other_history: bool,
    /// The number of the comparison, over all runs on one journal.
    pub(super) mark: u32,
    /// The version at which all that existed was known. `None` where it never was, and in another
    /// history, whose versions do not compare.
    pub(super) complete_at: Option<u64>,
}

impl Compared {
    /// Returns `true` if an object that is not known was made within the period. Where all was known before,
    /// its version decides, for it is newer than anything that was seen; else there is only its
    /// time of creation, which is by the API server's clock and cut to seconds.
    pub(super) fn is_new(&self, meta: &Meta) -> bool {
        match self.complete_at {
            Some(at) => meta.resource_version.parse::<u64>().map_or(true, |version| version > at),
            None => meta.created_at.is_some_and(|created| created >= self.since),
        }
    }

    /// Returns `true` if all that a Kubernetes Event has counted is counted here. Where only times tell, one of
    /// the second in which the period began is: one alarm too many is better than one too few.
    pub(super) fn counts(&self, meta: &Meta) -> bool {
        match self.complete_at {
            Some(_) => self.is_new(meta),
            None => meta.created_at.is_some_and(|created| created >= self.since.whole_second()),
        }
    }

    /// Returns `true` if an object that is not known may have been told before, in this very version: it was
    /// found to be gone, and is back.
    pub(super) fn has_returned(&self, meta: &Meta) -> bool {
        self.complete_at.is_some() && !self.is_new(meta)
    }
}

/// A list under way that is compared with what was known before.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) scope: String,
    pub(super) since: Timestamp,
    pub(super) telling: Telling,
    pub(super) is_other_history: bool,
    /// Objects that the list has carry this mark, or that of a later comparison.
    pub(super) mark: u32,
    pub(super) complete_at: Option<u64>,
    pub(super) covers: Vec<Coverage>,
    /// Objects that exist but are not in the list: a selector leaves them out.
    pub(super) outside: HashSet<String>,
    /// Namespaces and names of objects of the list of which no more can be read: they exist.
    pub(super) unreadable: HashSet<(String, String)>,
}

impl Comparison {
    /// Known objects that the list does not have, sorted.
    pub(super) fn missing(&self, known: &KnownObjects) -> Vec<Arc<str>> {
        let is_unreadable = |known: &Known| {
            let name = (known.namespace.as_ref().to_owned(), known.name.as_ref().to_owned());
            !self.unreadable.is_empty() && self.unreadable.contains(&name)
        };
        let is_missing = |known: &Known| {
            known.mark < self.mark
                && self.covers.iter().any(|coverage| covers(coverage, known))
                && !is_unreadable(known)
        };
        let missing = known.iter().filter(|(_, known)| is_missing(known));
        let mut missing: Vec<Arc<str>> = missing.map(|(uid, _)| uid.clone()).collect();
        missing.sort();
        missing
    }
}
