//! A small HTTP/1.1 server with bounds on its clients: on connections, on the time for the head of a request, and on the
//! life of a connection. The admin server and gates are served by it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
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

/// Bounds on the clients of a server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The time limit for a request's head, and for a connection that waits for its next request.
    pub head: Duration,
    /// The most connections at once. Further connections are not accepted until one ends.
    pub connections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { head: Duration::from_secs(2), connections: 256 }
    }
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    /// Bounds on its clients.
    pub bounds: Bounds,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens at an address such as `127.0.0.1:9090`, or at a port of all addresses such as `:9090`: of IPv6 and
    /// IPv4, or of IPv4 alone on a node without IPv6. Port 0 takes any free port.
    ///
    /// # Errors
    /// If the server cannot listen at the address.
    pub async fn bind(listen: impl fmt::Display) -> io::Result<Self> {
        let listen = listen.to_string();
        let listener = match listen.strip_prefix(':') {
            None => TcpListener::bind(listen).await?,
            Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind(format!("0.0.0.0:{port}")).await?
                }
                bound => bound?,
            },
        };
        let address = listener.local_addr()?;
        Ok(Self { bounds: Bounds::default(), listener, address })
    }

    /// Returns the address at which the server listens, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, and up to one second longer for answers under way. `name` is the server's
    /// name in log lines.
    pub async fn serve<S, B>(
        self,
        name: &str,
        service: S,
        shutdown: impl Future<Output = ()> + Send,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
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
                        answer(stream, self.bounds.head, service.clone(), stopping.clone());
                    connections.spawn(async move {
                        answering.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "{name} cannot accept a connection, retrying");
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
async fn answer<S, B>(stream: TcpStream, head: Duration, service: S, stopping: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
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
