//! The changes that a restart must know, in order, until the journal commits them.

use std::sync::Arc;

use klaxon_model::{BacklogEntry, StoreOp};

use super::backlog::entry::PersistedEntry;

/// Records changes for the journal, and numbers the rows of backlogs. Records nothing without a journal, as in a
/// replay.
#[derive(Debug)]
pub(super) struct Changes {
    ops: Vec<StoreOp>,
    is_recording: bool,
    /// The number of the next backlog row.
    next_row: i64,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { ops: Vec::new(), is_recording: false, next_row: 1 }
    }

    /// Records every change from now on.
    pub(super) fn use_journal(&mut self) {
        self.is_recording = true;
    }

    pub(super) fn is_recording(&self) -> bool {
        self.is_recording
    }

    /// Records a change that nothing can refuse any more.
    pub(super) fn record(&mut self, change: impl FnOnce() -> StoreOp) {
        if self.is_recording {
            self.ops.push(change());
        }
    }

    /// Returns the changes since the last call.
    pub(super) fn take(&mut self) -> Vec<StoreOp> {
        std::mem::take(&mut self.ops)
    }

    /// Returns the number of a new backlog row.
    pub(super) fn new_row(&mut self) -> i64 {
        let row = self.next_row;
        self.next_row += 1;
        row
    }

    /// Numbers new rows from after the last row of the last run.
    pub(super) fn continue_after(&mut self, last: i64) {
        self.next_row = self.next_row.max(last + 1);
    }

    /// Records a row of a rule's backlog. Returns its size before compression, in bytes.
    pub(super) fn record_row(
        &mut self,
        rule: &Arc<str>,
        number: i64,
        stored: &PersistedEntry,
    ) -> usize {
        if !self.is_recording {
            return 0;
        }
        match stored.pack() {
            Ok((entry, bytes)) => {
                let time = stored.time();
                let backlog = BacklogEntry { number, rule: rule.clone(), time, entry };
                self.record(|| StoreOp::Backlog(Box::new(backlog)));
                bytes
            }
            Err(error) => {
                tracing::error!(%rule, %error, "an entry of the backlog is in memory only: it is lost with the process");
                0
            }
        }
    }

    /// Records that a row of a backlog is gone. An entry without a row has none to remove.
    pub(super) fn remove_row(&mut self, row: Option<i64>) {
        if let Some(row) = row {
            self.record(|| StoreOp::NoBacklog(row));
        }
    }
}
