//! The configuration: parsed from its file, validated as a whole, and converted to the types that other modules use.
//! All errors are reported together, each with its file, line, path and hint. Only parts with a missing key or a
//! value of the wrong type are not validated any further.

mod file;
mod policy;
mod quota;
mod secret;
mod substitute;
mod targets;
mod validate;
mod warnings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use klaxon_model::{Limits, Narrowing};
use klaxon_yaml::FileErrors;

pub use policy::{Budget, Equal, Inhibitor, Policy, Throttle};
pub use secret::Secret;
pub use targets::{
    Format, Gate, Lines, Login, Nats, Order, Origin as TargetOrigin, Statsd, Target, TargetKind,
    Template, Tls, Webhook, WhenFull,
};
pub use warnings::warnings;

/// A configuration that passed all checks that need neither a cluster nor a rule's module.
#[derive(Debug)]
pub struct Config {
    /// The configuration file, for errors.
    pub path: PathBuf,
    /// The cluster's name in events, verdicts and ids.
    pub cluster: String,
    /// The sources, in the order of the file.
    pub sources: Vec<Source>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// The targets, by name.
    pub targets: BTreeMap<String, Target>,
    /// The settings of the journal.
    pub journal: Journal,
    /// The address of `/healthz`, `/readyz` and `/metrics`. `None` if they are not served.
    pub admin: Option<String>,
    /// The time without progress of a part of the service after which `/healthz` fails.
    pub stall_timeout: Duration,
}

/// The settings of the journal.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The journal's folder. `None` if the configuration names none.
    pub path: Option<PathBuf>,
    /// The retention time of settled deliveries.
    pub retain: Duration,
    /// The maximum size of the journal's file, in bytes.
    pub max_size: u64,
    /// The maximum number of dead letters.
    pub max_dead_letters: u32,
}

/// A source of events.
#[derive(Debug, Clone)]
pub struct Source {
    /// The source's name in events.
    pub name: String,
    /// The kind of the source, with its settings.
    pub kind: SourceKind,
}

/// The kind of a source, with its settings.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// A cluster.
    Kubernetes(Kubernetes),
    /// Recorded streams.
    Replay(Replay),
}

/// A cluster.
#[derive(Debug, Clone, Default)]
pub struct Kubernetes {
    /// The only kubeconfig for authentication. `None` tries every method that the environment offers.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The only namespaces, each watched separately. Empty for the whole cluster.
    pub namespaces: Vec<String>,
    /// `true` if a Lease records when the journal was in use.
    pub lease: bool,
    /// The time for which the API server stores Kubernetes Events.
    pub event_ttl: Duration,
    /// The time for which a kind must not be served before its objects count as deleted.
    pub unserved_grace: Duration,
    /// The expected uid of the cluster's namespace `kube-system`. `None` expects the uid in the journal.
    pub cluster_uid: Option<String>,
}

/// Recorded streams.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The recorded streams to replay.
    pub streams: Vec<PathBuf>,
    /// The speed relative to the recording. `None` replays as fast as possible.
    pub speed: Option<f64>,
    /// The time after the last event up to which timers still fire, in milliseconds.
    pub advance_ms: i64,
}

/// A rule to run.
#[derive(Debug)]
pub struct Rule {
    /// The configured name. Unlike the manifest's name, it distinguishes two uses of one module.
    pub name: String,
    /// The module's file.
    pub module: PathBuf,
    /// The rule's settings.
    pub settings: Value,
    /// The targets of the rule's verdicts.
    pub targets: Vec<String>,
    /// Further targets that a verdict may name.
    pub nameable: Vec<String>,
    /// The policy for the rule's verdicts.
    pub policy: Policy,
    /// The operator's restrictions of the rule's interests.
    pub narrowing: Narrowing,
    /// The rule's limits.
    pub limits: Limits,
    /// `true` if the rule may store state.
    pub state_granted: bool,
}

impl Config {
    /// Reads and validates a configuration file. Paths in the file are relative to its folder.
    ///
    /// # Errors
    /// Returns all errors that were found.
    pub fn read(path: &Path) -> Result<Self, FileErrors> {
        validate::read(path, validate::Targets::Written)
    }

    /// Reads and validates a configuration file without its targets, whose names alone are read: each counts as
    /// `stdout`. For commands that send nothing and run where the targets' secrets are not at hand.
    ///
    /// # Errors
    /// Returns all errors that were found.
    pub fn read_without_targets(path: &Path) -> Result<Self, FileErrors> {
        validate::read(path, validate::Targets::Omitted)
    }
}

/// Returns the JSON Schema of the configuration file, for editors.
pub fn schema() -> Value {
    file::schema()
}
