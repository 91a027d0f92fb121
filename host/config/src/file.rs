//! The configuration file as it is written. Its JSON Schema is derived from these types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::policy::PolicyFile;
use super::targets::file::TargetFile;
use klaxon_yaml::{Size, Span, without_null};

/// The configuration of Klaxon, klaxon.yaml.
// The parts are read one by one, so that an error in one hides none in another: the schema alone is derived from it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema is derived from it")]
pub(super) struct ConfigFile {
    /// The version of this file's form.
    #[serde(rename = "apiVersion")]
    #[schemars(extend("const" = "klaxon.dev/v1alpha1"))]
    api_version: String,
    /// The cluster's name in events, verdicts and ids.
    pub(super) cluster: String,
    /// The sources of events.
    pub(super) sources: Vec<SourceFile>,
    /// The rules, in the order in which their verdicts on one event come.
    pub(super) rules: Vec<RuleFile>,
    /// The targets of verdicts, by name.
    pub(super) targets: BTreeMap<String, TargetFile>,
    /// The journal, which stores verdicts until they are delivered.
    #[serde(default)]
    journal: JournalFile,
    /// For those who operate it.
    #[serde(default)]
    admin: AdminFile,
}

/// A source of events: exactly one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceFile {
    /// Its name in events.
    pub(super) name: String,
    /// A cluster.
    pub(super) kubernetes: Option<KubernetesFile>,
    /// Recorded streams; `klaxon run` ends when all is delivered.
    pub(super) replay: Option<ReplayFile>,
}

/// A cluster. Without a kubeconfig it authenticates with the service account of its pod, then with the
/// user's kubeconfig, then with a token from Vault.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KubernetesFile {
    /// Authenticate with this kubeconfig only, relative to this file's folder.
    pub(super) kubeconfig: Option<PathBuf>,
    /// Its context, in place of the current one.
    pub(super) context: Option<String>,
    /// Watch only these namespaces, each by itself: for accounts that have no permissions in the whole
    /// cluster.
    #[serde(default)]
    pub(super) namespaces: Vec<String>,
    /// Keep a Lease that says when the journal was in use, so that a lost one is noticed (true).
    #[serde(default = "yes")]
    pub(super) lease: bool,
    /// how long the API server keeps Kubernetes Events (its --event-ttl; 1h).
    pub(super) event_ttl: Option<Span>,
    /// how long the API server must not have served a kind before its objects are taken as deleted
    /// (15m). Until then they are kept, and timers that depend on them are suspended.
    pub(super) unserved_grace: Option<Span>,
    /// The uid of the cluster's namespace kube-system. No other cluster is watched, and a journal of
    /// another cluster continues in this one. Without it, the journal remembers the cluster of its first
    /// run.
    pub(super) cluster_uid: Option<String>,
}

fn yes() -> bool {
    true
}

/// The settings of the journal.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JournalFile {
    /// A folder, relative to this file's (/var/lib/klaxon).
    pub(super) path: Option<PathBuf>,
    /// how long what is settled is kept, such as 7d (the default).
    pub(super) retain: Option<Span>,
    /// how large it may grow (2GiB, at least 1MiB): beyond that what is settled goes early, and then intake
    /// waits. The targets' queues may take three quarters of it together.
    pub(super) max_size: Option<Size>,
    /// The most dead letters (100000); beyond that the oldest of the target and rule with the most
    /// are removed.
    pub(super) max_dead_letters: Option<u32>,
}

/// The settings of the admin server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdminFile {
    /// Address and port of /healthz, /readyz and /metrics. Without it nothing is served.
    pub(super) listen: Option<String>,
    /// how long a part of the service may make no progress before /healthz fails (60s).
    pub(super) stall_timeout: Option<Span>,
}

/// Recorded streams.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayFile {
    /// Files, relative to this file's folder; a * in the last part stands for any text.
    pub(super) streams: Vec<PathBuf>,
    /// `max`, or how many times faster than recorded.
    #[serde(default)]
    pub(super) speed: Speed,
    /// how long timers may still fire after the last event, such as 90s.
    pub(super) advance: Option<Span>,
}

/// The speed of a replay.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Speed {
    /// As fast as possible.
    Word(SpeedWord),
    /// So many times faster than recorded.
    Times(f64),
}

impl Default for Speed {
    fn default() -> Self {
        Self::Word(SpeedWord::Max)
    }
}

/// A speed that is not a number.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SpeedWord {
    /// As fast as possible.
    Max,
}

/// A rule to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    /// Its name here.
    pub(super) name: String,
    /// The module's file, relative to this file's folder.
    pub(super) module: PathBuf,
    /// The settings of the rule.
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
    /// Names of targets.
    #[serde(default)]
    pub(super) targets: Vec<String>,
    /// The policy for its verdicts. Without it, every verdict is delivered.
    #[serde(default)]
    pub(super) policy: PolicyFile,
    /// Narrows interests of the rule, by their names.
    #[serde(default)]
    pub(super) interests: BTreeMap<String, InterestFile>,
    /// The limits of the rule.
    #[serde(default)]
    pub(super) limits: LimitsFile,
    /// The permissions of the rule.
    #[serde(default)]
    pub(super) grants: GrantsFile,
}

/// Narrows an interest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InterestFile {
    /// Only objects in these.
    pub(super) namespaces: Vec<String>,
}

/// Limits on one call, one instance, the rule's backlog, and the rule's total output.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    /// the CPU time of one call, such as 20ms (each event of the batch adds 5ms).
    pub(super) cpu: Option<Span>,
    /// the memory of one instance, such as 32MiB.
    pub(super) memory: Option<Size>,
    /// the size of the module's file, such as 64MiB.
    pub(super) module: Option<Size>,
    /// the events that may wait while the rule is slow or out of service, such as 64MiB.
    pub(super) backlog: Option<Size>,
    /// The behaviour at that limit.
    pub(super) when_backlog_full: WhenFullFile,
    /// the timers of the rule over all partitions, 256 bytes for each besides its key and payload (64MiB).
    pub(super) timers: Option<Size>,
    /// answers of the rule that are in memory before they are in the journal (16MiB): beyond that its events wait.
    pub(super) answers: Option<Size>,
    /// The most verdicts in a minute (60000): beyond that its events wait.
    pub(super) verdicts_per_minute: Option<u64>,
    /// the bytes that its answers may take of the journal within a minute, once for each target, such as
    /// 128MiB; beyond it its events wait.
    pub(super) output_per_minute: Option<Size>,
    /// its log lines of a minute (1MiB): beyond that they are dropped and counted.
    pub(super) log_per_minute: Option<Size>,
}

/// The reaction to a full backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum WhenFullFile {
    /// Nothing more is taken in, for any rule, until there is room (the default).
    #[default]
    Block,
    /// The rule is not asked about some events: first those that a later event of the same object follows, then
    /// the oldest. Each is counted and recorded.
    Skip,
}

/// Permissions of a rule beyond returning verdicts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GrantsFile {
    /// the budget of state of one partition, such as 1MiB (0B: no state at all).
    pub(super) state: Option<Size>,
    /// the budget of state of the rule over all its partitions (64MiB), 64 bytes for each key and 128 for each
    /// partition besides their texts.
    pub(super) state_total: Option<Size>,
    /// Targets to which its verdicts may go by naming them, besides those of the rule's `targets`.
    pub(super) targets: Vec<String>,
}

/// Returns the schema without references, so that the pointer of an error is also the pointer into the schema.
pub(super) fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let generator = settings.into_generator();
    without_null(generator.into_root_schema_for::<ConfigFile>().to_value())
}
