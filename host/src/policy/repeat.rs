//! Whether a firing is news to who heard of its incident before.

use super::decision::Reason;
use super::rule::Settings;
use crate::model::{Delivered, Severity, Timestamp};

/// Why a firing is held back; none where it is news. A firing of which the last was held back by
/// something else is news: nobody has heard of it.
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
