//! The lines of a watch as they are sent, with the injected faults.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::answer::{Cut, Refusal};
use super::fault::Fault;
use super::server::Connection;

/// Bytes that are gathered before they are sent.
const CHUNK: usize = 64 * 1024;

/// The watch is over: the client has left, or a fault ended it.
pub(super) struct Over;

/// The writing end of a watch.
pub(super) struct Lines {
    out: mpsc::Sender<Result<Bytes, Cut>>,
    buffer: String,
    sent: usize,
    fault: Option<Fault>,
    connection: Connection,
}

impl Lines {
    pub(super) fn new(
        out: mpsc::Sender<Result<Bytes, Cut>>,
        fault: Option<Fault>,
        connection: Connection,
    ) -> Self {
        Self { out, buffer: String::new(), sent: 0, fault, connection }
    }

    /// Injects the faults that come before the first line.
    pub(super) async fn begin(&mut self) -> Result<(), Over> {
        self.befall().await
    }

    /// Adds a line, given without its line break.
    pub(super) async fn line(&mut self, line: &str) -> Result<(), Over> {
        self.buffer.push_str(line);
        self.buffer.push('\n');
        self.sent += 1;
        if self.buffer.len() > CHUNK {
            self.flush().await?;
        }
        self.befall().await
    }

    /// Sends an ERROR with a Status, after which a server ends the watch.
    pub(super) async fn error(&mut self, refusal: &Refusal) -> Result<(), Over> {
        let line = json!({"type": "ERROR", "object": refusal.status()});
        self.line(&line.to_string()).await?;
        self.flush().await
    }

    pub(super) async fn flush(&mut self) -> Result<(), Over> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.out.send(Ok(chunk)).await.map_err(|_| Over)
    }

    /// Completes when the client has left.
    pub(super) async fn closed(&self) {
        self.out.closed().await;
    }

    /// Ends the connection without ending the body, like a killed server.
    pub(super) async fn cut(&mut self) -> Over {
        // A client that has left needs no cut.
        _ = self.out.send(Err(Cut)).await;
        Over
    }

    async fn befall(&mut self) -> Result<(), Over> {
        match self.fault {
            Some(Fault::CloseAfter { lines }) if self.sent >= lines => {
                self.flush().await?;
                Err(Over)
            }
            Some(Fault::ResetAfter { lines }) if self.sent >= lines => {
                self.buffer.push_str(r#"{"type":"MODIFIED","object":{"kin"#);
                self.flush().await?;
                // Data that is still in flight when a connection is reset may be lost.
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.connection.reset_when_closed();
                Err(self.cut().await)
            }
            Some(Fault::SlowLines { lines, millis }) if self.sent < lines => {
                self.flush().await?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(())
            }
            Some(Fault::SilentAfter { lines } | Fault::SlowLines { lines, .. })
                if self.sent >= lines =>
            {
                self.flush().await?;
                self.closed().await;
                Err(Over)
            }
            Some(Fault::ErrorAfter { lines, code, reason }) if self.sent >= lines => {
                let refusal = Refusal::new(code, reason, "as the test asked for");
                let line = json!({"type": "ERROR", "object": refusal.status()});
                self.buffer.push_str(&format!("{line}\n"));
                self.flush().await?;
                Err(Over)
            }
            Some(Fault::ExpiredAfter { millis }) if self.sent == 0 => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                let refusal = Refusal::new(410, "Expired", "as the test asked for");
                let line = json!({"type": "ERROR", "object": refusal.status()});
                self.buffer.push_str(&format!("{line}\n"));
                self.flush().await?;
                Err(Over)
            }
            Some(Fault::GarbageLine { after }) if self.sent >= after => {
                self.fault = None;
                self.buffer.push_str("{\"type\":\"ADDED\",\"object\":}{\n");
                self.flush().await
            }
            _ => Ok(()),
        }
    }
}
