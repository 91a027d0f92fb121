//! Recorded streams as a source of the running service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use klaxon_model::Timestamp;

use crate::{Merged, StreamError, StreamEvent, StreamFile};

/// Reads recorded streams, merged by time.
#[derive(Debug)]
pub struct ReplaySource {
    /// The streams.
    pub files: Vec<StreamFile>,
    /// The speed relative to the recording. `None` sends events as fast as they are received.
    pub speed: Option<f64>,
}

impl ReplaySource {
    /// Sends every event, and blocks while the channel is full. Ends early when a flag in `stop` is set or the
    /// receiver is closed. Returns the time of the last event that was sent, and the number of skipped lines of
    /// other types.
    ///
    /// # Errors
    /// Returns a [`StreamError`] if a stream cannot be read.
    pub fn run(
        &self,
        to: &SyncSender<StreamEvent>,
        stop: &[Arc<AtomicBool>],
    ) -> Result<(Option<Timestamp>, u64), StreamError> {
        let mut merged = Merged::open(&self.files)?;
        let mut last: Option<Timestamp> = None;
        while let Some(event) = merged.next_event()? {
            let at = event.at;
            if let (Some(speed), Some(last)) = (self.speed, last) {
                pause(at.millis_since(last), speed, stop);
            }
            if is_set(stop) || to.send(event).is_err() {
                break;
            }
            last = Some(at);
        }
        Ok((last, merged.skipped()))
    }
}

fn is_set(flags: &[Arc<AtomicBool>]) -> bool {
    flags.iter().any(|flag| flag.load(Ordering::Relaxed))
}

/// Waits for the recorded interval divided by `speed`, in steps of 100 ms so that `stop` is noticed.
fn pause(millis: i64, speed: f64, stop: &[Arc<AtomicBool>]) {
    let seconds = millis.max(0) as f64 / 1000.0 / speed;
    let mut left = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let tick = Duration::from_millis(100);
    while !left.is_zero() && !is_set(stop) {
        std::thread::sleep(left.min(tick));
        left = left.saturating_sub(tick);
    }
}
