//! Feeds recorded streams to a pipeline.

use std::path::Path;

use serde::Serialize;

use crate::model::Timestamp;
use crate::pipeline::{Counts, Output, Pipeline};
use crate::recording::{Kind, Merged, Record, StreamError, StreamFile};
use crate::route::Coverage;

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

/// Hands records of streams to a pipeline, and knows where each stream's list after a gap ends.
pub struct RecordFeed {
    last_at: Vec<Option<Timestamp>>,
}

impl RecordFeed {
    /// For so many streams.
    pub fn new(streams: usize) -> Self {
        Self { last_at: vec![None; streams] }
    }

    /// Hands over one record.
    pub fn push(&mut self, pipeline: &mut Pipeline, stream: usize, scope: &str, record: &Record) {
        let at = Timestamp::from(record.at);
        match &record.kind {
            Kind::Object { seen, json, is_change } => {
                // Changes come after the list: without a mark of its own it is over now.
                if *is_change && pipeline.in_gap(scope) {
                    pipeline.end_gap(scope, at);
                }
                pipeline.observe(scope, at, *seen, json.get());
            }
            Kind::Gap { reason } => {
                let since = self.last_at.get(stream).copied().flatten().unwrap_or(at).min(at);
                pipeline.advance_to(at);
                pipeline.begin_gap(scope, since, reason);
            }
            Kind::ListEnd { object } => {
                if let Some((group, kind)) = object {
                    let (group, kind) = (group.clone(), kind.clone());
                    pipeline.cover(scope, Coverage { group, kind, namespace: None });
                }
                pipeline.end_gap(scope, at);
            }
        }
        if let Some(last) = self.last_at.get_mut(stream) {
            *last = Some(at);
        }
    }
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
        let mut feed = RecordFeed::new(self.streams.len());
        let mut last = None;
        while let Some((stream, record)) = merged.next_record()? {
            let scope = scope_of(merged.path(stream));
            feed.push(pipeline, stream, &scope, &record);
            last = Some(Timestamp::from(record.at));
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
