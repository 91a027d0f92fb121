//! The end of a run, from left to right: what is decided, then what is delivered.

use std::collections::BTreeMap;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::deliveries::Queues;
use super::{RunError, RunSummary, Service};

/// How a run ends.
#[derive(Default)]
pub(super) struct Ends {
    /// Nothing more will be decided: queues end when they are empty.
    pub(super) closed: CancellationToken,
    /// What fails from now on waits for the next run.
    pub(super) leave: CancellationToken,
    /// The time is over.
    pub(super) abandon: CancellationToken,
    /// Whether the journal is there for the next run.
    pub(super) keeps: bool,
}

impl Ends {
    /// Waits for what is decided, and then for its deliveries. A queue that ends before its time ends
    /// the service: what it should deliver would wait in silence.
    pub(super) async fn finish(
        &self,
        mut middle: JoinHandle<(RunSummary, Option<RunError>)>,
        deliveries: &mut Queues,
        service: &Service,
    ) -> Result<RunSummary, RunError> {
        let ended =
            |what: &str, fault: JoinError| RunError::System(format!("{what} ended: {fault}"));
        let mut early = None;
        let mut ended_before = BTreeMap::new();
        let (mut summary, fault) = loop {
            tokio::select! {
                decided = &mut middle => break decided.map_err(|fault| ended("the middle", fault))?,
                Some(done) = deliveries.join_next() => {
                    let fault = match done {
                        // The time is over, and what decides has not noticed yet.
                        Ok((name, Ok(delivered))) if self.abandon.is_cancelled() => {
                            ended_before.insert(name, delivered);
                            continue;
                        }
                        Ok((name, Ok(_))) => RunError::System(format!("target {name} ended")),
                        Ok((_, Err(fault))) => fault.into(),
                        Err(fault) => ended("a target", fault),
                    };
                    error!(%fault, "deliveries have ended: the service ends too");
                    early = early.or(Some(fault));
                    service.stop.stop();
                }
            }
        };
        summary.targets.extend(ended_before);
        let fault = early.or(fault);
        self.closed.cancel();
        if fault.is_some() && self.keeps {
            self.leave.cancel();
        }
        // What was decided before a fault is delivered all the same, within the time to drain.
        let drained = self.drain(deliveries, &mut summary);
        let drained = match &fault {
            Some(_) => tokio::time::timeout(service.drain, drained).await.unwrap_or(Ok(())),
            None => drained.await,
        };
        fault.map_or_else(|| drained.map(|()| summary), Err)
    }

    async fn drain(
        &self,
        deliveries: &mut Queues,
        summary: &mut RunSummary,
    ) -> Result<(), RunError> {
        while let Some(done) = deliveries.join_next().await {
            let (name, delivered) =
                done.map_err(|fault| RunError::System(format!("a target ended: {fault}")))?;
            summary.targets.insert(name, delivered?);
        }
        Ok(())
    }

    /// Over when the service was told to stop and its time to drain is up. Where the journal stays, what
    /// fails from then on is left for the next run at once.
    pub(super) async fn deadline(&self, service: &Service) {
        service.stop.told().await;
        if self.keeps {
            self.leave.cancel();
        }
        service.stop.told_since(service.drain).await;
    }
}
