//! What an operator's tools ask the running service: is it alive, is it ready, what has it counted.

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

/// Told to stop, answers that are under way get so long; a client that never ends its request gets
/// no more.
const DRAIN: Duration = Duration::from_secs(1);
/// The longest life of a connection; a client that asks more often connects again.
const LIFETIME: Duration = Duration::from_secs(60);
/// The pause after a connection could not be taken, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What the service says about itself. It is asked often, so answers come without waiting.
pub trait Health: Send + Sync {
    /// Empty when alive; else each thread that makes no progress, what it does and for how long. Whoever asks
    /// ends the process then, so what a new one would have to wait for too is none of it.
    fn not_alive(&self) -> Vec<String>;

    /// Returns the phase before or after its work, such as `starting: checking the journal`.
    fn phase(&self) -> Option<&'static str>;

    /// Empty when ready; else each reason, such as `watch pods: no progress for 5m2s`.
    fn not_ready(&self) -> Vec<String>;
    /// Returns warnings for an operator, which do not make the service unready.
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
        "the admin server cannot listen at {listen}: {source}; hint: choose another address with \
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
    bounds: Bounds,
}

/// Bounds on the clients of the server.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The time limit of a request's head, and of a connection's wait for its next request.
    head: Duration,
    /// Most connections at once; others wait to be taken.
    connections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { head: Duration::from_secs(2), connections: 256 }
    }
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
        Ok(Admin { listener, address, bounds: Bounds::default() })
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
        // Those that have not ended by then are dropped with their set.
        drop(tokio::time::timeout(DRAIN, ended).await);
    }

    /// Takes a connection once there are not too many.
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
        // A client that breaks off, or is too slow, is none of our business.
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
