//! How each watch is doing, for those who operate the service.

use std::sync::{Mutex, PoisonError};

use crate::model::Timestamp;

/// A watch, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// What it does: `starting`, `listing`, `following`, `waiting`, `not served`.
    pub doing: &'static str,
    /// Whether the rules know all that exists.
    pub in_sync: bool,
    /// When an object came last.
    pub last_event: Option<Timestamp>,
    /// When it proved last that it is alive: an event, a bookmark, a whole list, its regular end.
    pub last_progress: Option<Timestamp>,
    /// The last moment at which nothing was missing.
    pub certain_until: Option<Timestamp>,
    /// The version to go on from.
    pub cursor: Option<String>,
    /// What stands in its way.
    pub error: Option<String>,
    /// Objects that came.
    pub events: u64,
    /// Times that it had to begin again, by reason.
    pub restarts: std::collections::BTreeMap<&'static str, u64>,
    /// Gaps.
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

/// A watch's state, written by the watch and read by whoever asks.
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

    /// As it is now.
    pub fn get(&self) -> WatchState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut WatchState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
