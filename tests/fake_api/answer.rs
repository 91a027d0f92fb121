//! Answers: bodies, and refusals with a Status.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The connection ends without an end of the body.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

pub(super) type Reply = Response<Either<Full<Bytes>, Stream>>;

pub(super) type Answer = Result<Reply, Refusal>;

/// A body that is sent piece by piece over time.
pub(super) struct Stream {
    receiver: mpsc::Receiver<Result<Bytes, Cut>>,
    _open: Option<Open>,
}

/// A guard that counts as one of the open watches.
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.receiver.poll_recv(context).map(|next| next.map(|part| part.map(Frame::data)))
    }
}

/// An answer whose body is sent through the channel.
pub(super) fn streamed(
    receiver: mpsc::Receiver<Result<Bytes, Cut>>,
    open: Option<Open>,
) -> Result<Reply, Refusal> {
    let body = Either::Right(Stream { receiver, _open: open });
    Ok(Response::builder().header("content-type", "application/json").body(body).unwrap())
}

/// An answer that ends in the middle of its body.
pub(super) fn cut_short(text: String) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    let mut bytes = Bytes::from(text);
    bytes.truncate(bytes.len() / 2);
    tokio::spawn(async move {
        if sender.send(Ok(bytes)).await.is_ok() {
            // Data that is not on its way yet is not sent once the body fails.
            tokio::time::sleep(Duration::from_millis(20)).await;
            // A client that has left needs no cut.
            _ = sender.send(Err(Cut)).await;
        }
    });
    streamed(receiver, None)
}

/// An answer whose body comes in pieces, with pauses in between.
pub(super) fn in_pieces(text: String, pieces: usize, pause: Duration) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    let bytes = Bytes::from(text);
    let each = bytes.len().div_ceil(pieces).max(1);
    tokio::spawn(async move {
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = rest.split_to(each.min(rest.len()));
            if sender.send(Ok(piece)).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    });
    streamed(receiver, None)
}

pub(super) fn json(code: u16, text: impl Into<Bytes>) -> Reply {
    body(code, "application/json", text.into())
}

/// The answer of a real API server for a path that it does not serve.
pub(super) fn not_found_page() -> Reply {
    body(404, "text/plain; charset=utf-8", Bytes::from_static(b"404 page not found\n"))
}

pub(super) fn text(text: &'static str) -> Reply {
    body(200, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn body(code: u16, kind: &str, body: Bytes) -> Reply {
    let body = Either::Left(Full::new(body));
    Response::builder().status(code).header("content-type", kind).body(body).unwrap()
}

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    reason: String,
    message: String,
    cause: Option<&'static str>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &str, message: &str) -> Self {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        Self { code, reason, message, cause: None, retry_after: None }
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(422, "Invalid", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// A refusal with the usual reason of its status code.
    pub(super) fn usual(code: u16) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Self::new(code, reason, "as the test asked for")
    }

    pub(super) fn cause(self, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..self }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Returns the Status, as an answer or within a watch.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(cause) = self.cause {
            status["details"]["causes"] = json!([{"reason": cause, "message": self.message}]);
        }
        if let Some(seconds) = self.retry_after {
            status["details"]["retryAfterSeconds"] = json!(seconds);
        }
        status
    }

    pub(super) fn reply(&self) -> Reply {
        let mut reply = json(self.code, self.status().to_string());
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert("retry-after", seconds.into());
        }
        reply
    }
}
