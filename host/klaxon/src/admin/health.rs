//! The liveness and readiness endpoints, `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Health;

pub(super) async fn alive(State(state): State<Arc<dyn Health>>) -> Response {
    let stalls = state.not_alive();
    let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    if !stalls.is_empty() {
        let lines: String = stalls.iter().map(|stall| format!("{stall}\n")).collect();
        return (StatusCode::SERVICE_UNAVAILABLE, kind, lines).into_response();
    }
    let text = match state.phase() {
        Some(phase) => format!("ok ({phase})\n"),
        None => "ok\n".to_owned(),
    };
    (kind, text).into_response()
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
    let warnings = state.warnings();
    let (kind, text) = if is_verbose {
        let is_ready = reasons.is_empty();
        let body = json!({"ready": is_ready, "reasons": reasons, "warnings": warnings});
        ("application/json", format!("{body}\n"))
    } else {
        let first = reasons.is_empty().then(|| "ready".to_owned());
        let lines = first.into_iter().chain(reasons).chain(warnings);
        let lines = lines.map(|line| format!("{line}\n"));
        ("text/plain; charset=utf-8", lines.collect())
    };
    (status, [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], text).into_response()
}
