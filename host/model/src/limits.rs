//! Resource limits of one rule.

use std::time::Duration;

/// Maximum number of timers of one partition, and so of one answer.
pub const MAX_TIMERS: usize = 100;

/// Resource limits of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one call.
    pub cpu: Duration,
    /// Additional CPU time for each event of the batch.
    pub cpu_per_event: Duration,
    /// Bytes of the linear memories and tables of one instance together.
    pub memory: usize,
    /// Bytes of the module's file.
    pub module: usize,
    /// Bytes of the answer to one event.
    pub answer: usize,
    /// Host calls during one event.
    pub host_calls: u32,
    /// Bytes of state of one partition: keys and values.
    pub state: usize,
    /// Bytes of state of the whole rule, over all its partitions.
    pub state_total: usize,
    /// Bytes of the timers of the whole rule.
    pub timers: usize,
    /// Bytes of the rule's answers that are in memory before they are handed to the journal.
    pub answers: usize,
    /// Verdicts per minute.
    pub verdicts_per_minute: u64,
    /// Bytes that the rule's answers take in the journal per minute, counted once for each target.
    pub output_per_minute: usize,
    /// Bytes of log lines per minute.
    pub log_per_minute: usize,
    /// Bytes of events in the backlog.
    pub backlog: usize,
    /// The behaviour when the backlog is full.
    pub when_backlog_full: WhenFull,
}

/// The behaviour when a backlog is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// No more events are taken in until there is capacity.
    #[default]
    Block,
    /// Some events skip the rule; each is counted and recorded.
    Skip,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(20),
            cpu_per_event: Duration::from_millis(5),
            memory: 32 << 20,
            module: 64 << 20,
            answer: 1 << 20,
            host_calls: 1000,
            state: 1 << 20,
            state_total: 64 << 20,
            timers: 64 << 20,
            answers: 16 << 20,
            verdicts_per_minute: 60_000,
            output_per_minute: 128 << 20,
            log_per_minute: 1 << 20,
            backlog: 64 << 20,
            when_backlog_full: WhenFull::Block,
        }
    }
}

impl Limits {
    /// Returns the CPU time that a call with this number of events may use.
    pub fn cpu_for(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.cpu.saturating_add(self.cpu_per_event.saturating_mul(events))
    }

    /// Returns the bytes that any one call may return from the guest. The bound is far above the limit of
    /// one answer, so that the number of events in a call has no effect on the result.
    pub fn transfer(&self) -> usize {
        self.answer.saturating_mul(8)
    }
}
