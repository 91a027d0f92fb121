//! Recorded streams as the service's source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::pipeline_thread::Middle;
use super::{RunError, Stop};
use crate::config;
use crate::model::Timestamp;
use crate::recording::StreamFile;
use crate::source::{Record, ReplaySource};

/// Records between the source and the middle.
const RECORDS: usize = 1024;
/// When nothing comes for so long, what waits is evaluated.
const IDLE: Duration = Duration::from_millis(20);

impl Middle {
    /// Takes all that the streams yield. What was decided is committed even where a fault ends it
    /// early.
    pub(super) fn replay(&mut self, replay: &config::Replay, stop: &Stop) -> Result<(), RunError> {
        self.summary.streams = replay.streams.len() as u64;
        let fed = self.feed(replay, stop);
        let (until, error) = match fed {
            Ok(until) => (until, None),
            Err(error) => (None, Some(error)),
        };
        self.pipeline.finish(until);
        // On disk before the queues are told that nothing more comes.
        let committed = self.commit_and_wait(Vec::new());
        error.map_or(committed, Err)
    }

    /// Returns how far the clock may go after the last event.
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
        // A source that waits, for room or for its next record, must see that nobody listens.
        enough.store(true, Ordering::Relaxed);
        drop(inbox);
        let read = reader.join().map_err(|_| RunError::System("the source ended".to_owned()))?;
        taken?;
        let (last, skipped) = read?;
        self.summary.skipped = skipped;
        // Told to stop, the clock stays where it is: what would have come is not known.
        let advance_ms = if stop.is_told() { 0 } else { replay.advance_ms };
        Ok(last.map(|last| last.plus_millis(advance_ms)))
    }

    fn take_records(&mut self, inbox: &Receiver<Record>) -> Result<(), RunError> {
        loop {
            match inbox.recv_timeout(IDLE) {
                Ok(Record { scope, at, event }) => self.pipeline.apply(&scope, at, event),
                Err(RecvTimeoutError::Timeout) => self.pipeline.flush(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.commit(Vec::new())?;
        }
    }
}
