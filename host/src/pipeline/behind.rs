//! What waits for a rule that is behind, and where it is on its own timeline.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::ROUND_MS;
use super::entry::Entry;
use crate::engine::Apart;
use crate::model::{Event, Object, Timestamp};

/// An entry that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its row in the journal; none: a timer that has fired and is there as a timer.
    pub(super) row: Option<i64>,
    pub(super) bytes: usize,
    pub(super) entry: Entry,
}

/// A rule that is behind.
pub(super) struct Behind {
    queue: VecDeque<Waiting>,
    /// The rule's own clock: the time of what it came to last.
    pub(super) now: Timestamp,
    /// Whether its timers are held, where it is; and where it will be after all that waits.
    pub(super) is_held: bool,
    pub(super) will_be_held: bool,
    pub(super) held_row: i64,
    /// Forms of objects where the rule is, with their rows, for those that timers concern and that
    /// have changed since it fell behind; none: only the identity is known.
    pub(super) forms: HashMap<String, (i64, Option<Arc<Object>>)>,
    /// How many of the waiting events are about an object.
    about: HashMap<String, usize>,
    /// What will be heard of the object of a partition: it came, or it went.
    existence: HashMap<Arc<str>, VecDeque<bool>>,
    bytes: usize,
    events: usize,
    /// Of the first events, how many it is being asked about, and the bytes up to the last of them.
    asked: (usize, usize),
    /// It is not to go on by itself.
    pub(super) stays: bool,
    /// Its own thread, where it has one.
    pub(super) apart: Option<Apart>,
}

impl Behind {
    pub(super) fn new(now: Timestamp, is_held: bool, held_row: i64) -> Self {
        Self {
            queue: VecDeque::new(),
            now,
            is_held,
            will_be_held: is_held,
            held_row,
            forms: HashMap::new(),
            about: HashMap::new(),
            existence: HashMap::new(),
            bytes: 0,
            events: 0,
            asked: (0, 0),
            stays: false,
            apart: None,
        }
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        match &waiting.entry {
            Entry::Came(partition, _) => {
                self.existence.entry(partition.clone()).or_default().push_back(true);
            }
            Entry::Went(partition, _) => {
                self.existence.entry(partition.clone()).or_default().push_back(false);
            }
            Entry::Held(is_held, _) => self.will_be_held = *is_held,
            Entry::Ask(_) | Entry::Known { .. } | Entry::Unfollowed(..) => {}
        }
        self.insert(self.queue.len(), waiting);
    }

    /// A timer that fired comes after others that have, and before all else.
    pub(super) fn push_fired(&mut self, waiting: Waiting) {
        let place = self.queue.iter().take_while(|one| one.entry.is_wake()).count();
        self.insert(place, waiting);
    }

    /// Puts an event, or the form of an object, in a place.
    pub(super) fn insert(&mut self, place: usize, waiting: Waiting) {
        self.bytes += waiting.bytes;
        if let Entry::Ask(event) = &waiting.entry {
            self.events += 1;
            *self.about.entry(unique(&event.object)).or_default() += 1;
        }
        self.queue.insert(place, waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.take(0)?;
        if let Entry::Came(partition, _) | Entry::Went(partition, _) = &waiting.entry
            && let Some(later) = self.existence.get_mut(partition)
        {
            later.pop_front();
            if later.is_empty() {
                self.existence.remove(partition);
            }
        }
        Some(waiting)
    }

    /// Takes an event, or the form of an object, out of a place; returns its row.
    pub(super) fn remove(&mut self, place: usize) -> Option<Option<i64>> {
        self.take(place).map(|waiting| waiting.row)
    }

    fn take(&mut self, place: usize) -> Option<Waiting> {
        let waiting = self.queue.remove(place)?;
        self.bytes = self.bytes.saturating_sub(waiting.bytes);
        if let Entry::Ask(event) = &waiting.entry {
            self.events = self.events.saturating_sub(1);
            let uid = unique(&event.object);
            if let Some(count) = self.about.get_mut(&uid) {
                *count -= 1;
                if *count == 0 {
                    self.about.remove(&uid);
                }
            }
        }
        Some(waiting)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Entry> {
        self.queue.get(place).map(|waiting| &waiting.entry)
    }

    /// It is being asked about so many of the first events; 0: it has answered.
    pub(super) fn set_asked(&mut self, events: usize) {
        let end = self.place_after(events).unwrap_or(0);
        let bytes = self.queue.iter().take(end).map(|waiting| waiting.bytes).sum();
        self.asked = (events, bytes);
    }

    /// The place after so many events.
    fn place_after(&self, events: usize) -> Option<usize> {
        let mut places =
            self.queue.iter().enumerate().filter(|(_, one)| matches!(one.entry, Entry::Ask(_)));
        places.nth(events.checked_sub(1)?).map(|(place, _)| place + 1)
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.0
    }

    pub(super) fn asked_bytes(&self) -> usize {
        self.asked.1
    }

    /// The first event after those that it is being asked about, timers aside.
    pub(super) fn first_not_asked(&self) -> Option<usize> {
        let first = self.place_after(self.asked.0).unwrap_or(0);
        let mut rest = self.queue.iter().enumerate().skip(first);
        let found =
            rest.find(|(_, one)| matches!(one.entry, Entry::Ask(_)) && !one.entry.is_wake());
        found.map(|(place, _)| place)
    }

    /// Timers that have fired, up to the one of this partition and key, if that is one of them.
    pub(super) fn fired_up_to(&self, partition: &str, key: &str) -> usize {
        let fired = self.queue.iter().map(|waiting| &waiting.entry).take_while(|one| one.is_wake());
        let places = fired.enumerate().filter(|(_, one)| one.is_timer(partition, key));
        places.last().map_or(0, |(place, _)| place + 1)
    }

    /// The entry of a place, where the journal does not have it as a row.
    pub(super) fn without_row(&self, place: usize) -> Option<&Entry> {
        self.queue.get(place).filter(|waiting| waiting.row.is_none()).map(|one| &one.entry)
    }

    pub(super) fn front(&self) -> Option<&Entry> {
        self.queue.front().map(|waiting| &waiting.entry)
    }

    pub(super) fn back(&self) -> Option<&Entry> {
        self.queue.back().map(|waiting| &waiting.entry)
    }

    /// Events of the front that can be asked about together: nothing that happens to one of them can
    /// concern the clock of another, as in a round. `end` is when the next timer is due, and `expiry`
    /// when state goes.
    pub(super) fn batch(
        &self,
        end: Option<Timestamp>,
        expiry: Option<Timestamp>,
        most: usize,
    ) -> Vec<Arc<Event>> {
        let mut events: Vec<Arc<Event>> = Vec::new();
        let fires = self.front().is_some_and(Entry::is_wake);
        for Waiting { entry, .. } in &self.queue {
            let time = entry.time();
            let is_over = events.first().is_some_and(|first: &Arc<Event>| {
                entry.is_wake() != fires
                    || time.millis_since(first.time) >= ROUND_MS
                    || end.is_some_and(|end| end < time)
                    || expiry.is_some_and(|expiry| expiry <= time)
            });
            match entry {
                _ if is_over && !(fires && entry.is_wake()) || events.len() == most => break,
                Entry::Ask(event) => events.push(event.clone()),
                Entry::Held(..) => break,
                Entry::Known { .. } | Entry::Came(..) | Entry::Went(..) | Entry::Unfollowed(..) => {
                }
            }
        }
        events
    }

    /// Whether the object of a partition is known where the rule is; none: as it is known now.
    pub(super) fn knows(&self, partition: &str) -> Option<bool> {
        let came_next = self.existence.get(partition)?.front()?;
        Some(!came_next)
    }

    /// Whether an event that waits is about an object.
    pub(super) fn is_about(&self, uid: &str) -> bool {
        self.about.contains_key(uid)
    }

    /// All rows of the journal, in order.
    pub(super) fn rows(&self) -> Vec<i64> {
        let mut rows: Vec<i64> = self.queue.iter().filter_map(|waiting| waiting.row).collect();
        rows.extend(self.forms.values().map(|(row, _)| *row));
        rows.push(self.held_row);
        rows.sort_unstable();
        rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// The time of the first event that waits.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let mut entries = self.queue.iter().map(|waiting| &waiting.entry);
        entries.find(|entry| matches!(entry, Entry::Ask(_))).map(Entry::time)
    }
}

/// What an object is known by.
pub(super) fn unique(object: &Object) -> String {
    object.meta.identity.unique().into_owned()
}
