//! Deduplication of repeated firings.

use super::decision::Reason;
use super::rule::Settings;
use klaxon_model::{Delivered, Severity, Timestamp};

/// Returns the reason for suppressing a firing. `None` if the firing is new to its receivers. A firing is
/// new if the last one was suppressed for another reason, because it was not delivered.
pub(super) fn no_news(
    settings: &Settings,
    delivered: Option<Delivered>,
    severity: Severity,
    now: Timestamp,
) -> Option<Reason> {
    let delivered = delivered.filter(|delivered| delivered.severity == severity)?;
    match settings.repeat {
        Some(repeat) if now.millis_since(delivered.at) >= repeat => None,
        Some(_) => Some(Reason::Repeat),
        None => settings.pair.then_some(Reason::Pair),
    }
}
