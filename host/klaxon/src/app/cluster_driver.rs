//! A cluster as the service's source: applies the events of its watches to the pipeline, and stores the progress of
//! the watches in the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use super::pipeline_thread::{DECIDES, PipelineThread};
use super::tasks::Tasks;
use super::{RunError, Stop};
use klaxon_core::pipeline::{MemoryState, Pipeline, ReadForm, Watch, WatchSetup};
use klaxon_journal::{Cursor, Loaded, Progress, SavedWatch};
use klaxon_kubernetes::{Item, Question, Resume, WatchMessage, WatchPlan};
use klaxon_model::clock::{self, Stopwatch};
use klaxon_model::{GapEffect, GapStart, ListStart, SourceEvent, Timestamp};

/// Maximum number of items that are decided together.
const TOGETHER: usize = 512;
/// Size of the items after which no more are decided together, in bytes.
const TOGETHER_BYTES: usize = 16 << 20;
/// Time for which items are gathered before they are decided.
const GATHER: Duration = Duration::from_millis(20);
/// Interval at which due timers are checked while no items arrive.
const IDLE: Duration = Duration::from_millis(200);

/// The progress of a watch in the pipeline.
pub(super) struct WatchProgress {
    plan: WatchPlan,
    cursor: Cursor,
    since: Timestamp,
    /// The version of a list that was made for new rules. Once the watch has come past it, they know all existing
    /// objects.
    backfilled_at: Option<u64>,
}

/// The items that the pipeline thread receives, and the tasks that send them.
pub(super) struct Intake {
    pub(super) items: mpsc::Receiver<Item>,
    pub(super) tasks: Tasks,
}

/// The next step of the pipeline thread.
enum Turn {
    Item(Item),
    Idle,
    /// All watches have ended.
    Over,
    /// A task ended that must not end.
    Broken(String),
}

/// The progress of a cluster's watches, on the pipeline thread.
pub(super) struct ClusterDriver {
    watches: Vec<WatchProgress>,
    /// Watches with progress that is not in the journal.
    moved: BTreeSet<usize>,
    /// Notified when a lagging rule has answered.
    pub(super) waker: Arc<Notify>,
    /// `true` while the backlog of a rule is full.
    is_blocked: bool,
}

/// Prepares a pipeline to continue where the last run stopped. Returns the start of each watch.
pub(super) fn prepare(
    pipeline: &mut Pipeline,
    plans: &[WatchPlan],
    loaded: Loaded,
    state: &MemoryState,
    forms: ReadForm,
    lost: Option<Timestamp>,
) -> (ClusterDriver, Vec<Resume>) {
    let Loaded { persisted, watches: saved_watches } = loaded;
    let setups: Vec<WatchSetup<'_>> = plans
        .iter()
        .map(|plan| WatchSetup {
            scope: &plan.name,
            coverage: plan.coverage(),
            rules: &plan.need.rules,
            backfills: true,
        })
        .collect();
    let backfills_now = pipeline.resume(&setups, persisted, state, forms);
    // The time since which a known object may have changed unseen, regardless of the watch that followed it.
    let last = saved_watches.values().map(|saved| saved.since).min();
    let is_new = saved_watches.is_empty();
    let mut watches = Vec::new();
    let mut resumes = Vec::new();
    for (plan, backfill) in plans.iter().zip(backfills_now) {
        let saved = saved_watches.get(&*plan.name);
        let knows_some = pipeline.watch(&plan.name, plan.coverage()).knows_any();
        let known_until = knows_some.then_some(last).flatten();
        let lost = if is_new { lost } else { None };
        let resume = resume(plan, saved, backfill, known_until, lost);
        let (cursor, since) = match &resume {
            Resume::From { version, since, .. } => (Cursor::At(version.clone()), *since),
            Resume::List(ListStart::Compare(GapStart { from, .. })) => (Cursor::Listing, *from),
            Resume::List(ListStart::First) => (Cursor::Listing, clock::now()),
            Resume::Absent { since, .. } => (Cursor::Absent, *since),
        };
        watches.push(WatchProgress { plan: plan.clone(), cursor, since, backfilled_at: None });
        resumes.push(resume);
    }
    // The time that the Lease reported must be in the journal before the Lease reports another one.
    let moved =
        if is_new && lost.is_some() { (0..watches.len()).collect() } else { BTreeSet::new() };
    (ClusterDriver { watches, moved, waker: Arc::default(), is_blocked: false }, resumes)
}

/// Returns the start of a watch. `known_until` is the time up to which its objects are known without a saved
/// version, because other watches followed them. `lost` is the time up to which a lost journal was in use.
fn resume(
    plan: &WatchPlan,
    saved: Option<&SavedWatch>,
    backfill: bool,
    known_until: Option<Timestamp>,
    lost: Option<Timestamp>,
) -> Resume {
    let compare = |from, reason: &str, complete_at| {
        Resume::List(ListStart::Compare(GapStart {
            from,
            reason: reason.to_owned(),
            effect: GapEffect::Marked,
            complete_at,
            is_other_epoch: false,
        }))
    };
    // Versions that are not numbers cannot be compared: then all unknown objects are new.
    let number = |version: &String| version.parse().unwrap_or(0);
    match saved {
        Some(SavedWatch { digest, since, .. }) if *digest != plan.digest => {
            compare(*since, "what is watched has changed since the last run", None)
        }
        Some(SavedWatch { cursor: Some(version), since, listing: false, .. }) => {
            Resume::From { version: version.clone(), since: *since, backfill }
        }
        Some(SavedWatch { cursor: None, listing: false, since, complete_at, .. }) => {
            Resume::Absent { since: *since, complete_at: complete_at.as_ref().map_or(0, number) }
        }
        Some(SavedWatch { since, complete_at, .. }) => {
            let complete_at = complete_at.as_ref().map(number);
            compare(*since, "the last run ended before a list was complete", complete_at)
        }
        None => match (known_until, lost) {
            (Some(from), _) => {
                compare(from, "the last run watched these objects in another way", None)
            }
            (None, Some(from)) => compare(from, "the journal of the last run is lost", None),
            (None, None) => Resume::List(ListStart::First),
        },
    }
}

impl ClusterDriver {
    /// Processes the items of the watches until all watches have ended or the service is stopped.
    pub(super) fn run(
        &mut self,
        thread: &mut PipelineThread,
        intake: &mut Intake,
        runtime: &Runtime,
        begun: oneshot::Sender<()>,
        stop: &Stop,
    ) -> Result<(), RunError> {
        self.settle(thread)?;
        // Without a Lease, nothing waits for this.
        begun.send(()).unwrap_or_default();
        while !stop.is_requested() {
            let is_blocked = self.is_blocked(thread);
            if is_blocked {
                thread.pulse.waits("waiting for a rule whose backlog is full (`limits.backlog`)");
            } else {
                thread.pulse.idle();
            }
            let Intake { items, tasks } = &mut *intake;
            let turn = runtime.block_on(async {
                tokio::select! {
                    first = items.recv(), if !is_blocked => first.map_or(Turn::Over, Turn::Item),
                    ended = tasks.ended() => Turn::Broken(ended),
                    () = self.waker.notified() => Turn::Idle,
                    () = tokio::time::sleep(IDLE) => Turn::Idle,
                    () = stop.requested() => Turn::Idle,
                }
            });
            thread.pulse.works(DECIDES);
            match turn {
                Turn::Item(item) => {
                    let bytes = item.message.bytes();
                    self.take(thread, item)?;
                    self.gather(thread, items, bytes)?;
                }
                Turn::Over => break,
                Turn::Broken(why) => {
                    error!(why, "a part of the service has ended: the service ends too");
                    self.settle(thread)?;
                    return Err(RunError::System(why));
                }
                Turn::Idle => {}
            }
            // Items in the channel are earlier, and may be the reason for which a timer must not fire.
            if items.is_empty() {
                thread.pipeline.apply("", clock::now(), SourceEvent::Progress);
            }
            thread.pipeline.flush();
            // Pauses end with the wall clock: while intake waits the event clock stands still.
            thread.pipeline.pump(clock::now());
            let progress = self.progress();
            thread.commit(progress)?;
        }
        self.settle(thread)
    }

    /// Returns `true` if intake must wait until a rule has reduced its backlog.
    fn is_blocked(&mut self, thread: &PipelineThread) -> bool {
        let is_blocked = thread.pipeline.is_full();
        match (self.is_blocked, is_blocked) {
            (false, true) => {
                warn!("the backlog of a rule is full (`limits.backlog`): intake waits for the rule")
            }
            (true, false) => info!("the backlog has capacity again: intake continues"),
            _ => {}
        }
        self.is_blocked = is_blocked;
        is_blocked
    }

    /// Processes the items that arrive within a short time, so that they are decided and committed together.
    fn gather(
        &mut self,
        thread: &mut PipelineThread,
        items: &mut mpsc::Receiver<Item>,
        mut bytes: usize,
    ) -> Result<(), RunError> {
        let since = Stopwatch::start();
        for _ in 0..TOGETHER {
            if since.elapsed() >= GATHER || bytes >= TOGETHER_BYTES || thread.pipeline.is_full() {
                return Ok(());
            }
            let Ok(item) = items.try_recv() else { return Ok(()) };
            bytes += item.message.bytes();
            self.take(thread, item)?;
        }
        Ok(())
    }

    /// Returns the progress since the last call.
    fn progress(&mut self) -> Vec<Progress> {
        let moved = std::mem::take(&mut self.moved);
        let watches = moved.into_iter().filter_map(|at| self.watches.get(at));
        watches
            .map(|watch| Progress {
                watch: watch.plan.name.clone(),
                digest: watch.plan.digest.clone(),
                cursor: watch.cursor.clone(),
                since: watch.since,
            })
            .collect()
    }

    /// Commits all decisions and the progress, and waits until they are on disk: the pipeline may read them from the
    /// journal next.
    fn settle(&mut self, thread: &mut PipelineThread) -> Result<(), RunError> {
        thread.pipeline.flush();
        let progress = self.progress();
        thread.commit_and_wait(progress)
    }

    fn take(&mut self, thread: &mut PipelineThread, item: Item) -> Result<(), RunError> {
        // The item's share of the queued bytes is released when the item has been processed.
        let Item { watch, at, since, message, share: _share } = item;
        let Some(progress) = self.watches.get_mut(watch) else { return Ok(()) };
        let name = progress.plan.name.clone();
        match message {
            WatchMessage::Event { event, version } => {
                self.apply(thread, watch, (at, since), event, version)
            }
            WatchMessage::BackfillListed(version) => {
                // A watch of Kubernetes Events may get no bookmark that shows that it has come past the list.
                let version =
                    if progress.plan.is_of_events() { None } else { version.parse().ok() };
                progress.backfilled_at = version.or(Some(0));
                self.end_backfill(thread, watch, at);
                Ok(())
            }
            WatchMessage::Question(question) => {
                answer(thread.pipeline.watch(&name, progress.plan.coverage()), question);
                Ok(())
            }
        }
    }

    /// Applies an event to the pipeline and notes the progress of its watch.
    fn apply(
        &mut self,
        thread: &mut PipelineThread,
        watch: usize,
        (at, since): (Timestamp, Timestamp),
        event: SourceEvent,
        version: Option<String>,
    ) -> Result<(), RunError> {
        let Some(progress) = self.watches.get_mut(watch) else { return Ok(()) };
        let name = progress.plan.name.clone();
        let mut cursor = version.map(Cursor::At);
        let mut moves = cursor.is_some();
        match &event {
            SourceEvent::ListStarted { start, .. } => {
                if *start == ListStart::First {
                    progress.since = since;
                }
                progress.cursor = Cursor::Listing;
                progress.backfilled_at = None;
                self.moved.insert(watch);
            }
            SourceEvent::ListCompleted { .. } => self.settle(thread)?,
            SourceEvent::NotServed { start, .. } => {
                progress.backfilled_at = None;
                // Set only after the event was applied: before the comparison, the kind may still have been served.
                (cursor, moves) = (Some(Cursor::Absent), true);
                if start.is_some() {
                    self.settle(thread)?;
                }
            }
            SourceEvent::Progress => moves = true,
            SourceEvent::Object { .. }
            | SourceEvent::GapStarted { .. }
            | SourceEvent::Excluded { .. }
            | SourceEvent::BackfillObject(_)
            | SourceEvent::BackfillCompleted
            | SourceEvent::Connected
            | SourceEvent::Disconnected => {}
        }
        thread.pipeline.apply(&name, at, event);
        if moves {
            self.move_to(watch, cursor, since);
            self.end_backfill(thread, watch, at);
        }
        Ok(())
    }

    /// Ends the backfill of new rules once the watch has come past the list that was made for them.
    fn end_backfill(&mut self, thread: &mut PipelineThread, watch: usize, at: Timestamp) {
        let Some(progress) = self.watches.get_mut(watch) else { return };
        let Some(version) = progress.backfilled_at else { return };
        let has_come_past = match &progress.cursor {
            Cursor::At(cursor) => cursor.parse::<u64>().is_ok_and(|cursor| cursor >= version),
            Cursor::Absent | Cursor::Listing => false,
        };
        if has_come_past {
            progress.backfilled_at = None;
            thread.pipeline.apply(&progress.plan.name, at, SourceEvent::BackfillCompleted);
        }
    }

    fn move_to(&mut self, watch: usize, cursor: Option<Cursor>, since: Timestamp) {
        let Some(progress) = self.watches.get_mut(watch) else { return };
        if let Some(cursor) = cursor {
            progress.cursor = cursor;
        }
        progress.since = progress.since.max(since);
        self.moved.insert(watch);
    }
}

/// Answers a question of a watch. A watch that no longer waits for the answer asks again.
fn answer(mut watch: Watch<'_>, question: Question) {
    match question {
        Question::IsAnyKnown { reply } => {
            reply.send(watch.suspend_unserved()).unwrap_or_default();
        }
        Question::IsSameEpoch { cursor, listed, reply } => {
            drop(reply.send(watch.verify(cursor, &listed)));
        }
        Question::Undeleted { reply } => {
            let uid = watch.undeleted().map(|uid| uid.to_string());
            drop(reply.send(uid));
        }
    }
}
