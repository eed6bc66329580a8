//! What an instance may allocate: linear memory as one sum over all its memories, and counts of everything else.

use wasmtime::ResourceLimiter;

/// Core instances in one component. A Rust guest has 3 or 4; one from componentize-py, which links every native library as a module of its
/// own, about 40.
pub const MAX_INSTANCES: usize = 256;
/// Linear memories in one instance. Guests have one; a composition has one for each of its parts. Each reserves address space.
pub const MAX_MEMORIES: usize = 16;
/// Tables in one instance: one for each core module, and those that wit-component adds.
pub const MAX_TABLES: usize = 256;
/// Elements of all tables together. An interpreter's function table has some ten thousand; an element takes 8 bytes of the host's memory.
pub const MAX_TABLE_ELEMENTS: usize = 1 << 18;

/// The instance asked for more than it may have. It ends the call, and comes back from wasmtime by downcast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryLimitExceeded {
    /// Linear memory, in bytes.
    #[error("the converter asked for {wanted} bytes of memory in all; its limit `memory_bytes` is {limit}")]
    Memory {
        /// The sum that it wanted to reach.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// Table elements.
    #[error("the converter asked for {wanted} table elements in all; the limit is {MAX_TABLE_ELEMENTS}")]
    TableElements {
        /// The sum that it wanted to reach.
        wanted: usize,
    },
}

/// Counts what one store allocates. Memories and tables only grow: they are freed with the store.
#[derive(Debug)]
pub struct MemoryLimiter {
    limit: usize,
    used: usize,
    /// The highest sum before the last growth, which may still fail.
    peak: usize,
    /// What the last approved growth added, until it is known to have failed.
    last: usize,
    table_elements: usize,
}

impl MemoryLimiter {
    /// A limiter that admits `limit` bytes of linear memory in all.
    pub fn new(limit: u64) -> Self {
        MemoryLimiter { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, peak: 0, last: 0, table_elements: 0 }
    }

    /// The highest sum of linear memory so far, in bytes.
    pub fn peak(&self) -> usize {
        self.peak.max(self.used)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.peak = self.peak();
        self.last = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // The module's own maximum: `memory.grow` answers -1, as it would anywhere.
        }
        let added = desired.saturating_sub(current);
        let wanted = self.used.saturating_add(added);
        if wanted > self.limit {
            return Err(MemoryLimitExceeded::Memory { wanted, limit: self.limit }.into());
        }
        self.last = added;
        self.used = wanted;
        Ok(true)
    }

    /// Takes back the last addition, but only where the operating system refused it. Wasmtime also reports growths here that it never asked
    /// [`Self::memory_growing`] about (beyond 4 GiB, which no memory can have): taking back for those would give a guest back what it
    /// still holds, again and again.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.downcast_ref::<std::io::Error>().is_some() {
            self.used -= std::mem::take(&mut self.last);
        }
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current));
        if wanted > MAX_TABLE_ELEMENTS {
            return Err(MemoryLimitExceeded::TableElements { wanted }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use wasmtime::ResourceLimiter;

    use super::{MAX_TABLE_ELEMENTS, MemoryLimitExceeded, MemoryLimiter};

    #[test]
    fn the_sum_over_all_memories_counts() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 30, None).unwrap());
        let error = limiter.memory_growing(30, 41, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&MemoryLimitExceeded::Memory { wanted: 101, limit: 100 }));
        assert!(limiter.memory_growing(30, 40, None).unwrap());
        assert_eq!(limiter.peak(), 100);
    }

    #[test]
    fn a_growth_that_the_system_refused_is_taken_back_once() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(limiter.memory_growing(40, 90, None).unwrap());
        for _ in 0..2 {
            limiter.memory_grow_failed(io::Error::from(io::ErrorKind::OutOfMemory).into()).unwrap();
        }
        assert_eq!(limiter.peak(), 40);
        assert!(limiter.memory_growing(40, 101, None).is_err());
        assert!(limiter.memory_growing(40, 100, None).unwrap());
    }

    #[test]
    fn a_growth_that_was_never_asked_about_is_not_taken_back() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("memory growth exceeds memory type's limits")).unwrap();
        assert!(limiter.memory_growing(100, 101, None).is_err());
    }

    #[test]
    fn a_memory_s_own_maximum_is_no_limit_of_ours() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(!limiter.memory_growing(0, 200, Some(150)).unwrap());
        assert_eq!(limiter.peak(), 0);
    }

    #[test]
    fn the_elements_of_all_tables_count() {
        let mut limiter = MemoryLimiter::new(0);
        assert!(limiter.table_growing(0, MAX_TABLE_ELEMENTS - 1, None).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        assert!(limiter.table_growing(1, 2, None).is_err());
        assert!(!limiter.table_growing(1, 2, Some(1)).unwrap());
    }
}
