//! The configuration: read as it is written, checked as a whole, and turned into what the rest uses.
//! Faults are reported together, each with its file, line, path and hint; only of a part that lacks a
//! key, or has a value of the wrong form, the meaning is not looked at.

mod file;
mod policy;
mod quota;
mod secret;
mod substitute;
mod targets;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::model::{Limits, Narrowing};
use crate::yaml::FileErrors;

pub use policy::{Budget, Equal, Inhibitor, Policy, Throttle};
pub use quota::rules_beyond_reserve;
pub use secret::Secret;
pub use targets::{
    Format, Lines, Login, Nats, Order, Origin as TargetOrigin, Statsd, Target, TargetKind,
    Template, Tls, Webhook, WhenFull,
};

/// A configuration that passed every check that needs no cluster and no module.
#[derive(Debug)]
pub struct Config {
    /// Its file, for errors.
    pub path: PathBuf,
    /// The cluster's name in events, verdicts and ids.
    pub cluster: String,
    /// In the order of the file.
    pub sources: Vec<Source>,
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// By name.
    pub targets: BTreeMap<String, Target>,
    /// Where what was decided is kept.
    pub journal: Journal,
    /// Where /healthz, /readyz and /metrics are served; none: nowhere.
    pub admin: Option<String>,
    /// `/healthz` fails after so long without progress of a part of the service.
    pub stall_timeout: Duration,
}

/// Where what was decided is kept.
#[derive(Debug, Clone)]
pub struct Journal {
    /// A folder; none: the user named none.
    pub path: Option<PathBuf>,
    /// How long what is settled is kept.
    pub retain: Duration,
    /// How large its file may grow, in bytes.
    pub max_size: u64,
    /// How many dead letters are kept.
    pub max_dead_letters: u32,
}

/// Where events come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name in events.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source is.
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
    /// The only way to sign in; none: whatever the environment offers.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// Only these, each by itself; empty: the whole cluster.
    pub namespaces: Vec<String>,
    /// Whether to keep a Lease that says when the journal was in use.
    pub lease: bool,
    /// How long the API server keeps Kubernetes Events.
    pub event_ttl: Duration,
    /// The time for which a kind must not have been served before its objects are taken as deleted.
    pub unserved_grace: Duration,
    /// The uid of the only cluster's namespace `kube-system`. `None`: the one in the journal.
    pub cluster_uid: Option<String>,
}

/// Recorded streams.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Recorded streams to run through.
    pub streams: Vec<PathBuf>,
    /// How many times faster than recorded; none: as fast as possible.
    pub speed: Option<f64>,
    /// How long timers may still fire after the last event, in milliseconds.
    pub advance_ms: i64,
}

/// A rule to run.
#[derive(Debug)]
pub struct Rule {
    /// Its name here; unlike the manifest's it tells two uses of one module apart.
    pub name: String,
    /// The module's file.
    pub module: PathBuf,
    /// What the rule is configured with.
    pub settings: Value,
    /// Where its verdicts go.
    pub targets: Vec<String>,
    /// Where verdicts go that name it, besides.
    pub nameable: Vec<String>,
    /// What is held back of its verdicts.
    pub policy: Policy,
    /// The operator's narrowing of interests.
    pub narrowing: Narrowing,
    /// What it may use.
    pub limits: Limits,
    /// Whether it may keep state.
    pub state_granted: bool,
}

impl Config {
    /// Reads and checks a configuration file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// All faults that were found.
    pub fn read(path: &Path) -> Result<Self, FileErrors> {
        validate::read(path)
    }
}

/// The JSON Schema of the configuration file, for editors.
pub fn schema() -> Value {
    file::schema()
}
