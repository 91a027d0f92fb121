//! Recorded streams as a source of the running service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::model::Timestamp;
use crate::stream::{Merged, Record, StreamError, StreamFile};

/// A record on its way to the pipeline.
#[derive(Debug)]
pub struct Item {
    /// The place of its stream among the source's.
    pub stream: usize,
    /// The stream's file.
    pub scope: String,
    /// The record.
    pub record: Record,
}

/// Reads recorded streams, merged by time.
#[derive(Debug)]
pub struct ReplaySource {
    /// The streams.
    pub files: Vec<StreamFile>,
    /// How many times faster than recorded; none: as fast as they are taken.
    pub speed: Option<f64>,
}

impl ReplaySource {
    /// Sends every record; waits while the channel is full. Ends early when told to stop, or when
    /// nobody takes records any longer. Returns the time of the last record, and how many lines of
    /// other types were skipped.
    ///
    /// # Errors
    /// Where a stream cannot be read.
    pub fn run(
        &self,
        to: &SyncSender<Item>,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Option<Timestamp>, u64), StreamError> {
        let mut merged = Merged::open(&self.files)?;
        let mut last: Option<Timestamp> = None;
        while let Some((stream, record)) = merged.next_record()? {
            let at = Timestamp::from(record.at);
            if let (Some(speed), Some(last)) = (self.speed, last) {
                pause(at.millis_since(last), speed, stop);
            }
            last = Some(at);
            let scope = merged.path(stream).display().to_string();
            let stopped = stop.load(Ordering::Relaxed);
            if stopped || to.send(Item { stream, scope, record }).is_err() {
                break;
            }
        }
        Ok((last, merged.skipped()))
    }
}

/// Waits as long as the recording did, scaled, in steps short enough to be stopped.
fn pause(millis: i64, speed: f64, stop: &AtomicBool) {
    let millis = u64::try_from(millis).unwrap_or(0);
    let mut left = Duration::from_millis(millis).div_f64(speed);
    let step = Duration::from_millis(100);
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
}
