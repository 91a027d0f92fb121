//! The thread that owns the pipeline: takes what the source yields, decides, and hands it to the
//! journal in groups.

use std::sync::Arc;

use crate::journal::{Group, Handle, Progress};
use crate::pipeline::Pipeline;

use super::health::Vitals;
use super::report::log_step;
use super::{RunError, RunSummary};

/// The pipeline on its way into the journal.
pub(super) struct Middle {
    pub(super) pipeline: Pipeline,
    pub(super) journal: Handle,
    pub(super) summary: RunSummary,
    pub(super) vitals: Arc<Vitals>,
}

impl Middle {
    /// Hands over what was decided, and how far the watches have come. What waits must have been
    /// evaluated before, or a cursor would pass it.
    pub(super) fn commit(&mut self, progress: Vec<Progress>) -> Result<(), RunError> {
        let Some(group) = self.group(progress) else { return Ok(()) };
        Ok(self.journal.commit(group)?)
    }

    /// The same, and waits until it is on disk.
    pub(super) fn commit_and_wait(&mut self, progress: Vec<Progress>) -> Result<(), RunError> {
        let group = self.group(progress).unwrap_or_default();
        Ok(self.journal.commit_and_wait(group)?)
    }

    fn group(&mut self, progress: Vec<Progress>) -> Option<Group> {
        let step = self.pipeline.take_step();
        if step.is_none() && progress.is_empty() {
            return None;
        }
        let step = step.unwrap_or_default();
        log_step(&step);
        for verdict in &step.verdicts {
            let code = format!("{}/{}", verdict.rule, verdict.code);
            *self.summary.codes.entry(code).or_default() += 1;
        }
        self.vitals.count(&step, &self.pipeline);
        self.summary.gaps += step.gaps.len() as u64;
        Some(Group { step, progress, clock: Some(self.pipeline.now()) })
    }
}
