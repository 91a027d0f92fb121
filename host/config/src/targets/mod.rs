//! The validated targets of verdicts.

pub(super) mod file;
mod gate;
mod lines;
mod nats;
mod origin;
mod statsd;
mod template;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Secret;

pub use file::{Format, Order, WhenFull};
pub use gate::Gate;
pub use lines::Lines;
pub use nats::{Login, Nats};
pub use origin::Origin;
pub use statsd::Statsd;
pub use template::Template;
pub(super) use validate::target;

/// A target of verdicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The kind of the target, with its settings.
    pub kind: TargetKind,
    /// The order of the target's deliveries.
    pub order: Order,
    /// The maximum number of bytes that the target's queued deliveries may take in the journal. If the file sets
    /// none, this is 0 until the whole configuration is validated.
    pub max_queue: u64,
    /// The reaction to a delivery that exceeds `max_queue`.
    pub when_full: WhenFull,
    /// `true` if a newer delivery of one rule and key replaces older ones that are still queued.
    pub coalesce: bool,
    /// The rules that list the target, and so may send to it. `None` outside a configuration: all rules may.
    pub rules: Option<BTreeSet<String>>,
    /// The written form from which the target was made.
    pub origin: Origin,
}

/// The kind of a target, with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetKind {
    /// Verdicts as JSON Lines.
    Stdout,
    /// Verdicts as JSON Lines in a file.
    File(Lines),
    /// An HTTP receiver.
    Webhook(Box<Webhook>),
    /// Verdicts in a stream of NATS JetStream.
    Nats(Box<Nats>),
    /// Counters of verdicts, over UDP.
    Statsd(Statsd),
    /// A file that exists while no incident is open.
    Gate(Gate),
}

/// An HTTP receiver.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// The URL of the receiver.
    pub url: String,
    /// Keys of Standard Webhooks signatures; the first is the newest.
    pub secrets: Vec<Secret>,
    /// The body of the requests.
    pub format: Format,
    /// The headers of each request.
    pub headers: BTreeMap<String, String>,
    /// The time limit of one attempt.
    pub timeout: Duration,
    /// The statuses that count as success. Empty for every 2xx.
    pub success: Vec<u16>,
    /// The maximum number of concurrent deliveries.
    pub concurrency: usize,
    /// The time for which a delivery is retried.
    pub retry_for: Duration,
    /// The certificates of both sides.
    pub tls: Tls,
    /// `true` if loopback addresses are permitted.
    pub allow_loopback: bool,
    /// `true` if link-local addresses, such as a cloud's metadata service, are permitted.
    pub allow_link_local: bool,
}

/// The certificates of both sides of a TLS connection.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only trusted certificates, as PEM. `None` trusts the system's.
    pub ca: Option<Vec<u8>>,
    /// The client certificate and its key, as PEM.
    pub identity: Option<Vec<u8>>,
}

impl std::fmt::Debug for Webhook {
    /// Omits secrets: URLs and headers may carry tokens too.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Returns a webhook with the default of every other key.
    pub fn to(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            secrets: Vec::new(),
            format: Format::Payload,
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(2),
            success: Vec::new(),
            concurrency: 16,
            retry_for: Duration::from_secs(60),
            tls: Tls::default(),
            allow_loopback: false,
            allow_link_local: false,
        }
    }
}

impl Target {
    /// Returns a target that prints verdicts to stdout; its queue is unbounded.
    pub fn stdout() -> Self {
        Self {
            kind: TargetKind::Stdout,
            order: Order::Key,
            max_queue: u64::MAX,
            when_full: WhenFull::Block,
            coalesce: false,
            rules: None,
            origin: Origin::default(),
        }
    }
}

#[cfg(test)]
mod tests;
