//! Health and metrics for the admin server: the state of each watch and thread, and counters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::admin::Health;
use klaxon_core::pipeline::{Output, Pipeline, RuleBacklog};
use klaxon_kubernetes::{LeaseStatus, WatchState, WatchStatus};
use klaxon_model::{FailureKind, Pulse, Timestamp, clock};
use klaxon_telemetry as telemetry;
use klaxon_telemetry::metrics::Metrics;

/// The time without progress after which a watch makes the service not ready.
const STALLED: Duration = Duration::from_secs(300);
/// The time after which a wait makes the service not ready.
const WAITING: Duration = Duration::from_secs(5);

/// The health and the counters of the service.
pub(super) struct Vitals {
    metrics: Arc<Metrics>,
    /// The watches. `None` without a cluster, or before the watches have started.
    watches: Mutex<Option<Vec<Arc<WatchStatus>>>>,
    /// `true` if the source is a cluster. Without one there are no watches to be in sync.
    has_cluster: bool,
    /// The states of the watches that were already added to the metrics, since counters only grow.
    told: Mutex<BTreeMap<String, WatchState>>,
    /// The backlog of each rule.
    backlog: Mutex<Vec<RuleBacklog>>,
    /// The phase before or after normal operation, such as `starting: checking the journal`.
    phase: Mutex<Option<&'static str>>,
    /// The threads that must make progress, with their names.
    pulses: Mutex<Vec<(&'static str, Arc<Pulse>)>>,
    /// The time without progress after which a thread counts as hung.
    stall_timeout: Duration,
    /// Reports another service that watches the same cluster.
    lease: Arc<LeaseStatus>,
}

impl Vitals {
    /// Creates the state of a service that has not started its watches.
    pub(super) fn new(has_cluster: bool, stall_timeout: Duration) -> Self {
        Self {
            has_cluster,
            metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))),
            watches: Mutex::default(),
            told: Mutex::default(),
            backlog: Mutex::default(),
            phase: Mutex::new(Some("starting")),
            pulses: Mutex::default(),
            stall_timeout,
            lease: Arc::default(),
        }
    }

    /// Returns the state of the Lease.
    pub(super) fn lease(&self) -> Arc<LeaseStatus> {
        self.lease.clone()
    }

    /// Sets the watches.
    pub(super) fn watches(&self, statuses: Vec<Arc<WatchStatus>>) {
        *self.watches.lock().unwrap_or_else(PoisonError::into_inner) = Some(statuses);
    }

    /// Sets the phase. `None` during normal operation.
    pub(super) fn phase(&self, phase: Option<&'static str>) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Adds a thread that must make progress.
    pub(super) fn watch_over(&self, name: &'static str, pulse: Arc<Pulse>) {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push((name, pulse));
    }

    /// Returns a report for each thread that `look` considers stuck.
    fn pulses(&self, look: impl Fn(&Pulse) -> Option<String>) -> Vec<String> {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        let said = pulses.iter().filter_map(|(name, pulse)| {
            let what = look(pulse)?;
            Some(format!("{name}: {what}"))
        });
        said.collect()
    }

    /// Returns the activities of the threads that have not ended in time.
    pub(super) fn under_way(&self) -> String {
        let doing = self.pulses(|pulse| {
            pulse.stalled(Duration::ZERO).or_else(|| pulse.waiting(Duration::ZERO))
        });
        if doing.is_empty() { "its deliveries".to_owned() } else { doing.join("; ") }
    }

    /// Returns the metrics, in which the other parts count.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Counts the contents of an output of the pipeline.
    pub(super) fn count(&self, output: &Output, pipeline: &Pipeline) {
        for verdict in &output.verdicts {
            self.metrics.verdicts(&verdict.rule, &verdict.code, 1);
        }
        for failed in &output.failures {
            self.metrics.failure(&failed.rule, failed.failure.kind.as_str());
            if failed.failure.kind == FailureKind::Skipped {
                self.metrics.backlog_skipped(&failed.rule);
            }
        }
        for one in &output.suppressed {
            self.metrics.suppressed(&one.rule, one.reason.as_str());
        }
        for over in &output.over_budget {
            self.metrics.over_budget(&over.rule, &over.target);
        }
        let status = pipeline.status();
        for (rule, open, waiting) in status.incidents.sizes() {
            self.metrics.incidents(rule, open, waiting);
        }
        for limited in &output.limited {
            self.metrics.rule_limited(&limited.rule, limited.limit.as_str(), limited.count);
        }
        for object in &output.quarantine {
            self.metrics.unreadable(&object.scope);
        }
        for refusal in &output.refusals {
            self.metrics.refusal(&refusal.rule, &refusal.target);
        }
        self.metrics.objects_known(status.known_objects);
        for used in status.usage {
            self.metrics.rule_usage(&used.rule, used.state, used.timers);
        }
        self.metrics.timers(status.counts.pending_timers, status.suspended_timers);
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner) = status.backlogs;
    }

    fn refresh_backlogs(&self) {
        let backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in backlog.iter() {
            let age = rule.oldest.map_or(0, |oldest| clock::now().millis_since(oldest).max(0));
            self.metrics.backlog(&rule.rule, rule.events, rule.bytes, age as f64 / 1000.0);
            self.metrics.rule_out_of_service(&rule.rule, rule.is_out_of_service);
        }
    }

    fn states(&self) -> Vec<(String, WatchState)> {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.iter().flatten().map(|watch| (watch.name.clone(), watch.get())).collect()
    }

    fn refresh(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, state) in self.states() {
            let before = told.entry(name.clone()).or_default();
            self.metrics.watch_events(&name, state.events - before.events);
            for (reason, count) in &state.restarts {
                let known = before.restarts.get(reason).copied().unwrap_or_default();
                for _ in known..*count {
                    self.metrics.watch_restart(&name, reason);
                }
            }
            for _ in before.gaps..state.gaps {
                self.metrics.watch_gap(&name);
            }
            let seconds = |time: Timestamp| time.as_millis() as f64 / 1000.0;
            if let Some(at) = state.last_event {
                self.metrics.watch_last_event(&name, seconds(at));
            }
            if let Some(at) = state.last_progress {
                self.metrics.watch_last_progress(&name, seconds(at));
            }
            if let Some(at) = state.certain_until {
                let age = clock::now().millis_since(at).max(0) as f64 / 1000.0;
                self.metrics.watch_lag(&name, age);
            }
            self.metrics.watch_in_sync(&name, state.in_sync);
            *before = state;
        }
    }
}

impl Health for Vitals {
    fn not_alive(&self) -> Vec<String> {
        let after = self.stall_timeout;
        self.pulses(|pulse| Some(format!("no progress: {}", pulse.stalled(after)?)))
    }

    fn phase(&self) -> Option<&'static str> {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_ready(&self) -> Vec<String> {
        let phase = Health::phase(self).map(str::to_owned);
        let mut reasons: Vec<String> = phase.into_iter().collect();
        reasons.extend(self.not_alive());
        reasons.extend(self.pulses(|pulse| pulse.waiting(WAITING)));
        let is_starting = reasons.first().is_some_and(|first| first.starts_with("starting"));
        if !is_starting {
            reasons.extend(self.watches_not_ready());
        }
        reasons
    }

    // A warning, not a reason to be unready: a rollout runs two services for a while and must not be blocked.
    fn warnings(&self) -> Vec<String> {
        self.lease.trouble().into_iter().collect()
    }

    fn metrics(&self) -> String {
        self.refresh();
        self.refresh_backlogs();
        self.metrics.log_dropped(telemetry::dropped_lines());
        self.metrics.lease_contended(self.lease.trouble().is_some());
        self.metrics.encode().unwrap_or_default()
    }
}

impl Vitals {
    fn watches_not_ready(&self) -> Vec<String> {
        let has_begun = self.watches.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if self.has_cluster && !has_begun {
            return vec!["the watches have not begun".to_owned()];
        }
        self.states().into_iter().filter_map(|(name, state)| trouble(&name, &state)).collect()
    }
}

/// Returns the problem of a watch, if it has one.
fn trouble(name: &str, state: &WatchState) -> Option<String> {
    if !state.in_sync {
        let why = state.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        return Some(format!("watch {name}: {}{why}", state.doing));
    }
    let age = clock::now().millis_since(state.last_progress?);
    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
    (age > STALLED).then(|| format!("watch {name}: no progress for {} s", age.as_secs()))
}
