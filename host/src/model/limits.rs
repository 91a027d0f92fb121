//! What one rule may use.

use std::time::Duration;

/// Bounds of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one call.
    pub cpu: Duration,
    /// CPU time on top for each event of the batch.
    pub cpu_per_event: Duration,
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// Bytes that one call into the host, or the answer to a batch of one, may carry; each further
    /// event of a batch adds a sixteenth.
    pub answer: usize,
    /// Calls into the host by one event.
    pub host_calls: u32,
    /// Bytes of state of one partition: keys and values.
    pub state: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(20),
            cpu_per_event: Duration::from_millis(5),
            memory: 32 << 20,
            answer: 1 << 20,
            host_calls: 1000,
            state: 1 << 20,
        }
    }
}

impl Limits {
    /// CPU time that a call with so many events may use.
    pub fn cpu_for(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.cpu.saturating_add(self.cpu_per_event.saturating_mul(events))
    }

    /// Bytes that a call with so many events may answer.
    pub fn answer_for(&self, events: usize) -> usize {
        let more = (self.answer / 16).saturating_mul(events.saturating_sub(1));
        self.answer.saturating_add(more)
    }
}
