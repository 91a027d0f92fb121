//! Where verdicts go: each target renders a body once, when the delivery is made, and then sends
//! just these bytes at each attempt.

mod address;
mod attempt;
mod endpoint;
mod mask;
mod sign;
mod stdout;
mod webhook;

use std::time::Duration;

use crate::config::{self, TargetKind};
use crate::model::{Id, Verdict};

pub use attempt::{Attempt, Blame, Trouble};
pub use endpoint::Endpoint;
use stdout::Stdout;
use webhook::Webhook;

/// One verdict for one target.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Stable over attempts, and after a crash.
    pub id: Id,
    /// The target's name.
    pub target: String,
    /// The rule, and what the verdict is about: deliveries of one rule and key keep their order.
    pub order: (String, String),
    /// The verdict's code, for logs.
    pub code: String,
    /// What is sent.
    pub body: Vec<u8>,
    /// About a Kubernetes Event: by how much its count grew. It goes beside the body where the target
    /// has headers.
    pub delta: Option<u32>,
}

impl Delivery {
    /// Renders a verdict for a target.
    ///
    /// # Errors
    /// Where the verdict cannot be written as JSON.
    pub fn new(
        name: &str,
        target: &config::Target,
        verdict: &Verdict,
    ) -> Result<Self, serde_json::Error> {
        let body = match &target.kind {
            TargetKind::Stdout => {
                let mut line = verdict.to_line()?;
                line.push('\n');
                line.into_bytes()
            }
            TargetKind::Webhook(webhook) => webhook::body(webhook.format, verdict)?,
        };
        Ok(Self {
            id: Id::of("delivery", &[&verdict.id, &name]),
            target: name.to_owned(),
            order: (verdict.rule.to_string(), verdict.key.clone()),
            code: verdict.code.clone(),
            body,
            delta: verdict.delta,
        })
    }
}

/// What sends to a target, with the secrets of one moment.
enum Sender {
    /// Verdicts as JSON Lines.
    Stdout(Stdout),
    /// An HTTP receiver.
    Webhook(Box<Webhook>),
}

impl Sender {
    /// Prepares a target for sending.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made, such as without root certificates.
    fn new(target: &config::Target) -> Result<Self, String> {
        match &target.kind {
            TargetKind::Stdout => Ok(Self::Stdout(Stdout)),
            TargetKind::Webhook(webhook) => {
                Webhook::new(webhook).map(|webhook| Self::Webhook(Box::new(webhook)))
            }
        }
    }

    /// Tries once.
    async fn send(&self, delivery: &Delivery) -> Attempt {
        match self {
            Self::Stdout(stdout) => stdout.send(delivery).await,
            Self::Webhook(webhook) => webhook.send(delivery).await,
        }
    }
}

/// How long a delivery is retried.
fn retry_for(target: &config::Target) -> Duration {
    match &target.kind {
        TargetKind::Stdout => Duration::ZERO,
        TargetKind::Webhook(webhook) => webhook.retry_for,
    }
}

/// How many deliveries may be under way at once.
fn concurrency(target: &config::Target) -> usize {
    match &target.kind {
        // Lines must not mix, and come in the order of the verdicts.
        TargetKind::Stdout => 1,
        TargetKind::Webhook(webhook) => webhook.concurrency,
    }
}
