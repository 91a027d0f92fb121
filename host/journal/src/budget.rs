//! A budget for the bytes of groups that wait for the writer. A group may be of any size, so a bound on the
//! number of groups does not bound memory.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The interval at which a waiting caller checks `is_over`.
const LOOK: Duration = Duration::from_millis(100);

/// A number of bytes that permits take and return.
#[derive(Debug)]
pub(super) struct Budget {
    most: u64,
    used: Mutex<u64>,
    returned: Condvar,
}

/// Bytes of a budget, returned when the permit is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, used: Mutex::new(0), returned: Condvar::new() })
    }

    /// Waits until `bytes` are free; if they exceed the whole budget, until nothing is in use. Returns `None`
    /// once `is_over`.
    pub(super) fn take(self: &Arc<Self>, bytes: u64, is_over: impl Fn() -> bool) -> Option<Permit> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && used.saturating_add(bytes) > self.most {
            if is_over() {
                return None;
            }
            let waited = self.returned.wait_timeout(used, LOOK);
            used = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *used = used.saturating_add(bytes);
        Some(Permit { budget: self.clone(), bytes })
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.bytes);
        self.budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_the_budget_wait_until_others_come_back() {
        let budget = Budget::new(100);
        let first = budget.take(60, || false).unwrap();
        assert!(budget.take(41, || true).is_none(), "there is no room, and no time to wait");
        let second = budget.take(40, || true).unwrap();
        drop(first);
        assert_eq!(budget.used(), 40);
        let waiting = {
            let budget = budget.clone();
            std::thread::spawn(move || budget.take(1000, || false).map(|permit| permit.bytes()))
        };
        assert!(budget.take(1000, || true).is_none());
        drop(second);
        assert_eq!(waiting.join().unwrap(), Some(1000), "alone a larger one passes");
        assert_eq!(budget.used(), 0);
    }
}
