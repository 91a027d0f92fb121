//! Reads the lines of a watch. Each line is one event and may arrive in any number of pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

use klaxon_model::Timestamp;
use klaxon_model::clock::{self, Stopwatch};

use super::api::{ApiError, Stream, broken};

/// The maximum length of a line, in bytes. etcd stores no object of a tenth of this size.
const MOST: usize = 32 << 20;

/// The time after which the socket counts as empty. Data that is in the socket may have to be passed on by another
/// task, and is delivered within this time.
const HANDED_ON: Duration = Duration::from_millis(20);

/// Reads a watch line by line.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// The number of bytes of the buffer that were already searched for an end of line.
    searched: usize,
    /// The last time at which there was nothing left to read.
    drained_at: Timestamp,
    opened: Stopwatch,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        let drained_at = Timestamp::from_millis(i64::MIN);
        let (body, buffer) = (stream.into_body(), BytesMut::new());
        Self { body, buffer, searched: 0, drained_at, opened: Stopwatch::start() }
    }

    /// Returns the time since the watch was opened.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Returns the last time at which there was nothing left to read. All lines up to that time were returned; later
    /// ones may still be in the socket.
    pub(super) fn drained_at(&self) -> Timestamp {
        self.drained_at
    }

    /// Returns the next line. `None` if the server has ended the watch between two lines.
    ///
    /// # Errors
    /// Returns [`ApiError::Broken`] if the connection breaks, ends within a line, or nothing arrives for
    /// `stalled_after`.
    pub(super) async fn next(
        &mut self,
        stalled_after: Duration,
    ) -> Result<Option<Bytes>, ApiError> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if self.buffer.len() > MOST {
                return Err(ApiError::Broken(format!(
                    "a line of the watch is longer than {MOST} bytes"
                )));
            }
            match self.piece(stalled_after).await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => return Err(ApiError::Broken("the watch ended within a line".to_owned())),
            }
        }
    }

    /// Returns the next piece. Only the wait for it counts as silence, not the time between two calls.
    async fn piece(&mut self, stalled_after: Duration) -> Result<Option<Bytes>, ApiError> {
        let next = self.body.frame();
        tokio::pin!(next);
        let now = clock::now();
        let frame = match tokio::time::timeout(HANDED_ON, next.as_mut()).await {
            Ok(frame) => frame,
            Err(_) => {
                self.drained_at = now;
                let waited = tokio::time::timeout(stalled_after, next).await;
                let stalled = format!("stalled: nothing came for {stalled_after:?}");
                waited.map_err(|_| ApiError::Broken(stalled))?
            }
        };
        match frame {
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(broken(&error)),
            None => Ok(None),
        }
    }

    fn buffered(&mut self) -> Option<Bytes> {
        loop {
            let unsearched = self.buffer.get(self.searched..)?;
            let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}
