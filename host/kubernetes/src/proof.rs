//! Proves up to which time a watch is complete, by asking the server.
//!
//! A quiet watch proves nothing: watches are served from the server's cache, which may lag behind the writes that
//! were confirmed. A list without a version is served from the present state; once the watch has passed the list's
//! version, it has returned every write that was confirmed before the list was requested.

use std::time::Duration;

use tracing::debug;

use super::Served;
use super::watch::{Stop, Watch};
use klaxon_model::Timestamp;
use klaxon_model::clock::{self, Stopwatch};

/// The newest version of the server at some time, until the watch has passed it.
#[derive(Debug, Default)]
pub(super) struct Proof {
    open: Option<(Timestamp, u64)>,
    asked: Option<Stopwatch>,
    /// `true` if the watch sends bookmarks. Without them it may never pass a version.
    pub(super) has_bookmarks: bool,
}

impl Proof {
    /// Returns the time until the server must be asked again.
    pub(super) fn due_in(&self, every: Duration) -> Duration {
        self.asked.map_or(every, |asked| every.saturating_sub(asked.elapsed()))
    }

    /// Starts the first interval, unless it has started already.
    pub(super) fn begin(&mut self) {
        self.asked.get_or_insert_with(Stopwatch::start);
    }

    /// Records the cluster's version at a time. An open version stays: the watch passes it first.
    fn note(&mut self, at: Timestamp, version: u64) {
        self.open.get_or_insert((at, version));
    }

    /// Returns the time that is proved by a watch that has reached version `cursor`.
    fn reached(&mut self, cursor: u64) -> Option<Timestamp> {
        let (at, _) = self.open.take_if(|(_, version)| cursor >= *version)?;
        Some(at)
    }
}

impl Watch {
    /// Asks for the newest version. For Kubernetes Events, whose watches may be silent for hours, the answer also
    /// counts as progress, and an error ends the watch; for other kinds an error is ignored.
    pub(super) async fn ask_for_proof(&mut self, served: &Served) -> Result<(), Stop> {
        self.proof.asked = Some(Stopwatch::start());
        let at = clock::now();
        match self.newest_version(served).await {
            Ok(version) => {
                if let Ok(version) = version.parse() {
                    self.proof.note(at, version);
                }
                if self.plan.is_of_events() {
                    self.status.set(|state| state.last_progress = Some(clock::now()));
                }
                Ok(())
            }
            Err(Stop::ApiError(error)) if !self.plan.is_of_events() => {
                debug!(watch = %self.plan.name, %error, "the newest version cannot be asked for");
                Ok(())
            }
            Err(stop) => Err(stop),
        }
    }

    /// Updates the time up to which the watch is complete, after it has reached its cursor. `drained_at` is the time
    /// at which the watch had last returned all available lines. `None` if it is not known.
    pub(super) fn came_to(&mut self, drained_at: Option<Timestamp>) {
        if let Some(drained_at) = drained_at.filter(|_| !self.proof.has_bookmarks) {
            self.certain_until(drained_at);
        }
        let proved = self.cursor.parse().ok().and_then(|cursor| self.proof.reached(cursor));
        if let Some(at) = proved {
            self.since = self.since.max(at);
        }
        self.progressed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_proved_once_the_watch_has_come_past_its_version() {
        let at = Timestamp::from_millis;
        let mut proof = Proof::default();
        assert_eq!(proof.reached(u64::MAX), None, "nothing was asked");
        proof.note(at(10), 100);
        proof.note(at(20), 200);
        assert_eq!(proof.reached(99), None);
        assert_eq!(proof.reached(100), Some(at(10)), "the first that was asked for");
        assert_eq!(proof.reached(300), None, "it is proved once");
    }
}
