//! The metrics endpoint, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::Health;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(state): State<Arc<dyn Health>>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], state.metrics()).into_response()
}
