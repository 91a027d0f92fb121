//! The lines of a watch: each is one event, and may come in any number of pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

use super::api::{Fault, Stream, broken};

/// The longest line that is read: etcd holds no object of a tenth of this.
const MOST: usize = 32 << 20;

/// Reads a watch line by line.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// Of the buffer, what was searched for an end of line already.
    searched: usize,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        Self { body: stream.into_body(), buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line; none where the server has ended the watch between two lines.
    ///
    /// # Errors
    /// Where the connection breaks, ends within a line, or nothing comes for so long.
    pub(super) async fn next(&mut self, stalled_after: Duration) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if self.buffer.len() > MOST {
                return Err(Fault::Broken(format!(
                    "a line of the watch is longer than {MOST} bytes"
                )));
            }
            let frame =
                tokio::time::timeout(stalled_after, self.body.frame()).await.map_err(|_| {
                    Fault::Broken(format!("stalled: nothing came for {stalled_after:?}"))
                })?;
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(fault)) => return Err(broken(&fault)),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => return Err(Fault::Broken("the watch ended within a line".to_owned())),
            }
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
