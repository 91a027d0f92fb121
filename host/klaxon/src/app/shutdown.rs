//! Shutdown of a run, from left to right: first the pipeline, then the deliveries.

use std::collections::BTreeMap;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::deliveries::Queues;
use super::{RunError, RunSummary, Service};

/// The stages of a shutdown.
#[derive(Default)]
pub(super) struct Ends {
    /// The pipeline has ended: queues end when they are empty.
    pub(super) closed: CancellationToken,
    /// Deliveries that fail from now on are left for the next run.
    pub(super) leave: CancellationToken,
    /// The time to drain is over: deliveries are abandoned.
    pub(super) abandon: CancellationToken,
    /// `true` if the journal is available to the next run.
    pub(super) keeps: bool,
}

impl Ends {
    /// Waits for the pipeline to end, and then for the deliveries. A queue that ends early ends the service: its
    /// deliveries would otherwise wait unnoticed.
    pub(super) async fn finish(
        &self,
        mut thread: JoinHandle<(RunSummary, Option<RunError>)>,
        deliveries: &mut Queues,
        service: &Service,
    ) -> Result<RunSummary, RunError> {
        let ended =
            |what: &str, error: JoinError| RunError::System(format!("{what} ended: {error}"));
        let mut early = None;
        let mut ended_before = BTreeMap::new();
        let (mut summary, error) = loop {
            tokio::select! {
                decided = &mut thread => break decided.map_err(|error| ended("the thread", error))?,
                Some(done) = deliveries.join_next() => {
                    let error = match done {
                        // The time to drain is over, and the pipeline's thread has not noticed yet.
                        Ok((name, Ok(delivered))) if self.abandon.is_cancelled() => {
                            ended_before.insert(name, delivered);
                            continue;
                        }
                        Ok((name, Ok(_))) => RunError::System(format!("target {name} ended")),
                        Ok((_, Err(error))) => error.into(),
                        Err(error) => ended("a target", error),
                    };
                    error!(%error, "deliveries have ended: the service ends too");
                    early = early.or(Some(error));
                    service.stop.stop();
                }
            }
        };
        summary.targets.extend(ended_before);
        let error = early.or(error);
        self.closed.cancel();
        if summary.streams > 0 && error.is_none() {
            info!(
                "the recorded streams have ended: waiting until each delivery is sent or given up"
            );
        }
        if error.is_some() && self.keeps {
            self.leave.cancel();
        }
        // After an error, earlier verdicts are still delivered, within the time to drain.
        let drained = self.drain(deliveries, &mut summary);
        let drained = match &error {
            Some(_) => tokio::time::timeout(service.drain, drained).await.unwrap_or(Ok(())),
            None => drained.await,
        };
        error.map_or_else(|| drained.map(|()| summary), Err)
    }

    async fn drain(
        &self,
        deliveries: &mut Queues,
        summary: &mut RunSummary,
    ) -> Result<(), RunError> {
        while let Some(done) = deliveries.join_next().await {
            let (name, delivered) =
                done.map_err(|error| RunError::System(format!("a target ended: {error}")))?;
            summary.targets.insert(name, delivered?);
        }
        Ok(())
    }

    /// Waits until the service was told to stop and its time to drain is over. If the journal persists, deliveries
    /// that fail after the stop are left for the next run at once.
    pub(super) async fn deadline(&self, service: &Service) {
        service.stop.requested().await;
        if self.keeps {
            self.leave.cancel();
        }
        service.stop.told_since(service.drain).await;
    }
}
