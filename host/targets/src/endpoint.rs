//! The receiver of a target, with secrets that may be replaced while the service runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::{Attempt, Blame, Delivery, Sender, Trouble, concurrency, retry_for};
use klaxon_config::{Order, Target};
use klaxon_model::clock::Stopwatch;

/// The time for which the contents of secret files are used without being read again.
const BELIEVED: Duration = Duration::from_secs(5);

/// The receiver of a target's deliveries.
pub struct Endpoint {
    name: String,
    retry_for: Duration,
    concurrency: usize,
    is_ordered: bool,
    coalesces: bool,
    current: Mutex<Current>,
}

struct Current {
    target: Target,
    sender: Arc<Sender>,
    looked: Stopwatch,
    /// The error of the last reading of the files; the same error is logged once.
    error: Option<String>,
}

impl Endpoint {
    /// Prepares a target for sending.
    ///
    /// # Errors
    /// Fails if the HTTP client cannot be made, for example without root certificates.
    pub fn new(name: &str, target: &Target) -> Result<Self, String> {
        let sender = Arc::new(Sender::new(target)?);
        let current = Mutex::new(Current {
            target: target.clone(),
            sender,
            looked: Stopwatch::start(),
            error: None,
        });
        Ok(Self {
            name: name.to_owned(),
            retry_for: retry_for(target),
            concurrency: concurrency(target),
            is_ordered: target.order == Order::Key,
            coalesces: target.coalesce,
            current,
        })
    }

    /// Returns the time for which a delivery is retried.
    pub fn retry_for(&self) -> Duration {
        self.retry_for
    }

    /// Returns the number of deliveries that may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Returns `true` if deliveries of one rule and key keep their order.
    pub fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// Returns `true` if a newer delivery of a rule and key supersedes those that are not delivered.
    pub fn coalesces(&self) -> bool {
        self.coalesces
    }

    /// Makes one attempt; one more if the receiver refused the credentials and the secret files have changed.
    pub async fn send(self: &Arc<Self>, delivery: &Delivery) -> Attempt {
        let sender = self.sender(BELIEVED).await;
        let attempt = sender.send(delivery).await;
        if let Attempt::Retry(Trouble { blame: Blame::Credentials, .. }) = &attempt {
            let newer = self.sender(Duration::ZERO).await;
            if !Arc::ptr_eq(&sender, &newer) {
                return newer.send(delivery).await;
            }
        }
        attempt
    }

    /// Returns the sender, made anew if its files were read longer than `believed` ago and have changed.
    async fn sender(self: &Arc<Self>, believed: Duration) -> Arc<Sender> {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let is_fresh = current.looked.elapsed() < believed;
            if is_fresh || !current.target.origin.has_files() {
                return current.sender.clone();
            }
            current.looked = Stopwatch::start();
        }
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read_again()).await;
        if let Err(error) = read {
            warn!(target = self.name, %error, "the files of a target were not read again");
        }
        self.current.lock().unwrap_or_else(PoisonError::into_inner).sender.clone()
    }

    fn read_again(&self) {
        let origin = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.target.origin.clone()
        };
        let made = origin.read_again().and_then(|target| {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            // The other parts do not come from files; some are set by the configuration as a whole.
            if target.kind == current.target.kind {
                return Ok(None);
            }
            drop(current);
            Sender::new(&target).map(|sender| Some((target.kind, Arc::new(sender))))
        });
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(None) => current.error = None,
            Ok(Some((kind, sender))) => {
                info!(target = self.name, "its files have changed: they are in use now");
                (current.target.kind, current.sender, current.error) = (kind, sender, None);
            }
            Err(error) => {
                if current.error.as_ref() != Some(&error) {
                    warn!(
                        target = self.name,
                        error,
                        "its files have changed and cannot be used: what they held before is in use"
                    );
                }
                current.error = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use klaxon_config::TargetOrigin;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn only_files_that_changed_make_another_sender() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "old").unwrap();
        let headers = json!({"authorization": "${file:token}"});
        let written = json!({"webhook": {"url": "https://receiver.invalid", "headers": headers}});
        let mut target = TargetOrigin::new("t", written, folder.path()).read_again().unwrap();
        // As the configuration sets them.
        target.max_queue = 1 << 20;
        target.rules = Some(["rule".to_owned()].into());
        let endpoint = Arc::new(Endpoint::new("t", &target).unwrap());
        let first = endpoint.current.lock().unwrap().sender.clone();
        assert!(Arc::ptr_eq(&first, &endpoint.sender(Duration::ZERO).await));
        std::fs::write(&token, "new").unwrap();
        let second = endpoint.sender(Duration::ZERO).await;
        assert!(!Arc::ptr_eq(&first, &second));
        let current = endpoint.current.lock().unwrap();
        assert_eq!(current.target.max_queue, 1 << 20);
    }
}
