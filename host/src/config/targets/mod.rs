//! Where verdicts go, checked.

pub(super) mod file;
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
pub use lines::Lines;
pub use nats::{Login, Nats};
pub use origin::Origin;
pub use statsd::Statsd;
pub use template::Template;
pub(super) use validate::target;

/// Where verdicts go.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// What comes in order.
    pub order: Order,
    /// Most bytes of the journal that its deliveries may take while they wait. Where the file sets none,
    /// it is 0 until the configuration as a whole is checked.
    pub max_queue: u64,
    /// What happens beyond that.
    pub when_full: WhenFull,
    /// Whether a newer delivery of one rule and key takes the place of those that still wait.
    pub coalesce: bool,
    /// Rules that list it, and so may send to it; `None`: it is of no configuration, and all may.
    pub rules: Option<BTreeSet<String>>,
    /// What it was made from.
    pub origin: Origin,
}

/// What a target is.
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
}

/// An HTTP receiver.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// Where to send.
    pub url: String,
    /// Keys of Standard Webhooks signatures; the first is the newest.
    pub secrets: Vec<Secret>,
    /// What is sent.
    pub format: Format,
    /// Sent with each request.
    pub headers: BTreeMap<String, String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Statuses that count as success; empty: every 2xx.
    pub success: Vec<u16>,
    /// Most deliveries under way at once.
    pub concurrency: usize,
    /// How long a delivery is retried.
    pub retry_for: Duration,
    /// How both sides are known.
    pub tls: Tls,
    /// Whether addresses of this machine may be sent to.
    pub allow_loopback: bool,
    /// Whether link-local addresses, such as a cloud's metadata service, may be sent to.
    pub allow_link_local: bool,
}

/// How a receiver is known, and how it knows us.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only certificates that are trusted, as PEM; none: those of the system.
    pub ca: Option<Vec<u8>>,
    /// A certificate and its key, as PEM.
    pub identity: Option<Vec<u8>>,
}

impl std::fmt::Debug for Webhook {
    /// Without what is secret: URLs and headers may carry tokens too.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("format", &self.format).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Webhook {
    /// With the defaults.
    pub(crate) fn to(url: &str) -> Self {
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
    /// Where verdicts are printed, in an order that needs no waiting.
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
