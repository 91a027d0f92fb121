//! Bounds the bytes of objects that are queued for the pipeline.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that all watches share. Clones share the same budget.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    most: usize,
}

/// A share of the budget. Dropping it returns its bytes.
#[derive(Debug)]
pub struct Share {
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    /// Waits until `bytes` are free; callers are served in order. A request larger than the budget waits for all of
    /// it and then has it alone.
    pub(super) async fn take(&self, bytes: usize) -> Share {
        let bytes = u32::try_from(bytes.min(self.most)).unwrap_or(u32::MAX);
        // Acquiring fails only if the semaphore is closed, which never happens.
        let taken = self.free.clone().acquire_many_owned(bytes).await.ok();
        Share { _bytes: taken }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    async fn is_pending(take: impl Future<Output = Share>) -> bool {
        let mut take = pin!(take);
        poll_fn(|context| Poll::Ready(take.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn the_bytes_that_are_taken_never_exceed_the_budget() {
        let budget = Budget::new(100);
        let mut shares = Vec::new();
        for _ in 0..3 {
            shares.push(budget.take(30).await);
        }
        assert_eq!(budget.free.available_permits(), 10);
        assert!(is_pending(budget.take(30)).await, "there are 10 left");
        let small = budget.take(10).await;
        shares.pop();
        assert!(!is_pending(budget.take(30)).await, "given back with the share");
        drop((shares, small));
        let alone = budget.take(5000).await;
        assert_eq!(budget.free.available_permits(), 0, "larger than the budget: alone");
        assert!(is_pending(budget.take(1)).await);
        drop(alone);
        assert_eq!(budget.free.available_permits(), 100);
    }
}
