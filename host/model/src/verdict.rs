//! A decision in its stored, delivered and written form, which is the same everywhere.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Event, Id, Identity, Severity, Status, Timestamp};

/// One decision of a rule about one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    /// The id, which is the same in a replay and after a crash.
    pub id: Id,
    /// The event's time.
    pub time: Timestamp,
    /// The cluster name of the configuration.
    pub cluster: Arc<str>,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The version in the rule's manifest.
    pub rule_version: Arc<str>,
    /// A code of the rule's manifest.
    pub code: String,
    /// The severity that the rule gave, else the manifest's default for the code.
    pub severity: Severity,
    /// The status: firing or resolved.
    pub status: Status,
    /// The title that the rule gave, else the manifest's default for the code.
    pub title: String,
    /// The key of the incident: the subject of the verdict.
    pub key: String,
    /// The object of the event.
    pub object: Identity,
    /// The body that receivers get, as the rule wrote it.
    pub payload: Box<RawValue>,
    /// Names of the targets that the verdict is sent to.
    pub targets: Vec<String>,
    /// `true` if the event was found by a relist after a gap.
    pub gap: bool,
    /// The increase of the count, for a Kubernetes Event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<u32>,
    /// The event that the rule answered; not part of the written form. `None` if the policy kept the
    /// verdict pending over a restart, or created it.
    #[serde(skip)]
    pub event: Option<Arc<Event>>,
    /// Targets that the rule named and that the verdict is not sent to. They are stored beside the
    /// verdict, and are not part of its written form either.
    #[serde(skip)]
    pub refused: Vec<Refused>,
}

/// A target that a verdict is not sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The kind of target, as grants name it.
    pub kind: String,
    /// The name that the rule gave, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The reason, with a hint how to correct it.
    pub why: String,
    /// For a write to the cluster, the object that would be written: the value of
    /// [`super::RuleTarget::writes_to`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_to: Option<String>,
}

impl Refused {
    /// Returns the name of the target, or the kind if it has none. The name that a rule gives to an
    /// extension is not used, so that it is never mistaken for a target's name.
    pub fn target(&self) -> &str {
        let name = self.name.as_deref().filter(|_| self.kind != "extension");
        name.unwrap_or(&self.kind)
    }
}

impl Verdict {
    /// Returns the verdict as one line of JSON, without a line break at the end. The rule may have
    /// written its payload on several lines; between JSON tokens a line break is only white space.
    ///
    /// # Errors
    /// If the verdict cannot be serialized as JSON.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)?.replace(['\n', '\r'], " "))
    }
}
