//! The handle of the writer's thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, Permit};
use super::deliveries::Settled;
use super::quota::Rooms;
use super::write::Group;
use super::{JournalError, SettledAs, size};
use klaxon_model::Pulse;

/// A group to commit, and the channel that reports its commit.
pub(super) struct Commit {
    pub(super) group: Box<Group>,
    pub(super) done: Option<oneshot::Sender<()>>,
    /// The group's bytes in the budget of the writer's queue.
    pub(super) permit: Permit,
}

/// The outcome of a delivery. Sent on a separate channel, so that outcomes, which free space, are not blocked
/// behind commits when the disk is full.
pub(super) enum Outcome {
    Settled(Settled),
    /// A target is gone for good: its name, the reason, and the channel that returns the number of its pending
    /// deliveries.
    Disable(String, String, oneshot::Sender<u64>),
}

/// Sends orders to the writer.
#[derive(Clone)]
pub struct Handle {
    pub(super) commits: mpsc::Sender<Commit>,
    pub(super) outcomes: mpsc::Sender<Outcome>,
    pub(super) state: Arc<State>,
}

pub(super) struct State {
    /// The cause of the writer's end.
    pub(super) error: Mutex<Option<JournalError>>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
    /// The pending deliveries of each target when the writer ended.
    pub(super) pending: Mutex<BTreeMap<String, u64>>,
    /// Cancelled when waits for space on a disk or in a queue must end.
    pub(super) gives_up: CancellationToken,
    pub(super) rooms: Rooms,
    /// The activity of the writer.
    pub(super) pulse: Arc<Pulse>,
    /// The bytes of groups that may wait for the writer.
    pub(super) budget: Arc<Budget>,
}

impl Handle {
    /// Ends all waits for space: from now on a full disk is an error, and a full queue does not block.
    pub fn give_up(&self) {
        self.state.gives_up.cancel();
    }

    /// Hands over a group. Blocks while the writer's queue is full, or while the quota of a target with
    /// `when_full: block` is used up. The group is on disk when a later [`Handle::commit_and_wait`] returns. To
    /// be called from threads that may block.
    ///
    /// # Errors
    /// Fails with the cause if the writer has ended.
    pub fn commit(&self, group: Group) -> Result<(), JournalError> {
        self.send(group, None)
    }

    /// Hands over a group and waits until it, and all groups before it, are on disk.
    ///
    /// # Errors
    /// Fails with the cause if the writer has ended.
    pub fn commit_and_wait(&self, group: Group) -> Result<(), JournalError> {
        let (done, is_done) = oneshot::channel();
        self.send(group, Some(done))?;
        is_done.blocking_recv().map_err(|_| self.error())
    }

    fn send(&self, group: Group, done: Option<oneshot::Sender<()>>) -> Result<(), JournalError> {
        if !group.output.verdicts.is_empty() {
            self.state.rooms.wait(&self.state.gives_up);
        }
        let is_over = || self.commits.is_closed();
        let permit = self.state.budget.take(size::of(&group), is_over);
        let permit = permit.ok_or_else(|| self.error())?;
        let commit = Commit { group: Box::new(group), done, permit };
        self.commits.blocking_send(commit).map_err(|_| self.error())
    }

    /// Records the outcome of a delivery.
    ///
    /// # Errors
    /// Fails with the cause if the writer has ended.
    pub async fn settle(&self, settled: Settled) -> Result<(), JournalError> {
        let outcome = Outcome::Settled(settled);
        self.outcomes.send(outcome).await.map_err(|_| self.error())
    }

    /// Disables a target: its pending and future deliveries become dead letters. Returns the number of the
    /// pending ones.
    ///
    /// # Errors
    /// Fails with the cause if the writer has ended.
    pub async fn disable(&self, target: String, why: String) -> Result<u64, JournalError> {
        let (done, is_done) = oneshot::channel();
        let outcome = Outcome::Disable(target, why, done);
        self.outcomes.send(outcome).await.map_err(|_| self.error())?;
        is_done.await.map_err(|_| self.error())
    }

    /// Returns the activity of the writer.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.state.pulse.clone()
    }

    /// Returns the number of deliveries to a target that became dead letters because of its quota, or because
    /// it was disabled.
    pub fn refused(&self, target: &str) -> u64 {
        self.state.rooms.get(target).map_or(0, super::quota::Room::refused)
    }

    fn error(&self) -> JournalError {
        let error = self.state.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone().unwrap_or_else(|| JournalError::Ended("without a reason".to_owned()))
    }

    /// Closes this handle and waits until the writer has done all its orders; every other handle must be
    /// dropped. Returns the number of deliveries of each target that are still pending then.
    ///
    /// # Errors
    /// Fails with the cause if the writer ended early.
    pub fn close(self) -> Result<BTreeMap<String, u64>, JournalError> {
        let state = self.state.clone();
        drop((self.commits, self.outcomes));
        let thread = state.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(JournalError::Ended("its thread panicked".to_owned()));
        }
        let error = state.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pending =
            std::mem::take(&mut *state.pending.lock().unwrap_or_else(PoisonError::into_inner));
        error.map_or(Ok(pending), Err)
    }
}

impl Outcome {
    /// Returns `true` if the delivery is no longer pending.
    pub(super) fn frees(&self) -> bool {
        let Self::Settled(settled) = self else { return true };
        !matches!(settled.as_what, SettledAs::Failed { .. })
    }
}
