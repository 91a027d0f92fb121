//! What one rule may use.

use std::time::Duration;

use wasmtime::ResourceLimiter;

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

/// Elements of all tables of an instance: a rule's function table has some hundreds.
const TABLE_ELEMENTS: usize = 20_000;
const INSTANCES: usize = 16;

impl Limits {
    /// CPU time that a call with so many events may use.
    pub(super) fn cpu_for(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.cpu
            .saturating_add(self.cpu_per_event.saturating_mul(events))
    }

    /// Bytes that a call with so many events may answer.
    pub(super) fn answer_for(&self, events: usize) -> usize {
        let more = (self.answer / 16).saturating_mul(events.saturating_sub(1));
        self.answer.saturating_add(more)
    }
}

/// Why an instance may not grow.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrowthRefused {
    #[error(
        "memory would grow to {wanted} bytes, over the rule's limit of {limit}; mend: keep less, or raise `limits.memory`"
    )]
    Memory { wanted: usize, limit: usize },
    #[error("a table would grow to {wanted} elements, over the limit of {TABLE_ELEMENTS}")]
    Table { wanted: usize },
}

/// Says no with a reason, where the guest would otherwise only see that memory did not grow.
pub(super) struct Limiter {
    pub(super) memory: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory {
            let refused = GrowthRefused::Memory {
                wanted: desired,
                limit: self.memory,
            };
            return Err(wasmtime::Error::new(refused));
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(wasmtime::Error::new(GrowthRefused::Table {
                wanted: desired,
            }));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }
}
