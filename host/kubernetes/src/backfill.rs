//! Backfills newly added rules with existing objects, beside the watch.

use std::sync::atomic::AtomicUsize;

use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::Served;
use super::proof::Proof;
use super::watch::{Stop, Watch};

impl Watch {
    /// Starts a task that lists all existing objects for newly added rules, beside the watch.
    pub(super) fn backfill_all(&self, served: Served) -> AbortOnDropHandle<()> {
        let lister = Watch {
            cluster: self.cluster.clone(),
            plan: self.plan.clone(),
            out: self.out.clone(),
            status: self.status.clone(),
            since: self.since,
            cursor: String::new(),
            known_at: None,
            proof: Proof::default(),
            page: AtomicUsize::new(self.cluster.timing.page),
            streams: false,
            listed: 0,
            backfilling: None,
            backfill: false,
            served: None,
            is_absent: false,
            missing: None,
            list_began: false,
            backoff: self.backoff.clone(),
        };
        AbortOnDropHandle::new(tokio::spawn(lister.backfill_new_rules(served)))
    }

    /// Resumes a panic of the backfill task in the watch's own task, which is supervised.
    pub(super) async fn look_after_backfill(&mut self) {
        if !self.backfilling.as_ref().is_some_and(AbortOnDropHandle::is_finished) {
            return;
        }
        let Some(ended) = self.backfilling.take() else { return };
        if let Err(error) = ended.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    pub(super) async fn backfill_new_rules(mut self, served: Served) {
        loop {
            match self.backfill_pages(&served).await {
                Ok(()) => return,
                Err(Stop::ApiError(error)) => {
                    warn!(watch = %self.plan.name, %error, "new rules do not have all that exists yet");
                    tokio::time::sleep(self.backoff.next(None)).await;
                }
                Err(_) => return,
            }
        }
    }
}
