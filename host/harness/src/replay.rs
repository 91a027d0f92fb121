//! Replays of recorded streams through a pipeline.

use serde::Serialize;

use klaxon_core::pipeline::{Counts, Output, Pipeline};
use klaxon_recording::{Merged, StreamError, StreamEvent, StreamFile};

/// The error that ended a replay early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// A stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The sink rejected an output.
    #[error("{0}")]
    Sink(E),
}

/// Counts of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Streams that were read.
    pub streams: u64,
    /// Lines of other types that were skipped, such as a recorder's own marks.
    pub skipped: u64,
    /// Counts of the pipeline.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A replay of streams, merged by time.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// The streams.
    pub streams: Vec<StreamFile>,
    /// Time after the last event for which timers may still fire, in milliseconds.
    pub advance_ms: i64,
}

impl Replay {
    /// Runs the streams through a pipeline and passes each output to `sink`.
    ///
    /// # Errors
    /// Returns an error if a stream cannot be read, or if the sink returns one.
    pub fn run<E>(
        &self,
        pipeline: &mut Pipeline,
        mut sink: impl FnMut(Output) -> Result<(), E>,
    ) -> Result<Summary, ReplayError<E>> {
        let mut merged = Merged::open(&self.streams)?;
        let mut last = None;
        while let Some(StreamEvent { scope, at, event, .. }) = merged.next_event()? {
            pipeline.apply(&scope, at, event);
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
            counts: pipeline.status().counts,
        })
    }
}
