//! The state of each watch, for the operators of the service.

use std::sync::{Mutex, PoisonError};

use klaxon_model::Timestamp;

/// The state of one watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// The current activity: `starting`, `listing`, `following`, `waiting`, `not served`.
    pub doing: &'static str,
    /// `true` if the rules know all existing objects.
    pub in_sync: bool,
    /// The time at which an object last arrived.
    pub last_event: Option<Timestamp>,
    /// The last time at which the watch showed progress: an event, a bookmark, a complete list, its regular end.
    pub last_progress: Option<Timestamp>,
    /// The last time up to which no change is missing.
    pub certain_until: Option<Timestamp>,
    /// The version at which the watch resumes.
    pub cursor: Option<String>,
    /// The present error.
    pub error: Option<String>,
    /// The number of objects that arrived.
    pub events: u64,
    /// The number of restarts, by reason.
    pub restarts: std::collections::BTreeMap<&'static str, u64>,
    /// The number of gaps.
    pub gaps: u64,
}

impl Default for WatchState {
    fn default() -> Self {
        Self {
            doing: "starting",
            in_sync: false,
            last_event: None,
            last_progress: None,
            certain_until: None,
            cursor: None,
            error: None,
            events: 0,
            restarts: std::collections::BTreeMap::new(),
            gaps: 0,
        }
    }
}

/// The state of a watch, shared between the watch and its readers.
#[derive(Debug)]
pub struct WatchStatus {
    /// The watch's name.
    pub name: String,
    state: Mutex<WatchState>,
}

impl WatchStatus {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), state: Mutex::default() }
    }

    /// Returns a copy of the present state.
    pub fn get(&self) -> WatchState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut WatchState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
