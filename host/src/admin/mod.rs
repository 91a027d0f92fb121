//! What an operator's tools ask the running service: is it alive, is it ready, what has it counted.

mod health;
mod metrics;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Told to stop, answers that are under way get so long; a client that never ends its request gets
/// no more.
const DRAIN: Duration = Duration::from_secs(1);

/// What the service says about itself. It is asked often, so answers come without waiting.
pub trait Health: Send + Sync {
    /// Empty when ready; else each reason, such as `watch pods: no progress for 5m2s`.
    fn not_ready(&self) -> Vec<String>;
    /// What an operator should know though the service is ready.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Prometheus/OpenMetrics text.
    fn metrics(&self) -> String;
}

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Its address cannot be listened at.
    #[error(
        "the admin server cannot listen at {listen}: {source}; mend: choose another address with \
         `admin: {{listen: \"ADDRESS:PORT\"}}`"
    )]
    Bind {
        /// The address.
        listen: String,
        /// Why.
        source: io::Error,
    },
}

/// The admin server, listening but not yet answering.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens at an address such as `127.0.0.1:9090`; port 0 takes any that is free.
///
/// # Errors
/// Where that is not possible.
pub async fn bind(listen: impl fmt::Display) -> Result<Admin, AdminError> {
    let listen = listen.to_string();
    let bound = async {
        let listener = TcpListener::bind(&listen).await?;
        let address = listener.local_addr()?;
        Ok(Admin { listener, address })
    };
    bound.await.map_err(|source| AdminError::Bind { listen, source })
}

impl Admin {
    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is over, and a second longer where an answer is under way.
    pub async fn serve(
        self,
        state: Arc<dyn Health>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        // Nothing is ever sent: that the sender is gone is the signal.
        let (stopping, mut stopped) = mpsc::channel::<()>(1);
        let signal = async move {
            shutdown.await;
            drop(stopping);
        };
        let serving = axum::serve(self.listener, router(state)).with_graceful_shutdown(signal);
        let drained = async {
            stopped.recv().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            outcome = serving.into_future() => {
                if let Err(fault) = outcome {
                    tracing::error!(%fault, "the admin server ended");
                }
            }
            () = drained => {}
        }
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
