//! A cluster as the service's source: what its watches tell, into the pipeline; how far they came,
//! into the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use super::pipeline_thread::{DECIDES, Middle};
use super::tasks::Tasks;
use super::{RunError, Stop};
use crate::journal::{Cursor, Loaded, Progress, SavedWatch};
use crate::model::clock::{self, Stopwatch};
use crate::model::{Backfill, Coverage, ListStart, SourceEvent, Telling, Timestamp};
use crate::pipeline::{MemoryState, Pipeline};
use crate::source::kubernetes::{Item, Question, Resume, WatchMessage, WatchPlan};

/// Most items that are decided together.
const TOGETHER: usize = 512;
/// Bytes after which no more are taken together.
const TOGETHER_BYTES: usize = 16 << 20;
/// How long items are gathered before they are decided.
const GATHER: Duration = Duration::from_millis(20);
/// When nothing comes for so long, it is looked whether a timer is due.
const IDLE: Duration = Duration::from_millis(200);

/// How far a watch has come, in the pipeline.
pub(super) struct Place {
    plan: WatchPlan,
    cursor: Cursor,
    since: Timestamp,
    /// The version of a list that was made for new rules: when the watch has come past it, they know
    /// all that exists.
    backfilled_at: Option<u64>,
}

/// The items that the pipeline thread takes in, and the tasks that they come from.
pub(super) struct Intake {
    pub(super) items: mpsc::Receiver<Item>,
    pub(super) tasks: Tasks,
}

/// The next step of the pipeline thread.
enum Turn {
    Item(Item),
    Idle,
    /// There are no watches any longer.
    Over,
    /// A task has ended that should not.
    Broken(String),
}

/// The watches of a cluster, as the middle sees them.
pub(super) struct Live {
    places: Vec<Place>,
    /// Watches whose progress is not in the journal.
    moved: BTreeSet<usize>,
    /// Rung when a rule that is behind has answered.
    pub(super) waker: Arc<Notify>,
    /// There is no room to park more for some rule.
    is_blocked: bool,
}

/// Prepares a pipeline to go on where the last run stopped. Returns where each watch begins.
pub(super) fn prepare(
    pipeline: &mut Pipeline,
    plans: &[WatchPlan],
    loaded: Loaded,
    state: &MemoryState,
    lost: Option<Timestamp>,
) -> (Live, Vec<Resume>) {
    let Loaded { kept, watches } = loaded;
    let backfills_now: Vec<bool> = plans
        .iter()
        .map(|plan| {
            pipeline.follow(&plan.name, plan.coverage(), &plan.need.rules);
            let before: &[Backfill] = &kept.backfills;
            pipeline.plan_backfills(&plan.name, &plan.coverage(), &plan.need, before)
        })
        .collect();
    // Since when something that was known may have changed unseen, whoever followed it.
    let last = watches.values().map(|saved| saved.since).min();
    let is_new = watches.is_empty();
    pipeline.restore(kept, state);
    for name in watches.keys().filter(|name| plans.iter().all(|plan| *plan.name != ***name)) {
        pipeline.forget_watch(name);
    }
    let mut places = Vec::new();
    let mut resumes = Vec::new();
    for (plan, backfill) in plans.iter().zip(backfills_now) {
        let saved = watches.get(&*plan.name);
        let knows_some = pipeline.knows_any(&plan.coverage());
        let known_until = knows_some.then_some(last).flatten();
        let lost = if is_new { lost } else { None };
        let resume = resume(plan, saved, backfill, known_until, lost);
        let (cursor, since) = match &resume {
            Resume::From { version, since, .. } => (Cursor::At(version.clone()), *since),
            Resume::List(ListStart::Compare { from, .. }) => (Cursor::Listing, *from),
            Resume::List(ListStart::First) => (Cursor::Listing, clock::now()),
            Resume::Absent { since, .. } => (Cursor::Absent, *since),
        };
        places.push(Place { plan: plan.clone(), cursor, since, backfilled_at: None });
        resumes.push(resume);
    }
    // What the Lease told is in the journal before the Lease tells something else.
    let moved =
        if is_new && lost.is_some() { (0..places.len()).collect() } else { BTreeSet::new() };
    (Live { places, moved, waker: Arc::default(), is_blocked: false }, resumes)
}

/// Where a watch begins; `known_until` says until when objects of its are known though it has no
/// saved version, for other watches followed them; `lost` until when a journal that is lost was in
/// use.
fn resume(
    plan: &WatchPlan,
    saved: Option<&SavedWatch>,
    backfill: bool,
    known_until: Option<Timestamp>,
    lost: Option<Timestamp>,
) -> Resume {
    let compare = |from, reason: &str, complete_at| {
        Resume::List(ListStart::Compare {
            from,
            reason: reason.to_owned(),
            telling: Telling::Gap,
            complete_at,
            is_other_history: false,
        })
    };
    // Versions that are no numbers do not compare: then all that is unknown is new.
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

impl Live {
    /// Takes what the watches tell until they are gone or the service is told to stop.
    pub(super) fn run(
        &mut self,
        middle: &mut Middle,
        intake: &mut Intake,
        runtime: &Runtime,
        begun: oneshot::Sender<()>,
        stop: &Stop,
    ) -> Result<(), RunError> {
        self.settle(middle)?;
        // Nobody waits for it where no Lease is kept.
        begun.send(()).unwrap_or_default();
        while !stop.is_told() {
            let is_blocked = self.is_blocked(middle);
            if is_blocked {
                middle.pulse.waits("waiting for a rule whose backlog is full (`limits.backlog`)");
            } else {
                middle.pulse.idle();
            }
            let Intake { items, tasks } = &mut *intake;
            let turn = runtime.block_on(async {
                tokio::select! {
                    first = items.recv(), if !is_blocked => first.map_or(Turn::Over, Turn::Item),
                    ended = tasks.ended() => Turn::Broken(ended),
                    () = self.waker.notified() => Turn::Idle,
                    () = tokio::time::sleep(IDLE) => Turn::Idle,
                    () = stop.told() => Turn::Idle,
                }
            });
            middle.pulse.works(DECIDES);
            match turn {
                Turn::Item(item) => {
                    let bytes = item.message.bytes();
                    self.take(middle, item)?;
                    self.gather(middle, items, bytes)?;
                }
                Turn::Over => break,
                Turn::Broken(why) => {
                    error!(why, "a part of the service has ended: the service ends too");
                    self.settle(middle)?;
                    return Err(RunError::System(why));
                }
                Turn::Idle => {}
            }
            // What waits in the channel is earlier, and may be why a timer must not fire.
            if items.is_empty() {
                middle.pipeline.advance_to(clock::now());
            }
            middle.pipeline.flush();
            // The clock of a pause: while intake waits the event clock stands still.
            middle.pipeline.pump(clock::now());
            let progress = self.progress();
            middle.commit(progress)?;
        }
        self.settle(middle)
    }

    /// Whether intake must wait until a rule has made room.
    fn is_blocked(&mut self, middle: &Middle) -> bool {
        let is_blocked = middle.pipeline.is_full();
        match (self.is_blocked, is_blocked) {
            (false, true) => warn!(
                "there is no room to park more for a rule (`limits.backlog`): intake waits for it"
            ),
            (true, false) => info!("there is room to park again: intake goes on"),
            _ => {}
        }
        self.is_blocked = is_blocked;
        is_blocked
    }

    /// Takes what comes within a short time, so that it is decided and committed together.
    fn gather(
        &mut self,
        middle: &mut Middle,
        items: &mut mpsc::Receiver<Item>,
        mut bytes: usize,
    ) -> Result<(), RunError> {
        let since = Stopwatch::start();
        for _ in 0..TOGETHER {
            if since.elapsed() >= GATHER || bytes >= TOGETHER_BYTES || middle.pipeline.is_full() {
                return Ok(());
            }
            let Ok(item) = items.try_recv() else { return Ok(()) };
            bytes += item.message.bytes();
            self.take(middle, item)?;
        }
        Ok(())
    }

    /// What has moved since this was last asked.
    fn progress(&mut self) -> Vec<Progress> {
        let moved = std::mem::take(&mut self.moved);
        let places = moved.into_iter().filter_map(|at| self.places.get(at));
        places
            .map(|place| Progress {
                watch: place.plan.name.clone(),
                digest: place.plan.digest.clone(),
                cursor: place.cursor.clone(),
                since: place.since,
            })
            .collect()
    }

    /// All that was decided, and how far it goes, on disk: what is read next must be there.
    fn settle(&mut self, middle: &mut Middle) -> Result<(), RunError> {
        middle.pipeline.flush();
        let progress = self.progress();
        middle.commit_and_wait(progress)
    }

    fn take(&mut self, middle: &mut Middle, item: Item) -> Result<(), RunError> {
        // The share of the item is free again when it is decoded.
        let Item { watch, at, since, message, share: _share } = item;
        let Some(place) = self.places.get_mut(watch) else { return Ok(()) };
        let name = place.plan.name.clone();
        match message {
            WatchMessage::Event { event, version } => {
                self.apply(middle, watch, (at, since), event, version)
            }
            WatchMessage::BackfillListed(version) => {
                // A watch of Kubernetes Events may get no bookmark that shows that it has come past the list.
                let version = if place.plan.is_of_events() { None } else { version.parse().ok() };
                place.backfilled_at = version.or(Some(0));
                self.end_backfill(middle, watch, at);
                Ok(())
            }
            WatchMessage::Question(question) => {
                answer(&mut middle.pipeline, &name, &place.plan.coverage(), question);
                Ok(())
            }
        }
    }

    /// Hands an event to the pipeline and notes how far its watch has come.
    fn apply(
        &mut self,
        middle: &mut Middle,
        watch: usize,
        (at, since): (Timestamp, Timestamp),
        event: SourceEvent,
        version: Option<String>,
    ) -> Result<(), RunError> {
        let Some(place) = self.places.get_mut(watch) else { return Ok(()) };
        let name = place.plan.name.clone();
        let mut cursor = version.map(Cursor::At);
        let mut moves = cursor.is_some();
        match &event {
            SourceEvent::ListStarted { start, .. } => {
                if *start == ListStart::First {
                    place.since = since;
                }
                place.cursor = Cursor::Listing;
                place.backfilled_at = None;
                self.moved.insert(watch);
            }
            SourceEvent::ListCompleted { .. } => self.settle(middle)?,
            SourceEvent::NotServed { start, .. } => {
                place.backfilled_at = None;
                // Only with the comparison: before it the kind may still have been there.
                (cursor, moves) = (Some(Cursor::Absent), true);
                if start.is_some() {
                    self.settle(middle)?;
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
        middle.pipeline.apply(&name, at, event);
        if moves {
            self.move_to(watch, cursor, since);
            self.end_backfill(middle, watch, at);
        }
        Ok(())
    }

    /// Ends the backfill of new rules once the watch has come past the list that was made for them.
    fn end_backfill(&mut self, middle: &mut Middle, watch: usize, at: Timestamp) {
        let Some(place) = self.places.get_mut(watch) else { return };
        let Some(version) = place.backfilled_at else { return };
        let has_come_past = match &place.cursor {
            Cursor::At(cursor) => cursor.parse::<u64>().is_ok_and(|cursor| cursor >= version),
            Cursor::Absent | Cursor::Listing => false,
        };
        if has_come_past {
            place.backfilled_at = None;
            middle.pipeline.apply(&place.plan.name, at, SourceEvent::BackfillCompleted);
        }
    }

    fn move_to(&mut self, watch: usize, cursor: Option<Cursor>, since: Timestamp) {
        let Some(place) = self.places.get_mut(watch) else { return };
        if let Some(cursor) = cursor {
            place.cursor = cursor;
        }
        place.since = place.since.max(since);
        self.moved.insert(watch);
    }
}

/// Answers a question of a watch. A watch that does not wait any longer asks again.
fn answer(pipeline: &mut Pipeline, scope: &Arc<str>, coverage: &Coverage, question: Question) {
    match question {
        Question::IsAnyKnown { reply } => {
            reply.send(pipeline.is_unserved(scope, coverage)).unwrap_or_default();
        }
        Question::IsSameEpoch { cursor, listed, reply } => {
            drop(reply.send(pipeline.verify(scope, coverage, cursor, &listed)));
        }
        Question::Undeleted { reply } => {
            let uid = pipeline.undeleted(scope).map(|uid| uid.to_string());
            drop(reply.send(uid));
        }
    }
}
