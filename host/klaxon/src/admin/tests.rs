//! The admin server, over a real socket.

use std::sync::Mutex;
use std::time::Duration;

use klaxon_http_server::Bounds;
use reqwest::{Client, Method, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Health for Fake {
    fn not_alive(&self) -> Vec<String> {
        let reasons = self.not_ready().into_iter();
        reasons.filter(|reason| reason.starts_with("journal: no progress")).collect()
    }

    fn phase(&self) -> Option<&'static str> {
        let is_starting = self.not_ready().iter().any(|reason| reason.starts_with("starting"));
        is_starting.then_some("starting: checking the journal")
    }

    fn not_ready(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }
}

struct Running {
    fake: Arc<Fake>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Running {
    start_with(Bounds::default()).await
}

async fn start_with(bounds: Bounds) -> Running {
    let mut admin = bind("127.0.0.1:0").await.unwrap();
    admin.0.bounds = bounds;
    let address = admin.address();
    let fake = Arc::new(Fake::default());
    let (stop, stopped) = oneshot::channel();
    let serving = admin.serve(fake.clone(), async { drop(stopped.await) });
    Running { fake, address, stop, task: tokio::spawn(serving) }
}

impl Running {
    async fn ask(&self, method: Method, path: &str) -> Response {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().build().unwrap();
        client.request(method, format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        let response = self.ask(Method::GET, path).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), kind, response.text().await.unwrap())
    }
}

fn answer(status: u16, kind: &str, text: &str) -> (u16, String, String) {
    (status, kind.to_owned(), text.to_owned())
}

const PLAIN: &str = "text/plain; charset=utf-8";

#[tokio::test]
async fn a_service_that_is_well_is_alive_and_ready() {
    let running = start().await;
    assert_eq!(running.get("/healthz").await, answer(200, PLAIN, "ok\n"));
    assert_eq!(running.get("/readyz").await, answer(200, PLAIN, "ready\n"));
    assert_eq!(
        running.get("/readyz?verbose").await,
        answer(200, "application/json", "{\"ready\":true,\"reasons\":[],\"warnings\":[]}\n")
    );
}

#[tokio::test]
async fn a_service_that_is_not_ready_says_each_reason_and_is_alive_all_the_same() {
    let running = start().await;
    let reasons = ["watch pods: no progress for 5m2s", "watch events: listing"];
    *running.fake.0.lock().unwrap() = reasons.map(str::to_owned).to_vec();
    assert_eq!(running.get("/healthz").await.0, 200);
    assert_eq!(
        running.get("/readyz").await,
        answer(503, PLAIN, "watch pods: no progress for 5m2s\nwatch events: listing\n")
    );
    assert_eq!(
        running.get("/readyz?x=1&verbose=true").await,
        answer(
            503,
            "application/json",
            "{\"ready\":false,\"reasons\":[\"watch pods: no progress for 5m2s\",\"watch events: \
             listing\"],\"warnings\":[]}\n"
        )
    );
}

#[tokio::test]
async fn a_thread_that_makes_no_progress_fails_the_liveness_probe_with_what_it_does() {
    let running = start().await;
    let stall = "journal: no progress: writing for 75 s";
    *running.fake.0.lock().unwrap() = vec!["watch pods: listing".to_owned(), stall.to_owned()];
    assert_eq!(running.get("/healthz").await, answer(503, PLAIN, &format!("{stall}\n")));
    assert_eq!(running.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn a_service_that_starts_is_alive_and_says_what_it_does() {
    let running = start().await;
    *running.fake.0.lock().unwrap() = vec!["starting: checking the journal".to_owned()];
    let alive = "ok (starting: checking the journal)\n";
    assert_eq!(running.get("/healthz").await, answer(200, PLAIN, alive));
    assert_eq!(running.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn half_a_request_ends_after_a_while() {
    let head = Duration::from_millis(50);
    let running = start_with(Bounds { head, ..Bounds::default() }).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_wait_and_are_answered_then() {
    let bounds = Bounds { head: Duration::from_secs(3600), connections: 3 };
    let running = start_with(bounds).await;
    let mut idle = Vec::new();
    for _ in 0..bounds.connections {
        let mut one = TcpStream::connect(running.address).await.unwrap();
        one.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        one.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        idle.push(one);
    }
    let mut more = TcpStream::connect(running.address).await.unwrap();
    more.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    let early = tokio::time::timeout(Duration::from_millis(200), more.read_exact(&mut first)).await;
    assert!(early.is_err(), "it was taken beyond the bound");
    drop(idle);
    more.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let running = start().await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(running.get("/metrics").await, answer(200, kind, "# EOF\n"));
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let running = start().await;
    assert_eq!(
        running.get("/health").await,
        answer(
            404,
            PLAIN,
            "nothing is at /health; there are /healthz, /readyz (with ?verbose as JSON) and \
             /metrics\n"
        )
    );
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let running = start().await;
    let head = running.ask(Method::HEAD, "/readyz").await;
    assert_eq!(head.status().as_u16(), 200);
    assert_eq!(head.headers()["content-length"], "6");
    assert_eq!(head.text().await.unwrap(), "");
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        let refused = running.ask(method, "/readyz").await;
        assert_eq!(refused.status().as_u16(), 405);
        assert_eq!(refused.headers()["allow"], "GET,HEAD");
        assert_eq!(refused.text().await.unwrap(), "only GET and HEAD are answered here\n");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let running = start().await;
    let fault = bind(running.address).await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        format!(
            "the admin server cannot listen at {}: Address already in use (os error 98); hint: \
             choose another address with `admin: {{listen: \"ADDRESS:PORT\"}}`",
            running.address
        )
    );
}

#[tokio::test]
async fn told_to_stop_it_does_not_wait_for_a_slow_client() {
    let running = start().await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    assert_eq!(running.get("/healthz").await.0, 200);
    running.stop.send(()).unwrap();
    // The client is silent for ever: the end of the task shows that the server does not wait for the client.
    let hang = Duration::from_secs(180);
    tokio::time::timeout(hang, running.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
