//! Parts of `status` that several kinds share.

use serde::Deserialize;

use super::lax::{List, Text};
use klaxon_model::{Cause, Condition, ConditionStatus, Parts, Timestamp};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawCondition<'a> {
    #[serde(borrow, rename = "type")]
    name: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    last_transition_time: Option<Timestamp>,
    last_update_time: Option<Timestamp>,
}

pub(super) fn conditions(raw: List<RawCondition<'_>>, parts: Parts) -> Vec<Condition> {
    if !parts.conditions {
        return Vec::new();
    }
    raw.0
        .into_iter()
        .map(|raw| Condition {
            name: raw.name.into_string(),
            status: match raw.status.as_str() {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                _ => ConditionStatus::Unknown,
            },
            cause: cause(raw.reason, raw.message),
            changed_at: raw.last_transition_time,
            updated_at: raw.last_update_time,
        })
        .collect()
}

/// Returns `None` if there is neither a reason nor a message.
pub(super) fn cause(reason: Text<'_>, message: Text<'_>) -> Option<Cause> {
    let any = !reason.is_empty() || !message.is_empty();
    any.then(|| Cause { reason: reason.into_string(), message: message.into_string() })
}
