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
    /// Keys of which one is at hand.
    claimed: HashMap<Key, Claim>,
    fresh: VecDeque<Waiting>,
    delayed: BTreeMap<(Instant, i64), Waiting>,
    /// Keys whose next is in the journal, and from which number on.
    behind: Vec<(Key, i64)>,
    /// How far the journal was read.
    read: i64,
    is_ordered: bool,
    coalesces: bool,
}

/// Of a key one is at hand.
#[derive(Debug, Default)]
struct Claim {
    /// The number of the next that was read after it.
    behind: Option<i64>,
    /// Its place among those that wait for their next attempt.
    delayed: Option<(Instant, i64)>,
    /// Something newer may have taken its place since it was taken last.
    has_newer: bool,
}

impl Line {
    /// In order by key, or in none; where it `coalesces` a newer one of a key takes the place of an older.
    pub(super) fn new(is_ordered: bool, coalesces: bool) -> Self {
        Self { is_ordered, coalesces, ..Self::default() }
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
    pub(super) fn push(&mut self, waiting: Waiting, now: Instant) {
        self.read = waiting.number;
        if self.is_ordered {
            if let Some(claim) = self.claimed.get_mut(&waiting.order) {
                claim.behind.get_or_insert(waiting.number);
                if self.coalesces {
                    claim.has_newer = true;
                    self.look_at(&waiting.order, now);
                }
                return;
            }
            self.claimed.insert(waiting.order.clone(), Claim::default());
        }
        self.fresh.push_back(waiting);
    }

    /// A newer one of its key has come: whether it is still to be sent is not asked only when its next
    /// attempt is due.
    fn look_at(&mut self, order: &Key, now: Instant) {
        let Some(claim) = self.claimed.get_mut(order) else { return };
        let Some(place) = claim.delayed.filter(|(due, _)| *due > now) else { return };
        if let Some(waiting) = self.delayed.remove(&place) {
            let place = (now, place.1);
            claim.delayed = Some(place);
            self.delayed.insert(place, waiting);
        }
    }

    /// Keys that are free, and from which number on their next is to be read.
    pub(super) fn take_behind(&mut self) -> Vec<(Key, i64)> {
        std::mem::take(&mut self.behind)
    }

    /// Takes the next of a key that was free, and the number of the one behind it.
    pub(super) fn push_behind(&mut self, waiting: Waiting, behind: Option<i64>) {
        self.claimed.insert(waiting.order.clone(), Claim { behind, ..Claim::default() });
        self.fresh.push_back(waiting);
    }

    /// The next to try: what failed and is due comes first, for it is older; `rather_fresh`: last.
    pub(super) fn take(&mut self, now: Instant, rather_fresh: bool) -> Option<Waiting> {
        let is_due = self.next_due().is_some_and(|due| due <= now);
        let waiting = if is_due && (self.fresh.is_empty() || !rather_fresh) {
            self.delayed.pop_first().map(|(_, waiting)| waiting)
        } else {
            self.fresh.pop_front()
        }?;
        if let Some(claim) = self.claimed.get_mut(&waiting.order) {
            (claim.delayed, claim.has_newer) = (None, false);
        }
        Some(waiting)
    }

    /// When the next attempt of one that failed is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// It failed, and is tried again then; at once where it may not have to be. What is behind it waits.
    pub(super) fn delay(&mut self, waiting: Waiting, now: Instant, until: Instant) {
        let mut place = (until, waiting.number);
        if let Some(claim) = self.claimed.get_mut(&waiting.order) {
            if claim.has_newer {
                place.0 = now;
            }
            claim.delayed = Some(place);
        }
        self.delayed.insert(place, waiting);
    }

    /// The receiver is back: nobody waits any longer.
    pub(super) fn hurry(&mut self, now: Instant) {
        for (_, waiting) in std::mem::take(&mut self.delayed) {
            self.delay(waiting, now, now);
        }
    }

    /// It is settled: the next of its key may come.
    pub(super) fn settled(&mut self, order: &Key) {
        if let Some(Claim { behind: Some(number), .. }) = self.claimed.remove(order) {
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
        let Self { read, is_ordered, coalesces, .. } = *self;
        *self = Self { read, is_ordered, coalesces, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::clock::Stopwatch;

    fn waiting(number: i64, key: &str) -> Waiting {
        Waiting { number, order: ("rule".to_owned(), key.to_owned()), attempts: 0, since: None }
    }

    fn number(line: &mut Line, now: Instant) -> Option<i64> {
        line.take(now, false).map(|waiting| waiting.number)
    }

    #[test]
    fn what_fails_keeps_its_successors_waiting_unless_they_take_its_place() {
        for coalesces in [false, true] {
            let now = Stopwatch::instant();
            let mut line = Line::new(true, coalesces);
            line.push(waiting(1, "a"), now);
            let first = line.take(now, false).unwrap();
            line.delay(first, now, now + Duration::from_secs(300));
            line.push(waiting(2, "a"), now);
            line.push(waiting(3, "b"), now);
            let next = number(&mut line, now);
            assert_eq!(next, Some(if coalesces { 1 } else { 3 }));
            if coalesces {
                // Its body is gone.
                line.settled(&waiting(1, "a").order);
                assert_eq!(line.take_behind(), [(waiting(1, "a").order, 2)]);
            }
        }
    }

    #[test]
    fn what_fails_after_a_newer_one_came_is_looked_at_once_more_and_then_waits() {
        let now = Stopwatch::instant();
        let later = now + Duration::from_secs(300);
        let mut line = Line::new(true, true);
        line.push(waiting(1, "a"), now);
        let under_way = line.take(now, false).unwrap();
        line.push(waiting(2, "a"), now);
        line.delay(under_way, now, later);
        let again = line.take(now, false).unwrap();
        // It has to be sent all the same, and fails.
        line.delay(again, now, later);
        assert_eq!(number(&mut line, now), None);
        assert_eq!(number(&mut line, later), Some(1));
    }

    #[test]
    fn when_the_receiver_is_back_the_oldest_comes_first() {
        let now = Stopwatch::instant();
        let mut line = Line::new(true, false);
        for (number, key) in [(1, "a"), (2, "b"), (3, "c")] {
            line.push(waiting(number, key), now);
        }
        for seconds in [30, 20, 10] {
            let failed = line.take(now, false).unwrap();
            line.delay(failed, now, now + Duration::from_secs(seconds));
        }
        assert_eq!(number(&mut line, now), None);
        line.hurry(now);
        let order: Vec<_> = std::iter::from_fn(|| number(&mut line, now)).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
