//! The `state` capability: a partition's keys and values, as its events see them one after the other.
//!
//! There are three layers, newest first: writes of the current call, writes of earlier calls of the same
//! round, and committed state. Undoing a call discards only the first layer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::store_data::Call;
use klaxon_model::{Slot, StateView, Timestamp, Write};

/// Uncommitted writes, by partition and key.
#[derive(Default)]
pub(crate) struct Overlay(HashMap<Arc<str>, BTreeMap<String, Write>>);

impl Overlay {
    fn find(&self, partition: &str, key: &str) -> Option<&Write> {
        self.0.get(partition)?.get(key)
    }

    fn apply(&mut self, partition: &Arc<str>, write: Write) {
        self.0.entry(partition.clone()).or_default().insert(write.key().to_owned(), write);
    }

    /// Puts another overlay on top of this one.
    pub(crate) fn absorb(&mut self, newer: Self) {
        for (partition, writes) in newer.0 {
            self.0.entry(partition).or_default().extend(writes);
        }
    }
}

/// State as the current call sees it.
#[derive(Default)]
pub(crate) struct StateCall {
    rule: Arc<str>,
    committed: Option<Arc<dyn StateView>>,
    round: Overlay,
    call: Overlay,
    writes: Vec<(usize, Write)>,
    /// Bytes used by each partition that was written to, and the time of that calculation: at a later time,
    /// keys may have expired.
    used: HashMap<Arc<str>, (Timestamp, usize)>,
    budget: usize,
}

impl StateCall {
    pub(crate) fn new(
        rule: Arc<str>,
        committed: Arc<dyn StateView>,
        round: Overlay,
        budget: usize,
    ) -> Self {
        Self { rule, committed: Some(committed), round, budget, ..Self::default() }
    }

    /// Ends the call and returns the writes of the round, with this call's writes if `keep` is `true`.
    pub(crate) fn finish(self, keep: bool) -> Overlay {
        let mut round = self.round;
        if keep {
            round.absorb(self.call);
        }
        round
    }

    pub(crate) fn writes_of(&self, place: usize) -> Vec<Write> {
        let of_event = self.writes.iter().filter(|(at, _)| *at == place);
        of_event.map(|(_, write)| write.clone()).collect()
    }

    pub(crate) fn wrote(&self, place: usize) -> bool {
        self.writes.iter().any(|(at, _)| *at == place)
    }

    /// Returns the maximum size of a partition's keys and values, in bytes.
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    fn slot(&self, partition: &Arc<str>) -> Slot {
        Slot { rule: self.rule.clone(), partition: partition.clone() }
    }

    fn get(&self, partition: &Arc<str>, key: &str, now: Timestamp) -> Option<String> {
        let written = self.call.find(partition, key).or_else(|| self.round.find(partition, key));
        match written {
            Some(write) => live(write, now).map(str::to_owned),
            None => self.committed.as_ref()?.get(&self.slot(partition), key, now),
        }
    }

    /// Returns the live keys with the size of each key and value, in bytes.
    fn sizes(&self, partition: &Arc<str>, now: Timestamp) -> BTreeMap<String, usize> {
        let committed = self.committed.as_ref();
        let mut sizes: BTreeMap<String, usize> = committed
            .map(|view| view.sizes(&self.slot(partition), now).into_iter().collect())
            .unwrap_or_default();
        for layer in [&self.round, &self.call] {
            for (key, write) in layer.0.get(partition).into_iter().flatten() {
                match live(write, now) {
                    Some(value) => sizes.insert(key.clone(), key.len() + value.len()),
                    None => sizes.remove(key),
                };
            }
        }
        sizes
    }

    fn write(&mut self, place: usize, partition: &Arc<str>, write: Write) {
        self.call.apply(partition, write.clone());
        // Only the last write of a key counts; keeping them all would let a guest fill the host's memory.
        self.writes.retain(|(at, earlier)| *at != place || earlier.key() != write.key());
        self.writes.push((place, write));
    }
}

/// Returns the value of a write, unless the write is a removal or has expired.
fn live(write: &Write, now: Timestamp) -> Option<&str> {
    match write {
        Write::Put { value, expires_at, .. } if expires_at.is_none_or(|end| now < end) => {
            Some(value)
        }
        _ => None,
    }
}

impl Call {
    pub(crate) fn state_get(
        &mut self,
        index: u32,
        key: Option<&str>,
    ) -> wasmtime::Result<Option<String>> {
        let (_, event) = self.event(index)?;
        Ok(key.and_then(|key| self.state.get(&event.partition, key, event.time)))
    }

    /// Fails the event, because it writes more than the budget of a partition.
    pub(crate) fn state_refuse(&mut self, index: u32, bytes: usize) -> wasmtime::Result<()> {
        let (place, event) = self.event(index)?;
        self.go_over_budget(place, &event.partition, bytes);
        Ok(())
    }

    fn go_over_budget(&mut self, place: usize, partition: &str, bytes: usize) {
        // Only the first violation is reported: the rule may continue until it used up its host calls.
        if self.over_budget.iter().any(|(at, _)| *at == place) {
            return;
        }
        let message = format!(
            "the state of partition {partition:?} would grow to {bytes} bytes, over its budget of {}; hint: keep less, or raise `grants.state`",
            self.state.budget
        );
        self.over_budget.push((place, message));
    }

    pub(crate) fn state_put(
        &mut self,
        index: u32,
        key: String,
        value: String,
        ttl_seconds: u32,
    ) -> wasmtime::Result<()> {
        let (place, event) = self.event(index)?;
        let (partition, now) = (&event.partition, event.time);
        let before = match self.state.used.get(partition) {
            Some((at, used)) if *at == now => *used,
            _ => self.state.sizes(partition, now).values().sum(),
        };
        let freed = self.state.get(partition, &key, now).map_or(0, |old| key.len() + old.len());
        let after = (before + key.len() + value.len()).saturating_sub(freed);
        if after > self.state.budget {
            self.go_over_budget(place, partition, after);
            return Ok(());
        }
        self.state.used.insert(partition.clone(), (now, after));
        let expires_at = (ttl_seconds > 0).then(|| now.plus_millis(i64::from(ttl_seconds) * 1000));
        self.state.write(place, partition, Write::Put { key, value, expires_at });
        Ok(())
    }

    pub(crate) fn state_remove(&mut self, index: u32, key: Option<String>) -> wasmtime::Result<()> {
        let (place, event) = self.event(index)?;
        let partition = &event.partition;
        let old = key.and_then(|key| {
            let old = self.state.get(partition, &key, event.time)?;
            Some((key.len() + old.len(), key))
        });
        // Removing a missing key has no effect and would only occupy memory until the commit.
        let Some((freed, key)) = old else { return Ok(()) };
        if let Some((_, used)) = self.state.used.get_mut(partition) {
            *used = used.saturating_sub(freed);
        }
        self.state.write(place, partition, Write::Remove { key });
        Ok(())
    }

    pub(crate) fn state_keys(
        &mut self,
        index: u32,
        prefix: Option<&str>,
    ) -> wasmtime::Result<Vec<String>> {
        let (_, event) = self.event(index)?;
        let Some(prefix) = prefix else { return Ok(Vec::new()) };
        let keys = self.state.sizes(&event.partition, event.time).into_keys();
        Ok(keys.filter(|key| key.starts_with(prefix)).collect())
    }
}
