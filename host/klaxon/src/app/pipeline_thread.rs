//! The thread that owns the pipeline: receives events from the source, evaluates them, and sends the output to the
//! journal in groups.

use std::sync::Arc;

use klaxon_core::pipeline::Pipeline;
use klaxon_journal::{Group, Handle, Progress};
use klaxon_model::Pulse;

use super::health::Vitals;
use super::log::Report;
use super::{RunError, RunSummary};

/// The activity of the thread between two calls of rules.
pub(super) const DECIDES: &str = "deciding on what was seen";

/// The pipeline, connected to the journal.
pub(super) struct PipelineThread {
    pub(super) pipeline: Pipeline,
    pub(super) journal: Handle,
    pub(super) summary: RunSummary,
    pub(super) vitals: Arc<Vitals>,
    /// The activity of this thread, for the detection of hangs.
    pub(super) pulse: Arc<Pulse>,
    report: Report,
}

impl PipelineThread {
    pub(super) fn new(pipeline: Pipeline, journal: Handle, vitals: Arc<Vitals>) -> Self {
        let pulse = pipeline.pulse();
        let summary = RunSummary::default();
        Self { pipeline, journal, summary, vitals, pulse, report: Report::default() }
    }

    /// Sends the pipeline's output and the watches' progress to the journal. Pending events must be evaluated before,
    /// or a cursor would be stored that lies beyond them.
    pub(super) fn commit(&mut self, progress: Vec<Progress>) -> Result<(), RunError> {
        let Some(group) = self.group(progress) else { return Ok(()) };
        self.hand_over(group, false)
    }

    /// Commits like `commit`, and waits until the group is on disk.
    pub(super) fn commit_and_wait(&mut self, progress: Vec<Progress>) -> Result<(), RunError> {
        let group = self.group(progress).unwrap_or_default();
        self.hand_over(group, true)
    }

    fn hand_over(&mut self, group: Group, waits: bool) -> Result<(), RunError> {
        self.pulse.waits("waiting for the journal");
        let written =
            if waits { self.journal.commit_and_wait(group) } else { self.journal.commit(group) };
        self.pulse.works(DECIDES);
        Ok(written?)
    }

    fn group(&mut self, progress: Vec<Progress>) -> Option<Group> {
        self.report.advance();
        let output = self.pipeline.take_output();
        if output.is_none() && progress.is_empty() {
            return None;
        }
        let output = output.unwrap_or_default();
        self.report.log(&output);
        for verdict in &output.verdicts {
            let code = format!("{}/{}", verdict.rule, verdict.code);
            *self.summary.codes.entry(code).or_default() += 1;
        }
        self.vitals.count(&output, &self.pipeline);
        self.summary.gaps += output.gaps.len() as u64;
        Some(Group { output, progress, clock: Some(self.pipeline.now()) })
    }
}
