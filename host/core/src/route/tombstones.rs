//! Tombstones: recently deleted objects, so that outdated observations of them are recognized.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use klaxon_model::Timestamp;

/// The time for which a tombstone is stored, in milliseconds.
const MEMORY_MS: i64 = 600_000;
/// Maximum number of tombstones; the oldest are removed beyond it.
const MOST: usize = 100_000;

/// Tombstones, by object and in the order of deletion. Each is visited at most twice: when it is added,
/// and when it expires.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_uid: HashMap<Arc<str>, (Box<str>, Timestamp)>,
    /// Oldest first. An entry whose tombstone was removed or replaced stays until it expires.
    order: VecDeque<(Arc<str>, Timestamp)>,
    /// Tombstones that were visited to check if they have expired.
    #[cfg(test)]
    looks: usize,
}

impl Tombstones {
    /// Adds a tombstone with the version of the deletion.
    pub(super) fn add(&mut self, uid: Arc<str>, version: &str, now: Timestamp) {
        while let Some((oldest, at)) = self.order.front() {
            #[cfg(test)]
            {
                self.looks += 1;
            }
            if now.millis_since(*at) < MEMORY_MS && self.order.len() < MOST {
                break;
            }
            // The object may have been deleted again since.
            if self.by_uid.get(oldest).is_some_and(|(_, last)| last == at) {
                self.by_uid.remove(oldest);
            }
            self.order.pop_front();
        }
        self.order.push_back((uid.clone(), now));
        self.by_uid.insert(uid, (version.into(), now));
    }

    /// Removes a tombstone, because the object exists.
    pub(super) fn remove(&mut self, uid: &str) {
        self.by_uid.remove(uid);
    }

    /// Removes all tombstones.
    pub(super) fn clear(&mut self) {
        self.by_uid.clear();
        self.order.clear();
    }

    /// Returns the version of an object's deletion.
    pub(super) fn end_of(&self, uid: &str) -> Option<&str> {
        self.by_uid.get(uid).map(|(version, _)| &**version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn deletions_cost_linear_time_however_many_there_are() {
        let mut tombstones = Tombstones::default();
        let many = 50_000;
        for number in 0..many {
            tombstones.add(format!("u{number}").into(), "1", at(number));
        }
        let many = usize::try_from(many).unwrap();
        assert!(tombstones.looks <= 2 * many, "{} looks for {many} deletions", tombstones.looks);
        assert_eq!(tombstones.by_uid.len(), many);
    }

    #[test]
    fn deletions_are_forgotten_after_their_time_and_beyond_the_bound() {
        let mut tombstones = Tombstones::default();
        tombstones.add("first".into(), "1", at(0));
        tombstones.add("second".into(), "2", at(MEMORY_MS - 1));
        tombstones.add("first".into(), "3", at(MEMORY_MS - 1));
        assert_eq!(tombstones.end_of("first"), Some("3"));
        tombstones.add("third".into(), "4", at(MEMORY_MS));
        assert_eq!(tombstones.end_of("first"), Some("3"), "it has ended again since");
        tombstones.remove("second");
        assert_eq!(tombstones.end_of("second"), None);
        for number in 0..MOST {
            tombstones.add(format!("u{number}").into(), "5", at(MEMORY_MS));
        }
        assert_eq!(tombstones.end_of("third"), None);
        assert!(tombstones.order.len() <= MOST && tombstones.by_uid.len() <= MOST);
    }
}
