//! The running service. This is the only wiring: which threads and tasks there are, who holds which
//! end of which channel, and in what order they end.
//!
//! ```text
//! source ──items──► middle thread ──groups──► journal thread ──bells──► one task a target
//!  (a task a watch,   owns the pipeline         owns the file              reads its deliveries
//!   or one thread)                                                        from the journal
//! ```
//!
//! Every channel is bounded, so a full step makes the one before it wait, up to the source. They end
//! from left to right: a source that is exhausted or stopped drops its sender; the middle drains the
//! channel, evaluates what waits and hands it over; each target ends when its outbox is empty; the
//! journal ends when nobody writes any longer.

mod capture;
mod cluster;
mod ends;
mod health;
mod live;
mod middle;
mod place;
mod queues;
mod replayed;
mod report;
mod stop;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::info;

use crate::admin::{self, AdminError};
use crate::config::{Config, Source, SourceKind};
use crate::deliver::Delivered;
use crate::engine::Options;
use crate::journal::{Journal, JournalError};
use crate::model::Origin;
use crate::pipeline::{AssembleError, Counts, MemoryState, Pipeline, assemble_with};
use crate::policy::Targets;
use crate::source::kubernetes::Timing;
use crate::source::kubernetes::sign_in::SignInError;
use crate::stream::StreamError;

pub use capture::{Capture, Captured};
pub use cluster::{extra_rights, rights_of, served_rights, signed_in};
use ends::Ends;
use health::Vitals;
use live::Intake;
use middle::Middle;
use place::JournalFolder;
pub use report::log_step;
pub use stop::Stop;

/// What a first signal means.
const DRAINING: &str = "draining; told once more, it ends at once";
/// A write to a pipe that nobody reads cannot be ended: the process does not wait for it.
const ABANDON: Duration = Duration::from_secs(1);

/// Why the service cannot run on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The rules cannot be loaded.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A target cannot be made ready.
    #[error("target {name}: {why}")]
    Target {
        /// The target's name.
        name: String,
        /// Why.
        why: String,
    },
    /// A stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// There is no way into the cluster.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// It is another cluster than the journal's.
    #[error(
        "the journal is of the cluster {was}, and this is {is} ({server}): what was known would be told as deleted; hint: sign in to the right cluster, or name another journal.path; to go on with this journal here, set `kubernetes: {{cluster_uid: {is}}}`"
    )]
    OtherCluster {
        /// The uid of the cluster that is expected.
        was: String,
        /// The uid of the cluster that was signed in to.
        is: String,
        /// Its API server.
        server: String,
    },
    /// The cluster is not the one that the configuration names.
    #[error(
        "`cluster_uid` is {wanted}, and the cluster at {server} is {is}; hint: sign in to the right cluster, or correct cluster_uid"
    )]
    NotTheCluster {
        /// The uid of the configuration.
        wanted: String,
        /// The uid of the cluster that was signed in to, or why it cannot be read.
        is: String,
        /// Its API server.
        server: String,
    },
    /// The admin server cannot listen.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// What was decided cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A thread or the runtime cannot be started, or ended without an outcome.
    #[error("the service cannot run: {0}")]
    System(String),
    /// Deliveries were still under way when the time to drain was over.
    #[error(
        "told to stop, and deliveries were still under way after {0:?}: they are lost, for the journal was a temporary one"
    )]
    NotDrained(Duration),
    /// It was told to stop once more while it drained.
    #[error("told to stop once more: it ends at once, and {}", fate(*.keeps))]
    Interrupted {
        /// The number of the signal.
        signal: i32,
        /// Whether the journal is there for the next run.
        keeps: bool,
    },
}

fn fate(keeps: bool) -> &'static str {
    if keeps {
        "what was not delivered stays in the journal for the next run"
    } else {
        "what was not delivered is lost, for the journal was a temporary one"
    }
}

/// How the service is run, beside its configuration.
#[derive(Debug, Clone)]
pub struct Service {
    /// How long it may take to end when told to stop.
    pub drain: Duration,
    /// How patient watches are.
    pub timing: Timing,
    /// Tells it to stop.
    pub stop: Stop,
    /// A rule that keeps a worker for longer than this falls behind: its events are parked.
    pub patience: Duration,
    /// How long a rule that fails too often is out of service at first.
    pub pause: Duration,
}

impl Service {
    /// With the patience that clusters need.
    pub fn new(drain: Duration) -> Self {
        Self {
            drain,
            timing: Timing::default(),
            stop: Stop::default(),
            patience: Duration::from_millis(250),
            pause: Duration::from_secs(60),
        }
    }

    /// From now on rules fall behind rather than hold up others. Returns what is rung when one of them
    /// has answered.
    fn let_fall_behind(&self, pipeline: &mut Pipeline) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let ring = bell.clone();
        pipeline.first_pause(self.pause);
        pipeline.serve(self.patience, Arc::new(move || ring.notify_one()));
        bell
    }
}

/// What a run did.
#[derive(Debug, Default, serde::Serialize)]
pub struct RunSummary {
    /// Streams that were read.
    pub streams: u64,
    /// Lines of other types that were skipped.
    pub skipped: u64,
    /// Gaps that were recorded.
    pub gaps: u64,
    /// What the pipeline counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Verdicts by rule and code.
    pub codes: BTreeMap<String, u64>,
    /// What each target's queue did.
    pub targets: BTreeMap<String, Delivered>,
}

impl RunSummary {
    /// Deliveries that wait in the journal for the next run.
    fn left(&self) -> u64 {
        self.targets.values().map(|delivered| delivered.left).sum()
    }
}

/// Runs the service until its source is exhausted or it is told to stop, and drains it; told to stop,
/// it drains for so long and no longer. What is not delivered by then waits in the journal. A second signal
/// ends it at once, as a crash would, which the journal is made for.
///
/// # Errors
/// Where it cannot start, a source cannot be read, or what was decided cannot be kept.
pub fn run(config: Config, options: Options, service: &Service) -> Result<RunSummary, RunError> {
    let system = |fault: std::io::Error| RunError::System(fault.to_string());
    let Some(source) = config.sources.first().cloned() else {
        return Err(RunError::System("there is no source".to_owned()));
    };
    let origin = Origin { cluster: config.cluster.clone(), source: source.name.clone() };
    let targets = config.targets.keys().cloned().collect();
    let targets = Targets::Configured(Arc::new(targets));
    let state = Arc::new(MemoryState::default());
    let pipeline = assemble_with(&config.rules, targets, origin, options, state.clone())?;
    let folder = JournalFolder::of(&config, &source)?;
    let journal = Journal::open(folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system)?;
    let keeps = folder.keeps();
    let parts = Parts { config, source, pipeline, state, journal, keeps };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = parts.serve(service) => outcome,
            signal = service.stop.told_again() => Err(RunError::Interrupted { signal, keeps }),
        }
    });
    let is_interrupted = matches!(outcome, Err(RunError::Interrupted { .. }));
    runtime.shutdown_timeout(if is_interrupted { Duration::ZERO } else { ABANDON });
    outcome
}

/// All that a run is made of.
struct Parts {
    config: Config,
    source: Source,
    pipeline: Pipeline,
    state: Arc<MemoryState>,
    journal: Journal,
    /// Whether the journal is there for the next run.
    keeps: bool,
}

impl Parts {
    async fn serve(self, service: &Service) -> Result<RunSummary, RunError> {
        let Self { config, source, mut pipeline, state, journal, keeps } = self;
        let system = |fault: std::io::Error| RunError::System(fault.to_string());
        // Before anything is running: from here on the first signal means draining.
        let signals = service.stop.on_signals(DRAINING).map_err(system)?;
        let has_cluster = matches!(source.kind, SourceKind::Kubernetes(_));
        let vitals = Arc::new(Vitals::new(has_cluster));
        let ends = Ends { keeps, ..Ends::default() };
        let admin = match &config.admin {
            Some(listen) => Some(admin::bind(listen).await?),
            None => None,
        };
        if let Some(admin) = admin {
            info!(address = %admin.address(), "admin server");
            let until = ends.closed.clone();
            let serving = admin.serve(vitals.clone(), async move { until.cancelled().await });
            tokio::spawn(serving);
        }
        let live = match &source.kind {
            SourceKind::Kubernetes(settings) => {
                let bell = service.let_fall_behind(&mut pipeline);
                let joining = cluster::join(
                    settings,
                    &config.cluster,
                    &mut pipeline,
                    &state,
                    &journal,
                    service.timing.clone(),
                    vitals.lease(),
                );
                let mut joined = tokio::select! {
                    joined = joining => joined?,
                    () = service.stop.told() => return Ok(RunSummary::default()),
                };
                joined.live.bell = bell;
                vitals.watches(joined.statuses.clone());
                Some(joined)
            }
            SourceKind::Replay(_) => None,
        };
        let ready = queues::ready(&config.targets, &journal)?;
        let metrics = vitals.metrics();
        let (handle, bells) = journal.start(config.targets, &config.journal, metrics.clone())?;
        let mut deliveries = queues::start(ready, &bells, &handle, &metrics, &ends);
        info!(
            cluster = config.cluster,
            source = source.name,
            rules = config.rules.len(),
            "started"
        );

        let middle = Middle {
            pipeline,
            journal: handle.clone(),
            summary: RunSummary::default(),
            vitals: vitals.clone(),
        };
        let stop = service.stop.clone();
        let runtime = tokio::runtime::Handle::current();
        let middle =
            tokio::task::spawn_blocking(move || decide(middle, &source, live, &runtime, &stop));
        let work = ends.finish(middle, &mut deliveries, service);
        let late = async {
            ends.deadline(service).await;
            // A writer that waits for room on its disk, and a middle that waits for it, end too.
            handle.give_up();
            ends.abandon.cancel();
            tokio::time::sleep(ABANDON).await;
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = late => Err(RunError::NotDrained(service.drain)),
        };
        deliveries.shutdown().await;
        handle.give_up();
        ends.closed.cancel();
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
            info!(left = summary.left(), "what is not delivered waits in the journal");
        }
        let ended = tokio::task::spawn_blocking(move || handle.close()).await;
        // Not before: a disk that hangs may be what nobody wants to wait for.
        signals.abort();
        match (outcome, ended) {
            (Ok(summary), Ok(ended)) => ended.map(|()| summary).map_err(RunError::from),
            (Ok(_), Err(fault)) => Err(RunError::System(fault.to_string())),
            (Err(fault), _) => Err(fault),
        }
    }
}

/// Runs on a thread of its own: takes what the source yields, decides, and hands it to the journal.
/// What was decided is handed over even where a fault ends the run early.
fn decide(
    mut middle: Middle,
    source: &Source,
    live: Option<cluster::Joined>,
    runtime: &tokio::runtime::Handle,
    stop: &Stop,
) -> (RunSummary, Option<RunError>) {
    let ran = match (&source.kind, live) {
        (SourceKind::Replay(replay), _) => middle.replay(replay, stop),
        (SourceKind::Kubernetes(_), Some(joined)) => {
            let cluster::Joined { mut live, items, tasks, begun, .. } = joined;
            let mut intake = Intake { items, tasks };
            live.run(&mut middle, &mut intake, runtime, begun, stop)
        }
        (SourceKind::Kubernetes(_), None) => Ok(()),
    };
    middle.summary.counts = middle.pipeline.counts();
    (middle.summary, ran.err())
}
