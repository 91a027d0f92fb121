//! Keeps an instance within its limits.

use wasmtime::ResourceLimiter;

/// Elements of all tables of an instance: a rule's function table has some hundreds.
const TABLE_ELEMENTS: usize = 20_000;
const INSTANCES: usize = 16;

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
    /// The most that it grew to.
    pub(super) peak: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory {
            let refused = GrowthRefused::Memory { wanted: desired, limit: self.memory };
            return Err(wasmtime::Error::new(refused));
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(wasmtime::Error::new(GrowthRefused::Table { wanted: desired }));
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
