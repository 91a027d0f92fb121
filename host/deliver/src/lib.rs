//! A queue of deliveries for each target. Waiting deliveries are in the journal; a queue holds in memory only
//! the deliveries under way and those that come next. Queues are independent, so a failing receiver delays no
//! other target.
//!
//! - `schedule`: the next deliveries, in order by rule and key;
//! - `concurrency`: how many at once; `breaker`: the circuit breaker; `gone`: receivers that are gone for good;
//! - `worker`: the loop that reads, begins, judges and settles deliveries.

mod breaker;
mod concurrency;
mod gone;
mod schedule;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use klaxon_journal::{Handle, Outbox};
use klaxon_targets::Endpoint;
use klaxon_telemetry::metrics::Metrics;

/// The first wait between attempts, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// The interval of reading the journal without being woken: an operator may have retried dead letters.
const LOOK: Duration = Duration::from_secs(1);

/// The counts of a target's queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Delivered {
    /// Deliveries that the receiver accepted.
    pub sent: u64,
    /// Attempts that failed and were retried.
    pub retried: u64,
    /// Deliveries that became dead letters.
    pub dead: u64,
    /// Deliveries that wait in the journal for the next run; counted when the journal is closed.
    #[serde(skip_serializing_if = "klaxon_model::is_zero")]
    pub left: u64,
}

/// A target's queue.
pub struct Queue {
    /// The target's name.
    pub name: String,
    /// Sends the deliveries.
    pub endpoint: Arc<Endpoint>,
    /// The waiting deliveries, in the journal.
    pub outbox: Outbox,
    /// Wakes the queue when the journal has more deliveries.
    pub waker: Arc<Notify>,
    /// Records the outcomes of deliveries.
    pub journal: Handle,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Cancelled when no more verdicts will come: the queue ends when it is empty.
    pub closed: CancellationToken,
    /// Cancelled when deliveries that fail shall wait for the next run instead of for their next attempt.
    pub leave: CancellationToken,
    /// Cancelled at the end of the drain time: deliveries under way wait for the next run too.
    pub abandon: CancellationToken,
}
