//! The HTTP interface of a gate: `/up`, `/down` and `/health`.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use klaxon_http_server::Server;
use tracing::{info, warn};

use super::{GateError, GateFile};

const UP: &str = "app is up";
const DOWN: &str = "app is down";

/// The status of `/down` if the gate was closed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DownStatus {
    /// 200, as if the gate had been open.
    #[default]
    Ok,
    /// 503.
    Unavailable,
}

impl DownStatus {
    /// Returns the status that appup's README describes, or else the one that appup answers with.
    pub fn new(as_in_readme: bool) -> Self {
        if as_in_readme { Self::Unavailable } else { Self::Ok }
    }
}

/// Serves a gate until `shutdown` completes.
pub async fn serve(
    server: Server,
    gate: GateFile,
    down: DownStatus,
    shutdown: impl Future<Output = ()> + Send,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        // The file is on a volume of the pod. Should it hang, then so does the answer, and the probe fails as it should.
        let response = answer(&gate, down, request.method(), &request.uri().to_string());
        async move { Ok::<_, Infallible>(response) }
    });
    server.serve("the gate", service, shutdown).await;
}

fn answer(
    gate: &GateFile,
    down: DownStatus,
    method: &Method,
    target: &str,
) -> Response<Full<Bytes>> {
    if method != Method::GET {
        return text(StatusCode::NOT_IMPLEMENTED, "only GET is answered here");
    }
    let answered = match target {
        "/up" => gate.open().map(|changed| {
            if changed {
                info!(file = %gate.path().display(), "gate opened");
            }
            (StatusCode::OK, UP)
        }),
        "/down" => gate.close().map(|changed| {
            if changed {
                info!(file = %gate.path().display(), "gate closed");
            }
            match down {
                DownStatus::Unavailable if !changed => (StatusCode::SERVICE_UNAVAILABLE, DOWN),
                _ => (StatusCode::OK, DOWN),
            }
        }),
        "/health" => gate.is_open().map(|is_open| match is_open {
            true => (StatusCode::OK, UP),
            false => (StatusCode::SERVICE_UNAVAILABLE, DOWN),
        }),
        _ => Ok((StatusCode::NOT_FOUND, "there are /up, /down and /health")),
    };
    answered.map_or_else(failed, |(status, body)| text(status, body))
}

fn failed(error: GateError) -> Response<Full<Bytes>> {
    warn!("{error}");
    text(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// Returns a response without a line break at the end, like appup.
fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
