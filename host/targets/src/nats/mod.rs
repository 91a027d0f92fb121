//! Verdicts in a stream of NATS JetStream. A verdict is published with the id of its delivery, and counts as
//! delivered when the stream acknowledges it. A repeat within the stream's duplicate window is acknowledged
//! too, and stored once.

mod answer;
mod connection;

use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::PublishMessage;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Attempt, Delivery, Trouble};
use connection::{Connection, Connector};
use klaxon_config as config;
use klaxon_model::Verdict;

/// The longest subject. A server closes the connection, with all publishes under way on it, if a subject makes
/// the command longer than 4096 bytes.
const LONGEST_SUBJECT: usize = 2048;

/// A stream, ready to be published to.
pub(super) struct Nats {
    connector: Connector,
    timeout: Duration,
    current: Mutex<Option<Arc<Connection>>>,
}

/// Renders a verdict as a message.
pub(super) fn body(verdict: &Verdict) -> Result<Vec<u8>, serde_json::Error> {
    Ok(verdict.to_line()?.into_bytes())
}

impl Nats {
    /// Makes a target without connecting yet.
    pub(super) fn new(settings: &config::Nats) -> Result<Self, String> {
        Ok(Self {
            connector: Connector::new(settings)?,
            timeout: settings.timeout,

            current: Mutex::new(None),
        })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Attempt {
        let Some(subject) = &delivery.address else {
            return Attempt::Refused { why: "the delivery has no subject".to_owned() };
        };
        if subject.len() > LONGEST_SUBJECT {
            let why = format!("the subject has {} bytes, not {LONGEST_SUBJECT}", subject.len());
            return Attempt::Refused { why };
        }
        let by = Instant::now() + self.timeout;
        let connection = match timeout_at(by, self.connection()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(why)) => return Attempt::Retry(Trouble::of_receiver(why)),
            Err(_) => {
                let said = self.said().await;
                let why =
                    format!("no connection to {} in {:?}{said}", self.servers(), self.timeout);
                return Attempt::Retry(Trouble::of_receiver(why));
            }
        };
        match timeout_at(by, connection.publish(subject.clone(), message(delivery))).await {
            Ok(Ok(())) => Attempt::Delivered,
            Ok(Err(error)) => answer::judge(&error, subject, self.servers()),
            Err(_) => {
                // The server or the network may hang: the next attempt connects anew.
                self.forget(&connection).await;
                let said = connection.said();
                let why = format!(
                    "{} did not acknowledge {subject} within {:?}{said}",
                    self.servers(),
                    self.timeout
                );
                Attempt::Retry(Trouble::of_receiver(why))
            }
        }
    }

    fn servers(&self) -> &str {
        self.connector.servers()
    }

    /// Returns the present connection, or a new one. A lost connection reconnects for some seconds; after it
    /// has given up, connecting anew reports the cause.
    async fn connection(&self) -> Result<Arc<Connection>, String> {
        let current = self.current.lock().await.clone();
        if let Some(connection) = current {
            if connection.is_there().await {
                return Ok(connection);
            }
            self.forget(&connection).await;
        }
        let mut current = self.current.lock().await;
        if let Some(connection) = &*current {
            // Another task has connected meanwhile.
            return Ok(connection.clone());
        }
        let connection = Arc::new(self.connector.connect().await?);
        *current = Some(connection.clone());
        Ok(connection)
    }

    async fn forget(&self, connection: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        current.take_if(|current| Arc::ptr_eq(current, connection));
    }

    /// Returns the last error of the present connection. Empty while another task holds the lock to connect:
    /// there is no error yet.
    async fn said(&self) -> String {
        self.current
            .try_lock()
            .ok()
            .and_then(|current| Some(current.as_ref()?.said()))
            .unwrap_or_default()
    }
}

fn message(delivery: &Delivery) -> PublishMessage {
    let message = PublishMessage::build()
        .payload(delivery.body.clone().into())
        .header(NATS_MESSAGE_ID, delivery.id.as_str())
        .header("content-type", "application/json");
    let headers = delivery.headers().filter(|(_, text)| !text.contains(['\r', '\n']));
    headers.fold(message, |message, (name, text)| message.header(name, text.as_str()))
}
