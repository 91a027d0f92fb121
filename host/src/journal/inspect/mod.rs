//! The journal as its operator sees it: what is stored, and the few things that may be changed by
//! hand. All of it works beside the running service, and nothing here prints.
//!
//! Who looks reads by a connection that cannot write, and holds no transaction for longer than one
//! page of rows: while one is open the log cannot be folded in, and grows. Who changes something
//! does so in short transactions with pauses between them, for the service's writer waits meanwhile.

mod backup;
mod check;
mod chunks;
mod clock;
mod fault;
mod filter;
mod find;
mod incident;
mod letter;
mod list;
mod open;
mod overview;
mod remove;
mod resend;
mod rows;
mod show;
mod target;
mod trouble;
mod views;

pub use backup::{Backup, backup};
pub use check::{Check, check};
pub use clock::{Clock, clock, reset_clock};
pub use fault::InspectError;
pub use filter::{Filter, State};
pub use incident::IncidentRow;
pub use letter::{Body, Letter};
pub use list::{Listed, Numbered, Page, each, page};
pub use open::{Editor, Reader};
pub use overview::{ByRule, DeadReason, Files, Overview, OverviewTarget, overview};
pub use remove::{Doomed, Removal, removal, remove, remove_numbered};
pub use resend::{Resend, Resent, resend, resendable};
pub use rows::{DeliveryRow, RefusalRow, VerdictRow};
pub use show::{Shown, ShownGap, gap, quarantined, show};
pub use target::{Enabled, enable};
pub use trouble::{GapRow, ParkedRow, QuarantineRow, Quarantined};
pub use views::{StateRow, WakeRow, WatchRow};

/// What a change is about: ids, or all that a filter names.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids of verdicts or deliveries, or unique beginnings of them; none: all that the filter names.
    pub ids: Vec<String>,
    /// What must hold besides.
    pub filter: Filter,
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
