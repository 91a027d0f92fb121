//! A decision as it is kept, delivered and written: one form everywhere.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Event, Id, Identity, Severity, Status, Timestamp};

/// One decision of a rule about one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    /// Stable: the same in a replay and after a crash.
    pub id: Id,
    /// The event's time.
    pub time: Timestamp,
    /// The cluster of the configuration.
    pub cluster: Arc<str>,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The version of its manifest.
    pub rule_version: Arc<str>,
    /// A code of its manifest.
    pub code: String,
    /// The rule's, else the manifest's for the code.
    pub severity: Severity,
    /// Whether it is so, or no longer so.
    pub status: Status,
    /// The rule's, else the manifest's for the code.
    pub title: String,
    /// What it is about.
    pub key: String,
    /// The object of the event.
    pub object: ObjectName,
    /// The body that receivers get, as the rule wrote it.
    pub payload: Box<RawValue>,
    /// Names of the targets that it goes to.
    pub targets: Vec<String>,
    /// Found by comparing after a missed period.
    pub gap: bool,
    /// About a Kubernetes Event: by how much its count grew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<u32>,
    /// What the rule answered; it is not part of the written form. None where the policy held the
    /// verdict over a restart, or made it.
    #[serde(skip)]
    pub event: Option<Arc<Event>>,
    /// Targets that the rule named and that it does not go to. They are kept beside the verdict, and are
    /// not part of its written form either.
    #[serde(skip)]
    pub refused: Vec<Refused>,
}

/// A target that a verdict does not go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The kind of target, as grants name it.
    pub kind: String,
    /// The name that the rule gave, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why, and how to correct it.
    pub why: String,
    /// The object of the cluster to which it would be a write: what [`super::RuleTarget::writes_to`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_to: Option<String>,
}

impl Refused {
    /// The name of the target; where it has none, the kind. What a rule calls an extension is no name, so that
    /// it is never taken for one.
    pub fn target(&self) -> &str {
        let name = self.name.as_deref().filter(|_| self.kind != "extension");
        name.unwrap_or(&self.kind)
    }
}

impl Verdict {
    /// The verdict as one line of JSON, without an end of line. A rule may have written its payload
    /// over several lines; within JSON an end of line can only be white space.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)?.replace(['\n', '\r'], " "))
    }
}

/// An object's identity as it is written in a verdict.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as Identity")]
pub struct ObjectName {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl From<&Identity> for ObjectName {
    fn from(identity: &Identity) -> Self {
        Self {
            api_version: identity.api_version.clone(),
            kind: identity.kind.clone(),
            namespace: identity.namespace.clone(),
            name: identity.name.clone(),
            uid: identity.uid.clone(),
        }
    }
}
