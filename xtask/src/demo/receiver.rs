//! A local receiver that checks each signature with an independent implementation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use standardwebhooks::Webhook;
use tiny_http::{Request, Response, Server};

/// Contents of one request.
pub(crate) struct Received {
    /// The code; a release has none, so it is `released`.
    pub(crate) code: String,
    /// The app.
    pub(crate) app: String,
    /// The body as received.
    pub(crate) body: String,
    /// Reason why the signature is invalid; `None` if it is valid.
    pub(crate) error: Option<String>,
}

/// A receiver on its own thread.
pub(crate) struct Receiver {
    server: Arc<Server>,
    address: SocketAddr,
    thread: JoinHandle<Vec<Received>>,
}

impl Receiver {
    /// Starts a receiver on a free port.
    pub(crate) fn start(secret: &str) -> Result<Self> {
        let server = Server::http("127.0.0.1:0").map_err(|error| anyhow!("receiver: {error}"))?;
        let address = server.server_addr().to_ip().context("the receiver has no address")?;
        let webhook = Webhook::new(secret).map_err(|error| anyhow!("secret: {error}"))?;
        let server = Arc::new(server);
        let requests = server.clone();
        let thread = std::thread::spawn(move || {
            requests.incoming_requests().map(|request| receive(&webhook, request)).collect()
        });
        Ok(Self { server, address, thread })
    }

    /// Returns the receiver's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Stops the receiver and returns all requests, in order.
    pub(crate) fn stop(self) -> Vec<Received> {
        self.server.unblock();
        self.thread.join().unwrap_or_default()
    }
}

fn receive(webhook: &Webhook, mut request: Request) -> Received {
    let mut body = String::new();
    let read = request.as_reader().read_to_string(&mut body);
    let mut headers = http::HeaderMap::new();
    for header in request.headers() {
        let name = http::HeaderName::try_from(header.field.as_str().as_str());
        let value = http::HeaderValue::try_from(header.value.as_str());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    let verified = webhook.verify(body.as_bytes(), &headers);
    let error = match (read, verified) {
        (Err(error), _) => Some(error.to_string()),
        (Ok(_), Err(error)) => Some(error.to_string()),
        (Ok(_), Ok(())) => None,
    };
    // If the sender does not wait for the response, the receiver is not affected.
    drop(request.respond(Response::empty(200)));
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |value: &Value, otherwise: &str| value.as_str().unwrap_or(otherwise).to_owned();
    Received {
        code: text(&json["code"], &text(&json["action"], "?")),
        app: text(&json["app"]["name"], "?"),
        body,
        error,
    }
}
