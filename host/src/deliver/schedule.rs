//! Which deliveries of a target come next. In order are those of one rule and key: while one of them is
//! tried, or waits for its next attempt, those behind it stay in the journal and the others pass.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::journal::Waiting;
use crate::model::clock;

/// With fewer than so many at hand, more are read.
const FEW: usize = 128;
/// Most that wait for their next attempt; beyond that nothing new is begun.
const MOST_DELAYED: usize = 65_536;

/// A time to be retried that is longer is as good as none.
const LONG: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A rule's name and a verdict's key.
pub(super) type Key = (String, String);

/// What waits, without bodies.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Keys of which one is at hand.
    claimed: HashMap<Key, Claim>,
    fresh: VecDeque<Waiting>,
    delayed: BTreeMap<Place, Delayed>,
    /// The places of those that were tried, by the end of their time and number.
    deadlines: BTreeMap<(Instant, i64), Place>,
    /// Keys whose next is in the journal, and from which number on.
    behind: Vec<(Key, i64)>,
    /// How far the journal was read.
    read: i64,
    is_ordered: bool,
    coalesces: bool,
    /// The time for which a delivery is retried after its first attempt.
    retry_for: Duration,
}

/// The time of a delivery's next attempt, and its number.
type Place = (Instant, i64);

/// A delivery that was tried.
#[derive(Debug)]
struct Delayed {
    waiting: Waiting,
    /// The end of its time to be retried.
    deadline: Instant,
}

/// Of a key one is at hand.
#[derive(Debug, Default)]
struct Claim {
    /// The number of the next that was read after it.
    behind: Option<i64>,
    /// Its place among those that wait for their next attempt.
    delayed: Option<Place>,
    /// Something newer may have taken its place since it was taken last.
    has_newer: bool,
}

impl Line {
    /// In order by key, or in none; where it `coalesces` a newer one of a key takes the place of an older.
    pub(super) fn new(is_ordered: bool, coalesces: bool, retry_for: Duration) -> Self {
        Self { is_ordered, coalesces, retry_for, ..Self::default() }
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
        self.begin(waiting, now);
    }

    /// Puts a delivery among those to be tried; one that was tried by an earlier run goes on from there.
    fn begin(&mut self, waiting: Waiting, now: Instant) {
        if waiting.since.is_some() {
            self.delay(waiting, now, now);
        } else {
            self.fresh.push_back(waiting);
        }
    }

    /// A newer one of its key has come: whether it is still to be sent is not asked only when its next
    /// attempt is due.
    fn look_at(&mut self, order: &Key, now: Instant) {
        let Some(claim) = self.claimed.get_mut(order) else { return };
        let Some(place) = claim.delayed.filter(|(due, _)| *due > now) else { return };
        let earlier = (now, place.1);
        claim.delayed = Some(earlier);
        if let Some(delayed) = self.remove(place) {
            self.insert(earlier, delayed);
        }
    }

    fn insert(&mut self, place: Place, delayed: Delayed) {
        self.deadlines.insert((delayed.deadline, place.1), place);
        self.delayed.insert(place, delayed);
    }

    fn remove(&mut self, place: Place) -> Option<Delayed> {
        let delayed = self.delayed.remove(&place)?;
        self.deadlines.remove(&(delayed.deadline, place.1));
        Some(delayed)
    }

    /// Keys that are free, and from which number on their next is to be read.
    pub(super) fn take_behind(&mut self) -> Vec<(Key, i64)> {
        std::mem::take(&mut self.behind)
    }

    /// Takes the next of a key that was free, and the number of the one behind it.
    pub(super) fn push_behind(&mut self, waiting: Waiting, behind: Option<i64>, now: Instant) {
        self.claimed.insert(waiting.order.clone(), Claim { behind, ..Claim::default() });
        self.begin(waiting, now);
    }

    /// The next to try: what failed and is due comes first, for it is older; `rather_fresh`: last.
    pub(super) fn take(&mut self, now: Instant, rather_fresh: bool) -> Option<Waiting> {
        let is_due = self.next_due().is_some_and(|due| due <= now);
        let waiting = if is_due && (self.fresh.is_empty() || !rather_fresh) {
            let place = self.delayed.first_key_value().map(|(place, _)| *place);
            place.and_then(|place| self.remove(place)).map(|delayed| delayed.waiting)
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

    /// Returns when a delivery's time to be retried is over: so long after its first attempt.
    pub(super) fn deadline(&self, waiting: &Waiting, now: Instant) -> Instant {
        let tried_for = waiting.since.map_or(0, |since| clock::now().millis_since(since));
        let tried_for = Duration::from_millis(u64::try_from(tried_for).unwrap_or(0));
        now + self.retry_for.saturating_sub(tried_for).min(LONG)
    }

    /// Takes a delivery that was tried and whose time to be retried is over.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Waiting> {
        let ((deadline, _), place) = self.deadlines.first_key_value()?;
        if *deadline > now {
            return None;
        }
        let place = *place;
        self.remove(place).map(|delayed| delayed.waiting)
    }

    /// It failed, and is tried again then, and not after its time is over; at once where it may not have
    /// to be. What is behind it waits.
    pub(super) fn delay(&mut self, waiting: Waiting, now: Instant, until: Instant) {
        let deadline = self.deadline(&waiting, now);
        self.put(Delayed { waiting, deadline }, now, until.min(deadline));
    }

    fn put(&mut self, delayed: Delayed, now: Instant, until: Instant) {
        let mut place = (until, delayed.waiting.number);
        if let Some(claim) = self.claimed.get_mut(&delayed.waiting.order) {
            if claim.has_newer {
                place.0 = now;
            }
            claim.delayed = Some(place);
        }
        self.insert(place, delayed);
    }

    /// The receiver is back: nobody waits any longer.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.deadlines.clear();
        for (_, delayed) in std::mem::take(&mut self.delayed) {
            self.put(delayed, now, now);
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
        let Self { read, is_ordered, coalesces, retry_for, .. } = *self;
        *self = Self { read, is_ordered, coalesces, retry_for, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Stopwatch;

    const DAY: Duration = Duration::from_secs(86_400);

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
            let mut line = Line::new(true, coalesces, DAY);
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
        let mut line = Line::new(true, true, DAY);
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
        let mut line = Line::new(true, false, DAY);
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

    #[test]
    fn a_delivery_that_was_tried_expires_and_one_that_was_not_does_not() {
        let now = Stopwatch::instant();
        let minute = Duration::from_secs(60);
        let mut line = Line::new(true, false, minute);
        line.push(waiting(1, "a"), now);
        line.push(waiting(2, "b"), now);
        let mut tried = line.take(now, false).unwrap();
        tried.since = Some(clock::now());
        // Its next attempt would be long after its time.
        line.delay(tried, now, now + DAY);
        assert_eq!(line.take_expired(now + minute / 2), None);
        assert!(line.next_due().unwrap() <= now + minute, "it is tried once more at the end");
        let expired = line.take_expired(now + 2 * minute).unwrap();
        assert_eq!(expired.number, 1);
        assert_eq!(line.take_expired(now + DAY), None, "the other was never tried");
        assert_eq!(number(&mut line, now + DAY), Some(2));
        assert_eq!(number(&mut line, now + DAY), None);
    }

    #[test]
    fn a_delivery_of_an_earlier_run_expires_by_its_first_attempt() {
        let now = Stopwatch::instant();
        let minute = Duration::from_secs(60);
        let mut line = Line::new(true, false, minute);
        let since = Some(clock::now().plus_millis(-3_600_000));
        line.push(Waiting { since, ..waiting(1, "a") }, now);
        assert_eq!(line.take_expired(now).map(|expired| expired.number), Some(1));
        line.settled(&waiting(1, "a").order);
        line.push(Waiting { since, ..waiting(2, "a") }, now);
        assert_eq!(number(&mut line, now), Some(2), "it may be tried once more");
        assert_eq!(line.take_expired(now), None);
    }
}
