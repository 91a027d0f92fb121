//! The running service. This is the only wiring: which threads and tasks there are, who holds which
//! end of which channel, and in what order they end.
//!
//! ```text
//! source thread ──records──► middle thread ──deliveries──► one task a target
//!      (bounded)    owns the pipeline and the journal         (bounded)
//! ```
//!
//! Every channel is bounded, so a full step makes the one before it wait, up to the source. They end
//! from left to right: a source that is exhausted or stopped drops its sender; the middle drains the
//! channel, evaluates what waits, commits it and drops the queues; each target ends when its queue is
//! empty.

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tracing::info;

use crate::config::{Config, Source};
use crate::deliver::{self, Delivered};
use crate::engine::Options;
use crate::harness::RecordFeed;
use crate::journal::{Journal, JournalError, MemoryJournal};
use crate::model::{Origin, Timestamp};
use crate::pipeline::{AssembleError, Counts, Pipeline, assemble};
use crate::policy::Targets;
use crate::source::{Item, ReplaySource};
use crate::stream::{StreamError, StreamFile};
use crate::targets::Sender;

pub use report::log_step;

/// Records between the source and the middle.
const RECORDS: usize = 1024;
/// When nothing comes for so long, what waits is evaluated.
const IDLE: Duration = Duration::from_millis(20);
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
    /// What was decided cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A thread or the runtime cannot be started, or ended without an outcome.
    #[error("the service cannot run: {0}")]
    System(String),
    /// Deliveries were still under way when the time to drain was over.
    #[error("told to stop, and deliveries were still under way after {0:?}: they are lost")]
    NotDrained(Duration),
}

/// What a run did.
#[derive(Debug, Default, serde::Serialize)]
pub struct RunSummary {
    /// Streams that were read.
    pub streams: u64,
    /// Lines of other types that were skipped.
    pub skipped: u64,
    /// What the pipeline counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Verdicts by rule and code.
    pub codes: BTreeMap<String, u64>,
    /// What each target's queue did.
    pub targets: BTreeMap<String, Delivered>,
}

/// Runs the service until its source is exhausted or it is told to stop, and drains it; told to stop,
/// it drains for so long and no longer.
///
/// # Errors
/// Where it cannot start, a source cannot be read, or what was decided cannot be kept.
pub fn run(config: Config, options: Options, drain: Duration) -> Result<RunSummary, RunError> {
    let system = |fault: std::io::Error| RunError::System(fault.to_string());
    let Some(source) = config.sources.first().cloned() else {
        return Err(RunError::System("there is no source".to_owned()));
    };
    let origin = Origin { cluster: config.cluster.clone(), source: source.name.clone() };
    let targets = config.targets.keys().cloned().collect();
    let targets = Targets::Configured(Arc::new(targets));
    let pipeline = assemble(&config.rules, targets, origin, options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system)?;
    let outcome = runtime.block_on(serve(config, source, pipeline, drain));
    runtime.shutdown_timeout(ABANDON);
    outcome
}

async fn serve(
    config: Config,
    source: Source,
    pipeline: Pipeline,
    drain: Duration,
) -> Result<RunSummary, RunError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut deliveries = JoinSet::new();
    let mut queues = BTreeMap::new();
    for (name, target) in &config.targets {
        let sender =
            Sender::new(target).map_err(|why| RunError::Target { name: name.clone(), why })?;
        let (queue, inbox) = mpsc::channel(deliver::QUEUE);
        queues.insert(name.clone(), queue);
        let name = name.clone();
        deliveries.spawn(async move {
            let delivered = deliver::run(name.clone(), sender, inbox).await;
            (name, delivered)
        });
    }
    let journal = MemoryJournal::new(config.targets, queues);
    // Before anything is running: from here on a signal means draining, not the end.
    let system = |fault: std::io::Error| RunError::System(fault.to_string());
    let terminate = signal(SignalKind::terminate()).map_err(system)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let signals = tokio::spawn(stop_on_signal(stop.clone(), terminate, interrupt));
    info!(cluster = config.cluster, source = source.name, rules = config.rules.len(), "started");

    let middle = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || middle(pipeline, journal, &source, &stop)
    });
    let work = async {
        let ended = |what, fault: JoinError| RunError::System(format!("{what} ended: {fault}"));
        let (mut summary, fault) = middle.await.map_err(|fault| ended("the middle", fault))?;
        // What was decided before a fault is delivered all the same.
        while let Some(done) = deliveries.join_next().await {
            let (name, delivered) = done.map_err(|fault| ended("a target", fault))?;
            summary.targets.insert(name, delivered);
        }
        fault.map_or(Ok(summary), Err)
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = drain_deadline(&stop, drain) => Err(RunError::NotDrained(drain)),
    };
    // Ends the queues, and with them a middle that waits for room in one.
    deliveries.shutdown().await;
    signals.abort();
    outcome
}

/// Sets the flag at SIGTERM and SIGINT.
async fn stop_on_signal(stop: Arc<AtomicBool>, mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("told to stop: draining");
    stop.store(true, Ordering::Relaxed);
}

/// Over when the service was told to stop and its time to drain is up.
async fn drain_deadline(stop: &AtomicBool, drain: Duration) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(drain).await;
}

/// Runs on a thread of its own: takes records, decides, commits. What was decided is committed even
/// where a fault ends the run early.
fn middle(
    mut pipeline: Pipeline,
    mut journal: MemoryJournal,
    source: &Source,
    stop: &Arc<AtomicBool>,
) -> (RunSummary, Option<RunError>) {
    let mut summary = RunSummary { streams: source.streams.len() as u64, ..RunSummary::default() };
    let fed = feed(&mut pipeline, &mut journal, source, stop, &mut summary);
    let (until, fault) = match fed {
        Ok(until) => (until, None),
        Err(fault) => (None, Some(fault)),
    };
    pipeline.finish(until);
    let committed = commit(&mut pipeline, &mut journal, &mut summary);
    summary.counts = pipeline.counts();
    (summary, fault.or(committed.err()))
}

/// Takes all that the source yields. Returns how far the clock may go after the last event.
fn feed(
    pipeline: &mut Pipeline,
    journal: &mut MemoryJournal,
    source: &Source,
    stop: &Arc<AtomicBool>,
    summary: &mut RunSummary,
) -> Result<Option<Timestamp>, RunError> {
    let files: Vec<StreamFile> =
        source.streams.iter().map(|path| StreamFile::at(path.clone())).collect();
    let mut records_feed = RecordFeed::new(files.len());
    let replay = ReplaySource { files, speed: source.speed };
    let (records, inbox) = sync_channel(RECORDS);
    let enough = Arc::new(AtomicBool::new(false));
    let reader = std::thread::Builder::new()
        .name("klaxon-source".to_owned())
        .spawn({
            let flags = [stop.clone(), enough.clone()];
            move || replay.run(&records, &flags)
        })
        .map_err(|fault| RunError::System(fault.to_string()))?;
    let taken = take(pipeline, journal, &mut records_feed, &inbox, summary);
    // A source that waits, for room or for its next record, must see that nobody listens.
    enough.store(true, Ordering::Relaxed);
    drop(inbox);
    let read = reader.join().map_err(|_| RunError::System("the source ended".to_owned()))?;
    taken?;
    let (last, skipped) = read?;
    summary.skipped = skipped;
    // Told to stop, the clock stays where it is: what would have come is not known.
    let advance_ms = if stop.load(Ordering::Relaxed) { 0 } else { source.advance_ms };
    Ok(last.map(|last| last.plus_millis(advance_ms)))
}

fn take(
    pipeline: &mut Pipeline,
    journal: &mut MemoryJournal,
    feed: &mut RecordFeed,
    inbox: &Receiver<Item>,
    summary: &mut RunSummary,
) -> Result<(), RunError> {
    loop {
        match inbox.recv_timeout(IDLE) {
            Ok(item) => feed.push(pipeline, item.stream, &item.scope, &item.record),
            Err(RecvTimeoutError::Timeout) => pipeline.flush(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        commit(pipeline, journal, summary)?;
    }
}

fn commit(
    pipeline: &mut Pipeline,
    journal: &mut MemoryJournal,
    summary: &mut RunSummary,
) -> Result<(), RunError> {
    let Some(step) = pipeline.take_step() else { return Ok(()) };
    log_step(&step);
    for verdict in &step.verdicts {
        *summary.codes.entry(format!("{}/{}", verdict.rule, verdict.code)).or_default() += 1;
    }
    journal.commit(step)?;
    Ok(())
}
