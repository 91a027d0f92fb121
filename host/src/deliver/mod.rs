//! A queue for each target. What waits is in the journal; here is only what is under way and what comes
//! next. A queue knows nothing of the others, so a receiver that is sick delays nobody else.
//!
//! - `line`: what comes next, in order by rule and key;
//! - `pace`: how many at once; `breaker`: whether at all; `gone`: whether ever again;
//! - this file: the loop that reads, begins, judges and settles.

mod breaker;
mod concurrency;
mod gone;
mod schedule;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::journal::{Handle, Outbox};
use crate::targets::Endpoint;
use crate::telemetry::metrics::Metrics;

/// The first wait between attempts, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// How often the journal is looked at though nobody rang: an operator may have sent dead letters again.
const LOOK: Duration = Duration::from_secs(1);

/// What a target's queue did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Delivered {
    /// Deliveries that the receiver has.
    pub sent: u64,
    /// Attempts that failed and were tried again.
    pub retried: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that wait in the journal for the next run.
    #[serde(skip_serializing_if = "crate::model::is_zero")]
    pub left: u64,
}

/// A target's queue.
pub struct Queue {
    /// The target's name.
    pub name: String,
    /// Sends.
    pub endpoint: Arc<Endpoint>,
    /// What waits.
    pub outbox: Outbox,
    /// Rings when there is more.
    pub waker: Arc<Notify>,
    /// Records what came of each.
    pub journal: Handle,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Nothing more will be decided: the queue ends when it is empty.
    pub closed: CancellationToken,
    /// What fails from now on waits for the next run instead of for its next attempt.
    pub leave: CancellationToken,
    /// The time is over: what is under way waits for the next run too.
    pub abandon: CancellationToken,
}
