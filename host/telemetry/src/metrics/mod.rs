//! All metrics: their names, labels and help texts are in this folder and nowhere else.

mod delivery;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Names and values of labels, always in the same order.
type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Counts<const N: usize> = Family<Labels<N>, Gauge>;
type Seconds<const N: usize> = Family<Labels<N>, Gauge<f64, AtomicU64>>;

/// The service's metrics. All methods are cheap and never wait for long. Label values are names from the
/// configuration or the contract, never names of Kubernetes objects.
pub struct Metrics {
    registry: Registry,
    watch_events: Counters<1>,
    watch_restarts: Counters<2>,
    watch_gaps: Counters<1>,
    watch_last_event: Seconds<1>,
    watch_last_progress: Seconds<1>,
    watch_lag: Seconds<1>,
    watch_in_sync: Counts<1>,
    objects_known: Gauge,
    verdicts: Counters<2>,
    repeated: Counters<1>,
    unreadable: Counters<1>,
    contended: Gauge,
    failures: Counters<2>,
    refusals: Counters<2>,
    suppressed: Counters<2>,
    over_budget: Counters<2>,
    waiting: Counts<1>,
    incidents: Counts<1>,
    delivery: delivery::Delivery,
    backlog_events: Counts<1>,
    backlog_bytes: Counts<1>,
    backlog_skipped: Counters<1>,
    rule_lag: Seconds<1>,
    rule_out_of_service: Counts<1>,
    pending_timers: Gauge,
    suspended_timers: Gauge,
    rule_limited: Counters<2>,
    rule_state: Counts<1>,
    rule_timers: Counts<1>,
    log_dropped: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Registers all metrics; `version` is the version of the program.
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::with_prefix("klaxon");
        let build = Info::new([("version", version.to_owned())]);
        registry.register("build", "The version that runs", build);
        let mut metrics = Self {
            registry,
            watch_events: Family::default(),
            watch_restarts: Family::default(),
            watch_gaps: Family::default(),
            watch_last_event: Family::default(),
            watch_last_progress: Family::default(),
            watch_lag: Family::default(),
            watch_in_sync: Family::default(),
            objects_known: Gauge::default(),
            verdicts: Family::default(),
            repeated: Family::default(),
            unreadable: Family::default(),
            contended: Gauge::default(),
            failures: Family::default(),
            refusals: Family::default(),
            suppressed: Family::default(),
            over_budget: Family::default(),
            waiting: Family::default(),
            incidents: Family::default(),
            delivery: delivery::Delivery::default(),
            backlog_events: Family::default(),
            backlog_bytes: Family::default(),
            backlog_skipped: Family::default(),
            rule_lag: Family::default(),
            rule_out_of_service: Family::default(),
            pending_timers: Gauge::default(),
            suspended_timers: Gauge::default(),
            rule_limited: Family::default(),
            rule_state: Family::default(),
            rule_timers: Family::default(),
            log_dropped: Counter::default(),
        };
        metrics.register_watches();
        metrics.register_work();
        metrics.register_waiting();
        metrics.register_limits();
        metrics.delivery.register(&mut metrics.registry);
        metrics
    }

    // The registry appends `_total` to the names of counters and `_info` to the name of the build info.
    fn register_watches(&mut self) {
        let registry = &mut self.registry;
        let events = self.watch_events.clone();
        registry.register("watch_events", "Watch events received", events);
        let restarts = self.watch_restarts.clone();
        registry.register("watch_restarts", "Watches that had to be opened again", restarts);
        let gaps = self.watch_gaps.clone();
        registry.register("watch_gaps", "Spans that are not provably complete", gaps);
        registry.register(
            "watch_last_event_timestamp_seconds",
            "When the last watch event came",
            self.watch_last_event.clone(),
        );
        registry.register(
            "watch_last_progress_timestamp_seconds",
            "When the watch last proved that it is alive: an event, a bookmark, a list or its regular end",
            self.watch_last_progress.clone(),
        );
        registry.register(
            "watch_lag_seconds",
            "How long ago the last moment was at which nothing was missing",
            self.watch_lag.clone(),
        );
        registry.register(
            "watch_in_sync",
            "1 if the first list is committed and the watch follows, else 0",
            self.watch_in_sync.clone(),
        );
        let known = self.objects_known.clone();
        registry.register("objects_known", "Objects that the journal knows", known);
        let unreadable = self.unreadable.clone();
        registry.register("objects_unreadable", "Objects that could not be decoded", unreadable);
        registry.register(
            "lease_contended",
            "1 while another service with a journal of its own renews the Lease, else 0",
            self.contended.clone(),
        );
    }

    fn register_work(&mut self) {
        let registry = &mut self.registry;
        registry.register("verdicts", "Verdicts of a rule", self.verdicts.clone());
        registry.register(
            "verdicts_repeated",
            "Verdicts that were ignored, for their ids were recorded before",
            self.repeated.clone(),
        );
        registry.register("failures", "Calls of a rule that failed", self.failures.clone());
        let refusals = self.refusals.clone();
        registry.register("refusals", "Verdicts that lack a grant for a target", refusals);
        let suppressed = self.suppressed.clone();
        registry.register("verdicts_suppressed", "Verdicts that the policy suppressed", suppressed);
        let over_budget = self.over_budget.clone();
        let help = "Writes to the cluster that were over their rule's budget";
        registry.register("writes_suppressed", help, over_budget);
        let waiting = self.waiting.clone();
        registry.register(
            "verdicts_pending",
            "Verdicts that are pending, because an incident inhibits them",
            waiting,
        );
        registry.register(
            "incidents_open",
            "Incidents that are not resolved",
            self.incidents.clone(),
        );
    }

    fn register_waiting(&mut self) {
        let registry = &mut self.registry;
        let events = self.backlog_events.clone();
        registry.register("backlog_events", "Events in the backlog of a rule", events);
        let bytes = self.backlog_bytes.clone();
        registry.register("backlog_bytes", "Bytes of the backlog of a rule", bytes);
        let skipped = self.backlog_skipped.clone();
        registry.register(
            "backlog_skipped",
            "Events that were skipped from the backlog of a rule",
            skipped,
        );
        registry.register(
            "rule_lag_seconds",
            "Age of the oldest event that waits for a rule, 0 where none does",
            self.rule_lag.clone(),
        );
        registry.register(
            "rule_out_of_service",
            "1 while a rule that failed too often is not asked, else 0",
            self.rule_out_of_service.clone(),
        );
        registry.register("pending_timers", "Timers that are set", self.pending_timers.clone());
        registry.register(
            "suspended_timers",
            "Timers that do not fire: a watch is not in sync, or their rule lags",
            self.suspended_timers.clone(),
        );
    }

    fn register_limits(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "rule_limited",
            "How often a rule came to a limit on what it does or keeps in all; log: lines that were dropped",
            self.rule_limited.clone(),
        );
        let state = self.rule_state.clone();
        registry.register("rule_state_bytes", "Bytes of a rule's state over all partitions", state);
        let timers = self.rule_timers.clone();
        registry.register("rule_timer_bytes", "Bytes of a rule's timers", timers);
        registry.register(
            "log_lines_dropped",
            "Lines of the service's own log that were dropped, for stderr was not read fast enough",
            self.log_dropped.clone(),
        );
    }

    /// Counts how often a rule reached a limit.
    pub fn rule_limited(&self, rule: &str, limit: &'static str, count: u64) {
        let labels = [label("rule", rule), label("limit", limit)];
        self.rule_limited.get_or_create(&labels).inc_by(count);
    }

    /// Sets the bytes of a rule's state and timers.
    pub fn rule_usage(&self, rule: &str, state: usize, timers: usize) {
        let labels = [label("rule", rule)];
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.rule_state.get_or_create(&labels).set(whole(state));
        self.rule_timers.get_or_create(&labels).set(whole(timers));
    }

    /// Sets the number of log lines that were dropped since the start.
    pub fn log_dropped(&self, total: u64) {
        self.log_dropped.inner().fetch_max(total, Ordering::Relaxed);
    }

    /// Counts watch events that were received.
    pub fn watch_events(&self, watch: &str, count: u64) {
        self.watch_events.get_or_create(&[label("watch", watch)]).inc_by(count);
    }

    /// Counts a watch that had to be opened again; `reason` is one of a few words.
    pub fn watch_restart(&self, watch: &str, reason: &str) {
        let labels = [label("watch", watch), label("reason", reason)];
        self.watch_restarts.get_or_create(&labels).inc();
    }

    /// Counts a span that is not provably complete.
    pub fn watch_gap(&self, watch: &str) {
        self.watch_gaps.get_or_create(&[label("watch", watch)]).inc();
    }

    /// Sets the time of the last watch event, in seconds since 1970.
    pub fn watch_last_event(&self, watch: &str, seconds: f64) {
        set(&self.watch_last_event, watch, seconds);
    }

    /// Sets the time at which the watch last proved that it is alive, in seconds since 1970.
    pub fn watch_last_progress(&self, watch: &str, seconds: f64) {
        set(&self.watch_last_progress, watch, seconds);
    }

    /// Sets the age, in seconds, of the last moment at which the watch was complete.
    pub fn watch_lag(&self, watch: &str, seconds: f64) {
        set(&self.watch_lag, watch, seconds);
    }

    /// Sets the gauge that shows if a watch is in sync: its first list is committed and the watch follows.
    pub fn watch_in_sync(&self, watch: &str, is_in_sync: bool) {
        let labels = [label("watch", watch)];
        self.watch_in_sync.get_or_create(&labels).set(i64::from(is_in_sync));
    }

    /// Removes a watch that no longer exists; otherwise its reported age would grow for ever.
    pub fn forget_watch(&self, watch: &str) {
        let labels = [label("watch", watch)];
        self.watch_in_sync.remove(&labels);
        for family in [&self.watch_last_event, &self.watch_last_progress, &self.watch_lag] {
            family.remove(&labels);
        }
    }

    /// Sets the number of known objects.
    pub fn objects_known(&self, count: usize) {
        self.objects_known.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts verdicts of a rule.
    pub fn verdicts(&self, rule: &str, code: &str, count: u64) {
        let labels = [label("rule", rule), label("code", code)];
        self.verdicts.get_or_create(&labels).inc_by(count);
    }

    /// Counts verdicts that were ignored as repeats. Returns `true` if they are the rule's first repeats.
    pub fn repeated(&self, rule: &str, count: u64) -> bool {
        self.repeated.get_or_create(&[label("rule", rule)]).inc_by(count) == 0
    }

    /// Counts an object of a watch that could not be decoded.
    pub fn unreadable(&self, watch: &str) {
        self.unreadable.get_or_create(&[label("watch", watch)]).inc();
    }

    /// Sets the gauge that shows if another service renews the Lease too.
    pub fn lease_contended(&self, is_so: bool) {
        self.contended.set(i64::from(is_so));
    }

    /// Counts a call of a rule that failed.
    pub fn failure(&self, rule: &str, kind: &str) {
        self.failures.get_or_create(&[label("rule", rule), label("kind", kind)]).inc();
    }

    /// Counts a verdict that the policy suppressed.
    pub fn suppressed(&self, rule: &str, reason: &str) {
        let labels = [label("rule", rule), label("reason", reason)];
        self.suppressed.get_or_create(&labels).inc();
    }

    /// Counts a write to the cluster that exceeded its rule's budget, by the kind of target.
    pub fn over_budget(&self, rule: &str, target: &str) {
        let labels = [label("rule", rule), label("target", target)];
        self.over_budget.get_or_create(&labels).inc();
    }

    /// Sets the numbers of a rule's open incidents and of its pending verdicts.
    pub fn incidents(&self, rule: &str, open: usize, waiting: usize) {
        let labels = [label("rule", rule)];
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.incidents.get_or_create(&labels).set(whole(open));
        self.waiting.get_or_create(&labels).set(whole(waiting));
    }

    /// Counts a verdict that lacks a grant for a kind of target.
    pub fn refusal(&self, rule: &str, target: &str) {
        let labels = [label("rule", rule), label("target", target)];
        self.refusals.get_or_create(&labels).inc();
    }

    /// Sets the size of a rule's backlog, and the age of its oldest event in seconds.
    pub fn backlog(&self, rule: &str, events: usize, bytes: usize, seconds: f64) {
        let labels = [label("rule", rule)];
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.backlog_events.get_or_create(&labels).set(whole(events));
        self.backlog_bytes.get_or_create(&labels).set(whole(bytes));
        self.rule_lag.get_or_create(&labels).set(seconds);
    }

    /// Counts an event that a rule skipped.
    pub fn backlog_skipped(&self, rule: &str) {
        self.backlog_skipped.get_or_create(&[label("rule", rule)]).inc();
    }

    /// Sets the gauge that shows if a rule is out of service.
    pub fn rule_out_of_service(&self, rule: &str, is_out: bool) {
        self.rule_out_of_service.get_or_create(&[label("rule", rule)]).set(i64::from(is_out));
    }

    /// Sets the number of timers that are set, and of those that are suspended.
    pub fn timers(&self, pending: u64, suspended: u64) {
        self.pending_timers.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.suspended_timers.set(i64::try_from(suspended).unwrap_or(i64::MAX));
    }

    /// Returns all metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Fails if a value cannot be formatted.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn label(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

fn set(family: &Seconds<1>, watch: &str, seconds: f64) {
    family.get_or_create(&[label("watch", watch)]).set(seconds);
}

#[cfg(test)]
mod tests;
