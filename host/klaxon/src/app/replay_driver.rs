//! Recorded streams as the service's source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::pipeline_thread::PipelineThread;
use super::{RunError, Stop};
use klaxon_config as config;
use klaxon_model::Timestamp;
use klaxon_recording::{ReplaySource, StreamEvent, StreamFile};

/// Capacity of the channel from the source to the pipeline thread, in records.
const RECORDS: usize = 1024;
/// Time without records after which the pending round is evaluated.
const IDLE: Duration = Duration::from_millis(20);

impl PipelineThread {
    /// Processes all records of the streams. Decisions are committed even if an error ends the replay early.
    pub(super) fn replay(&mut self, replay: &config::Replay, stop: &Stop) -> Result<(), RunError> {
        self.summary.streams = replay.streams.len() as u64;
        let fed = self.feed(replay, stop);
        let (until, error) = match fed {
            Ok(until) => (until, None),
            Err(error) => (None, Some(error)),
        };
        self.pipeline.finish(until);
        // On disk before the queues are informed that no more deliveries follow.
        let committed = self.commit_and_wait(Vec::new());
        error.map_or(committed, Err)
    }

    /// Processes the records. Returns the time up to which the clock may advance after the last event.
    fn feed(
        &mut self,
        replay: &config::Replay,
        stop: &Stop,
    ) -> Result<Option<Timestamp>, RunError> {
        let files: Vec<StreamFile> =
            replay.streams.iter().map(|path| StreamFile::at(path.clone())).collect();
        let source = ReplaySource { files, speed: replay.speed };
        let (records, inbox) = sync_channel(RECORDS);
        let enough = Arc::new(AtomicBool::new(false));
        let reader = std::thread::Builder::new()
            .name("klaxon-source".to_owned())
            .spawn({
                let flags = [stop.flag(), enough.clone()];
                move || source.run(&records, &flags)
            })
            .map_err(|error| RunError::System(error.to_string()))?;
        let taken = self.take_records(&inbox);
        // A source that is blocked, on the full channel or until its next record, must notice that no receiver is
        // left.
        enough.store(true, Ordering::Relaxed);
        drop(inbox);
        let read = reader.join().map_err(|_| RunError::System("the source ended".to_owned()))?;
        taken?;
        let (last, skipped) = read?;
        self.summary.skipped = skipped;
        // If stopped, the clock does not advance further, because the records that would have followed are not
        // known.
        let advance_ms = if stop.is_requested() { 0 } else { replay.advance_ms };
        Ok(last.map(|last| last.plus_millis(advance_ms)))
    }

    fn take_records(&mut self, inbox: &Receiver<StreamEvent>) -> Result<(), RunError> {
        loop {
            match inbox.recv_timeout(IDLE) {
                Ok(StreamEvent { scope, at, event, .. }) => self.pipeline.apply(&scope, at, event),
                Err(RecvTimeoutError::Timeout) => self.pipeline.flush(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.commit(Vec::new())?;
        }
    }
}
