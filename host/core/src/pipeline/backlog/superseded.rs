//! An index of the events of a backlog that a later event of the same object follows. If the backlog is full, a rule
//! that skips these events still comes to the newest state of each object.

use std::collections::{BTreeSet, HashMap};

use crate::pipeline::backlog::queue::unique;
use klaxon_model::{Change, Event};

/// The events of one object in a backlog.
#[derive(Debug, Default)]
struct About {
    events: usize,
    /// The number of the newest event of each interest, unless it is the object's end.
    newest: Vec<(u32, u64)>,
}

/// An index of the events of a backlog by object.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Superseded {
    objects: HashMap<String, About>,
    /// Numbers of the events that a later event of the same object and interest follows.
    followed: BTreeSet<u64>,
}

impl Superseded {
    /// Adds an event. Its number must be higher than all before.
    pub(in crate::pipeline) fn push(&mut self, number: u64, event: &Event) {
        let about = self.objects.entry(unique(&event.object)).or_default();
        about.events += 1;
        let place = about.newest.iter().position(|(interest, _)| *interest == event.interest);
        if let Some((_, before)) = place.map(|place| about.newest.swap_remove(place)) {
            self.followed.insert(before);
        }
        // The end of an object is never skipped, regardless of later events.
        if !is_end(event.change) {
            about.newest.push((event.interest, number));
        }
    }

    /// Removes an event.
    pub(in crate::pipeline) fn remove(&mut self, number: u64, event: &Event) {
        self.followed.remove(&number);
        self.forget(event, |about| about.newest.retain(|(_, newest)| *newest != number));
    }

    /// Adds a fired timer: no event supersedes it.
    pub(in crate::pipeline) fn push_timer(&mut self, event: &Event) {
        self.objects.entry(unique(&event.object)).or_default().events += 1;
    }

    /// Removes a fired timer.
    pub(in crate::pipeline) fn remove_timer(&mut self, event: &Event) {
        self.forget(event, |_| {});
    }

    fn forget(&mut self, event: &Event, and: impl FnOnce(&mut About)) {
        let uid = unique(&event.object);
        let Some(about) = self.objects.get_mut(&uid) else { return };
        and(about);
        about.events = about.events.saturating_sub(1);
        if about.events == 0 {
            self.objects.remove(&uid);
        }
    }

    /// Returns `true` if an event or a timer is about an object.
    pub(in crate::pipeline) fn is_about(&self, uid: &str) -> bool {
        self.objects.contains_key(uid)
    }

    /// Returns the number of the oldest event that a later event follows.
    pub(in crate::pipeline) fn oldest(&self) -> Option<u64> {
        self.followed.first().copied()
    }
}

fn is_end(change: Change) -> bool {
    match change {
        Change::Deleted | Change::Left => true,
        Change::Added | Change::Modified | Change::Snapshot | Change::Timer | Change::Tick => false,
    }
}
