//! What one rule may use.

use std::time::Duration;

/// Bounds of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one call.
    pub cpu: Duration,
    /// CPU time on top for each event of the batch.
    pub cpu_per_event: Duration,
    /// Linear memories and tables of one instance together, in bytes.
    pub memory: usize,
    /// Bytes of the module's file.
    pub module: usize,
    /// Bytes of the answer to one event.
    pub answer: usize,
    /// Calls into the host by one event.
    pub host_calls: u32,
    /// Bytes of state of one partition: keys and values.
    pub state: usize,
    /// Bytes of state of the whole rule, over all its partitions.
    pub state_total: usize,
    /// Bytes of the timers of the whole rule.
    pub timers: usize,
    /// Bytes of answers of the rule that are in memory before they are handed to the journal.
    pub answers: usize,
    /// Verdicts within a minute.
    pub verdicts_per_minute: u64,
    /// Bytes that the rule's answers take of the journal within a minute, once for each target.
    pub output_per_minute: usize,
    /// Bytes of log lines within a minute.
    pub log_per_minute: usize,
    /// Bytes of events that may be parked.
    pub backlog: usize,
    /// What happens at that bound.
    pub when_backlog_full: WhenFull,
}

/// What happens to events for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Nothing more is taken in until there is room.
    #[default]
    Block,
    /// The rule is not asked about some of them; each is counted and recorded.
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
    /// CPU time that a call with so many events may use.
    pub fn cpu_for(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.cpu.saturating_add(self.cpu_per_event.saturating_mul(events))
    }

    /// Bytes that any call may carry from the guest: a net far above what one answer may have, so
    /// that how many events share a call decides nothing.
    pub fn transfer(&self) -> usize {
        self.answer.saturating_mul(8)
    }
}
