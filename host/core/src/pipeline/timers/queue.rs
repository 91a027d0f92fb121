//! Pending timers of one rule, ordered by (due, partition, key).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use klaxon_model::{MAX_TIMERS, Outcome, PersistedTimer, Timestamp};

type Position = (Timestamp, Arc<str>, String);

/// Bytes that each timer counts for in addition to its key and payload: the memory that it takes.
const TIMER_BYTES: usize = 256;

/// Returns the bytes that a timer counts for.
fn size(key: &str, payload: &str) -> usize {
    key.len() + payload.len() + TIMER_BYTES
}

/// The timers of one rule.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Timers {
    queue: BTreeMap<Position, PersistedTimer>,
    /// The times at which timers are due, by partition and key.
    due: HashMap<Arc<str>, BTreeMap<String, Timestamp>>,
    /// The number of timers that concern an object, by the object's distinguishing key.
    concerned: HashMap<String, usize>,
    /// Bytes of all timers.
    used: usize,
}

impl Timers {
    /// Returns the time at which the next timer is due.
    pub(in crate::pipeline) fn next_due(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|((due, ..), _)| *due)
    }

    pub(in crate::pipeline) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns the bytes that the timers take.
    pub(in crate::pipeline) fn used(&self) -> usize {
        self.used
    }

    /// Returns the bytes that the timers would take if the timers of an answer were cancelled and set.
    pub(in crate::pipeline) fn used_with(&self, partition: &Arc<str>, answer: &Outcome) -> usize {
        let mut set: BTreeMap<&str, usize> = BTreeMap::new();
        for timer in &answer.timers {
            set.insert(&timer.key, size(&timer.key, &timer.payload));
        }
        let cancelled = answer.cancels.iter().map(String::as_str);
        let gone: BTreeSet<&str> = cancelled.chain(set.keys().copied()).collect();
        let gone = gone.into_iter().filter_map(|key| self.find(partition, key));
        let freed: usize = gone.map(|timer| size(&timer.key, &timer.payload)).sum();
        let used = self.used.saturating_sub(freed);
        set.into_values().fold(used, usize::saturating_add)
    }

    fn find(&self, partition: &Arc<str>, key: &str) -> Option<&PersistedTimer> {
        let due = self.due.get(partition)?.get(key)?;
        self.queue.get(&position(*due, partition, key))
    }

    /// Returns `true` if a timer concerns the object.
    pub(in crate::pipeline) fn concern(&self, uid: &str) -> bool {
        self.concerned.contains_key(uid)
    }

    /// Returns `true` if a partition has the maximum number of timers and none with this key, so that another cannot
    /// be set.
    pub(in crate::pipeline) fn is_full(&self, partition: &str, key: &str) -> bool {
        let keys = self.due.get(partition);
        keys.is_some_and(|keys| keys.len() >= MAX_TIMERS && !keys.contains_key(key))
    }

    /// Sets or moves a timer. Returns the timer that was replaced. The maximum number is the caller's concern
    /// ([`Timers::is_full`]): a timer that is restored was counted when it was set.
    pub(in crate::pipeline) fn put(&mut self, timer: PersistedTimer) -> Option<PersistedTimer> {
        let partition = timer.slot.partition.clone();
        let keys = self.due.entry(partition.clone()).or_default();
        let before = keys.insert(timer.key.clone(), timer.due);
        let moved = before.and_then(|due| self.drop_one(&position(due, &partition, &timer.key)));
        self.note(&timer.object.meta.identity.unique());
        self.used = self.used.saturating_add(size(&timer.key, &timer.payload));
        self.queue.insert(position(timer.due, &partition, &timer.key), timer);
        moved
    }

    /// Removes a timer. Returns it if it was set.
    pub(in crate::pipeline) fn cancel(
        &mut self,
        partition: &Arc<str>,
        key: &str,
    ) -> Option<PersistedTimer> {
        let due = self.forget_due(partition, key)?;
        self.drop_one(&position(due, partition, key))
    }

    /// Removes all timers of a partition.
    pub(in crate::pipeline) fn cancel_all(&mut self, partition: &Arc<str>) -> Vec<PersistedTimer> {
        let keys: Vec<(String, Timestamp)> =
            self.due.remove(partition).into_iter().flatten().collect();
        keys.into_iter()
            .filter_map(|(key, due)| self.drop_one(&position(due, partition, &key)))
            .collect()
    }

    /// Removes the timers of a partition that were due before a time.
    pub(in crate::pipeline) fn cancel_due(
        &mut self,
        partition: &Arc<str>,
        time: Timestamp,
    ) -> Vec<PersistedTimer> {
        let keys = self.due.get(partition).into_iter().flatten().filter(|(_, due)| **due < time);
        let keys: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| self.cancel(partition, key)).collect()
    }

    /// Records that a timer concerns an object.
    pub(in crate::pipeline) fn note(&mut self, uid: &str) {
        *self.concerned.entry(uid.to_owned()).or_default() += 1;
    }

    /// Removes and returns the timers that are due by this time, in order: at most `most`, and the others of the last
    /// one's partition, which fire together. Each timer concerns its object until [`Timers::answered`], because the
    /// form of the object must still be known if the answer comes after a restart.
    pub(in crate::pipeline) fn take(&mut self, due: Timestamp, most: usize) -> Vec<PersistedTimer> {
        let mut taken: Vec<PersistedTimer> = Vec::new();
        while let Some((position, _)) = self.queue.first_key_value()
            && position.0 <= due
            && (taken.len() < most || is_of_last(&taken, &position.1))
        {
            let position = position.clone();
            let Some(timer) = self.drop_one(&position) else { break };
            self.note(&timer.object.meta.identity.unique());
            self.forget_due(&timer.slot.partition, &timer.key);
            taken.push(timer);
        }
        taken
    }

    /// Returns `true` if a timer is set.
    pub(in crate::pipeline) fn has(&self, partition: &str, key: &str) -> bool {
        self.due.get(partition).is_some_and(|keys| keys.contains_key(key))
    }

    /// Records that a timer that was taken is answered and no longer concerns its object.
    pub(in crate::pipeline) fn answered(&mut self, uid: &str) {
        if let Some(count) = self.concerned.get_mut(uid) {
            *count -= 1;
            if *count == 0 {
                self.concerned.remove(uid);
            }
        }
    }

    fn forget_due(&mut self, partition: &Arc<str>, key: &str) -> Option<Timestamp> {
        let keys = self.due.get_mut(partition)?;
        let due = keys.remove(key);
        if keys.is_empty() {
            self.due.remove(partition);
        }
        due
    }

    fn drop_one(&mut self, position: &Position) -> Option<PersistedTimer> {
        let timer = self.queue.remove(position)?;
        self.used = self.used.saturating_sub(size(&timer.key, &timer.payload));
        self.answered(&timer.object.meta.identity.unique());
        Some(timer)
    }
}

/// Returns `true` if the timer that was taken last is of this partition.
fn is_of_last(taken: &[PersistedTimer], partition: &str) -> bool {
    taken.last().is_some_and(|last| *last.slot.partition == *partition)
}

fn position(due: Timestamp, partition: &Arc<str>, key: &str) -> Position {
    (due, partition.clone(), key.to_owned())
}

#[cfg(test)]
mod tests {
    use klaxon_model::{Id, Meta, Object, Slot, Subject, TimerRequest};

    use super::*;

    fn timer(number: usize) -> PersistedTimer {
        let object = Object { meta: Meta::default(), subject: Subject::Other, document: None };
        PersistedTimer {
            slot: Slot { rule: "rule".into(), partition: format!("pod-{number:03}").into() },
            key: "k".to_owned(),
            due: Timestamp::from_millis(5),
            payload: String::new(),
            set_by: Id::of("e", &[&"timer"]),
            interest: String::new(),
            object: Arc::new(object),
        }
    }

    #[test]
    fn a_bounded_number_of_timers_that_are_due_at_one_moment_fires_together_in_order() {
        let mut timers = Timers::default();
        for number in 0..600 {
            timers.put(timer(number));
        }
        let mut fired: Vec<Vec<String>> = Vec::new();
        while timers.len() > 0 {
            let taken = timers.take(Timestamp::from_millis(5), 256);
            fired.push(taken.iter().map(|one| one.slot.partition.to_string()).collect());
        }
        assert_eq!(fired.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
        assert!(fired.concat().is_sorted(), "{fired:?}");
        assert_eq!(timers.used(), 0);
    }

    #[test]
    fn timers_of_one_partition_fire_together_regardless_of_their_number() {
        let mut timers = Timers::default();
        for number in 0..10 {
            for key in ["a", "b", "c"] {
                timers.put(PersistedTimer { key: key.to_owned(), ..timer(number) });
            }
        }
        let mut fired = Vec::new();
        while timers.len() > 0 {
            fired.push(timers.take(Timestamp::from_millis(5), 4).len());
        }
        assert_eq!(fired, [6, 6, 6, 6, 6]);
    }

    #[test]
    fn a_partition_is_full_for_new_keys_only() {
        let mut timers = Timers::default();
        for number in 0..MAX_TIMERS {
            timers.put(PersistedTimer { key: number.to_string(), ..timer(1) });
        }
        assert!(timers.is_full("pod-001", "another"));
        assert!(!timers.is_full("pod-001", "0"), "a timer that is set may be moved");
        assert!(!timers.is_full("pod-002", "another"));
    }

    #[test]
    fn a_timer_that_is_moved_is_returned_and_due_at_its_new_time_alone() {
        let mut timers = Timers::default();
        timers.put(timer(1));
        let later = Timestamp::from_millis(9);
        let moved = timers.put(PersistedTimer { due: later, ..timer(1) });
        assert_eq!(moved.map(|timer| timer.due), Some(Timestamp::from_millis(5)));
        assert_eq!((timers.len(), timers.next_due()), (1, Some(later)));
        assert!(timers.take(Timestamp::from_millis(8), 10).is_empty());
    }

    #[test]
    fn a_fired_timer_concerns_its_object_until_it_is_answered() {
        let mut timers = Timers::default();
        let uid = timer(1).object.meta.identity.unique().into_owned();
        timers.put(timer(1));
        assert_eq!(timers.take(Timestamp::from_millis(5), 10).len(), 1);
        assert!(timers.concern(&uid) && !timers.has("pod-001", "k"));
        timers.answered(&uid);
        assert!(!timers.concern(&uid));
    }

    #[test]
    fn the_foretold_size_is_that_of_the_timers_after_the_answer() {
        let mut timers = Timers::default();
        timers.put(timer(1));
        let partition: Arc<str> = "pod-001".into();
        let request = TimerRequest {
            key: "other".to_owned(),
            payload: "12345".to_owned(),
            at: Timestamp::default(),
        };
        let answer =
            Outcome { timers: vec![request], cancels: vec!["k".to_owned()], ..Outcome::default() };
        let foretold = timers.used_with(&partition, &answer);
        timers.cancel(&partition, "k");
        let other =
            PersistedTimer { key: "other".to_owned(), payload: "12345".to_owned(), ..timer(1) };
        timers.put(other);
        assert_eq!(foretold, timers.used());
    }
}
