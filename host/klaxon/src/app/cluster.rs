//! Joins a cluster: authenticates, plans the watches, and starts each at its saved cursor.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::RunError;
use super::cluster_driver::{ClusterDriver, prepare};
use super::tasks::Tasks;
use klaxon_config as config;
use klaxon_core::pipeline::{MemoryState, Pipeline};
use klaxon_core::route::Need;
use klaxon_journal::{Fact, Journal, Loaded};
use klaxon_kubernetes::auth::{Environment, SignInError, SignedIn, sign_in};
use klaxon_kubernetes::permissions::Permission;
use klaxon_kubernetes::{
    self, ApiError, Cluster, ITEMS, Item, Lease, LeaseStatus, Renew, Served, Timing, WatchStatus,
    cluster_uid, discover, identity_permission, plan,
};
use klaxon_model::Timestamp;
use klaxon_model::clock;

/// The maximum number of attempts to read the cluster's uid from a failing API server, and the pause between them.
const UID_TRIES: u32 = 3;
const UID_PAUSE: Duration = Duration::from_millis(500);

/// A cluster with its running watches.
pub(super) struct Joined {
    pub(super) driver: ClusterDriver,
    pub(super) items: mpsc::Receiver<Item>,
    pub(super) statuses: Vec<Arc<WatchStatus>>,
    /// Receives a message when the starting points of the watches are in the journal.
    pub(super) begun: oneshot::Sender<()>,
    /// The watches and the renewal of the Lease. Dropping them ends the tasks.
    pub(super) tasks: Tasks,
}

/// Returns the permissions that the rules need, before the cluster was asked how it serves their kinds.
pub fn needed_permissions(needs: &[Need], settings: &config::Kubernetes) -> Vec<Permission> {
    let plans = plan(needs, settings);
    plans.iter().flat_map(|plan| plan.permissions(&Served::guess(&plan.need))).collect()
}

/// Returns the optional permissions: for the Lease, which reveals a lost journal, and for the cluster's uid, which
/// reveals another cluster.
pub fn extra_permissions(
    settings: &config::Kubernetes,
    namespace: &str,
    cluster_name: &str,
) -> Vec<Permission> {
    let mut permissions = vec![identity_permission()];
    if settings.lease {
        permissions.extend(Lease::permissions(namespace, cluster_name));
    }
    permissions
}

/// Returns the permissions that the rules need, and the kinds that are not served. The cluster is asked for the form
/// in which it serves each kind.
///
/// # Errors
/// Returns a message if a request to the cluster fails.
pub async fn served_permissions(
    needs: &[Need],
    settings: &config::Kubernetes,
    client: &kube::Client,
) -> Result<(Vec<Permission>, Vec<String>), String> {
    let mut permissions = Vec::new();
    let mut absent = Vec::new();
    for plan in plan(needs, settings) {
        let within = Timing::default().answer;
        match discover(client, &plan.need, within).await.map_err(|error| error.to_string())? {
            Some(served) => permissions.extend(plan.permissions(&served)),
            None => {
                permissions.extend(plan.permissions(&Served::guess(&plan.need)));
                absent.push(format!("{} {}", plan.need.api_version, plan.need.kind));
            }
        }
    }
    absent.sort();
    absent.dedup();
    Ok((permissions, absent))
}

/// Authenticates with the cluster as configured.
///
/// # Errors
/// Returns a [`SignInError`] if no method works.
pub async fn signed_in(
    settings: &config::Kubernetes,
    permissions: &[Permission],
) -> Result<SignedIn, SignInError> {
    let mut environment = Environment::of_process();
    if let Some(path) = &settings.kubeconfig {
        environment = environment.with_kubeconfig(path, settings.context.clone());
    }
    sign_in(&environment, permissions).await
}

/// Returns a function that repeats the authentication with the same method.
pub(super) fn renewal(signed: &Arc<SignedIn>) -> Renew {
    let signed = signed.clone();
    Box::new(move || {
        let signed = signed.clone();
        Box::pin(async move { signed.renew().await.map_err(|error| error.to_string()) })
    })
}

/// Returns the last time at which a lost journal was in use, according to the Lease. `None` unless the present
/// journal is new and the Lease is of another one.
async fn lost_journal(
    lease: &Lease,
    client: &kube::Client,
    journal: &Journal,
    is_new: bool,
) -> Option<Timestamp> {
    let record = match lease.read(client).await {
        Ok(record) => record?,
        Err(error) => {
            warn!(%error, "the Lease cannot be read: a journal that was lost would look like a first start");
            return None;
        }
    };
    if record.holder == journal.id() {
        return None;
    }
    if !is_new {
        warn!(
            "another journal was in use for this cluster since this one: is a second Klaxon running with the same `cluster`?"
        );
        return None;
    }
    warn!(since = ?record.renewed_at, "the journal of the last run is lost: what happened since is compared with nothing");
    record.renewed_at
}

/// Compares the cluster's uid with the one in the configuration, or else in the journal, and stores it in the
/// journal.
///
/// # Errors
/// Returns an error if it is another cluster, or if the configured uid cannot be checked.
async fn check_cluster(
    settings: &config::Kubernetes,
    signed: &SignedIn,
    journal: &Journal,
) -> Result<(), RunError> {
    let server = signed.server.clone();
    let is = match (asked_uid(signed).await, &settings.cluster_uid) {
        (Ok(is), _) => is,
        (Err(error), Some(wanted)) => {
            let (wanted, is) = (wanted.clone(), format!("not known: {error}"));
            return Err(RunError::NotTheCluster { wanted, is, server });
        }
        (Err(error), None) => return note_server(&error, &server, journal),
    };
    let was = journal.fact(Fact::ClusterUid)?;
    match (&settings.cluster_uid, &was) {
        (Some(wanted), _) if *wanted != is => {
            return Err(RunError::NotTheCluster { wanted: wanted.clone(), is, server });
        }
        (None, Some(was)) if *was != is => {
            return Err(RunError::OtherCluster { was: was.clone(), is, server });
        }
        (Some(_), Some(was)) if *was != is => {
            warn!(
                was,
                is,
                "the journal is of another cluster, and is used for this one, as cluster_uid requires"
            );
        }
        _ => {}
    }
    journal.set_fact(Fact::ClusterUid, &is)?;
    Ok(journal.set_fact(Fact::Server, &server)?)
}

/// Reads the cluster's uid; a failing API server is asked several times.
async fn asked_uid(signed: &SignedIn) -> Result<String, ApiError> {
    let mut tries = 1;
    loop {
        match cluster_uid(&signed.client).await {
            Err(ApiError::Broken(_) | ApiError::Throttled { .. }) if tries < UID_TRIES => {
                tries += 1;
                tokio::time::sleep(UID_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Compares and stores the server's address if the uid cannot be read. One cluster may have several addresses, so
/// another address is only logged.
fn note_server(error: &ApiError, server: &str, journal: &Journal) -> Result<(), RunError> {
    info!(
        %error,
        "the cluster's uid cannot be read: another cluster would not be noticed; hint: `klaxon config rbac` prints the right"
    );
    if let Some(was) = journal.fact(Fact::Server)?.filter(|was| was != server) {
        error!(
            was,
            is = server,
            "signed in at another address than in the last run: is it the same cluster?"
        );
    }
    Ok(journal.set_fact(Fact::Server, server)?)
}

/// The parts that are needed to start the watches of a cluster.
pub(super) struct Start<'a> {
    pub(super) settings: &'a config::Kubernetes,
    /// The cluster's name in events.
    pub(super) cluster_name: &'a str,
    pub(super) state: &'a MemoryState,
    pub(super) journal: &'a Journal,
    pub(super) timing: Timing,
    pub(super) lease_status: Arc<LeaseStatus>,
}

/// Authenticates and starts every watch at its saved cursor.
pub(super) async fn join(
    start: Start<'_>,
    pipeline: &mut Pipeline,
    mut loaded: Loaded,
) -> Result<Joined, RunError> {
    let Start { settings, cluster_name, state, journal, timing, lease_status } = start;
    let needs = pipeline.needs();
    let plans = plan(&needs, settings);
    let signed = Arc::new(signed_in(settings, &needed_permissions(&needs, settings)).await?);
    info!(how = %signed.how, server = signed.server, "signed in");
    for (permission, answer) in signed.missing() {
        error!(
            right = %permission, ?answer,
            "a right is missing: this watch waits for it; hint: `klaxon config rbac` prints what is needed"
        );
    }
    for attempt in &signed.passed_over {
        warn!(%attempt, "another way in was not taken");
    }
    check_cluster(settings, &signed, journal).await?;
    let cluster = Arc::new(Cluster::new(signed.client.clone(), renewal(&signed), timing, settings));
    let mut tasks = Tasks::default();
    if let Some(last) = loaded.persisted.now
        && let Some(output) = clock::not_before(last)
    {
        error!(
            journal = %output.expected, machine = %output.wall,
            "the journal's clock is more than a day ahead of the machine's and is not trusted: time continues from the machine's clock; hint: timers that were set meanwhile keep their times, see `klaxon journal ls timers`"
        );
        // The pipeline's clock starts with this time.
        loaded.persisted.now = Some(clock::now());
    }
    let (begun, has_begun) = oneshot::channel();
    let mut lost = None;
    if settings.lease {
        let lease = Lease::new(&signed.default_namespace, cluster_name, journal.id());
        lost = lost_journal(&lease, &signed.client, journal, loaded.watches.is_empty()).await;
        let cluster = cluster.clone();
        // The renewal overwrites the Lease's time, so it starts only when the journal has stored the gap's beginning.
        let keep = async move {
            if has_begun.await.is_ok() {
                lease.keep(cluster, lease_status).await;
            }
        };
        tasks.spawn("the renewal of the Lease", keep);
    }
    let (driver, resumes) = prepare(pipeline, &plans, loaded, state, journal.forms()?, lost);
    let (sender, items) = mpsc::channel(ITEMS);
    let mut statuses = Vec::new();
    for (place, (plan, resume)) in plans.into_iter().zip(resumes).enumerate() {
        info!(watch = %plan.name, begins = %resume, "watching");
        let name = format!("watch {}", plan.name);
        let (status, task) =
            klaxon_kubernetes::start(cluster.clone(), plan, place, sender.clone(), resume);
        statuses.push(status);
        tasks.spawn(&name, task);
    }
    Ok(Joined { driver, items, statuses, begun, tasks })
}
