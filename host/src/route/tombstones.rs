//! Objects that went lately, so that what is old news of them is known to be old.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::model::Timestamp;

/// The time for which a deletion is remembered.
const MEMORY_MS: i64 = 600_000;
/// The most deletions that are remembered; beyond it the oldest are forgotten.
const MOST: usize = 100_000;

/// Deletions, by object and in their order. Each is looked at twice at most: when it comes, and when
/// it is forgotten.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_uid: HashMap<Arc<str>, (Box<str>, Timestamp)>,
    /// Oldest first. One that was taken back, or came again, stays here until its time is over.
    order: VecDeque<(Arc<str>, Timestamp)>,
    /// Deletions that were looked at to be forgotten.
    #[cfg(test)]
    looks: usize,
}

impl Tombstones {
    /// Remembers that an object went, with the version of its deletion.
    pub(super) fn bury(&mut self, uid: Arc<str>, version: &str, now: Timestamp) {
        while let Some((oldest, at)) = self.order.front() {
            #[cfg(test)]
            {
                self.looks += 1;
            }
            if now.millis_since(*at) < MEMORY_MS && self.order.len() < MOST {
                break;
            }
            // It may have been buried again since.
            if self.by_uid.get(oldest).is_some_and(|(_, last)| last == at) {
                self.by_uid.remove(oldest);
            }
            self.order.pop_front();
        }
        self.order.push_back((uid.clone(), now));
        self.by_uid.insert(uid, (version.into(), now));
    }

    /// Forgets one: it is there after all.
    pub(super) fn unbury(&mut self, uid: &str) {
        self.by_uid.remove(uid);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_uid.clear();
        self.order.clear();
    }

    /// The version of an object's deletion.
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
            tombstones.bury(format!("u{number}").into(), "1", at(number));
        }
        let many = usize::try_from(many).unwrap();
        assert!(tombstones.looks <= 2 * many, "{} looks for {many} deletions", tombstones.looks);
        assert_eq!(tombstones.by_uid.len(), many);
    }

    #[test]
    fn deletions_are_forgotten_after_their_time_and_beyond_the_bound() {
        let mut tombstones = Tombstones::default();
        tombstones.bury("first".into(), "1", at(0));
        tombstones.bury("second".into(), "2", at(MEMORY_MS - 1));
        tombstones.bury("first".into(), "3", at(MEMORY_MS - 1));
        assert_eq!(tombstones.end_of("first"), Some("3"));
        tombstones.bury("third".into(), "4", at(MEMORY_MS));
        assert_eq!(tombstones.end_of("first"), Some("3"), "buried again since");
        tombstones.unbury("second");
        assert_eq!(tombstones.end_of("second"), None);
        for number in 0..MOST {
            tombstones.bury(format!("u{number}").into(), "5", at(MEMORY_MS));
        }
        assert_eq!(tombstones.end_of("third"), None);
        assert!(tombstones.order.len() <= MOST && tombstones.by_uid.len() <= MOST);
    }
}
