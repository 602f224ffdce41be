//! Memory of a component: the sum over all its memories and tables, which wasmtime only bounds one by one.

use wasmtime::ResourceLimiter;

/// What one element of a table costs in bytes.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Counts what a component has and remembers that it wanted more than it may.
///
/// A refused growth shows in the guest only as an obscure trap, if at all; [`Limiter::refused`] tells the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limiter {
    allowed: u64,
    now: u64,
    peak: u64,
    refused: Option<u64>,
}

impl Limiter {
    pub(crate) fn new(allowed: u64) -> Self {
        Limiter { allowed, now: 0, peak: 0, refused: None }
    }

    /// The most bytes that there were at one time.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// How many bytes the component would have had, if it was ever refused to grow.
    pub(crate) fn refused(&self) -> Option<u64> {
        self.refused
    }

    fn grow(&mut self, current: u64, desired: u64) -> bool {
        let wanted = self.now.saturating_add(desired.saturating_sub(current));
        if wanted > self.allowed {
            self.refused = Some(wanted);
            return false;
        }
        self.now = wanted;
        self.peak = self.peak.max(wanted);
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current as u64, desired as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_count_together() {
        let mut limiter = Limiter::new(200);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert_eq!((limiter.peak(), limiter.refused()), (180, None));
        assert!(!limiter.memory_growing(0, 21, None).unwrap(), "a second memory has what is left");
        assert_eq!((limiter.peak(), limiter.refused()), (180, Some(201)));
        assert!(limiter.memory_growing(100, 120, None).unwrap());
        assert_eq!(limiter.peak(), 200);
    }

    #[test]
    fn a_module_s_own_maximum_is_no_limit_of_ours() {
        let mut limiter = Limiter::new(200);
        assert!(!limiter.memory_growing(0, 100, Some(50)).unwrap());
        assert!(!limiter.table_growing(0, 100, Some(50)).unwrap());
        assert_eq!(limiter.refused(), None);
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let mut limiter = Limiter::new(u64::MAX);
        assert!(limiter.table_growing(0, usize::MAX, None).unwrap());
        assert!(limiter.memory_growing(0, usize::MAX, None).unwrap());
    }
}
