//! Writing of a batch in as many transactions as needed, and waiting while it cannot be written.

use std::collections::VecDeque;
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tracing::{debug, error, info, warn};

use super::obstacle::Obstacle;
use super::{Batch, QUEUE, TOGETHER, Writer, Written, limit};
use crate::deliveries::Outgoing;
use crate::handle::{Commit, Outcome};
use crate::retention::{Removed, make_room};
use crate::{JournalError, write};
use klaxon_model::clock::Stopwatch;

/// The least number of pages beyond the bound that are reserved for outcomes and removals.
const RESERVE: u64 = 256;
/// The time after which a lock is tried again, in addition to SQLite's own wait for it.
const LOCKED: Duration = Duration::from_millis(10);

impl Writer {
    /// Writes a batch. Groups that do not fit together are written in smaller transactions, in their order.
    /// While there is no space for one group, the writer waits, and with it the pipeline. Outcomes of
    /// deliveries are written meanwhile, because they free space.
    pub(super) fn write(&mut self, batch: Batch) -> Result<(), JournalError> {
        let Batch { commits, outcomes, is_look, clock_steps } = batch;
        let mut commits = VecDeque::from(commits);
        let mut batch = Batch { commits: Vec::new(), outcomes, is_look, clock_steps };
        let written = self.write_in_parts(&mut commits, &mut batch);
        if written.is_err() {
            // The waiting callers' channels are dropped later, after the cause is recorded.
            self.unwritten.push(batch);
            self.unwritten.push(Batch { commits: commits.into(), ..Batch::default() });
        }
        written
    }

    fn write_in_parts(
        &mut self,
        commits: &mut VecDeque<Commit>,
        batch: &mut Batch,
    ) -> Result<(), JournalError> {
        let mut together = commits.len();
        let mut told = None;
        loop {
            let count = together.clamp(1, QUEUE).min(commits.len());
            batch.commits.extend(commits.drain(..count));
            if batch.is_empty() {
                break;
            }
            let error = match self.transaction(batch) {
                Ok(written) => {
                    self.done(std::mem::take(batch), &written);
                    together = count * 2;
                    continue;
                }
                Err(error) => error,
            };
            while let Some(commit) = batch.commits.pop() {
                commits.push_front(commit);
            }
            let obstacle = Obstacle::of(&error).filter(|_| !self.state.gives_up.is_cancelled());
            let Some(obstacle) = obstacle else { return Err(error) };
            if obstacle == Obstacle::Full && count > 1 {
                debug!(groups = count, "groups have no room together and are written in parts");
                together = count / 2;
                continue;
            }
            if told != Some(obstacle) {
                error!(%error, "{obstacle}");
                told = Some(obstacle);
            }
            self.overcome(obstacle, batch, commits.front())?;
            together = 1;
        }
        match told {
            Some(Obstacle::Locked) => info!("the journal's lock is free again: intake goes on"),
            Some(_) => info!("the journal has room again: intake goes on"),
            None => {}
        }
        Ok(())
    }

    /// Tries to overcome an obstacle, and waits if that does not help.
    fn overcome(
        &mut self,
        obstacle: Obstacle,
        batch: &mut Batch,
        group: Option<&Commit>,
    ) -> Result<(), JournalError> {
        self.gather_outcomes(batch);
        let has_settled = match obstacle {
            // Nothing can be written while another program holds the lock.
            Obstacle::Locked => false,
            Obstacle::Full | Obstacle::NoIndex => self.settle(batch)?,
        };
        // Rows are removed only if outcomes alone do not help and orders are left to be written.
        if has_settled || (batch.is_empty() && group.is_none()) {
            return self.folded(self.log.fold_in_now(&self.connection));
        }
        let removed = match obstacle {
            Obstacle::Full => self.make_room()?,
            // Rows are removed only because of a full disk.
            Obstacle::Locked | Obstacle::NoIndex => Removed::default(),
        };
        // The size of the log is bounded only by this: SQLite reuses the log from its beginning after a
        // checkpoint.
        self.folded(self.log.fold_in_now(&self.connection))?;
        if removed != Removed::default() {
            return Ok(());
        }
        if obstacle == Obstacle::Full && batch.outcomes.is_empty() {
            self.check_that_it_can_fit(group)?;
        }
        self.wait(obstacle, batch)
    }

    /// Waits for outcomes and writes them at once, until one of them has freed space, the pause is over, or
    /// waiting has been given up.
    fn wait(&mut self, obstacle: Obstacle, batch: &mut Batch) -> Result<(), JournalError> {
        self.state.pulse.waits(match obstacle {
            Obstacle::Locked => "waiting for another program that writes to the journal",
            Obstacle::Full | Obstacle::NoIndex => {
                "waiting for room, by journal.max_size or on its disk"
            }
        });
        let since = Stopwatch::start();
        let pause = if obstacle == Obstacle::Locked { LOCKED } else { self.pause };
        while let Some(left) = pause.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
            if !self.hear(left, batch) {
                return Ok(());
            }
            self.gather_outcomes(batch);
            if obstacle == Obstacle::Locked || batch.outcomes.is_empty() {
                continue;
            }
            if self.settle(batch)? {
                return Ok(());
            }
            self.folded(self.log.fold_in_at(&self.connection, super::SMALL_LOG))?;
        }
        Ok(())
    }

    /// Waits for an outcome. Returns `false` when the time is over or waiting has been given up.
    fn hear(&mut self, left: Duration, batch: &mut Batch) -> bool {
        let Self { runtime, outcomes, state, .. } = self;
        let has_room = batch.outcomes.len() < TOGETHER;
        runtime.block_on(async {
            tokio::select! {
                Some(outcome) = outcomes.recv(), if has_room => {
                    batch.outcomes.push(outcome);
                    true
                }
                () = state.gives_up.cancelled() => false,
                () = tokio::time::sleep(left) => false,
            }
        })
    }

    /// Writes outcomes by themselves, as many together as fit; for them the bound on pages is higher than for
    /// groups. Returns `true` if any of them freed space.
    fn settle(&mut self, batch: &mut Batch) -> Result<bool, JournalError> {
        let mut outcomes = std::mem::take(&mut batch.outcomes);
        // Outcomes that free space come first.
        outcomes.sort_by_key(|outcome| !outcome.frees());
        let freeing = |outcomes: &[Outcome]| outcomes.iter().filter(|one| one.frees()).count();
        let before = freeing(&outcomes);
        self.raise_limit()?;
        batch.outcomes = self.write_what_fits(outcomes)?;
        limit(&self.connection, self.pages)?;
        Ok(freeing(&batch.outcomes) < before)
    }

    fn raise_limit(&self) -> Result<(), JournalError> {
        let reserve = (self.pages / 100).max(RESERVE);
        limit(&self.connection, self.pages.saturating_add(reserve))
    }

    /// Writes outcomes, as many together as fit. Returns those that do not fit.
    fn write_what_fits(&mut self, outcomes: Vec<Outcome>) -> Result<Vec<Outcome>, JournalError> {
        let mut parts = vec![outcomes];
        let mut left = Vec::new();
        while let Some(outcomes) = parts.pop() {
            let mut alone = Batch { outcomes, ..Batch::default() };
            match self.transaction(&alone).map_err(|error| (Obstacle::of(&error), error)) {
                Ok(written) => self.done(alone, &written),
                Err((None, error)) => return Err(error),
                Err((Some(Obstacle::Full), _)) if alone.outcomes.len() > 1 => {
                    let later = alone.outcomes.split_off(alone.outcomes.len() / 2);
                    parts.extend([later, alone.outcomes]);
                }
                Err(_) => left.append(&mut alone.outcomes),
            }
        }
        Ok(left)
    }

    /// Removes rows to free space, and logs how many.
    fn make_room(&mut self) -> Result<Removed, JournalError> {
        self.raise_limit()?;
        let removed = self.seam.pass().and_then(|()| make_room(&mut self.connection));
        limit(&self.connection, self.pages)?;
        let removed = match removed {
            Err(error) if Obstacle::of(&error).is_some() => Removed::default(),
            removed => removed?,
        };
        if removed.sent > 0 {
            self.metrics.journal_removed("sent", removed.sent);
            warn!(
                rows = removed.sent,
                "the journal has no room: what was sent is not kept as long as it should be"
            );
        }
        if removed.given_up > 0 {
            self.metrics.journal_removed("given_up", removed.given_up);
            error!(
                rows = removed.given_up,
                "the journal has no room: the oldest rows of the largest share of dead letters, quarantined events and refusals are removed; hint: raise journal.max_size, or `klaxon journal export` them and correct their targets and rules"
            );
        }
        Ok(removed)
    }

    /// Ends a wait for space that cannot come: no row is left to be removed, no pending delivery will free
    /// space, and the group alone is too large for `journal.max_size`.
    fn check_that_it_can_fit(&mut self, group: Option<&Commit>) -> Result<(), JournalError> {
        let Some(commit) = group.filter(|_| self.state.rooms.is_empty()) else { return Ok(()) };
        let page = self.page_size()?;
        match self.pages_with(commit)? {
            Some(pages) if pages > self.pages => Err(JournalError::TooLarge {
                group: commit.permit.bytes(),
                needs: pages.saturating_mul(page),
                most: self.pages.saturating_mul(page),
            }),
            // The disk is full: an operator may free space.
            _ => Ok(()),
        }
    }

    /// Returns the number of pages that the file would have with a group; `None` if an obstacle prevents
    /// finding out. Writes nothing.
    fn pages_with(&mut self, commit: &Commit) -> Result<Option<u64>, JournalError> {
        limit(&self.connection, u64::MAX)?;
        let tried = self.try_out(commit);
        limit(&self.connection, self.pages)?;
        match tried {
            Err(error) if Obstacle::of(&error).is_some() => Ok(None),
            tried => tried.map(Some),
        }
    }

    fn try_out(&mut self, commit: &Commit) -> Result<u64, JournalError> {
        let mut written = Written::default();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = &mut written.changes;
        let rooms = &self.state.rooms;
        let mut out = Outgoing::new(&transaction, &self.targets, rooms, changes, self.quarantine);
        write::write(&mut out, &commit.group)?;
        let pages: i64 = transaction.pragma_query_value(None, "page_count", |row| row.get(0))?;
        transaction.rollback()?;
        Ok(pages.unsigned_abs())
    }

    fn transaction(&mut self, batch: &Batch) -> Result<Written, JournalError> {
        let mut written = Written::default();
        if batch.is_empty() {
            return Ok(written);
        }
        self.seam.pass()?;
        let began = Stopwatch::start();
        self.state.pulse.works("writing");
        // `Immediate`, because SQLite then waits for an operator's command that writes; it does not wait when a
        // reader becomes a writer.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = &mut written.changes;
        let rooms = &self.state.rooms;
        let mut out = Outgoing::new(&transaction, &self.targets, rooms, changes, self.quarantine);
        for outcome in &batch.outcomes {
            match outcome {
                Outcome::Settled(settled) => out.settle(settled)?,
                Outcome::Disable(target, why, _) => {
                    written.disabled.push(out.disable(target, why)?);
                }
            }
        }
        for commit in &batch.commits {
            write::write(&mut out, &commit.group)?;
        }
        if batch.is_look {
            written.has_more_asked = out.asked_again()?;
        }
        for output in &batch.clock_steps {
            out.clock_step(output)?;
        }
        transaction.commit()?;
        self.metrics.commit(batch.len(), began.elapsed().as_secs_f64());
        Ok(written)
    }
}
