//! Pending timers of rules, ordered by (due, rule, partition, key).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use klaxon_model::MAX_TIMERS;
use klaxon_model::{Outcome, PersistedTimer, Slot, Timestamp};

type Place = (Timestamp, Arc<str>, String);

/// Bytes that each timer counts for in addition to its key and payload: the memory that it takes.
const TIMER_BYTES: usize = 256;

/// Returns the bytes that a timer counts for.
fn size(key: &str, payload: &str) -> usize {
    key.len() + payload.len() + TIMER_BYTES
}

/// All timers of all rules. Timers of a suspended rule do not fire, even if they are due.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct TimerQueue {
    /// The timers of each rule, by the rule's index.
    queues: Vec<BTreeMap<Place, PersistedTimer>>,
    due: HashMap<Slot, BTreeMap<String, Timestamp>>,
    /// The number of timers of each rule that concern an object, by the object's distinguishing key.
    concerned: HashMap<String, BTreeMap<usize, usize>>,
    len: usize,
    /// Bytes of the timers of each rule, by the rule's index.
    used: BTreeMap<usize, usize>,
}

impl TimerQueue {
    /// Returns the time at which the next timer of a rule that is not suspended is due.
    pub(in crate::pipeline) fn next_due(
        &self,
        is_suspended: impl Fn(usize) -> bool,
    ) -> Option<Timestamp> {
        let queues = self.queues.iter().enumerate().filter(|(rule, _)| !is_suspended(*rule));
        queues.filter_map(|(_, queue)| queue.first_key_value().map(|((due, ..), _)| *due)).min()
    }

    pub(in crate::pipeline) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes that a rule's timers take.
    pub(in crate::pipeline) fn used(&self, rule: usize) -> usize {
        self.used.get(&rule).copied().unwrap_or(0)
    }

    /// Returns the bytes that a rule's timers would take if the timers of an answer were cancelled and set.
    pub(in crate::pipeline) fn used_with(
        &self,
        rule: usize,
        slot: &Slot,
        answer: &Outcome,
    ) -> usize {
        let mut set: BTreeMap<&str, usize> = BTreeMap::new();
        for timer in &answer.timers {
            set.insert(&timer.key, size(&timer.key, &timer.payload));
        }
        let cancelled = answer.cancels.iter().map(String::as_str);
        let gone: BTreeSet<&str> = cancelled.chain(set.keys().copied()).collect();
        let gone = gone.into_iter().filter_map(|key| self.find(rule, slot, key));
        let freed: usize = gone.map(|timer| size(&timer.key, &timer.payload)).sum();
        let used = self.used(rule).saturating_sub(freed);
        set.into_values().fold(used, usize::saturating_add)
    }

    fn find(&self, rule: usize, slot: &Slot, key: &str) -> Option<&PersistedTimer> {
        let due = self.due.get(slot)?.get(key)?;
        self.queues.get(rule)?.get(&place(*due, slot, key))
    }

    /// Returns `true` if a timer concerns the object.
    pub(in crate::pipeline) fn concern(&self, uid: &str) -> bool {
        self.concerned.contains_key(uid)
    }

    /// Returns `true` if a timer of the rule concerns the object.
    pub(in crate::pipeline) fn of_rule_concern(&self, rule: usize, uid: &str) -> bool {
        self.concerned.get(uid).is_some_and(|rules| rules.contains_key(&rule))
    }

    /// Sets or moves a timer. Returns the timer that was replaced.
    ///
    /// # Errors
    /// Returns the key if the partition has the maximum number of timers.
    pub(in crate::pipeline) fn set(
        &mut self,
        rule: usize,
        timer: PersistedTimer,
    ) -> Result<Option<PersistedTimer>, String> {
        let keys = self.due.entry(timer.slot.clone()).or_default();
        if keys.len() >= MAX_TIMERS && !keys.contains_key(&timer.key) {
            return Err(timer.key);
        }
        Ok(self.put(rule, timer))
    }

    /// Sets or moves a timer without checking the maximum number.
    pub(in crate::pipeline) fn put(
        &mut self,
        rule: usize,
        timer: PersistedTimer,
    ) -> Option<PersistedTimer> {
        let keys = self.due.entry(timer.slot.clone()).or_default();
        let before = keys.insert(timer.key.clone(), timer.due);
        let moved =
            before.and_then(|due| self.drop_one(rule, &place(due, &timer.slot, &timer.key)));
        if self.queues.len() <= rule {
            self.queues.resize_with(rule + 1, BTreeMap::new);
        }
        self.note(rule, &timer.object.meta.identity.unique());
        self.len += 1;
        let used = self.used.entry(rule).or_default();
        *used = used.saturating_add(size(&timer.key, &timer.payload));
        if let Some(queue) = self.queues.get_mut(rule) {
            queue.insert(place(timer.due, &timer.slot, &timer.key), timer);
        }
        moved
    }

    /// Removes a timer. Returns it if it was set.
    pub(in crate::pipeline) fn cancel(
        &mut self,
        rule: usize,
        slot: &Slot,
        key: &str,
    ) -> Option<PersistedTimer> {
        let keys = self.due.get_mut(slot)?;
        let due = keys.remove(key);
        if keys.is_empty() {
            self.due.remove(slot);
        }
        self.drop_one(rule, &place(due?, slot, key))
    }

    /// Removes all timers of a partition.
    pub(in crate::pipeline) fn cancel_all(
        &mut self,
        rule: usize,
        slot: &Slot,
    ) -> Vec<PersistedTimer> {
        let keys = self.due.remove(slot).into_iter().flatten();
        let keys: Vec<(String, Timestamp)> = keys.collect();
        keys.into_iter()
            .filter_map(|(key, due)| self.drop_one(rule, &place(due, slot, &key)))
            .collect()
    }

    /// Removes the timers of a partition that were due before a time.
    pub(in crate::pipeline) fn cancel_due(
        &mut self,
        rule: usize,
        slot: &Slot,
        time: Timestamp,
    ) -> Vec<PersistedTimer> {
        let keys = self.due.get(slot).into_iter().flatten().filter(|(_, due)| **due < time);
        let keys: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| self.cancel(rule, slot, key)).collect()
    }

    /// Records that a timer of a rule concerns an object.
    pub(in crate::pipeline) fn note(&mut self, rule: usize, uid: &str) {
        *self.concerned.entry(uid.to_owned()).or_default().entry(rule).or_default() += 1;
    }

    /// Removes and returns the timers that are due by this time of rules that are not suspended, in order, at most
    /// `most` of each rule and the others of the last one's partition, which fire together, each with its rule. Each
    /// timer concerns its object until [`TimerQueue::answered`],
    /// because the form of the object must still be known if the answer comes after a restart.
    pub(in crate::pipeline) fn take(
        &mut self,
        due: Timestamp,
        most: usize,
        is_suspended: impl Fn(usize) -> bool,
    ) -> Vec<(usize, PersistedTimer)> {
        let mut taken = Vec::new();
        for rule in 0..self.queues.len() {
            let before = taken.len();
            while !is_suspended(rule)
                && let Some(queue) = self.queues.get(rule)
                && let Some((place, _)) = queue.first_key_value()
                && place.0 <= due
                && (taken.len() - before < most || is_of_last(&taken, &place.1))
            {
                let place = place.clone();
                let Some(timer) = self.drop_one(rule, &place) else { break };
                self.note(rule, &timer.object.meta.identity.unique());
                if let Some(keys) = self.due.get_mut(&timer.slot) {
                    keys.remove(&timer.key);
                    if keys.is_empty() {
                        self.due.remove(&timer.slot);
                    }
                }
                taken.push((rule, timer));
            }
        }
        taken
    }

    /// Returns the time at which the next timer of a rule is due.
    pub(in crate::pipeline) fn next_of(&self, rule: usize) -> Option<Timestamp> {
        self.queues.get(rule)?.first_key_value().map(|((due, ..), _)| *due)
    }

    /// Returns `true` if a timer is set.
    pub(in crate::pipeline) fn has(&self, slot: &Slot, key: &str) -> bool {
        self.due.get(slot).is_some_and(|keys| keys.contains_key(key))
    }

    /// Returns the number of timers of suspended rules.
    pub(in crate::pipeline) fn suspended(&self, is_suspended: impl Fn(usize) -> bool) -> usize {
        let queues = self.queues.iter().enumerate().filter(|(rule, _)| is_suspended(*rule));
        queues.map(|(_, queue)| queue.len()).sum()
    }

    /// Records that a timer that was taken is answered and no longer concerns its object.
    pub(in crate::pipeline) fn answered(&mut self, rule: usize, uid: &str) {
        let Some(rules) = self.concerned.get_mut(uid) else { return };
        if let Some(count) = rules.get_mut(&rule) {
            *count -= 1;
            if *count == 0 {
                rules.remove(&rule);
            }
        }
        if rules.is_empty() {
            self.concerned.remove(uid);
        }
    }

    fn drop_one(&mut self, rule: usize, place: &Place) -> Option<PersistedTimer> {
        let timer = self.queues.get_mut(rule)?.remove(place)?;
        self.len -= 1;
        if let Some(used) = self.used.get_mut(&rule) {
            *used = used.saturating_sub(size(&timer.key, &timer.payload));
        }
        self.answered(rule, &timer.object.meta.identity.unique());
        Some(timer)
    }
}

/// Returns `true` if the timer that was taken last is of this partition.
fn is_of_last(taken: &[(usize, PersistedTimer)], partition: &str) -> bool {
    taken.last().is_some_and(|(_, last)| *last.slot.partition == *partition)
}

fn place(due: Timestamp, slot: &Slot, key: &str) -> Place {
    (due, slot.partition.clone(), key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::{Id, Meta, Object, Subject};

    fn timer(rule: &str, number: usize) -> PersistedTimer {
        let object = Object { meta: Meta::default(), subject: Subject::Other, document: None };
        PersistedTimer {
            slot: Slot { rule: rule.into(), partition: format!("pod-{number:03}").into() },
            key: "k".to_owned(),
            due: Timestamp::from_millis(5),
            payload: String::new(),
            set_by: Id::of("e", &[&"timer"]),
            interest: String::new(),
            object: Arc::new(object),
        }
    }

    #[test]
    fn of_the_timers_that_are_due_at_one_moment_a_bounded_number_of_each_rule_fires_together() {
        let mut timers = TimerQueue::default();
        for number in 0..600 {
            timers.put(0, timer("many", number));
        }
        for number in 0..3 {
            timers.put(1, timer("few", number));
        }
        let mut fired: Vec<Vec<(usize, String)>> = Vec::new();
        while timers.len() > 0 {
            let taken = timers.take(Timestamp::from_millis(5), 256, |_| false);
            let names = taken.iter().map(|(rule, one)| (*rule, one.slot.partition.to_string()));
            fired.push(names.collect());
        }
        assert_eq!(fired.iter().map(Vec::len).collect::<Vec<_>>(), [256 + 3, 256, 88]);
        let many: Vec<&str> = fired
            .iter()
            .flatten()
            .filter(|(rule, _)| *rule == 0)
            .map(|(_, name)| name.as_str())
            .collect();
        assert!(many.is_sorted(), "{many:?}");
        assert_eq!(timers.used(0), 0);
    }

    #[test]
    fn timers_of_one_partition_fire_together_whatever_the_number() {
        let mut timers = TimerQueue::default();
        for number in 0..10 {
            for key in ["a", "b", "c"] {
                timers.put(0, PersistedTimer { key: key.to_owned(), ..timer("rule", number) });
            }
        }
        let mut fired = Vec::new();
        while timers.len() > 0 {
            fired.push(timers.take(Timestamp::from_millis(5), 4, |_| false).len());
        }
        assert_eq!(fired, [6, 6, 6, 6, 6]);
    }
}
