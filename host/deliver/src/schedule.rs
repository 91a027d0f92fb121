//! The order of a target's deliveries. Deliveries of one rule and key keep their order: while one of them is
//! under way or waits for its next attempt, later ones stay in the journal and other keys pass.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use klaxon_journal::Waiting;
use klaxon_model::clock;

/// More are read while fewer fresh deliveries than this are in memory.
const FEW: usize = 128;
/// The most deliveries that wait for their next attempt; beyond it no more are read.
const MOST_DELAYED: usize = 65_536;

/// The longest retry time; a longer one counts as this.
const LONG: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A rule's name and a verdict's key.
pub(super) type Key = (String, String);

/// The waiting deliveries in memory, without bodies.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The keys of which a delivery is in memory or under way.
    claimed: HashMap<Key, Claim>,
    fresh: VecDeque<Waiting>,
    delayed: BTreeMap<Position, Delayed>,
    /// The places in `delayed` of tried deliveries, by the end of their retry time and their number.
    deadlines: BTreeMap<(Instant, i64), Position>,
    /// The keys with their next delivery in the journal, and the number from which on to read it.
    behind: Vec<(Key, i64)>,
    /// The number up to which the journal was read.
    read: i64,
    is_ordered: bool,
    coalesces: bool,
    /// The time for which a delivery is retried after its first attempt.
    retry_for: Duration,
}

/// The time of a delivery's next attempt, and the delivery's number.
type Position = (Instant, i64);

/// A delivery that was tried.
#[derive(Debug)]
struct Delayed {
    waiting: Waiting,
    /// The end of its retry time.
    deadline: Instant,
}

/// The state of a key of which a delivery is in memory or under way.
#[derive(Debug, Default)]
struct Claim {
    /// The number of the key's next delivery that was read.
    behind: Option<i64>,
    /// The delivery's place in `delayed`, if it waits for its next attempt.
    delayed: Option<Position>,
    /// `true` if a newer delivery was read since the delivery was last taken, and may have superseded it.
    has_newer: bool,
}

impl Line {
    /// Makes an empty line; `is_ordered` keeps the order within a key, and with `coalesces` a newer delivery of
    /// a key supersedes older ones.
    pub(super) fn new(is_ordered: bool, coalesces: bool, retry_for: Duration) -> Self {
        Self { is_ordered, coalesces, retry_for, ..Self::default() }
    }

    /// Returns the number up to which the journal was read.
    pub(super) fn read(&self) -> i64 {
        self.read
    }

    /// Returns `true` if few deliveries are in memory and more may be read.
    pub(super) fn wants_more(&self) -> bool {
        self.fresh.len() < FEW && self.delayed.len() < MOST_DELAYED
    }

    /// Adds the next delivery of the journal; its number is greater than all that were read.
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

    /// Adds a delivery to those to be tried; one that an earlier run tried continues its retries.
    fn begin(&mut self, waiting: Waiting, now: Instant) {
        if waiting.since.is_some() {
            self.delay(waiting, now, now);
        } else {
            self.fresh.push_back(waiting);
        }
    }

    /// Moves a key's delayed delivery to `now`, because a newer one has come: the delivery may be superseded,
    /// which is found when it is taken.
    fn look_at(&mut self, order: &Key, now: Instant) {
        let Some(claim) = self.claimed.get_mut(order) else { return };
        let Some(position) = claim.delayed.filter(|(due, _)| *due > now) else { return };
        let earlier = (now, position.1);
        claim.delayed = Some(earlier);
        if let Some(delayed) = self.remove(position) {
            self.insert(earlier, delayed);
        }
    }

    fn insert(&mut self, position: Position, delayed: Delayed) {
        self.deadlines.insert((delayed.deadline, position.1), position);
        self.delayed.insert(position, delayed);
    }

    fn remove(&mut self, position: Position) -> Option<Delayed> {
        let delayed = self.delayed.remove(&position)?;
        self.deadlines.remove(&(delayed.deadline, position.1));
        Some(delayed)
    }

    /// Returns the keys that are free, each with the number from which on its next delivery is to be read.
    pub(super) fn take_behind(&mut self) -> Vec<(Key, i64)> {
        std::mem::take(&mut self.behind)
    }

    /// Adds the next delivery of a key that was free; `behind` is the number of the one after it.
    pub(super) fn push_behind(&mut self, waiting: Waiting, behind: Option<i64>, now: Instant) {
        self.claimed.insert(waiting.order.clone(), Claim { behind, ..Claim::default() });
        self.begin(waiting, now);
    }

    /// Returns the next delivery to try. Failed deliveries that are due come first, because they are older;
    /// with `rather_fresh` they come last.
    pub(super) fn take(&mut self, now: Instant, rather_fresh: bool) -> Option<Waiting> {
        let is_due = self.next_due().is_some_and(|due| due <= now);
        let waiting = if is_due && (self.fresh.is_empty() || !rather_fresh) {
            let position = self.delayed.first_key_value().map(|(position, _)| *position);
            position.and_then(|position| self.remove(position)).map(|delayed| delayed.waiting)
        } else {
            self.fresh.pop_front()
        }?;
        if let Some(claim) = self.claimed.get_mut(&waiting.order) {
            (claim.delayed, claim.has_newer) = (None, false);
        }
        Some(waiting)
    }

    /// Returns the time of the next attempt of a failed delivery.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Returns the end of a delivery's retry time, which begins with its first attempt.
    pub(super) fn deadline(&self, waiting: &Waiting, now: Instant) -> Instant {
        let tried_for = waiting.since.map_or(0, |since| clock::now().millis_since(since));
        let tried_for = Duration::from_millis(u64::try_from(tried_for).unwrap_or(0));
        now + self.retry_for.saturating_sub(tried_for).min(LONG)
    }

    /// Returns a delivery that was tried and whose retry time is over.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Waiting> {
        let ((deadline, _), position) = self.deadlines.first_key_value()?;
        if *deadline > now {
            return None;
        }
        let position = *position;
        self.remove(position).map(|delayed| delayed.waiting)
    }

    /// Delays a failed delivery until `until`, or to the end of its retry time if that is earlier, or until now
    /// if it may be superseded. Later deliveries of its key wait.
    pub(super) fn delay(&mut self, waiting: Waiting, now: Instant, until: Instant) {
        let deadline = self.deadline(&waiting, now);
        self.put(Delayed { waiting, deadline }, now, until.min(deadline));
    }

    fn put(&mut self, delayed: Delayed, now: Instant, until: Instant) {
        let mut position = (until, delayed.waiting.number);
        if let Some(claim) = self.claimed.get_mut(&delayed.waiting.order) {
            if claim.has_newer {
                position.0 = now;
            }
            claim.delayed = Some(position);
        }
        self.insert(position, delayed);
    }

    /// Makes all delayed deliveries due now, because the receiver works again.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.deadlines.clear();
        for (_, delayed) in std::mem::take(&mut self.delayed) {
            self.put(delayed, now, now);
        }
    }

    /// Frees the key of a settled delivery: the key's next delivery may come.
    pub(super) fn settled(&mut self, order: &Key) {
        if let Some(Claim { behind: Some(number), .. }) = self.claimed.remove(order) {
            self.behind.push((order.clone(), number));
        }
    }

    /// Returns `true` if a delivery could be tried without waiting.
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty() || !self.behind.is_empty()
    }

    /// Returns `true` if no delivery is in memory.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_fresh() && self.delayed.is_empty()
    }

    /// Forgets all deliveries in memory, because they are no longer pending.
    pub(super) fn clear(&mut self) {
        let Self { read, is_ordered, coalesces, retry_for, .. } = *self;
        *self = Self { read, is_ordered, coalesces, retry_for, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::clock::Stopwatch;

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
                // Delivery 1 was superseded, so its body is gone.
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
        // Delivery 1 was not superseded: it is sent, and fails.
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
        // The next attempt would be long after the retry time.
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
