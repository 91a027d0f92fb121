//! Memory and table limits of an instance.

use wasmtime::ResourceLimiter;

/// Maximum number of elements of all tables of an instance. A rule's function table has some hundreds, that
/// of an interpreter some 10,000.
const TABLE_ELEMENTS: usize = 50_000;
/// Host memory of a table element, in bytes.
const BYTES_OF_ELEMENT: usize = size_of::<usize>();
/// Maximum number of core instances of a component: componentize-py makes 24, each of a few bytes.
const INSTANCES: usize = 64;
/// Maximum number of tables of a component: one for each core module that calls functions of another.
const TABLES: usize = INSTANCES;
/// Maximum number of linear memories of a component, one for each core module: a rule has one or two.
const MEMORIES: usize = 16;

/// Reason for refusing an instance's growth.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrowthRefused {
    #[error(
        "memory would grow to {wanted} bytes, over the rule's limit of {limit}; hint: keep less, or raise `limits.memory`"
    )]
    Memory { wanted: usize, limit: usize },
    #[error("tables would grow to {wanted} elements, over the limit of {TABLE_ELEMENTS}")]
    Table { wanted: usize },
}

/// Refuses growth with a reason: otherwise the guest would see only that the memory did not grow. The limit
/// applies to all memories and tables of the instance together.
pub(super) struct Limiter {
    limit: usize,
    /// Size of all memories, in bytes.
    memory: usize,
    /// Number of elements of all tables.
    elements: usize,
    /// Bytes of the last permitted growth of a memory, to be subtracted if the growth fails.
    last: usize,
}

impl Limiter {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, elements: 0, last: 0 }
    }

    /// Returns the size of the instance's linear memories, in bytes: memories do not shrink.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    fn check(&self, memory: usize, elements: usize) -> wasmtime::Result<()> {
        let wanted = memory.saturating_add(elements.saturating_mul(BYTES_OF_ELEMENT));
        if wanted > self.limit {
            let refused = GrowthRefused::Memory { wanted, limit: self.limit };
            return Err(wasmtime::Error::new(refused));
        }
        Ok(())
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let memory = self.memory.saturating_add(growth);
        self.check(memory, self.elements)?;
        (self.memory, self.last) = (memory, growth);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory = self.memory.saturating_sub(std::mem::take(&mut self.last));
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(desired.saturating_sub(current));
        if elements > TABLE_ELEMENTS {
            return Err(wasmtime::Error::new(GrowthRefused::Table { wanted: elements }));
        }
        self.check(self.memory, elements)?;
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_and_tables_share_the_limit() {
        let mut limiter = Limiter::new(1000);
        assert!(limiter.memory_growing(0, 400, None).is_ok());
        assert!(limiter.memory_growing(0, 300, None).is_ok());
        assert!(limiter.memory_growing(300, 500, None).is_ok());
        assert_eq!(limiter.memory(), 900);
        assert!(limiter.memory_growing(400, 501, None).is_err());
        assert!(limiter.table_growing(0, 10, None).is_ok());
        assert!(limiter.table_growing(0, 10, None).is_err());
        assert!(limiter.memory_growing(500, 521, None).is_err());
        // Memory that could not grow does not count.
        assert!(limiter.memory_growing(500, 520, None).is_ok());
        limiter.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert_eq!(limiter.memory(), 900);
    }

    #[test]
    fn elements_of_all_tables_have_a_bound_of_their_own() {
        let mut limiter = Limiter::new(usize::MAX);
        assert!(limiter.table_growing(0, TABLE_ELEMENTS, None).is_ok());
        assert!(limiter.table_growing(0, 1, None).is_err());
    }
}
