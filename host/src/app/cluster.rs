//! Joining a cluster: signing in, planning the watches, and starting each where it was left.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::RunError;
use super::live::{Live, prepare};
use crate::config;
use crate::journal::Journal;
use crate::model::Timestamp;
use crate::pipeline::{MemoryState, Pipeline};
use crate::route::Need;
use crate::source::kubernetes::rights::Right;
use crate::source::kubernetes::sign_in::{Environment, SignInError, SignedIn, sign_in};
use crate::source::kubernetes::{
    self, Cluster, ITEMS, Item, Lease, Served, Timing, WatchStatus, plan,
};

/// A cluster whose watches run.
pub(super) struct Joined {
    pub(super) live: Live,
    pub(super) items: mpsc::Receiver<Item>,
    pub(super) statuses: Vec<Arc<WatchStatus>>,
    /// End with it.
    _watches: Vec<AbortOnDropHandle<()>>,
}

/// What a configuration's rules need of a cluster, before it is asked how it serves their kinds.
pub fn rights_of(needs: &[Need], settings: &config::Kubernetes) -> Vec<Right> {
    let plans = plan(needs, settings);
    plans.iter().flat_map(|plan| plan.rights(&Served::guess(&plan.need))).collect()
}

/// Signs in as the configuration says.
///
/// # Errors
/// Why no way leads in.
pub async fn signed_in(
    settings: &config::Kubernetes,
    rights: &[Right],
) -> Result<SignedIn, SignInError> {
    let mut environment = Environment::of_process();
    if let Some(path) = &settings.kubeconfig {
        environment = environment.with_kubeconfig(path, settings.context.clone());
    }
    sign_in(&environment, rights).await
}

/// Since when nothing is known, where another journal was in use before this one, which is new.
async fn lost_journal(
    lease: &Lease,
    client: &kube::Client,
    journal: &Journal,
) -> Option<Timestamp> {
    let held = match lease.read(client).await {
        Ok(held) => held?,
        Err(fault) => {
            warn!(%fault, "the Lease cannot be read: a journal that was lost would look like a first start");
            return None;
        }
    };
    if held.holder == journal.id() {
        return None;
    }
    if !journal.is_new() {
        warn!(
            "another journal was in use for this cluster since this one: is a second Klaxon running with the same `cluster`?"
        );
        return None;
    }
    warn!(since = ?held.renewed_at, "the journal of the last run is lost: what happened since is compared with nothing");
    held.renewed_at
}

/// Signs in and starts every watch where the last run left it.
pub(super) async fn join(
    settings: &config::Kubernetes,
    cluster_name: &str,
    pipeline: &mut Pipeline,
    state: &MemoryState,
    journal: &Journal,
    timing: Timing,
) -> Result<Joined, RunError> {
    let needs = pipeline.needs();
    let plans = plan(&needs, settings);
    let signed = Arc::new(signed_in(settings, &rights_of(&needs, settings)).await?);
    info!(how = %signed.how, server = signed.server, "signed in");
    for (right, answer) in signed.missing() {
        error!(
            right = %right, ?answer,
            "a right is missing: this watch waits for it; mend: `klaxon config rbac` prints what is needed"
        );
    }
    for attempt in &signed.passed_over {
        warn!(%attempt, "another way in was not taken");
    }
    let renew = {
        let signed = signed.clone();
        move || -> std::pin::Pin<Box<dyn Future<Output = Result<kube::Client, String>> + Send>> {
            let signed = signed.clone();
            Box::pin(async move { signed.renew().await.map_err(|fault| fault.to_string()) })
        }
    };
    let cluster =
        Arc::new(Cluster::new(signed.client.clone(), Box::new(renew), timing, settings.event_ttl));
    let mut watches = Vec::new();
    let mut lost = None;
    if settings.lease {
        let lease = Lease::new(&signed.default_namespace, cluster_name, journal.id());
        lost = lost_journal(&lease, &signed.client, journal).await;
        watches.push(AbortOnDropHandle::new(tokio::spawn(lease.keep(cluster.clone()))));
    }
    pipeline.keep_in_journal(journal.forms()?);
    let (live, resumes) = prepare(pipeline, &plans, journal.load()?, state, lost);
    let (sender, items) = mpsc::channel(ITEMS);
    let mut statuses = Vec::new();
    for (place, (plan, resume)) in plans.into_iter().zip(resumes).enumerate() {
        info!(watch = %plan.name, ?resume, "watching");
        let (status, task) =
            kubernetes::start(cluster.clone(), plan, place, sender.clone(), resume);
        statuses.push(status);
        watches.push(AbortOnDropHandle::new(task));
    }
    Ok(Joined { live, items, statuses, _watches: watches })
}
