//! A receiver that remembers each delivery by its id, and sometimes misbehaves.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use klaxon_model::clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::{TcpListener, TcpStream};

/// A receiver that ends with the test.
pub(crate) struct Receiver {
    port: u16,
    taken: Arc<Mutex<Taken>>,
}

/// The deliveries that were taken, and the behaviour of the receiver.
pub(crate) struct Taken {
    random: StdRng,
    /// Number of requests in a thousand that fail at random.
    troubles: u32,
    /// Special treatment by path; requests of other paths fail at random only.
    tempers: HashMap<String, Temper>,
    /// `true` while no request is taken, at any path.
    is_shut: bool,
    /// Receipts by id.
    pub(crate) receipts: HashMap<String, Receipt>,
    /// Requests that were taken, including repeated ones, by path.
    pub(crate) counts: HashMap<String, usize>,
    received: u64,
    /// Requests that were answered with an error, or not at all.
    pub(crate) failed: u64,
    /// Ids that came again with another body.
    pub(crate) differing: Vec<String>,
}

/// A delivery that was taken at least once.
pub(crate) struct Receipt {
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// Index of the first request that was taken, among all taken requests.
    pub(crate) first: u64,
    /// Time of that request, in milliseconds.
    pub(crate) at: i64,
}

/// Treatment of the requests of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// No request is ever taken: half of them are never answered, the others fail.
    Dead,
    /// One in this number of ids fails each time.
    Picky(u64),
}

/// Outcome of a request.
#[derive(Clone, Copy)]
enum Manner {
    Take,
    Fail(StatusCode),
    HangUp,
    /// Takes the request without an answer, so the sender does not learn that it was taken.
    TakeAndHangUp,
    /// Never answers.
    Ignore,
}

impl Receiver {
    /// Starts a receiver. Of a thousand requests, `troubles` fail, in ways that follow from the seed.
    pub(crate) async fn start(seed: u64, troubles: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Taken::nothing(seed, troubles)));
        let all = taken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, all.clone()));
            }
        });
        Self { port, taken }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Sets how requests of a path are treated.
    pub(crate) fn treat(&self, path: &str, temper: Temper) {
        self.taken().tempers.insert(path.to_owned(), temper);
    }

    /// Refuses all requests from now on, or takes them as usual again.
    pub(crate) fn shut(&self, is_shut: bool) {
        self.taken().is_shut = is_shut;
    }

    pub(crate) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap()
    }
}

impl Taken {
    /// The state before the first request.
    pub(crate) fn nothing(seed: u64, troubles: u32) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            troubles,
            tempers: HashMap::new(),
            is_shut: false,
            receipts: HashMap::new(),
            counts: HashMap::new(),
            received: 0,
            failed: 0,
            differing: Vec::new(),
        }
    }

    /// Returns the number of requests that repeated a delivery that was taken before.
    pub(crate) fn duplicates(&self) -> u64 {
        self.received - self.receipts.len() as u64
    }

    /// Returns the receipts of a path, in the order in which they came first.
    pub(crate) fn at(&self, path: &str) -> Vec<&Receipt> {
        let mut found: Vec<&Receipt> =
            self.receipts.values().filter(|receipt| receipt.path == path).collect();
        found.sort_by_key(|receipt| receipt.first);
        found
    }

    fn manner(&mut self, path: &str, id: &str) -> Manner {
        const ERROR: Manner = Manner::Fail(StatusCode::INTERNAL_SERVER_ERROR);
        if self.is_shut {
            return Manner::Fail(StatusCode::SERVICE_UNAVAILABLE);
        }
        match self.tempers.get(path).copied() {
            Some(Temper::Dead) if self.random.random() => return ERROR,
            Some(Temper::Dead) => return Manner::Ignore,
            Some(Temper::Picky(every)) if is_picked(id, every) => return ERROR,
            _ => {}
        }
        if self.random.random_range(0..1000) >= self.troubles {
            return Manner::Take;
        }
        match self.random.random_range(0..4) {
            0 => ERROR,
            1 => Manner::Fail(StatusCode::TOO_MANY_REQUESTS),
            2 => Manner::HangUp,
            _ => Manner::TakeAndHangUp,
        }
    }

    /// Decides the outcome of a request, and takes it accordingly.
    fn receive(&mut self, id: String, path: String, body: Bytes) -> Manner {
        let manner = self.manner(&path, &id);
        if !matches!(manner, Manner::Take) {
            self.failed += 1;
        }
        if matches!(manner, Manner::Take | Manner::TakeAndHangUp) {
            self.take(id, path, body);
        }
        manner
    }

    pub(crate) fn take(&mut self, id: String, path: String, body: Bytes) {
        self.received += 1;
        *self.counts.entry(path.clone()).or_default() += 1;
        let first = self.received;
        match self.receipts.get(&id) {
            Some(before) if before.body != body || before.path != path => self.differing.push(id),
            Some(_) => {}
            None => {
                self.receipts
                    .insert(id, Receipt { path, body, first, at: clock::now().as_millis() });
            }
        }
    }
}

/// Returns `true` for an id that always fails.
fn is_picked(id: &str, every: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish().is_multiple_of(every)
}

async fn serve(stream: TcpStream, taken: Arc<Mutex<Taken>>) {
    let service = service_fn(|request| answer(request, taken.clone()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Errors are expected: senders are killed, and connections are cut.
    connection.await.unwrap_or_default();
}

/// Answers a request. An error ends the connection without an answer.
async fn answer(
    request: Request<Incoming>,
    taken: Arc<Mutex<Taken>>,
) -> io::Result<Response<Empty<Bytes>>> {
    let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok());
    let id = id.expect("an id").to_owned();
    let path = request.uri().path().trim_start_matches('/').to_owned();
    // A request that a killed sender did not finish is not taken.
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let manner = taken.lock().unwrap().receive(id, path, body);
    match manner {
        Manner::Ignore => std::future::pending().await,
        Manner::Take => Ok(empty(StatusCode::NO_CONTENT)),
        Manner::Fail(status) => Ok(empty(status)),
        Manner::HangUp | Manner::TakeAndHangUp => Err(io::Error::other("hung up")),
    }
}

fn empty(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::<Bytes>::new());
    *response.status_mut() = status;
    response
}
