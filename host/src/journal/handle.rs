//! Gives orders to the writer.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, Permit};
use super::deliveries::Settled;
use super::quota::Rooms;
use super::write::Group;
use super::{JournalError, SettledAs, size};
use crate::model::Pulse;

/// A group to commit, and whoever waits for it.
pub(super) struct Commit {
    pub(super) group: Box<Group>,
    pub(super) done: Option<oneshot::Sender<()>>,
    /// Its bytes of what may wait for the writer.
    pub(super) permit: Permit,
}

/// What came of deliveries. It comes by a way of its own, so that it passes where a full disk holds up
/// what is to be committed: it is what makes room.
pub(super) enum Outcome {
    Settled(Settled),
    /// A target is gone for good: its name, why, and who wants to know how many deliveries waited.
    Disable(String, String, oneshot::Sender<u64>),
}

/// Gives orders to the writer.
#[derive(Clone)]
pub struct Handle {
    pub(super) commits: mpsc::Sender<Commit>,
    pub(super) outcomes: mpsc::Sender<Outcome>,
    pub(super) state: Arc<State>,
}

pub(super) struct State {
    /// Why the writer has ended.
    pub(super) error: Mutex<Option<JournalError>>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
    /// Room on a disk or in a queue is not waited for any longer.
    pub(super) gives_up: CancellationToken,
    pub(super) rooms: Rooms,
    /// The activity of the writer.
    pub(super) pulse: Arc<Pulse>,
    /// Bytes of groups that may wait for the writer.
    pub(super) budget: Arc<Budget>,
}

impl Handle {
    /// From now on a full disk is an error, and a full queue none: there is no time to wait for room.
    pub fn give_up(&self) {
        self.state.gives_up.cancel();
    }

    /// Hands over a group; waits while the writer is far behind, or a target is full that the operator
    /// told to block. It is on disk when a later [`Handle::commit_and_wait`] returns. To be called from
    /// threads that may block.
    ///
    /// # Errors
    /// Why the writer has ended.
    pub fn commit(&self, group: Group) -> Result<(), JournalError> {
        self.send(group, None)
    }

    /// Hands over a group and waits until it is on disk, and all before it.
    ///
    /// # Errors
    /// Why the writer has ended.
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

    /// Records what came of a delivery.
    ///
    /// # Errors
    /// Why the writer has ended.
    pub async fn settle(&self, settled: Settled) -> Result<(), JournalError> {
        let outcome = Outcome::Settled(settled);
        self.outcomes.send(outcome).await.map_err(|_| self.error())
    }

    /// Disables a target: what waits for it are dead letters, and what comes. Returns how many waited.
    ///
    /// # Errors
    /// Why the writer has ended.
    pub async fn disable(&self, target: String, why: String) -> Result<u64, JournalError> {
        let (done, is_done) = oneshot::channel();
        let outcome = Outcome::Disable(target, why, done);
        self.outcomes.send(outcome).await.map_err(|_| self.error())?;
        is_done.await.map_err(|_| self.error())
    }

    /// The activity of the writer.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.state.pulse.clone()
    }

    /// How many deliveries to a target were dead letters from the beginning.
    pub fn refused(&self, target: &str) -> u64 {
        self.state.rooms.get(target).map_or(0, super::quota::Room::refused)
    }

    fn error(&self) -> JournalError {
        let error = self.state.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone().unwrap_or_else(|| JournalError::Ended("without a reason".to_owned()))
    }

    /// Ends the writer when all its orders are done; every other handle must be gone.
    ///
    /// # Errors
    /// Why it ended early.
    pub fn close(self) -> Result<(), JournalError> {
        let state = self.state.clone();
        drop((self.commits, self.outcomes));
        let thread = state.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(JournalError::Ended("its thread panicked".to_owned()));
        }
        let error = state.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        error.map_or(Ok(()), Err)
    }
}

impl Outcome {
    /// Whether a delivery waits no longer.
    pub(super) fn frees(&self) -> bool {
        let Self::Settled(settled) = self else { return true };
        !matches!(settled.as_what, SettledAs::Failed { .. })
    }
}
