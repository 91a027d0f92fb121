//! The admin server: liveness, readiness and metrics of the running service over HTTP.

mod health;
mod metrics;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper_util::service::TowerToHyperService;
use klaxon_http_server::Server;

/// The state that the service reports. The admin server asks often, so implementations must not block.
pub trait Health: Send + Sync {
    /// Returns each thread that makes no progress, with its activity and for how long; empty while the service
    /// is alive. A liveness probe restarts the process then, so a wait that a new process would face too is not
    /// reported here.
    fn not_alive(&self) -> Vec<String>;

    /// Returns the phase before or after normal operation, such as `starting: checking the journal`.
    fn phase(&self) -> Option<&'static str>;

    /// Returns each reason for not being ready, such as `watch pods: no progress for 5m2s`; empty when ready.
    fn not_ready(&self) -> Vec<String>;
    /// Returns warnings for an operator, which do not make the service unready.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the metrics as OpenMetrics text.
    fn metrics(&self) -> String;
}

/// An error of starting the admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The server cannot listen at its address.
    #[error(
        "the admin server cannot listen at {listen}: {source}; hint: choose another address with \
         `admin: {{listen: \"ADDRESS:PORT\"}}`"
    )]
    Bind {
        /// The address.
        listen: String,
        /// The cause.
        source: io::Error,
    },
}

/// The admin server, listening but not yet answering.
#[derive(Debug)]
pub struct Admin(Server);

/// Listens at an address such as `127.0.0.1:9090`. Port 0 takes any free port.
///
/// # Errors
/// Fails if the server cannot listen at the address.
pub async fn bind(listen: impl fmt::Display) -> Result<Admin, AdminError> {
    let server = Server::bind(&listen).await;
    server.map(Admin).map_err(|source| AdminError::Bind { listen: listen.to_string(), source })
}

impl Admin {
    /// Returns the address at which the server listens, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves until `shutdown` completes, and up to one second longer for answers under way.
    pub async fn serve(
        self,
        state: Arc<dyn Health>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        let service = TowerToHyperService::new(router(state));
        self.0.serve("the admin server", service, shutdown).await;
    }
}

fn router(state: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(only_reading)
        .with_state(state)
}

async fn nothing(uri: Uri) -> Response {
    let text = format!(
        "nothing is at {}; there are /healthz, /readyz (with ?verbose as JSON) and /metrics\n",
        uri.path()
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn only_reading() -> Response {
    let text = "only GET and HEAD are answered here\n";
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}

#[cfg(test)]
mod tests;
