//! Which deliveries of a target come next. In order are those of one rule and key: while one of them is
//! tried, or waits for its next attempt, those behind it stay in the journal and the others pass.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use crate::journal::Waiting;

/// With fewer than so many at hand, more are read.
const FEW: usize = 128;
/// Most that wait for their next attempt; beyond that nothing new is begun.
const MOST_DELAYED: usize = 65_536;

/// A rule's name and a verdict's key.
pub(super) type Key = (String, String);

/// What waits, without bodies.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Keys of which one is at hand, with the number of the next that was read after it.
    claimed: HashMap<Key, Option<i64>>,
    fresh: VecDeque<Waiting>,
    delayed: BTreeMap<(Instant, i64), Waiting>,
    /// Keys whose next is in the journal, and from which number on.
    behind: Vec<(Key, i64)>,
    /// How far the journal was read.
    read: i64,
    is_ordered: bool,
}

impl Line {
    /// In order by key, or in none.
    pub(super) fn new(is_ordered: bool) -> Self {
        Self { is_ordered, ..Self::default() }
    }

    /// The number up to which the journal was read.
    pub(super) fn read(&self) -> i64 {
        self.read
    }

    /// Whether there is little at hand, and room for more.
    pub(super) fn wants_more(&self) -> bool {
        self.fresh.len() < FEW && self.delayed.len() < MOST_DELAYED
    }

    /// Takes the next of the journal, which is behind all that were read.
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.read = waiting.number;
        if self.is_ordered {
            if let Some(behind) = self.claimed.get_mut(&waiting.order) {
                behind.get_or_insert(waiting.number);
                return;
            }
            self.claimed.insert(waiting.order.clone(), None);
        }
        self.fresh.push_back(waiting);
    }

    /// Keys that are free, and from which number on their next is to be read.
    pub(super) fn take_behind(&mut self) -> Vec<(Key, i64)> {
        std::mem::take(&mut self.behind)
    }

    /// Takes the next of a key that was free, and the number of the one behind it.
    pub(super) fn push_behind(&mut self, waiting: Waiting, behind: Option<i64>) {
        self.claimed.insert(waiting.order.clone(), behind);
        self.fresh.push_back(waiting);
    }

    /// The next to try: what failed and is due comes first, for it is older; `rather_fresh`: last.
    pub(super) fn take(&mut self, now: Instant, rather_fresh: bool) -> Option<Waiting> {
        if rather_fresh && let Some(fresh) = self.fresh.pop_front() {
            return Some(fresh);
        }
        if self.next_due().is_some_and(|due| due <= now) {
            return self.delayed.pop_first().map(|(_, waiting)| waiting);
        }
        self.fresh.pop_front()
    }

    /// When the next attempt of one that failed is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// It failed, and is tried again then. What is behind it waits.
    pub(super) fn delay(&mut self, waiting: Waiting, until: Instant) {
        self.delayed.insert((until, waiting.number), waiting);
    }

    /// The receiver is back: nobody waits any longer.
    pub(super) fn hurry(&mut self, now: Instant) {
        let delayed = std::mem::take(&mut self.delayed);
        self.delayed = delayed
            .into_iter()
            .map(|((due, number), waiting)| ((due.min(now), number), waiting))
            .collect();
    }

    /// It is settled: the next of its key may come.
    pub(super) fn settled(&mut self, order: &Key) {
        if let Some(Some(number)) = self.claimed.remove(order) {
            self.behind.push((order.clone(), number));
        }
    }

    /// Whether something could be tried without waiting.
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty() || !self.behind.is_empty()
    }

    /// Whether nothing is at hand.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_fresh() && self.delayed.is_empty()
    }

    /// Forgets all that is at hand: it is not pending any longer.
    pub(super) fn clear(&mut self) {
        *self = Self { read: self.read, is_ordered: self.is_ordered, ..Self::default() };
    }
}
