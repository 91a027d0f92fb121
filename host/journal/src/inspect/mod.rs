//! The operator's view of the journal: its contents, and the few changes that can be made by hand. All of it
//! works concurrently with the running service, and nothing here prints.
//!
//! A [`Reader`]'s connection cannot write, and holds no transaction open for longer than one page of rows: an
//! open transaction prevents checkpoints, and the log grows. An [`Editor`] makes its changes in short
//! transactions with pauses between them, because the service's writer waits meanwhile.

mod backup;
mod check;
mod chunks;
mod clock;
mod delivery_rows;
mod drop;
mod error;
mod filter;
mod gap_rows;
mod id_prefix;
mod incident;
mod list;
mod open;
mod overview;
mod retry;
mod rows;
mod show;
mod state_rows;
mod target;

pub use backup::{Backup, backup};
pub use check::{Check, check};
pub use clock::{Clock, clock, reset_clock};
pub use delivery_rows::{Body, Letter};
pub use drop::{Doomed, Removal, removal, remove, remove_numbered};
pub use error::InspectError;
pub use filter::{Filter, State};
pub use gap_rows::{BacklogRow, GapRow, QuarantineRow, Quarantined};
pub use incident::IncidentRow;
pub use list::{Listed, Numbered, Page, each, page};
pub use open::{Editor, Reader};
pub use overview::{ByRule, DeadReason, Files, Overview, OverviewTarget, overview};
pub use retry::{Resend, Resent, resend, resendable};
pub use rows::{DeliveryRow, RefusalRow, VerdictRow};
pub use show::{Shown, ShownGap, gap, quarantined, show};
pub use state_rows::{StateRow, TimerRow, WatchRow};
pub use target::{Enabled, enable};

/// The rows to change: ids, or all that match a filter.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids of verdicts or deliveries, or unique beginnings of ids; empty for all that match the filter.
    pub ids: Vec<String>,
    /// A further condition.
    pub filter: Filter,
}

#[cfg(test)]
mod tests;
