//! Metrics of the journal and of the targets' queues.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::{Counters, Counts, Labels, Metrics, label};

/// Returns a histogram whose buckets end between one millisecond and about 16 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// The metrics of deliveries and of the journal.
pub(super) struct Delivery {
    deliveries: Counters<2>,
    attempts: Family<Labels<2>, Histogram, fn() -> Histogram>,
    queue: Counts<1>,
    queue_bytes: Counts<1>,
    pace: Counts<1>,
    broken: Counts<1>,
    disabled: Counts<1>,
    commits: Histogram,
    committed: Counter,
    journal_bytes: Gauge,
    journal_removed: Counters<1>,
    quarantine_removed: Counters<1>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            deliveries: Family::default(),
            attempts: Family::new_with_constructor(seconds),
            queue: Family::default(),
            queue_bytes: Family::default(),
            pace: Family::default(),
            broken: Family::default(),
            disabled: Family::default(),
            commits: seconds(),
            committed: Counter::default(),
            journal_bytes: Gauge::default(),
            journal_removed: Family::default(),
            quarantine_removed: Family::default(),
        }
    }
}

impl Delivery {
    pub(super) fn register(&self, registry: &mut Registry) {
        let deliveries = self.deliveries.clone();
        registry.register("deliveries", "Deliveries that are settled: sent or dead", deliveries);
        let attempts = self.attempts.clone();
        registry.register(
            "delivery_attempt_seconds",
            "How long attempts to deliver took",
            attempts,
        );
        registry.register("target_queue", "Deliveries that wait for a target", self.queue.clone());
        let bytes = self.queue_bytes.clone();
        registry.register(
            "target_queue_bytes",
            "Bytes of the journal that the deliveries take which wait for a target",
            bytes,
        );
        let pace = self.pace.clone();
        registry.register("target_concurrency", "Deliveries that may be under way at once", pace);
        registry.register(
            "target_circuit_open",
            "1 while a receiver fails and is only tried now and then, else 0",
            self.broken.clone(),
        );
        registry.register(
            "target_disabled",
            "1 while a target is disabled, for its receiver said that it is gone, else 0",
            self.disabled.clone(),
        );
        let commits = self.commits.clone();
        registry.register(
            "journal_commit_seconds",
            "How long commits of the journal took",
            commits,
        );
        let committed = self.committed.clone();
        registry.register(
            "journal_orders",
            "What the commits of the journal consisted of",
            committed,
        );
        let bytes = self.journal_bytes.clone();
        registry.register("journal_bytes", "Bytes of the journal that are in use", bytes);
        registry.register(
            "journal_removed",
            "Rows that were removed before their time, for the journal had no room",
            self.journal_removed.clone(),
        );
        registry.register(
            "quarantine_removed",
            "Quarantined events that were removed, for their rule had more than its share",
            self.quarantine_removed.clone(),
        );
    }
}

impl Metrics {
    /// Counts deliveries that are settled; `outcome` is `sent` or `dead`.
    pub fn delivery(&self, target: &str, outcome: &str, count: u64) {
        let labels = [label("target", target), label("outcome", outcome)];
        self.delivery.deliveries.get_or_create(&labels).inc_by(count);
    }

    /// Counts an attempt that took `seconds`.
    pub fn attempt(&self, target: &str, outcome: &str, seconds: f64) {
        let labels = [label("target", target), label("outcome", outcome)];
        self.delivery.attempts.get_or_create(&labels).observe(seconds);
    }

    /// Sets the number and the bytes of the deliveries that wait for a target.
    pub fn target_queue(&self, target: &str, deliveries: u64, bytes: u64) {
        let set = |family: &Counts<1>, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&[label("target", target)]).set(value);
        };
        set(&self.delivery.queue, deliveries);
        set(&self.delivery.queue_bytes, bytes);
    }

    /// Sets the concurrency limit of a target, and the gauge that shows if its circuit is open.
    pub fn target_pace(&self, target: &str, limit: usize, is_open: bool) {
        let labels = [label("target", target)];
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.delivery.pace.get_or_create(&labels).set(limit);
        self.delivery.broken.get_or_create(&labels).set(i64::from(is_open));
    }

    /// Sets the gauge that shows if a target is disabled.
    pub fn target_disabled(&self, target: &str, is_disabled: bool) {
        let labels = [label("target", target)];
        self.delivery.disabled.get_or_create(&labels).set(i64::from(is_disabled));
    }

    /// Counts a commit of `orders` orders that took `seconds`.
    pub fn commit(&self, orders: usize, seconds: f64) {
        self.delivery.commits.observe(seconds);
        self.delivery.committed.inc_by(orders as u64);
    }

    /// Sets the bytes of the journal that are in use.
    pub fn journal_bytes(&self, bytes: i64) {
        self.delivery.journal_bytes.set(bytes);
    }

    /// Counts rows that were removed to free space; `rows` is `sent` or `given_up`.
    pub fn journal_removed(&self, rows: &str, count: usize) {
        self.delivery.journal_removed.get_or_create(&[label("rows", rows)]).inc_by(count as u64);
    }

    /// Counts quarantined events of a rule that were removed because the rule exceeded its share. The rule name
    /// is empty for objects that could not be decoded.
    pub fn quarantine_removed(&self, rule: &str, count: u64) {
        self.delivery.quarantine_removed.get_or_create(&[label("rule", rule)]).inc_by(count);
    }
}
