//! Requests to the API server, on raw JSON: what it refuses is told apart by what is to be done.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;

use super::error::describe;

/// The longest answer that is read where a small one is asked for: an object, or what a group serves.
pub(super) const MOST_SMALL: usize = 8 << 20;
/// Of an answer that says no, only so much is read.
const MOST_REFUSAL: usize = 64 << 10;
/// The API server cannot put a request off for longer than this at once.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Why a request did not bring what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The version or the page asked for is too old: what came since must be found by comparing.
    #[error("{0}")]
    Expired(String),
    /// Too many requests: later.
    #[error("the API server asks to wait: {why}")]
    Throttled {
        /// At least so long.
        after: Option<Duration>,
        /// What it said.
        why: String,
    },
    /// Nobody is signed in any longer.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// The account may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such path: the kind is not served.
    #[error("the API server does not serve this kind: {0}")]
    NotServed(String),
    /// The request itself is not understood.
    #[error("the API server refuses the request: {0}")]
    Refused(String),
    /// The answer is larger than what is read at once.
    #[error("{0}")]
    TooLarge(String),
    /// The connection, the server or what it sent is broken.
    #[error("{0}")]
    Broken(String),
}

impl ApiError {
    /// One word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Expired(_) => "expired",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotServed(_) => "not_served",
            Self::Refused(_) => "refused",
            Self::TooLarge(_) => "too_large",
            Self::Broken(_) => "broken",
        }
    }
}

/// What the API server says when it says no (`meta/v1` Status).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) message: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) code: Option<u16>,
}

impl Status {
    /// What it means; a Status in a stream carries its code in itself.
    pub(super) fn error(self, http: Option<StatusCode>, after: Option<Duration>) -> ApiError {
        let code = http.map(|status| status.as_u16()).or(self.code).unwrap_or(500);
        let reason = self.reason.unwrap_or_default();
        let message = self.message.unwrap_or_else(|| format!("status {code}"));
        match code {
            _ if reason == "Expired" || reason == "Gone" => ApiError::Expired(message),
            410 => ApiError::Expired(message),
            429 => ApiError::Throttled { after, why: message },
            401 => ApiError::Unauthorized(message),
            403 => ApiError::Forbidden(message),
            404 => ApiError::NotServed(message),
            400 | 405..=499 => ApiError::Refused(message),
            _ => ApiError::Broken(format!("the API server fails ({code}): {message}")),
        }
    }
}

/// How the answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The objects as they are.
    Full,
    /// Only their metadata.
    Metadata,
}

impl Form {
    fn accept(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Metadata => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            }
        }
    }

    fn accept_watch(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        }
    }
}

/// An open watch, or any other body that is read bit by bit.
pub(super) type Stream = Response<Body>;

/// Asks for a list or an object, and reads the whole answer, of so many bytes at most. It must begin, and
/// go on, within a time each.
///
/// # Errors
/// What stands in the way.
pub(super) async fn get(
    client: &kube::Client,
    path: &str,
    form: Form,
    span: Duration,
    most: usize,
) -> Result<Bytes, ApiError> {
    let response = within(span, open(client, path, form.accept())).await?;
    whole(response, span, most).await
}

/// Opens a watch; its headers must come within a time, what follows is the reader's business.
///
/// # Errors
/// What stands in the way.
pub(super) async fn watch(
    client: &kube::Client,
    path: &str,
    form: Form,
    span: Duration,
) -> Result<Stream, ApiError> {
    within(span, open(client, path, form.accept_watch())).await
}

/// Sends a JSON body and reads the answer.
///
/// # Errors
/// What stands in the way.
pub(super) async fn send(
    client: &kube::Client,
    method: Method,
    path: &str,
    body: &serde_json::Value,
    span: Duration,
) -> Result<Bytes, ApiError> {
    let content = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", "application/json")
        .header("content-type", content)
        .body(Body::from(body.to_string().into_bytes()))
        .map_err(|error| ApiError::Refused(error.to_string()))?;
    let response = within(span, answered(client, request)).await?;
    whole(response, span, MOST_SMALL).await
}

async fn within<T>(
    span: Duration,
    asking: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let too_late = || ApiError::Broken(format!("no answer within {span:?}"));
    tokio::time::timeout(span, asking).await.unwrap_or_else(|_| Err(too_late()))
}

/// Reads a body. What counts is that it goes on, not how long all of it takes: it may be large, and the
/// connection slow.
async fn whole(response: Response<Body>, span: Duration, most: usize) -> Result<Bytes, ApiError> {
    let mut body = response.into_body();
    let mut read = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(span, body.frame()).await.map_err(|_| {
            ApiError::Broken(format!(
                "an answer did not go on within {span:?}, after {} bytes",
                read.len()
            ))
        })?;
        let Some(frame) = frame else { return Ok(read.freeze()) };
        let frame = frame.map_err(|error| broken(&error))?;
        let data = frame.into_data().unwrap_or_default();
        if read.len() + data.len() > most {
            return Err(ApiError::TooLarge(format!("an answer has more than {most} bytes")));
        }
        read.extend_from_slice(&data);
    }
}

async fn open(client: &kube::Client, path: &str, accept: &str) -> Result<Response<Body>, ApiError> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header("accept", accept)
        .body(Body::empty())
        .map_err(|error| ApiError::Refused(error.to_string()))?;
    answered(client, request).await
}

/// Sends a request; an answer that says no is a fault.
async fn answered(
    client: &kube::Client,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let response = client.send(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| {
        let seconds = value.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
    });
    let mut body = response.into_body();
    let mut text = Vec::new();
    while text.len() < MOST_REFUSAL
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            text.extend_from_slice(&data);
        }
    }
    let answer: Status = serde_json::from_slice(&text).unwrap_or_else(|_| Status {
        // Some paths answer in plain text.
        message: Some(String::from_utf8_lossy(&text).trim().chars().take(200).collect()),
        ..Status::default()
    });
    Err(answer.error(Some(status), after))
}

/// A connection, a server or an answer that is broken.
pub(super) fn broken(error: &kube::Error) -> ApiError {
    ApiError::Broken(describe(error))
}
