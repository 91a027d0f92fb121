//! The rules' state in memory, and the number of bytes that each rule's state takes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use klaxon_model::{KEY_BYTES, SLOT_BYTES, Slot, StateKeeper, StateView, Timestamp, Write};

#[derive(Debug)]
struct Entry {
    value: String,
    expires_at: Option<Timestamp>,
}

impl Entry {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The sums of one rule.
#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    /// Keys with a time to live, ordered by its end.
    ends: BTreeSet<(Timestamp, Arc<str>, String)>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: HashMap<Slot, BTreeMap<String, Entry>>,
    used: HashMap<Arc<str>, Used>,
}

/// Returns the bytes that an entry counts for.
fn size(key: &str, value: &str) -> usize {
    key.len() + value.len() + KEY_BYTES
}

/// Returns the bytes that a partition with state counts for.
fn slot_size(slot: &Slot) -> usize {
    slot.partition.len() + SLOT_BYTES
}

impl Slots {
    fn put(&mut self, slot: &Slot, key: String, entry: Entry) {
        let used = self.used.entry(slot.rule.clone()).or_default();
        if !self.slots.contains_key(slot) {
            used.bytes += slot_size(slot);
        }
        used.bytes += size(&key, &entry.value);
        if let Some(end) = entry.expires_at {
            used.ends.insert((end, slot.partition.clone(), key.clone()));
        }
        let before = self.slots.entry(slot.clone()).or_default().insert(key.clone(), entry);
        if let Some(before) = before {
            self.uncount(slot, key, &before);
        }
    }

    fn remove(&mut self, slot: &Slot, key: &str) {
        let Some(entries) = self.slots.get_mut(slot) else { return };
        let Some((key, entry)) = entries.remove_entry(key) else { return };
        if entries.is_empty() {
            self.slots.remove(slot);
            self.uncount_slot(slot);
        }
        self.uncount(slot, key, &entry);
    }

    fn forget(&mut self, slot: &Slot) {
        let Some(entries) = self.slots.remove(slot) else { return };
        self.uncount_slot(slot);
        for (key, entry) in entries {
            self.uncount(slot, key, &entry);
        }
    }

    /// Subtracts an entry that is no longer in its slot.
    fn uncount(&mut self, slot: &Slot, key: String, entry: &Entry) {
        // Another entry of the key, with the same end, may have replaced it.
        let is_there = |end: Timestamp| {
            let entry = self.slots.get(slot).and_then(|entries| entries.get(&key));
            entry.is_some_and(|entry| entry.expires_at == Some(end))
        };
        let stale = entry.expires_at.filter(|end| !is_there(*end));
        let Some(used) = self.used.get_mut(&slot.rule) else { return };
        used.bytes = used.bytes.saturating_sub(size(&key, &entry.value));
        if let Some(end) = stale {
            used.ends.remove(&(end, slot.partition.clone(), key));
        }
    }

    fn uncount_slot(&mut self, slot: &Slot) {
        if let Some(used) = self.used.get_mut(&slot.rule) {
            used.bytes = used.bytes.saturating_sub(slot_size(slot));
        }
    }

    fn purge(&mut self, rule: &str, now: Timestamp) -> Vec<Slot> {
        let mut purged: Vec<Slot> = Vec::new();
        let Some((rule, _)) = self.used.get_key_value(rule) else { return purged };
        let rule = rule.clone();
        while let Some(used) = self.used.get_mut(&rule)
            && used.ends.first().is_some_and(|(end, ..)| *end <= now)
            && let Some((_, partition, key)) = used.ends.pop_first()
        {
            let slot = Slot { rule: rule.clone(), partition };
            self.remove(&slot, &key);
            if purged.last() != Some(&slot) {
                purged.push(slot);
            }
        }
        purged
    }

    fn used(&self, rule: &str) -> usize {
        self.used.get(rule).map_or(0, |used| used.bytes)
    }

    fn used_with(&self, slot: &Slot, writes: &[Write]) -> usize {
        let entries = self.slots.get(slot);
        let mut used = self.used(&slot.rule);
        let mut puts = false;
        for write in writes {
            let before = entries.and_then(|entries| entries.get(write.key()));
            used = used.saturating_sub(before.map_or(0, |entry| size(write.key(), &entry.value)));
            if let Write::Put { key, value, .. } = write {
                used = used.saturating_add(size(key, value));
                puts = true;
            }
        }
        if puts && entries.is_none() {
            used = used.saturating_add(slot_size(slot));
        }
        used
    }
}

/// State that lasts as long as the process.
#[derive(Debug, Default)]
pub struct MemoryState {
    slots: RwLock<Slots>,
}

impl MemoryState {
    /// Returns every key and value of every slot, sorted.
    pub fn entries(&self) -> Vec<(Slot, String, String)> {
        let mut entries: Vec<(Slot, String, String)> = self.read(|slots| {
            let all = slots.slots.iter().flat_map(|(slot, entries)| {
                entries.iter().map(|(key, entry)| (slot.clone(), key.clone(), entry.value.clone()))
            });
            all.collect()
        });
        entries.sort();
        entries
    }

    /// Restores an entry that an earlier run stored, regardless of the current budget.
    pub fn restore(&self, slot: Slot, key: String, value: String, expires_at: Option<Timestamp>) {
        self.write(|slots| slots.put(&slot, key, Entry { value, expires_at }));
    }

    // A poisoned lock means that a reader or writer panicked between two complete writes: the map is consistent.
    fn read<T>(&self, look: impl FnOnce(&Slots) -> T) -> T {
        look(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Slots) -> T) -> T {
        change(&mut self.slots.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StateView for MemoryState {
    fn get(&self, slot: &Slot, key: &str, now: Timestamp) -> Option<String> {
        self.read(|slots| {
            let entry = slots.slots.get(slot)?.get(key)?;
            entry.is_live(now).then(|| entry.value.clone())
        })
    }

    fn sizes(&self, slot: &Slot, now: Timestamp) -> Vec<(String, usize)> {
        self.read(|slots| {
            let entries = slots.slots.get(slot).into_iter().flatten();
            entries
                .filter(|(_, entry)| entry.is_live(now))
                .map(|(key, entry)| (key.clone(), key.len() + entry.value.len()))
                .collect()
        })
    }
}

impl StateKeeper for MemoryState {
    fn commit(&self, slot: &Slot, writes: Vec<Write>, now: Timestamp) {
        self.write(|slots| {
            for write in writes {
                match write {
                    Write::Put { key, value, expires_at } => {
                        slots.put(slot, key, Entry { value, expires_at });
                    }
                    Write::Remove { key } => slots.remove(slot, &key),
                }
            }
            slots.purge(&slot.rule, now);
        });
    }

    fn forget(&self, slot: &Slot) {
        self.write(|slots| slots.forget(slot));
    }

    fn purge(&self, rule: &str, now: Timestamp) -> Vec<Slot> {
        // Most rules have no entries with a time to live; readers are not blocked for them.
        let is_due = self.read(|slots| {
            let used = slots.used.get(rule);
            used.is_some_and(|used| used.ends.first().is_some_and(|(end, ..)| *end <= now))
        });
        if is_due { self.write(|slots| slots.purge(rule, now)) } else { Vec::new() }
    }

    fn used(&self, rule: &str) -> usize {
        self.read(|slots| slots.used(rule))
    }

    fn used_with(&self, slot: &Slot, writes: &[Write]) -> usize {
        self.read(|slots| slots.used_with(slot, writes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn slot(partition: &str) -> Slot {
        Slot { rule: "rule".into(), partition: partition.into() }
    }

    fn put(key: &str, value: &str, end: Option<i64>) -> Write {
        Write::Put { key: key.to_owned(), value: value.to_owned(), expires_at: end.map(at) }
    }

    #[test]
    fn the_sum_of_a_rule_follows_every_way_in_which_state_comes_and_goes() {
        let state = MemoryState::default();
        let (a, b) = (slot("a"), slot("bb"));
        let remove = |key: &str| Write::Remove { key: key.to_owned() };
        let check = |writes: Vec<Write>, slot: &Slot, now: i64, bytes: usize| {
            let foretold = state.used_with(slot, &writes);
            state.commit(slot, writes, at(now));
            assert_eq!((foretold, state.used("rule")), (bytes, bytes));
        };
        let (key, part) = (KEY_BYTES, SLOT_BYTES);
        check(vec![put("k", "123", None)], &a, 0, 1 + part + 4 + key);
        check(vec![put("k", "1", Some(50))], &a, 0, 1 + part + 2 + key);
        check(
            vec![put("k", "12", Some(50)), put("l", "", None)],
            &b,
            0,
            3 + 2 * part + 6 + 3 * key,
        );
        // The same end again, then another one: the first must not remove the key when it is due.
        check(vec![put("k", "1", Some(50))], &a, 0, 3 + 2 * part + 6 + 3 * key);
        check(vec![put("k", "1", Some(60))], &a, 0, 3 + 2 * part + 6 + 3 * key);
        assert_eq!(state.purge("rule", at(49)), []);
        assert_eq!(state.purge("rule", at(50)), std::slice::from_ref(&b));
        assert_eq!(state.used("rule"), 3 + 2 * part + 3 + 2 * key);
        assert_eq!(state.purge("rule", at(60)), std::slice::from_ref(&a));
        assert_eq!(state.used("rule"), 2 + part + 1 + key);
        check(vec![put("m", "x", None)], &b, 60, 2 + part + 3 + 2 * key);
        check(vec![remove("l"), remove("never")], &b, 60, 2 + part + 2 + key);
        state.restore(a.clone(), "r".to_owned(), "yz".to_owned(), None);
        assert_eq!(state.used("rule"), 3 + 2 * part + 5 + 2 * key);
        state.forget(&b);
        state.forget(&b);
        state.commit(&a, vec![remove("r")], at(60));
        assert_eq!((state.used("rule"), state.used("other")), (0, 0));
        assert_eq!(state.entries(), []);
    }
}
