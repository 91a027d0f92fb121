//! A typical exporter of Kubernetes Events, for comparison: it keeps no state, so at each start it lists them all,
//! and sends those that are not too old.

use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Event;
use klaxon_model::clock;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Settings of an exporter.
#[derive(Clone)]
pub(crate) struct Relister {
    pub(crate) client: Client,
    /// The receiver's port, and the path at which its requests are counted.
    pub(crate) port: u16,
    pub(crate) path: &'static str,
    /// Maximum age; older Kubernetes Events are skipped.
    pub(crate) max_age: Duration,
}

impl Relister {
    /// Starts the exporter; aborting the task kills it.
    pub(crate) fn start(&self) -> JoinHandle<()> {
        let relister = self.clone();
        tokio::spawn(async move {
            loop {
                // After any error, the exporter starts over.
                relister.list_and_watch().await.unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }

    async fn list_and_watch(&self) -> Result<(), kube::Error> {
        let events: Api<Event> = Api::all(self.client.clone());
        let list = events.list(&ListParams::default()).await?;
        for event in &list {
            self.handle(event).await;
        }
        let version = list.metadata.resource_version.unwrap_or_default();
        let mut watch = events.watch(&WatchParams::default(), &version).await?.boxed();
        while let Some(change) = watch.next().await {
            match change? {
                WatchEvent::Added(event) | WatchEvent::Modified(event) => self.handle(&event).await,
                WatchEvent::Error(_) => return Ok(()),
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
            }
        }
        Ok(())
    }

    async fn handle(&self, event: &Event) {
        let Some(seen) = &event.last_timestamp else { return };
        let age = clock::now().as_millis() - seen.0.as_millisecond();
        if age > i64::try_from(self.max_age.as_millis()).unwrap() {
            return;
        }
        let uid = event.metadata.uid.as_deref().unwrap_or_default();
        // The exporter retries a delivery as long as it runs.
        while self.post(uid).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn post(&self, uid: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = format!(
            "POST /{} HTTP/1.1\r\nhost: localhost\r\nwebhook-id: {}/{uid}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{uid}",
            self.path,
            self.path,
            uid.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let is_taken = answer.starts_with("HTTP/1.1 204");
        if is_taken { Ok(()) } else { Err(std::io::ErrorKind::ConnectionReset.into()) }
    }
}
