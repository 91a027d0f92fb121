//! Targets as they are written in the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::gate::GateTargetFile;
use super::lines::LinesFile;
use super::nats::NatsFile;
use super::statsd::StatsdFile;
use klaxon_yaml::{Size, Span};

/// A target of verdicts: exactly one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetFile {
    /// Verdicts as JSON Lines on stdout.
    pub(crate) stdout: Option<StdoutFile>,
    /// Verdicts as JSON Lines in a file.
    pub(crate) file: Option<LinesFile>,
    /// An HTTP receiver.
    pub(crate) webhook: Option<WebhookFile>,
    /// Verdicts in a stream of NATS JetStream.
    pub(crate) nats: Option<NatsFile>,
    /// Counters of verdicts, over UDP: best effort.
    pub(crate) statsd: Option<StatsdFile>,
    /// A file that exists while no incident is open, for readiness probes.
    pub(crate) gate: Option<GateTargetFile>,
    /// The order of deliveries: by rule and key (the default), or none.
    #[serde(default)]
    pub(crate) order: Order,
    /// how much of the journal its deliveries may take while they wait, such as 256MiB (the default, or an
    /// equal part of what other targets leave of three quarters of journal.max_size, if that is less).
    pub(crate) max_queue: Option<Size>,
    /// The behaviour beyond that.
    #[serde(default)]
    pub(crate) when_full: WhenFull,
    /// Only the newest of one rule and key matters: it takes the place of older ones that still wait
    /// (false). It needs the order.
    #[serde(default)]
    pub(crate) coalesce: bool,
}

/// The order of a target's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Deliveries of one rule and key: the next is tried when the one before is settled.
    #[default]
    Key,
    /// Nothing.
    None,
}

/// The reaction to a delivery that exceeds a target's queue quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It becomes a dead letter.
    #[default]
    DeadLetter,
    /// Nothing more is taken in until there is room.
    Block,
}

/// The settings of a `stdout` target, of which there are none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StdoutFile {}

/// The settings of a `webhook` target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookFile {
    /// http:// or https://
    pub(crate) url: String,
    /// Key of Standard Webhooks signatures: whsec_ and base64.
    #[serde(default)]
    pub(crate) secret: Option<String>,
    /// Further keys while one replaces another.
    #[serde(default)]
    pub(crate) old_secrets: Vec<String>,
    /// The format of the body.
    #[serde(default)]
    pub(crate) format: Format,
    /// Sent with each request.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// how long one attempt may take, such as 15s (the default).
    pub(crate) timeout: Option<Span>,
    /// Statuses that count as success (every 2xx).
    #[serde(default)]
    pub(crate) success: Vec<u16>,
    /// Most deliveries under way at once (16); it begins with fewer and finds out how many are good.
    pub(crate) concurrency: Option<u16>,
    /// Retries.
    #[serde(default)]
    pub(crate) retry: RetryFile,
    /// For https.
    #[serde(default)]
    pub(crate) tls: TlsFile,
    /// Addresses that are refused otherwise.
    #[serde(default)]
    pub(crate) allow: Vec<Allow>,
}

/// The body of a webhook's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The payload as the rule wrote it.
    #[default]
    Payload,
    /// The whole verdict in a CloudEvent 1.0, structured.
    CloudEvents,
}

/// The retries of a delivery.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryFile {
    /// for how long, such as 72h (the default).
    pub(crate) r#for: Option<Span>,
}

/// Addresses that are refused unless named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Allow {
    /// This machine.
    Loopback,
    /// Such as a cloud's metadata service.
    LinkLocal,
}

/// The certificates for verifying a receiver, and for authenticating to it. The files are read again when they
/// change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsFile {
    /// Trust only these certificates: a PEM file.
    pub(crate) ca: Option<PathBuf>,
    /// Show this certificate: a PEM file, with those between it and its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key: a PEM file.
    pub(crate) key: Option<PathBuf>,
}
