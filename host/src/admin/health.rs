//! Whether the service is alive, and whether it is ready.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Health;

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(
    State(state): State<Arc<dyn Health>>,
    RawQuery(query): RawQuery,
) -> Response {
    let reasons = state.not_ready();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query
        .unwrap_or_default()
        .split('&')
        .any(|part| part == "verbose" || part.starts_with("verbose="));
    let (kind, text) = if is_verbose {
        let body = json!({"ready": reasons.is_empty(), "reasons": reasons});
        ("application/json", format!("{body}\n"))
    } else if reasons.is_empty() {
        ("text/plain; charset=utf-8", "ready\n".to_owned())
    } else {
        let lines = reasons.iter().map(|reason| format!("{reason}\n"));
        ("text/plain; charset=utf-8", lines.collect())
    };
    (status, [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], text).into_response()
}
