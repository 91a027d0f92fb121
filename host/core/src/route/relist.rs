//! Relists: comparison of a list with the known objects, after a period in which changes may have been
//! missed.

use std::collections::HashSet;
use std::sync::Arc;

use super::object_index::{Known, KnownObjects};
use super::reporters::ReporterSets;
use klaxon_model::{Coverage, GapEffect, Meta, Timestamp};

/// Returns `true` if a known object belongs to a watch or stream.
pub(super) fn covers(coverage: &Coverage, known: &Known) -> bool {
    coverage.covers(known.group(), &known.kind, &known.namespace)
}

/// The relist that an observation is part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    pub(super) since: Timestamp,
    pub(super) effect: GapEffect,
    pub(super) is_other_epoch: bool,
    /// The number of the relist, over all runs on one journal.
    pub(super) mark: u32,
    /// The version up to which the known objects are complete. `None` if they never were, and in another
    /// revision epoch, whose versions do not compare.
    pub(super) complete_at: Option<u64>,
}

impl Compared {
    /// Returns `true` if an object that is not known was created within the period. If the known objects
    /// are complete up to a version, the object's version decides: it is newer than any version seen
    /// before. Otherwise only its creation time is available, which is by the API server's clock and cut
    /// to seconds.
    pub(super) fn is_new(&self, meta: &Meta) -> bool {
        match self.complete_at {
            Some(at) => meta.resource_version.parse::<u64>().map_or(true, |version| version > at),
            None => meta.created_at.is_some_and(|created| created >= self.since),
        }
    }

    /// Returns `true` if the whole count of a Kubernetes Event falls into the period. If only times are
    /// available, a Kubernetes Event created in the second in which the period began is included: an
    /// extra alert is better than a missed one.
    pub(super) fn counts(&self, meta: &Meta) -> bool {
        match self.complete_at {
            Some(_) => self.is_new(meta),
            None => meta.created_at.is_some_and(|created| created >= self.since.whole_second()),
        }
    }

    /// Returns `true` if an object that is not known may have been reported before in this very version:
    /// it was found to be deleted, and exists again.
    pub(super) fn has_returned(&self, meta: &Meta) -> bool {
        self.complete_at.is_some() && !self.is_new(meta)
    }
}

/// A list in progress, compared with the objects known before.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) scope: String,
    pub(super) since: Timestamp,
    /// The cause of the gap that the list ends.
    pub(super) reason: String,
    pub(super) effect: GapEffect,
    pub(super) is_other_epoch: bool,
    /// The mark of objects in the list; objects of a later relist have a higher one.
    pub(super) mark: u32,
    pub(super) complete_at: Option<u64>,
    pub(super) covers: Vec<Coverage>,
    /// Uids of objects that exist but are not in the list, because a selector leaves them out.
    pub(super) outside: HashSet<String>,
    /// Namespaces and names of listed objects of which only the name can be read: they exist.
    pub(super) unreadable: HashSet<(String, String)>,
}

impl Comparison {
    /// Adds to the coverage; the list may be empty. A namespace replaces the coverage of all namespaces, which the
    /// objects of the list suggested.
    pub(super) fn cover(&mut self, coverage: Coverage) {
        if coverage.namespace.is_some() {
            self.covers.retain(|wide| {
                let is_same = wide.kind == coverage.kind && wide.group == coverage.group;
                !is_same || wide.namespace.is_some()
            });
        }
        if !self.covers.contains(&coverage) {
            self.covers.push(coverage);
        }
    }

    /// Returns known objects that the list does not contain, sorted.
    ///
    /// Of a kind that is covered in all namespaces, only objects that the scope itself has reported can be missing:
    /// a recorded stream may be about a part of the objects without saying so.
    pub(super) fn missing(&self, known: &KnownObjects, sets: &ReporterSets) -> Vec<Arc<str>> {
        let is_unreadable = |known: &Known| {
            let name = (known.namespace.as_ref().to_owned(), known.name.as_ref().to_owned());
            !self.unreadable.is_empty() && self.unreadable.contains(&name)
        };
        let is_missing = |known: &Known| {
            known.mark < self.mark
                && self.covers.iter().any(|coverage| {
                    covers(coverage, known)
                        && (coverage.namespace.is_some()
                            || sets.include(known.reporters, &self.scope))
                })
                && !is_unreadable(known)
        };
        let missing = known.iter().filter(|(_, known)| is_missing(known));
        let mut missing: Vec<Arc<str>> = missing.map(|(uid, _)| uid.clone()).collect();
        missing.sort();
        missing
    }
}
