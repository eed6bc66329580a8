//! What an instance may allocate: linear memory as one sum over all its memories, and counts of everything else.

use wasmtime::ResourceLimiter;

use super::types::Limits;

/// The instance asked for more than it may have. It ends the call, and comes back from wasmtime by downcast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryLimitExceeded {
    /// Linear memory, in bytes.
    #[error("the converter asked for {wanted} bytes of memory in all; its limit `memory_bytes` is {limit}")]
    Memory {
        /// The sum that it wanted to reach.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// Table elements.
    #[error("the converter asked for {wanted} table elements in all; its limit `table_elements` is {limit}")]
    TableElements {
        /// The sum that it wanted to reach.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
}

impl MemoryLimitExceeded {
    /// The name of the limit.
    pub fn name(&self) -> &'static str {
        match self {
            MemoryLimitExceeded::Memory { .. } => "memory_bytes",
            MemoryLimitExceeded::TableElements { .. } => "table_elements",
        }
    }
}

/// Counts what one store allocates. Memories and tables only grow: they are freed with the store.
#[derive(Debug)]
pub struct MemoryLimiter {
    limits: Limits,
    used: u64,
    /// The highest sum before the last growth, which may still fail.
    peak: u64,
    /// What the last approved growth added, until it is known to have failed.
    last: u64,
    table_elements: u64,
}

impl MemoryLimiter {
    /// A limiter that admits what `limits` say.
    pub fn new(limits: &Limits) -> Self {
        MemoryLimiter { limits: limits.clone(), used: 0, peak: 0, last: 0, table_elements: 0 }
    }

    /// The highest sum of linear memory so far, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.max(self.used)
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.peak = self.peak();
        self.last = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // The module's own maximum: `memory.grow` answers -1, as it would anywhere.
        }
        let added = desired.saturating_sub(current) as u64;
        let (wanted, limit) = (self.used.saturating_add(added), self.limits.memory_bytes);
        if wanted > limit {
            return Err(MemoryLimitExceeded::Memory { wanted, limit }.into());
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
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current) as u64);
        let limit = self.limits.table_elements;
        if wanted > limit {
            return Err(MemoryLimitExceeded::TableElements { wanted, limit }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        count(self.limits.instances)
    }

    fn tables(&self) -> usize {
        count(self.limits.tables)
    }

    fn memories(&self) -> usize {
        count(self.limits.memories)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use wasmtime::ResourceLimiter;

    use super::{Limits, MemoryLimitExceeded, MemoryLimiter};

    fn limiter(memory_bytes: u64) -> MemoryLimiter {
        MemoryLimiter::new(&Limits { memory_bytes, table_elements: 100, ..Limits::default() })
    }

    #[test]
    fn the_sum_over_all_memories_counts() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 30, None).unwrap());
        let error = limiter.memory_growing(30, 41, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&MemoryLimitExceeded::Memory { wanted: 101, limit: 100 }));
        assert!(limiter.memory_growing(30, 40, None).unwrap());
        assert_eq!(limiter.peak(), 100);
    }

    #[test]
    fn a_growth_that_the_system_refused_is_taken_back_once() {
        let mut limiter = limiter(100);
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
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("memory growth exceeds memory type's limits")).unwrap();
        assert!(limiter.memory_growing(100, 101, None).is_err());
    }

    #[test]
    fn a_memory_s_own_maximum_is_no_limit_of_ours() {
        let mut limiter = limiter(100);
        assert!(!limiter.memory_growing(0, 200, Some(150)).unwrap());
        assert_eq!(limiter.peak(), 0);
    }

    #[test]
    fn the_elements_of_all_tables_count() {
        let mut limiter = limiter(0);
        assert!(limiter.table_growing(0, 99, None).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        assert!(limiter.table_growing(1, 2, None).is_err());
        assert!(!limiter.table_growing(1, 2, Some(1)).unwrap());
    }
}
