//! The rules' state in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use crate::model::{Slot, StateKeeper, StateView, Timestamp, Write};

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

type Slots = HashMap<Slot, BTreeMap<String, Entry>>;

/// State that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryState {
    slots: RwLock<Slots>,
}

impl MemoryState {
    /// Every key and value of every slot, sorted.
    pub fn entries(&self) -> Vec<(Slot, String, String)> {
        let mut entries: Vec<(Slot, String, String)> = self.read(|slots| {
            let all = slots.iter().flat_map(|(slot, entries)| {
                entries.iter().map(|(key, entry)| (slot.clone(), key.clone(), entry.value.clone()))
            });
            all.collect()
        });
        entries.sort();
        entries
    }

    /// Puts an entry back that was kept from an earlier run.
    pub fn restore(&self, slot: Slot, key: String, value: String, expires_at: Option<Timestamp>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.entry(slot).or_default().insert(key, Entry { value, expires_at });
    }

    // A poisoned lock means that a reader or writer panicked between two complete writes: the map
    // is whole.
    fn read<T>(&self, look: impl FnOnce(&Slots) -> T) -> T {
        look(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StateView for MemoryState {
    fn get(&self, slot: &Slot, key: &str, now: Timestamp) -> Option<String> {
        self.read(|slots| {
            let entry = slots.get(slot)?.get(key)?;
            entry.is_live(now).then(|| entry.value.clone())
        })
    }

    fn sizes(&self, slot: &Slot, now: Timestamp) -> Vec<(String, usize)> {
        self.read(|slots| {
            let entries = slots.get(slot).into_iter().flatten();
            entries
                .filter(|(_, entry)| entry.is_live(now))
                .map(|(key, entry)| (key.clone(), key.len() + entry.value.len()))
                .collect()
        })
    }
}

impl StateKeeper for MemoryState {
    fn commit(&self, slot: &Slot, writes: Vec<Write>, now: Timestamp) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let entries = slots.entry(slot.clone()).or_default();
        for write in writes {
            match write {
                Write::Put { key, value, expires_at } => {
                    entries.insert(key, Entry { value, expires_at });
                }
                Write::Remove { key } => {
                    entries.remove(&key);
                }
            }
        }
        entries.retain(|_, entry| entry.is_live(now));
        if entries.is_empty() {
            slots.remove(slot);
        }
    }

    fn forget(&self, slot: &Slot) {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(slot);
    }
}
