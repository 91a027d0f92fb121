//! The admin server: liveness, readiness and metrics of the running service over HTTP.

mod health;
mod metrics;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The time that answers under way get at shutdown. A client that never finishes its request gets no more
/// either.
const DRAIN: Duration = Duration::from_secs(1);
/// The longest life of a connection. A client that sends requests for longer has to connect again.
const LIFETIME: Duration = Duration::from_secs(60);
/// The pause after a connection could not be accepted, for example because file descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

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
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    bounds: Bounds,
}

/// Bounds on the clients of the server.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The time limit for a request's head, and for a connection that waits for its next request.
    head: Duration,
    /// The most connections at once. Further connections are not accepted until one ends.
    connections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { head: Duration::from_secs(2), connections: 256 }
    }
}

/// Listens at an address such as `127.0.0.1:9090`. Port 0 takes any free port.
///
/// # Errors
/// Fails if the server cannot listen at the address.
pub async fn bind(listen: impl fmt::Display) -> Result<Admin, AdminError> {
    let listen = listen.to_string();
    let bound = async {
        let listener = TcpListener::bind(&listen).await?;
        let address = listener.local_addr()?;
        Ok(Admin { listener, address, bounds: Bounds::default() })
    };
    bound.await.map_err(|source| AdminError::Bind { listen, source })
}

impl Admin {
    /// Returns the address at which the server listens, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, and up to one second longer for answers under way.
    pub async fn serve(
        self,
        state: Arc<dyn Health>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        let router = router(state);
        let free = Arc::new(Semaphore::new(self.bounds.connections));
        let stopping = CancellationToken::new();
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let taken = tokio::select! {
                taken = self.take(&free) => taken,
                () = &mut shutdown => break,
            };
            match taken {
                Ok((stream, permit)) => {
                    let answering =
                        answer(stream, self.bounds.head, router.clone(), stopping.clone());
                    connections.spawn(async move {
                        answering.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin server cannot take a connection, retrying");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        stopping.cancel();
        let ended = async { while connections.join_next().await.is_some() {} };
        // Connections that have not ended by then are dropped with the `JoinSet`.
        drop(tokio::time::timeout(DRAIN, ended).await);
    }

    /// Accepts a connection once fewer than the most are open.
    async fn take(&self, free: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let permit = free.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = self.listener.accept().await?;
        Ok((stream, permit))
    }
}

/// Answers the requests of one connection, within bounds of time.
async fn answer(stream: TcpStream, head: Duration, router: Router, stopping: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Errors are ignored: they come from a client that disconnected or was too slow.
        _ = connection.as_mut() => return,
        () = stopping.cancelled() => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(DRAIN, connection).await);
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
