//! Sends requests to the API server and returns raw JSON. Errors are grouped by the reaction that they require.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;

use super::error::describe;

/// The maximum size of a small answer, in bytes: one object, or the resources that an API group serves.
pub(super) const MOST_SMALL: usize = 8 << 20;
/// The maximum number of bytes that are read of the body of an error response.
const MOST_REFUSAL: usize = 64 << 10;
/// The upper bound on a `Retry-After` header that is respected.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The error of a request to the API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The requested version or page is too old: the changes since then must be found by comparing lists.
    #[error("{0}")]
    Expired(String),
    /// The API server received too many requests: retry later.
    #[error("the API server asks to wait: {why}")]
    Throttled {
        /// The shortest wait before the next request. `None` if the server names none.
        after: Option<Duration>,
        /// The server's message.
        why: String,
    },
    /// The API server does not accept the credentials.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// The account lacks the permission for this request.
    #[error("{0}")]
    Forbidden(String),
    /// The path does not exist: the kind is not served.
    #[error("the API server does not serve this kind: {0}")]
    NotServed(String),
    /// The API server rejects the request as invalid.
    #[error("the API server refuses the request: {0}")]
    Refused(String),
    /// The answer is larger than the limit on its size.
    #[error("{0}")]
    TooLarge(String),
    /// The connection, the server or its answer is broken.
    #[error("{0}")]
    Broken(String),
}

impl ApiError {
    /// Returns the name of the error in metrics.
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

/// The body of an error response (`meta/v1` Status).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) message: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) code: Option<u16>,
}

impl Status {
    /// Converts the Status to an error. A Status within a stream has no HTTP status and carries its code itself.
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

/// The form in which objects are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Complete objects.
    Full,
    /// Only the objects' metadata.
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

/// An open watch, or any other response body that is read incrementally.
pub(super) type Stream = Response<Body>;

/// Requests a list or an object and reads the whole answer, of at most `most` bytes. The response headers must
/// arrive within `span`, and so must each next part of the body.
///
/// # Errors
/// Returns an [`ApiError`] if the request fails, times out, or the answer is too large.
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

/// Opens a watch. The response headers must arrive within `span`; the reader of the stream sets its own time
/// limits.
///
/// # Errors
/// Returns an [`ApiError`] if the request fails or times out.
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
/// Returns an [`ApiError`] if the request fails or times out.
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

/// Reads a body. `span` limits the time between two parts, not the total time: the body may be large and the
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

/// Sends a request and converts a response with an error status to an [`ApiError`].
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
        // Some paths answer with plain text instead of a Status.
        message: Some(String::from_utf8_lossy(&text).trim().chars().take(200).collect()),
        ..Status::default()
    });
    Err(answer.error(Some(status), after))
}

/// Returns the error for a broken connection, server or answer.
pub(super) fn broken(error: &kube::Error) -> ApiError {
    ApiError::Broken(describe(error))
}
