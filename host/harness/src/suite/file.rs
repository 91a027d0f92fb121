//! The format of a test file. Its JSON Schema is derived from these types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use klaxon_yaml::{Size, Span, without_null};

/// A file of tests of one rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuiteFile {
    /// the rule's folder or its module (.wasm), relative to this file.
    pub(super) rule: PathBuf,
    /// The settings of the rule.
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
    /// State that each test begins with: values by key, by partition.
    #[serde(default)]
    pub(super) state: BTreeMap<String, BTreeMap<String, Value>>,
    /// The tests.
    pub(super) tests: Vec<CaseFile>,
    /// the share of the declared codes that must be said in this file's tests, such as 100%.
    pub(super) coverage: Option<Percent>,
}

/// One test: a stream, and what the rule says to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    /// a sentence that says what the test shows, unlike every other in the file.
    pub(super) name: String,
    /// recorded streams, relative to this file; a * in the last part stands for any text.
    pub(super) stream: Option<OneOrMore>,
    /// The stream itself: watch events ({at, type, object}) or plain objects.
    pub(super) events: Option<Vec<Value>>,
    /// The settings of the rule in this case, instead of the file's.
    pub(super) settings: Option<Map<String, Value>>,
    /// State to begin with here, instead of the file's.
    pub(super) state: Option<BTreeMap<String, BTreeMap<String, Value>>>,
    /// Objects before this time are state, not news (RFC 3339).
    pub(super) snapshot_until: Option<String>,
    /// how long timers may still fire after the last event, such as 90s.
    pub(super) advance: Option<Span>,
    /// the complete list of verdicts, in order; or `none`; or `snapshot` (what was reviewed before).
    pub(super) expect: Option<Expect>,
    /// These verdicts are among those that are said, in this order.
    pub(super) expect_any: Option<Vec<Entry>>,
    /// The number of verdicts of each of these codes.
    pub(super) count: Option<BTreeMap<String, u64>>,
    /// The budget of an event.
    pub(super) limits: Option<LimitsFile>,
}

/// One path or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    /// One.
    One(PathBuf),
    /// Several, merged by time.
    More(Vec<PathBuf>),
}

/// The complete verdicts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Expect {
    /// `none` or `snapshot`.
    Word(ExpectWord),
    /// Each verdict, in order.
    List(Vec<Entry>),
}

/// An expectation that is no list.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExpectWord {
    /// The rule says nothing.
    None,
    /// The rule says what the snapshot beside this file says; `--update` writes it.
    Snapshot,
}

/// One verdict: only what is named is compared.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The code.
    pub(crate) code: String,
    /// the object: `kind/name`, `kind/namespace/name`, or the parts of it that matter.
    pub(crate) object: Option<ObjectEntry>,
    /// The object of the verdict.
    pub(crate) key: Option<String>,
    /// firing or resolved.
    pub(crate) status: Option<StatusEntry>,
    /// info, warning, error or critical.
    pub(crate) severity: Option<SeverityEntry>,
    /// The title.
    pub(crate) title: Option<String>,
    /// The time of the verdict (RFC 3339).
    pub(crate) time: Option<String>,
    /// The members of the payload that matter; lists are compared whole, member by member.
    #[serde(default, deserialize_with = "some")]
    pub(crate) payload: Option<Value>,
    /// Names of targets.
    pub(crate) targets: Option<Vec<String>>,
    /// The mark of events that were found by comparing after a missed period.
    pub(crate) gap: Option<bool>,
    /// By how much the count of the Kubernetes Event grew.
    pub(crate) delta: Option<u32>,
}

/// Deserializes a value that is present, even if it is null: JSON's null is a payload too.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A reference to an object.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ObjectEntry {
    /// `kind/name` or `kind/namespace/name`; the kind's case does not matter.
    Short(String),
    /// The parts of it that matter.
    Parts(ObjectParts),
}

/// Parts of an object's identity.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ObjectParts {
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) uid: Option<String>,
}

/// A verdict's status.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusEntry {
    Firing,
    Resolved,
}

/// A verdict's severity.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeverityEntry {
    Info,
    Warning,
    Error,
    Critical,
}

/// Maximum cost of one event, with a new instance.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    /// the fuel of the dearest event (about one for each instruction), such as 2_000_000.
    pub(super) fuel: Option<Fuel>,
    /// the linear memory of an instance, such as 8MiB.
    pub(super) memory: Option<Size>,
}

/// A number that may be written with underscores.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Fuel {
    /// As a number.
    Number(u64),
    /// With underscores between digits.
    Text(#[schemars(regex(pattern = "^[0-9][0-9_]*$"))] String),
}

/// A share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Percent {
    /// As a number from 0 to 100.
    Number(u8),
    /// With a percent sign.
    Text(#[schemars(regex(pattern = "^[0-9]{1,3}%$"))] String),
}

/// Returns the schema without references, so that the location of an error is also the location in the
/// schema.
pub(crate) fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    without_null(settings.into_generator().into_root_schema_for::<SuiteFile>().to_value())
}
