//! The admin server, over a real socket.

use std::sync::Mutex;

use reqwest::{Client, Method, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Health for Fake {
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
    let admin = bind("127.0.0.1:0").await.unwrap();
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
            "the admin server cannot listen at {}: Address already in use (os error 98); mend: \
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
    let limit = DRAIN + Duration::from_secs(4);
    tokio::time::timeout(limit, running.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
