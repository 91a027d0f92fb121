//! Feeds recorded streams to a pipeline.

use std::path::Path;

use serde::Serialize;

use crate::model::Timestamp;
use crate::pipeline::{Counts, Output, Pipeline};
use crate::recording::{Merged, StreamError, StreamFile};

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// A stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Whoever takes the steps said no.
    #[error("{0}")]
    Sink(E),
}

/// What a replay did, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Streams that were read.
    pub streams: u64,
    /// Lines of other types that were skipped, such as a recorder's own marks.
    pub skipped: u64,
    /// What the pipeline counted.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A replay of streams, merged by time.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// The streams.
    pub streams: Vec<StreamFile>,
    /// How long after the last event timers may still fire, in milliseconds.
    pub advance_ms: i64,
}

impl Replay {
    /// Runs the streams through a pipeline and hands on each step.
    ///
    /// # Errors
    /// Where a stream cannot be read, or the sink says no.
    pub fn run<E>(
        &self,
        pipeline: &mut Pipeline,
        mut sink: impl FnMut(Output) -> Result<(), E>,
    ) -> Result<Summary, ReplayError<E>> {
        let mut merged = Merged::open(&self.streams)?;
        let mut last = None;
        while let Some((stream, record)) = merged.next_record()? {
            let scope = scope_of(merged.path(stream));
            let at = Timestamp::from(record.at);
            pipeline.apply(&scope, at, record.event);
            last = Some(at);
            if let Some(output) = pipeline.take_output() {
                sink(output).map_err(ReplayError::Sink)?;
            }
        }
        let until = last.map(|last| last.plus_millis(self.advance_ms));
        pipeline.finish(until);
        if let Some(output) = pipeline.take_output() {
            sink(output).map_err(ReplayError::Sink)?;
        }
        Ok(Summary {
            streams: self.streams.len() as u64,
            skipped: merged.skipped(),
            counts: pipeline.counts(),
        })
    }
}

/// A stream's name in gap and quarantine records.
fn scope_of(path: &Path) -> String {
    path.display().to_string()
}
