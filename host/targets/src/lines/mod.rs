//! Verdicts as JSON Lines in a file.
//!
//! A line is on disk before it counts as delivered. A crash between the two writes the line again later, with
//! the same id: a reader takes each id once. A crash in the middle of a write can leave a partial line; when
//! the file is opened the next time, the partial line gets its line end, so that the next line is whole. A
//! reader skips lines that are not JSON.

mod rotate;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use super::{Attempt, Delivery, Trouble};
use klaxon_config as config;
use klaxon_model::Verdict;
use writer::Writer;

/// A file, ready to be appended to.
pub(super) struct Lines {
    writer: Arc<Mutex<Writer>>,
}

/// Renders a verdict as a line.
pub(super) fn body(verdict: &Verdict) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = verdict.to_line()?;
    line.push('\n');
    Ok(line.into_bytes())
}

impl Lines {
    /// Opens no file yet: a missing folder is reported by the first delivery, which is retried.
    pub(super) fn new(settings: &config::Lines) -> Result<Self, String> {
        let writer = Writer::new(settings.path.clone(), settings.max_size, settings.keep);
        Ok(Self { writer: Arc::new(Mutex::new(writer)) })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Attempt {
        let writer = self.writer.clone();
        let line = delivery.body.clone();
        let written = tokio::task::spawn_blocking(move || {
            // A writer that panicked has dropped its file, so no state of it is half changed.
            writer.lock().unwrap_or_else(PoisonError::into_inner).append(&line)
        });
        match written.await {
            Ok(Ok(())) => Attempt::Delivered,
            Ok(Err(why)) => Attempt::Retry(Trouble::of_receiver(why)),
            Err(error) => Attempt::Retry(Trouble::of_receiver(error.to_string())),
        }
    }
}
