//! The targets of verdicts. A target renders a body once, when the delivery is made, and then sends exactly
//! these bytes at each attempt.

mod address;
mod attempt;
mod endpoint;
mod gate;
mod lines;
mod mask;
mod nats;
mod sign;
mod statsd;
mod stdout;
mod webhook;

use std::time::Duration;

use klaxon_config::{self as config, TargetKind};
use klaxon_model::{Id, Verdict};

pub use attempt::{Attempt, Blame, Trouble};
pub use endpoint::Endpoint;
use gate::Gate;
use lines::Lines;
use nats::Nats;
use statsd::Statsd;
use stdout::Stdout;
use webhook::Webhook;

/// A delivery: one verdict for one target.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The id, stable over attempts and after a crash.
    pub id: Id,
    /// The target's name.
    pub target: String,
    /// The rule and the verdict's key: deliveries of one rule and key keep their order.
    pub order: (String, String),
    /// The verdict's code.
    pub code: String,
    /// The verdict's status, such as `firing`. Empty where the stored verdict does not have one.
    pub status: String,
    /// The address within the target, decided once like the body: for NATS the subject.
    pub address: Option<String>,
    /// The bytes to send.
    pub body: Vec<u8>,
    /// The growth of a Kubernetes Event's count, if the verdict is about one. Sent as a header where the target
    /// has headers.
    pub delta: Option<u32>,
}

impl Delivery {
    /// Renders a verdict for a target.
    ///
    /// # Errors
    /// Fails if the verdict cannot be written as JSON.
    pub fn new(
        name: &str,
        target: &config::Target,
        verdict: &Verdict,
    ) -> Result<Self, serde_json::Error> {
        let (address, body) = match &target.kind {
            // A file holds the same lines as stdout. A gate stores the line for those who look into the journal.
            TargetKind::Stdout | TargetKind::File(_) | TargetKind::Gate(_) => {
                (None, lines::body(verdict)?)
            }
            TargetKind::Webhook(webhook) => (None, webhook::body(webhook.format, verdict)?),
            TargetKind::Nats(nats) => (Some(nats.address(verdict)), nats::body(verdict)?),
            TargetKind::Statsd(statsd) => (None, statsd::body(statsd, verdict)),
        };
        Ok(Self {
            id: Id::of("delivery", &[&verdict.id, &name]),
            target: name.to_owned(),
            order: (verdict.rule.to_string(), verdict.key.clone()),
            code: verdict.code.clone(),
            status: verdict.status.as_str().to_owned(),
            address,
            body,
            delta: verdict.delta,
        })
    }
}

impl Delivery {
    /// Returns the headers that tell a receiver about a verdict without its body, where the target has headers.
    fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let (rule, _) = &self.order;
        [
            ("klaxon-rule", Some(rule.clone())),
            ("klaxon-code", Some(self.code.clone())),
            ("klaxon-status", Some(self.status.clone())),
            ("klaxon-delta", self.delta.map(|delta| delta.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
    }
}

/// The sender of a target, with the secrets of one moment.
enum Sender {
    /// JSON Lines on standard output.
    Stdout(Stdout),
    /// JSON Lines in a file.
    File(Lines),
    /// An HTTP receiver.
    Webhook(Box<Webhook>),
    /// A stream of NATS JetStream.
    Nats(Box<Nats>),
    /// A statsd daemon.
    Statsd(Statsd),
    /// A file that exists while no incident is open.
    Gate(Gate),
}

impl Sender {
    /// Prepares a target for sending.
    ///
    /// # Errors
    /// Fails if the HTTP client cannot be made, for example without root certificates.
    fn new(target: &config::Target) -> Result<Self, String> {
        match &target.kind {
            TargetKind::Stdout => Ok(Self::Stdout(Stdout)),
            TargetKind::File(file) => Lines::new(file).map(Self::File),
            TargetKind::Webhook(webhook) => {
                Webhook::new(webhook).map(|webhook| Self::Webhook(Box::new(webhook)))
            }
            TargetKind::Nats(nats) => Nats::new(nats).map(|nats| Self::Nats(Box::new(nats))),
            TargetKind::Statsd(statsd) => Statsd::new(statsd).map(Self::Statsd),
            TargetKind::Gate(gate) => Ok(Self::Gate(Gate::new(gate))),
        }
    }

    /// Makes one attempt.
    async fn send(&self, delivery: &Delivery) -> Attempt {
        match self {
            Self::Stdout(stdout) => stdout.send(delivery).await,
            Self::File(file) => file.send(delivery).await,
            Self::Webhook(webhook) => webhook.send(delivery).await,
            Self::Nats(nats) => nats.send(delivery).await,
            Self::Statsd(statsd) => statsd.send(delivery).await,
            Self::Gate(gate) => gate.send(delivery).await,
        }
    }
}

/// Returns the time for which a delivery is retried.
fn retry_for(target: &config::Target) -> Duration {
    match &target.kind {
        TargetKind::Stdout => Duration::ZERO,
        TargetKind::File(file) => file.retry_for,
        TargetKind::Webhook(webhook) => webhook.retry_for,
        TargetKind::Nats(nats) => nats.retry_for,
        TargetKind::Statsd(statsd) => statsd.retry_for,
        TargetKind::Gate(gate) => gate.retry_for,
    }
}

/// Returns the number of deliveries that may be under way at once.
fn concurrency(target: &config::Target) -> usize {
    match &target.kind {
        // Lines must not mix, and stay in the order of the verdicts. Incidents of a gate are changed one by one.
        TargetKind::Stdout | TargetKind::File(_) | TargetKind::Gate(_) => 1,
        TargetKind::Webhook(webhook) => webhook.concurrency,
        TargetKind::Nats(_) => 64,
        TargetKind::Statsd(_) => 8,
    }
}
