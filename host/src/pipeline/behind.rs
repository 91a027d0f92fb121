//! What waits for a rule that is behind, and where it is on its own timeline.

use std::collections::{HashMap, HashSet, VecDeque};
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
    /// Since when its timers are held, where it is; and whether they will be after all that waits.
    pub(super) held_since: Option<Timestamp>,
    pub(super) will_be_held: bool,
    pub(super) held_row: i64,
    /// Forms of objects where the rule is, with their rows, for those that timers concern and that
    /// have changed since it fell behind; none: only the identity is known.
    pub(super) forms: HashMap<String, (i64, Option<Arc<Object>>)>,
    /// How many of the waiting events are about an object.
    about: HashMap<String, usize>,
    /// What will be heard of the object of a partition: it came, or it went.
    existence: HashMap<Arc<str>, VecDeque<bool>>,
    /// Keys of timers that have fired and that the journal has as timers only, by partition.
    fired: HashMap<Arc<str>, HashSet<String>>,
    bytes: usize,
    events: usize,
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
            held_since: is_held.then_some(now),
            will_be_held: is_held,
            held_row,
            forms: HashMap::new(),
            about: HashMap::new(),
            existence: HashMap::new(),
            bytes: 0,
            events: 0,
            fired: HashMap::new(),
            stays: false,
            apart: None,
        }
    }

    /// Whether its timers are held, where it is.
    pub(super) fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// It comes to where its timers are held, or are not any longer.
    pub(super) fn set_held(&mut self, is_held: bool, time: Timestamp) {
        self.held_since = is_held.then(|| self.held_since.unwrap_or(time));
    }

    /// Whether it is being asked about what comes first.
    pub(super) fn is_asked(&self) -> bool {
        self.apart.as_ref().is_some_and(Apart::is_asked)
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.note(&waiting);
        self.queue.push_back(waiting);
    }

    /// Puts a timer that fired before all else.
    pub(super) fn push_first(&mut self, waiting: Waiting) {
        self.note(&waiting);
        self.queue.push_front(waiting);
    }

    /// Puts a timer that fired after others that have, and before all else.
    pub(super) fn push_fired(&mut self, waiting: Waiting) {
        let is_fired = |waiting: &Waiting| waiting.entry.is_wake();
        let place = match self.queue.back() {
            // Then all are.
            Some(last) if is_fired(last) => self.queue.len(),
            _ => self.queue.iter().take_while(|one| is_fired(one)).count(),
        };
        self.note(&waiting);
        self.queue.insert(place, waiting);
    }

    fn note(&mut self, waiting: &Waiting) {
        self.bytes += waiting.bytes;
        match &waiting.entry {
            Entry::Ask(event) => {
                self.events += 1;
                *self.about.entry(unique(&event.object)).or_default() += 1;
                if let Some(key) = fired_key(waiting) {
                    self.fired.entry(event.partition.clone()).or_default().insert(key);
                }
            }
            Entry::Came(partition, _) => {
                self.existence.entry(partition.clone()).or_default().push_back(true);
            }
            Entry::Went(partition, _) => {
                self.existence.entry(partition.clone()).or_default().push_back(false);
            }
            Entry::Held(is_held, _) => self.will_be_held = *is_held,
            Entry::Known { .. } | Entry::Unfollowed(..) => {}
        }
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(waiting.bytes);
        match &waiting.entry {
            Entry::Ask(event) => {
                self.events = self.events.saturating_sub(1);
                let uid = unique(&event.object);
                if let Some(count) = self.about.get_mut(&uid) {
                    *count -= 1;
                    if *count == 0 {
                        self.about.remove(&uid);
                    }
                }
                self.no_longer_fired(&waiting);
            }
            Entry::Came(partition, _) | Entry::Went(partition, _) => {
                if let Some(later) = self.existence.get_mut(partition) {
                    later.pop_front();
                    if later.is_empty() {
                        self.existence.remove(partition);
                    }
                }
            }
            Entry::Known { .. } | Entry::Unfollowed(..) | Entry::Held(..) => {}
        }
        Some(waiting)
    }

    fn no_longer_fired(&mut self, waiting: &Waiting) {
        let (Entry::Ask(event), Some(key)) = (&waiting.entry, fired_key(waiting)) else { return };
        if let Some(keys) = self.fired.get_mut(&event.partition) {
            keys.remove(&key);
            if keys.is_empty() {
                self.fired.remove(&event.partition);
            }
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<&Entry> {
        self.queue.get(place).map(|waiting| &waiting.entry)
    }

    pub(super) fn has_row(&self, place: usize) -> bool {
        self.queue.get(place).is_some_and(|waiting| waiting.row.is_some())
    }

    /// What is in a place is in the journal from now on.
    pub(super) fn set_row(&mut self, place: usize, row: Option<i64>, bytes: usize) {
        let Some(mut waiting) = self.queue.remove(place) else { return };
        self.no_longer_fired(&waiting);
        self.bytes += bytes;
        (waiting.row, waiting.bytes) = (row, bytes);
        self.queue.insert(place, waiting);
    }

    /// Timers that have fired, up to the one of this partition and key, if that is one of them that the
    /// journal has as a timer only.
    pub(super) fn fired_up_to(&self, partition: &str, key: &str) -> usize {
        if !self.fired.get(partition).is_some_and(|keys| keys.contains(key)) {
            return 0;
        }
        let fired = self.queue.iter().map(|waiting| &waiting.entry).take_while(|one| one.is_wake());
        let places = fired.enumerate().filter(|(_, one)| one.is_timer(partition, key));
        places.last().map_or(0, |(place, _)| place + 1)
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

/// The key of a timer that fired and that the journal has as a timer only.
fn fired_key(waiting: &Waiting) -> Option<String> {
    let Entry::Ask(event) = &waiting.entry else { return None };
    let is_fired = waiting.row.is_none() && waiting.entry.is_wake();
    event.timer.as_ref().filter(|_| is_fired).map(|timer| timer.key.clone())
}
