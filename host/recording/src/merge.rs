//! Merges several streams into one, ordered by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use super::record::{Record, Records};
use super::{StreamError, StreamFile};
use klaxon_model::{SourceEvent, Timestamp};

/// An event of a recorded stream.
#[derive(Debug)]
pub struct StreamEvent {
    /// The stream's file, which names the stream in records of gaps and of the quarantine.
    pub scope: String,
    /// The line of the file on which it begins.
    pub line: u64,
    /// The time at which it was recorded.
    pub at: Timestamp,
    /// The event.
    pub event: SourceEvent,
}

/// Records of several streams by time; ties keep the order of the streams, then of the lines.
pub struct Merged {
    streams: Vec<Records>,
    heads: Vec<Option<Record>>,
    order: BinaryHeap<Reverse<(jiff::Timestamp, usize)>>,
    /// An error that follows a good record, returned after that record.
    error: Option<StreamError>,
}

impl Merged {
    /// Opens the streams.
    ///
    /// # Errors
    /// If a stream cannot be read.
    pub fn open(files: &[StreamFile]) -> Result<Self, StreamError> {
        let streams = files.iter().map(Records::open).collect::<Result<Vec<_>, _>>()?;
        let heads = streams.iter().map(|_| None).collect();
        let mut merged = Self { streams, heads, order: BinaryHeap::new(), error: None };
        for stream in 0..merged.streams.len() {
            merged.refill(stream)?;
        }
        Ok(merged)
    }

    /// Returns the next record and the index of its stream.
    ///
    /// # Errors
    /// If reading a stream fails.
    pub fn next_record(&mut self) -> Result<Option<(usize, Record)>, StreamError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(Reverse((_, stream))) = self.order.pop() else { return Ok(None) };
        let record = self.heads.get_mut(stream).and_then(Option::take);
        self.error = self.refill(stream).err();
        Ok(record.map(|record| (stream, record)))
    }

    /// Returns the next event, as a source of the pipeline yields it.
    ///
    /// # Errors
    /// If reading a stream fails.
    pub fn next_event(&mut self) -> Result<Option<StreamEvent>, StreamError> {
        let Some((stream, record)) = self.next_record()? else { return Ok(None) };
        let scope = self.path(stream).display().to_string();
        let Record { at, line, event } = record;
        Ok(Some(StreamEvent { scope, line, at: at.into(), event }))
    }

    /// Returns the file of a stream.
    pub fn path(&self, stream: usize) -> &Path {
        self.streams.get(stream).map_or(Path::new(""), |stream| &stream.path)
    }

    /// Returns the number of lines of other types that were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.streams.iter().map(|stream| stream.skipped.lines).sum()
    }

    fn refill(&mut self, stream: usize) -> Result<(), StreamError> {
        let Some(records) = self.streams.get_mut(stream) else { return Ok(()) };
        if let Some(record) = records.next()? {
            self.order.push(Reverse((record.at, stream)));
            if let Some(head) = self.heads.get_mut(stream) {
                *head = Some(record);
            }
        }
        Ok(())
    }
}
