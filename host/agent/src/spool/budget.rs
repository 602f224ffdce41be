//! How many bytes the spools of all attempts of an agent may take on the disk together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Shared by all attempts.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    used: AtomicU64,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(bytes_max: u64) -> Budget {
        Budget { bytes_max, used: AtomicU64::new(0) }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// So many bytes, if there are as many left.
    fn take(&self, bytes: u64) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.bytes_max)
        });
        taken.is_ok()
    }
}

impl Share {
    pub(super) fn none_of(budget: &Arc<Budget>) -> Share {
        Share { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Makes it larger. False if the budget does not allow that.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let grows = self.budget.take(bytes);
        if grows {
            self.bytes += bytes;
        }
        grows
    }

    /// Gives some of it back.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
