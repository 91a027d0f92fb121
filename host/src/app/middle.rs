//! The thread that owns the pipeline: takes what the source yields, decides, and hands it to the
//! journal in groups.

use std::sync::Arc;

use crate::journal::{Group, Handle, Progress};
use crate::model::{Keep, Pulse, Write};
use crate::pipeline::{Pipeline, Step};

use super::health::Vitals;
use super::report::Report;
use super::{RunError, RunSummary};

/// What the thread does between two calls of rules.
pub(super) const DECIDES: &str = "deciding on what was seen";
/// Most bytes that were handed to the journal and are not known to be on disk: more is waited for.
const MOST_UNWRITTEN: usize = 64 << 20;

/// The pipeline on its way into the journal.
pub(super) struct Middle {
    pub(super) pipeline: Pipeline,
    pub(super) journal: Handle,
    pub(super) summary: RunSummary,
    pub(super) vitals: Arc<Vitals>,
    /// What this thread does.
    pub(super) pulse: Arc<Pulse>,
    /// Bytes that were handed over since they were last known to be on disk.
    unwritten: usize,
    report: Report,
}

impl Middle {
    pub(super) fn new(pipeline: Pipeline, journal: Handle, vitals: Arc<Vitals>) -> Self {
        let pulse = pipeline.pulse();
        let summary = RunSummary::default();
        Self { pipeline, journal, summary, vitals, pulse, unwritten: 0, report: Report::default() }
    }

    /// Hands over what was decided, and how far the watches have come. What waits must have been
    /// evaluated before, or a cursor would pass it.
    pub(super) fn commit(&mut self, progress: Vec<Progress>) -> Result<(), RunError> {
        let Some(group) = self.group(progress) else { return Ok(()) };
        self.unwritten = self.unwritten.saturating_add(bytes(&group.step));
        if self.unwritten > MOST_UNWRITTEN {
            return self.hand_over(group, true);
        }
        self.hand_over(group, false)
    }

    /// The same, and waits until it is on disk.
    pub(super) fn commit_and_wait(&mut self, progress: Vec<Progress>) -> Result<(), RunError> {
        let group = self.group(progress).unwrap_or_default();
        self.hand_over(group, true)
    }

    fn hand_over(&mut self, group: Group, waits: bool) -> Result<(), RunError> {
        self.pulse.waits("waiting for the journal");
        let written = if waits {
            self.unwritten = 0;
            self.journal.commit_and_wait(group)
        } else {
            self.journal.commit(group)
        };
        self.pulse.works(DECIDES);
        Ok(written?)
    }

    fn group(&mut self, progress: Vec<Progress>) -> Option<Group> {
        self.report.advance();
        let step = self.pipeline.take_step();
        if step.is_none() && progress.is_empty() {
            return None;
        }
        let step = step.unwrap_or_default();
        self.report.log(&step);
        for verdict in &step.verdicts {
            let code = format!("{}/{}", verdict.rule, verdict.code);
            *self.summary.codes.entry(code).or_default() += 1;
        }
        self.vitals.count(&step, &self.pipeline);
        self.summary.gaps += step.gaps.len() as u64;
        Some(Group { step, progress, clock: Some(self.pipeline.now()) })
    }
}

/// About how many bytes a step holds in memory: of what rules and objects can make large.
fn bytes(step: &Step) -> usize {
    let verdicts = step.verdicts.iter().map(|verdict| {
        let refused = verdict.refused.iter().map(|one| one.why.len() + 256).sum::<usize>();
        verdict.payload.get().len() + verdict.title.len() + verdict.key.len() + refused + 512
    });
    let keep = step.keep.iter().map(|keep| match keep {
        Keep::State(_, _, _, writes, _) => writes.iter().map(write_bytes).sum::<usize>() + 128,
        Keep::Wake(wake) => wake.key.len() + wake.payload.len() + 512,
        Keep::Parked(parked) => parked.entry.len() + 128,
        _ => 256,
    });
    let objects = step.quarantine.iter().map(|object| object.json.len());
    verdicts.sum::<usize>() + keep.sum::<usize>() + objects.sum::<usize>()
}

fn write_bytes(write: &Write) -> usize {
    match write {
        Write::Put { key, value, .. } => key.len() + value.len() + 64,
        Write::Remove { key } => key.len() + 64,
    }
}
