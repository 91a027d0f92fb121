//! The targets' delivery queues, each in a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::RunError;
use super::shutdown::Ends;
use klaxon_config::Target;
use klaxon_deliver::{Delivered, Queue};
use klaxon_journal::{Handle, Journal, JournalError, Outbox};
use klaxon_targets::Endpoint;
use klaxon_telemetry::metrics::Metrics;

/// The delivery tasks, with their targets' names.
pub(super) type Queues = JoinSet<(String, Result<Delivered, JournalError>)>;

/// A target that is ready for deliveries.
pub(super) struct Ready {
    name: String,
    endpoint: Arc<Endpoint>,
    outbox: Outbox,
}

/// Prepares all targets, before anything runs.
pub(super) fn ready(
    targets: &BTreeMap<String, Target>,
    journal: &Journal,
) -> Result<Vec<Ready>, RunError> {
    let ready = targets.iter().map(|(name, target)| {
        let endpoint = Endpoint::new(name, target)
            .map_err(|why| RunError::Target { name: name.clone(), why })?;
        let outbox = journal.outbox(name)?;
        Ok(Ready { name: name.clone(), endpoint: Arc::new(endpoint), outbox })
    });
    ready.collect()
}

/// Starts the delivery tasks.
pub(super) fn start(
    ready: Vec<Ready>,
    wakers: &BTreeMap<String, Arc<Notify>>,
    journal: &Handle,
    metrics: &Arc<Metrics>,
    ends: &Ends,
) -> Queues {
    let mut queues = JoinSet::new();
    for Ready { name, endpoint, outbox } in ready {
        let queue = Queue {
            waker: wakers.get(&name).cloned().unwrap_or_default(),
            name: name.clone(),
            endpoint,
            outbox,
            journal: journal.clone(),
            metrics: metrics.clone(),
            closed: ends.closed.clone(),
            leave: ends.leave.clone(),
            abandon: ends.abandon.clone(),
        };
        queues.spawn(async move { (name, queue.run().await) });
    }
    queues
}
