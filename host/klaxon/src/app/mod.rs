//! The running service: the only wiring of threads, tasks and channels, and of the order in which they end.
//!
//! ```text
//! source ──items──► pipeline thread ──groups──► journal thread ──wakers──► one task per target
//!  (a task per watch,  owns the pipeline          owns the file             reads its deliveries
//!   or one thread)                                                          from the journal
//! ```
//!
//! Every channel is bounded, so a stage that is full blocks the one before it, up to the source. The stages end from
//! left to right: a source that is exhausted or stopped drops its sender; the pipeline thread drains the channel,
//! evaluates the pending round and sends its output to the journal; each target ends when its outbox is empty; the
//! journal ends when no writer is left. If a stage hangs, [`LastResort`] ends the process soon after the time to
//! drain.

mod capture;
mod cluster;
mod cluster_driver;
mod deliveries;
mod gates;
mod health;
mod journal_dir;
mod log;
mod pipeline_thread;
mod replay_driver;
mod shutdown;
mod signals;
mod start;
mod tasks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::admin::{self, AdminError};
use crate::assembly::AssembleError;
use klaxon_config::{Config, Source, SourceKind};
use klaxon_core::pipeline::{Counts, Pipeline, ServiceOptions};
use klaxon_deliver::Delivered;
use klaxon_engine::Options;
use klaxon_journal::{Handle, JournalError};
use klaxon_kubernetes::Timing;
use klaxon_kubernetes::auth::SignInError;
use klaxon_recording::StreamError;

pub use capture::{Accept, Capture, Captured};
pub use cluster::{extra_permissions, needed_permissions, served_permissions, signed_in};
use cluster_driver::Intake;
use deliveries::Queues;
use health::Vitals;
use journal_dir::JournalFolder;
use pipeline_thread::PipelineThread;
use shutdown::Ends;
pub use signals::{Ending, LastResort, Stop};
use start::Started;

/// The log message of a first signal.
const DRAINING: &str =
    "shutting down: draining deliveries; send the signal again to exit immediately";
/// Time for which the process waits for the runtime to end. A write to a pipe without a reader cannot be ended, so
/// the process does not wait for it longer.
const ABANDON: Duration = Duration::from_secs(1);
/// Time for which deliveries, the journal and the runtime are each waited for when the time to drain is over.
const LATE: Duration = Duration::from_millis(400);
/// Time after the drain at which the last resort ends a process that has not ended, when both other limits are over,
/// from outside of all parts that may hang.
const AFTER_DRAIN: Duration = Duration::from_millis(1900);

/// The error that ends the service.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The rules cannot be loaded.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A target cannot be prepared.
    #[error("target {name}: {why}")]
    Target {
        /// The target's name.
        name: String,
        /// The cause.
        why: String,
    },
    /// A stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Authenticating with the cluster failed.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The cluster is not the one of the journal.
    #[error(
        "the journal is of the cluster {was}, and this is {is} ({server}): the known objects would be reported as deleted; hint: authenticate with the right cluster, or name another journal.path; to use this journal here, set `kubernetes: {{cluster_uid: {is}}}`"
    )]
    OtherCluster {
        /// The uid of the journal's cluster.
        was: String,
        /// The uid of the cluster that the service authenticated with.
        is: String,
        /// Its API server.
        server: String,
    },
    /// The cluster is not the one that the configuration names.
    #[error(
        "`cluster_uid` is {wanted}, and the cluster at {server} is {is}; hint: authenticate with the right cluster, or correct cluster_uid"
    )]
    NotTheCluster {
        /// The uid in the configuration.
        wanted: String,
        /// The uid of the cluster that the service authenticated with, or the reason why it cannot be read.
        is: String,
        /// Its API server.
        server: String,
    },
    /// The admin server cannot listen.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The output cannot be stored.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A thread or the runtime cannot be started, or ended without an outcome.
    #[error("the service cannot run: {0}")]
    System(String),
    /// The streams of a recording were not accepted ([`Accept`]).
    #[error("{0}")]
    NotAccepted(String),
    /// Deliveries were still in progress when the time to drain was over.
    #[error(
        "shutdown: deliveries were still under way after {0:?}: they are lost, because the journal was a temporary one"
    )]
    NotDrained(Duration),
    /// A part of the service hung when the time to drain was over.
    #[error(
        "shutdown: not all parts have ended after {drain:?} ({doing}): the process ends as in a crash; the next start continues from the journal"
    )]
    Hung {
        /// The time to drain.
        drain: Duration,
        /// The activities that are still in progress.
        doing: String,
    },
    /// A second signal arrived during the drain.
    #[error("a second signal: the process ends at once, and {}", fate(*.keeps))]
    Interrupted {
        /// The number of the signal.
        signal: i32,
        /// `true` if the journal is available to the next run.
        keeps: bool,
    },
}

fn fate(keeps: bool) -> &'static str {
    if keeps {
        "pending deliveries stay in the journal for the next run"
    } else {
        "pending deliveries are lost, because the journal was a temporary one"
    }
}

/// The settings of a run that are not in the configuration.
#[derive(Debug, Clone)]
pub struct Service {
    /// Maximum duration of the drain after a stop was requested.
    pub drain: Duration,
    /// Time limits and sizes of the watches' requests.
    pub timing: Timing,
    /// Requests the stop of the service.
    pub stop: Stop,
    /// A rule that occupies a worker for longer than this starts to lag: its events are queued in its backlog.
    pub patience: Duration,
    /// The first period for which a rule that fails too often is out of service.
    pub pause: Duration,
    /// Ends the process if a signal requested a stop and the service does not end. `None` if the service does not
    /// handle signals.
    pub last_resort: Option<fn(Ending)>,
}

impl Service {
    /// Creates the settings with the time limits that clusters need.
    pub fn new(drain: Duration) -> Self {
        Self {
            drain,
            timing: Timing::default(),
            stop: Stop::default(),
            patience: Duration::from_millis(250),
            pause: Duration::from_secs(60),
            last_resort: None,
        }
    }

    /// Lets rules lag instead of blocking others. Returns the notification that signals answers of a lagging rule.
    fn let_lag(&self, pipeline: &mut Pipeline) -> Arc<Notify> {
        let waker = Arc::new(Notify::new());
        let wake = waker.clone();
        pipeline.serve(ServiceOptions {
            patience: self.patience,
            first_pause: self.pause,
            waker: Arc::new(move || wake.notify_one()),
        });
        waker
    }
}

/// The summary of a run.
#[derive(Debug, Default, serde::Serialize)]
pub struct RunSummary {
    /// Streams that were read.
    pub streams: u64,
    /// Lines of other types that were skipped.
    pub skipped: u64,
    /// Gaps that were recorded.
    pub gaps: u64,
    /// Counts of the pipeline.
    #[serde(flatten)]
    pub counts: Counts,
    /// Verdicts by rule and code.
    pub codes: BTreeMap<String, u64>,
    /// The deliveries of each target.
    pub targets: BTreeMap<String, Delivered>,
}

impl RunSummary {
    /// Returns the number of dead letters of all targets.
    pub fn dead(&self) -> u64 {
        self.targets.values().map(|delivered| delivered.dead).sum()
    }

    /// Deliveries that wait in the journal for the next run.
    fn left(&self) -> u64 {
        self.targets.values().map(|delivered| delivered.left).sum()
    }
}

/// Runs the service until its source is exhausted or it is stopped, and drains it. After a stop it drains no longer
/// than `Service::drain`; the deliveries that are left stay in the journal. A second signal ends the service at
/// once, like a crash, from which the journal recovers.
///
/// # Errors
/// Returns an error if the service cannot start, a source cannot be read, or the output cannot be stored.
pub fn run(config: Config, options: Options, service: &Service) -> Result<RunSummary, RunError> {
    let system = |error: std::io::Error| RunError::System(error.to_string());
    let Some(source) = config.sources.first().cloned() else {
        return Err(RunError::System("there is no source".to_owned()));
    };
    // Before anything that may take long.
    let last_resort = service.last_resort.map(|end| {
        let within = service.drain.saturating_add(AFTER_DRAIN);
        LastResort { within, end }
    });
    let _signals = service.stop.on_signals(DRAINING, last_resort).map_err(system)?;
    for warning in klaxon_config::warnings(&config) {
        warn!("{}: {warning}", config.path.display());
    }
    let folder = JournalFolder::of(&config, &source)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system)?;
    let keeps = folder.keeps();
    let vitals =
        Vitals::new(matches!(source.kind, SourceKind::Kubernetes(_)), config.stall_timeout);
    let vitals = Arc::new(vitals);
    let parts = Parts { config, source, options, folder: folder.path().to_owned(), vitals, keeps };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = parts.run(service) => outcome,
            signal = service.stop.told_again() => Err(RunError::Interrupted { signal, keeps }),
        }
    });
    let patience = match &outcome {
        Err(RunError::Interrupted { .. } | RunError::Hung { .. }) => Duration::ZERO,
        _ if service.stop.is_requested() => LATE,
        _ => ABANDON,
    };
    runtime.shutdown_timeout(patience);
    outcome
}

/// The parts of a run.
struct Parts {
    config: Config,
    source: Source,
    options: Options,
    /// The folder of the journal.
    folder: PathBuf,
    vitals: Arc<Vitals>,
    /// `true` if the journal is available to the next run.
    keeps: bool,
}

impl Parts {
    /// Answers probes from the first moment to the last, and runs the service.
    async fn run(self, service: &Service) -> Result<RunSummary, RunError> {
        let ended = CancellationToken::new();
        let _ends = ended.clone().drop_guard();
        if let Some(listen) = &self.config.admin {
            let admin = admin::bind(listen).await?;
            info!(address = %admin.address(), "admin server");
            let until = ended.clone().cancelled_owned();
            tokio::spawn(admin.serve(self.vitals.clone(), until));
        }
        gates::serve(&self.config.targets, &ended).await?;
        let Self { config, source, options, folder, vitals, keeps } = self;
        let starting = {
            let vitals = vitals.clone();
            tokio::task::spawn_blocking(move || {
                start::start(config, source, options, &folder, &vitals)
            })
        };
        let started = tokio::select! {
            started = starting => started.map_err(|error| RunError::System(error.to_string()))??,
            () = service.stop.requested() => return Ok(RunSummary::default()),
        };
        started.serve(service, vitals, keeps).await
    }
}

impl Started {
    async fn serve(
        self,
        service: &Service,
        vitals: Arc<Vitals>,
        keeps: bool,
    ) -> Result<RunSummary, RunError> {
        let Self { config, source, mut pipeline, state, journal, loaded } = self;
        let ends = Ends { keeps, ..Ends::default() };
        let joined = match &source.kind {
            SourceKind::Kubernetes(settings) => {
                vitals.phase(Some("starting: signing in to the cluster"));
                let waker = service.let_lag(&mut pipeline);
                let start = cluster::Start {
                    settings,
                    cluster_name: &config.cluster,
                    state: &state,
                    journal: &journal,
                    timing: service.timing.clone(),
                    lease_status: vitals.lease(),
                };
                let joining = cluster::join(start, &mut pipeline, loaded);
                let mut joined = tokio::select! {
                    joined = joining => joined?,
                    () = service.stop.requested() => return Ok(RunSummary::default()),
                };
                joined.driver.waker = waker;
                vitals.watches(joined.statuses.clone());
                Some(joined)
            }
            SourceKind::Replay(_) => None,
        };
        let ready = deliveries::ready(&config.targets, &journal)?;
        let metrics = vitals.metrics();
        let (handle, wakers) = journal.start(config.targets, &config.journal, metrics.clone())?;
        let mut deliveries = deliveries::start(ready, &wakers, &handle, &metrics, &ends);
        info!(
            cluster = config.cluster,
            source = source.name,
            rules = config.rules.len(),
            "started"
        );
        vitals.watch_over("pipeline", pipeline.pulse());
        vitals.watch_over("journal", handle.pulse());
        vitals.phase(None);
        let _reporting = AbortOnDropHandle::new(tokio::spawn(log::report_dropped_lines()));

        let thread = PipelineThread::new(pipeline, handle.clone(), vitals.clone());
        let stop = service.stop.clone();
        let runtime = tokio::runtime::Handle::current();
        let thread =
            tokio::task::spawn_blocking(move || decide(thread, &source, joined, &runtime, &stop));
        let work = ends.finish(thread, &mut deliveries, service);
        let late = async {
            ends.deadline(service).await;
            // A journal writer that waits for disk space, and a pipeline that waits for the writer, end too.
            handle.give_up();
            ends.abandon.cancel();
            tokio::time::sleep(LATE).await;
        };
        let draining = async {
            service.stop.requested().await;
            vitals.phase(Some("shutting down: draining deliveries"));
            std::future::pending().await
        };
        let mut outcome = tokio::select! {
            outcome = work => outcome,
            () = late => Err(RunError::NotDrained(service.drain)),
            never = draining => never,
        };
        handle.give_up();
        ends.closed.cancel();
        let ended = close(deliveries, handle, service, &vitals).await?;
        // Counted here, for the journal may not have stored the last outcomes when a queue ends.
        if let (Ok(summary), Ok(pending)) = (&mut outcome, &ended) {
            for (name, delivered) in &mut summary.targets {
                delivered.left = pending.get(name).copied().unwrap_or(0);
            }
        }
        let outcome = match outcome {
            Err(RunError::NotDrained(_)) if keeps => Ok(RunSummary::default()),
            Ok(summary) if !keeps && ends.abandon.is_cancelled() && summary.left() > 0 => {
                Err(RunError::NotDrained(service.drain))
            }
            outcome => outcome,
        };
        if let Ok(summary) = &outcome
            && summary.left() > 0
        {
            info!(
                left = summary.left(),
                "pending deliveries stay in the journal until the next start"
            );
        }
        outcome.and_then(|summary| ended.map(|_| summary).map_err(RunError::from))
    }
}

/// Ends the deliveries and the journal. A part that hangs, perhaps because of a disk, is not waited for after the
/// time to drain.
async fn close(
    mut deliveries: Queues,
    journal: Handle,
    service: &Service,
    vitals: &Vitals,
) -> Result<Result<BTreeMap<String, u64>, JournalError>, RunError> {
    let closing = async {
        deliveries.shutdown().await;
        tokio::task::spawn_blocking(move || journal.close()).await
    };
    let too_late = async {
        service.stop.told_since(service.drain.saturating_add(LATE)).await;
        tokio::time::sleep(LATE).await;
    };
    tokio::select! {
        ended = closing => ended.map_err(|error| RunError::System(error.to_string())),
        () = too_late => {
            let doing = vitals.under_way();
            Err(RunError::Hung { drain: service.drain, doing })
        }
    }
}

/// Runs the pipeline on a thread of its own: receives the source's events, decides, and sends the output to the
/// journal, even if an error ends the run early.
fn decide(
    mut thread: PipelineThread,
    source: &Source,
    joined: Option<cluster::Joined>,
    runtime: &tokio::runtime::Handle,
    stop: &Stop,
) -> (RunSummary, Option<RunError>) {
    let ran = match (&source.kind, joined) {
        (SourceKind::Replay(replay), _) => thread.replay(replay, stop),
        (SourceKind::Kubernetes(_), Some(joined)) => {
            let cluster::Joined { mut driver, items, tasks, begun, .. } = joined;
            let mut intake = Intake { items, tasks };
            driver.run(&mut thread, &mut intake, runtime, begun, stop)
        }
        (SourceKind::Kubernetes(_), None) => Ok(()),
    };
    thread.summary.counts = thread.pipeline.status().counts;
    thread.pulse.idle();
    (thread.summary, ran.err())
}
