//! Connections, and the dispatch of requests to the parts of the server.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{Answer, Cut, Refusal, Reply, json, not_found_page, text};
use super::asked::{Asked, Verb};
use super::fault::Fault;
use super::{Call, Door, Shared, kinds, pages, watch, write};

/// The connection of a request, as the request sees it.
#[derive(Clone)]
pub(super) struct Connection {
    reset: Arc<AtomicBool>,
    /// The number of restarts of the server when the connection was made.
    pub(super) epoch: u64,
}

impl Connection {
    /// Ends the connection with a TCP reset instead of an orderly shutdown.
    pub(super) fn reset_when_closed(&self) {
        self.reset.store(true, Ordering::SeqCst);
    }
}

/// Accepts connections until the server is stopped.
pub(super) async fn serve(shared: Arc<Shared>) {
    let mut door = shared.door.subscribe();
    let mut listener: Option<TcpListener> = None;
    loop {
        let state = *door.borrow_and_update();
        match (state, &listener) {
            (Door::Stopped, _) => return,
            (Door::Shut, _) => {
                listener = None;
                if door.changed().await.is_err() {
                    return;
                }
            }
            (Door::Open, None) => {
                listener =
                    shared.take_listener().map(|bound| TcpListener::from_std(bound).unwrap());
            }
            (Door::Open, Some(open)) => tokio::select! {
                changed = door.changed() => if changed.is_err() { return },
                accepted = open.accept() => if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(shared.clone(), stream));
                },
            },
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    // Without TCP_NODELAY, small lines wait for each other. The call cannot fail on an open socket.
    _ = stream.set_nodelay(true);
    let mut epochs = shared.epoch.subscribe();
    let epoch = *epochs.borrow_and_update();
    if *shared.door.borrow() != Door::Open {
        return;
    }
    let connection = Connection { reset: Arc::default(), epoch };
    let socket = Socket { stream, reset: connection.reset.clone() };
    let service = service_fn(|request| answer(shared.clone(), connection.clone(), request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        // The client judges how a connection ended.
        _ = served => {}
        _ = epochs.changed() => {}
    }
}

async fn answer(
    shared: Arc<Shared>,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Reply, Cut> {
    let (parts, body) = request.into_parts();
    let asked = Asked::new(&parts);
    let fault = shared.note(&asked);
    if fault == Some(Fault::RefuseConnection) {
        connection.reset_when_closed();
        return Err(Cut);
    }
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let call = Call { shared, asked, fault, connection };
    Ok(route(call, body).await.unwrap_or_else(|refusal| refusal.reply()))
}

async fn route(call: Call, body: Bytes) -> Answer {
    match call.fault {
        Some(Fault::Status(code)) => return Err(Refusal::usual(code)),
        Some(Fault::TooManyRequests { retry_after_seconds }) => {
            return Err(Refusal::usual(429).retry_after(retry_after_seconds));
        }
        Some(Fault::Unauthorized) => return Err(Refusal::unauthorized()),
        Some(Fault::Gone) => return Err(Refusal::usual(410)),
        Some(Fault::Delay { millis }) => tokio::time::sleep(Duration::from_millis(millis)).await,
        _ => {}
    }
    if !call.shared.access().knows(&call.asked.token) {
        return Err(Refusal::unauthorized());
    }
    call.shared.access().check(&call.asked)?;
    if call.shared.hides(&call.asked) {
        return Ok(not_found_page());
    }
    let Some(resource) = &call.asked.resource else { return Ok(discover(&call)) };
    if call.asked.verb == Verb::Review {
        return call.shared.access().review(&body);
    }
    let found = call.shared.store().served(&resource.group, &resource.version, &resource.plural);
    let Some(served) = found else { return Ok(not_found_page()) };
    let (namespaced, named) = (resource.namespace.is_some(), resource.name.is_some());
    let needs = named || call.asked.verb == Verb::Create;
    if (namespaced && !served.kind.namespaced) || (!namespaced && served.kind.namespaced && needs) {
        return Ok(not_found_page());
    }
    match call.asked.verb {
        Verb::List => pages::list(&call, &served).await,
        Verb::Watch => watch::watch(call, served).await,
        Verb::Get => write::single(&call, &served, &body),
        Verb::Update | Verb::Patch | Verb::Delete if !named => Err(Refusal::usual(405)),
        _ => {
            let answer = write::single(&call, &served, &body);
            call.shared.changed.send_replace(());
            answer
        }
    }
}

fn discover(call: &Call) -> Reply {
    if matches!(call.asked.path.as_str(), "/healthz" | "/livez" | "/readyz") {
        return text("ok");
    }
    match kinds::discovery(&call.asked.path, call.shared.store().kinds()) {
        Some(found) => json(200, found.to_string()),
        None => not_found_page(),
    }
}

/// A socket that can end with a reset.
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::SeqCst) {
            // Fails only if the client has left already.
            _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A shutdown would end the stream in an orderly way, before the reset.
        match self.reset.load(Ordering::SeqCst) {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.stream).poll_shutdown(context),
        }
    }
}
