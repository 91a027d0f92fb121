//! Runs one watch from its saved version, across all errors: a task that ends with the pipeline.
//!
//! ```text
//!            ┌────────── absent ◄─── the kind is not served, for longer than the grace
//!            ▼                ▲
//!  start ──► list ──► follow ─┤
//!     │       ▲          │    │ connection lost
//!     └► resume ◄────────┼────┘
//!             ▲          │
//!             └─ expired ┘ (lists again, as a gap)
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::api::{self, ApiError};
use super::follow::parse;
use super::line_reader::Lines;
use super::plan::{Served, WatchPlan, discover, query};
use super::proof::Proof;
use super::status::WatchStatus;
use super::unserved::Missing;
use super::wire::{self, Head};
use super::{Closed, Cluster, Item, Out, WatchMessage};
use klaxon_model::Backoff;
use klaxon_model::clock;
use klaxon_model::{GapEffect, GapStart, ListStart, Seen, SourceEvent, Timestamp};

/// The assumed lag of an API server's watch cache behind confirmed writes, in milliseconds, if no proof bounds it.
const BEHIND_MS: i64 = 2000;

/// The starting point of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// Starts with a list.
    List(ListStart),
    /// Resumes at a saved version.
    From {
        /// The version.
        version: String,
        /// The time up to which no change was missing at that version.
        since: Timestamp,
        /// `true` if newly added rules must be backfilled.
        backfill: bool,
    },
    /// Starts with a lookup of the kind, which was not served before.
    Absent {
        /// The last time at which the kind was not served.
        since: Timestamp,
        /// The version at which all existing objects were last known.
        complete_at: u64,
    },
}

impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(ListStart::First) => f.write_str("with a first list"),
            Self::List(ListStart::Compare(GapStart { from, reason, .. })) => {
                write!(f, "with a list that is compared with what was known at {from}: {reason}")
            }
            Self::From { version, backfill: false, .. } => write!(f, "at version {version}"),
            Self::From { version, .. } => {
                write!(f, "at version {version}, and lists what exists for rules that are new")
            }
            Self::Absent { since, .. } => {
                write!(f, "with a look for the kind, not served at {since}")
            }
        }
    }
}

/// The reason for which a state ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// A request failed.
    ApiError(ApiError),
    /// The known objects belong to another revision epoch.
    OtherHistory(String),
    /// The pipeline has ended.
    Closed,
}

/// The task of one watch.
pub(super) struct Watch {
    pub(super) cluster: Arc<Cluster>,
    pub(super) plan: WatchPlan,
    pub(super) out: Out,
    pub(super) status: Arc<WatchStatus>,
    /// The last time up to which no change is missing.
    pub(super) since: Timestamp,
    /// The version at which the watch resumes. Empty if there is none.
    pub(super) cursor: String,
    /// The version at which all existing objects were last known, used while `cursor` is empty.
    pub(super) known_at: Option<u64>,
    /// The pending proof of the time up to which the watch is complete.
    pub(super) proof: Proof,
    /// The page size, in objects, adapted to their size in bytes.
    pub(super) page: AtomicUsize,
    /// `true` unless the server is known not to stream lists.
    pub(super) streams: bool,
    /// The number of objects of the present list that were sent.
    pub(super) listed: u64,
    /// The running task that lists objects for newly added rules.
    pub(super) backfilling: Option<AbortOnDropHandle<()>>,
    /// `true` if newly added rules must be backfilled.
    pub(super) backfill: bool,
    /// The form in which the server serves the kind, if known.
    pub(super) served: Option<Served>,
    /// `true` if the pipeline was told that the kind is not served.
    pub(super) is_absent: bool,
    /// The present period in which the kind is not served.
    pub(super) missing: Option<Missing>,
    /// `true` if the pipeline was told that the present list has begun.
    pub(super) list_began: bool,
    pub(super) backoff: Backoff,
}

pub(super) enum State {
    /// The kind is not served, and no objects of it are known.
    Absent,
    /// Resumes at the version, after a check that it belongs to the revision epoch.
    Resume,
    List(ListStart),
    /// Follows changes: in the given stream, which has just sent a list, or in a new request. The version is the one
    /// at which the comparison before resuming is complete.
    Follow(Option<Box<Lines>>, Option<u64>),
}

/// Creates the task of a watch; `watch` is its index among the plans. The task ends when the receiver of its items
/// is closed.
pub fn start(
    cluster: Arc<Cluster>,
    plan: WatchPlan,
    watch: usize,
    items: mpsc::Sender<Item>,
    resume: Resume,
) -> (Arc<WatchStatus>, impl Future<Output = ()> + Send + 'static) {
    let status = Arc::new(WatchStatus::new(&plan.name));
    let (first, longest) = cluster.timing.waits;
    let mut known_at = None;
    let (state, since, cursor, backfill) = match resume {
        Resume::List(start) => {
            let since = match &start {
                ListStart::Compare(GapStart { from, complete_at, .. }) => {
                    known_at = *complete_at;
                    *from
                }
                ListStart::First => clock::now(),
            };
            (State::List(start), since, String::new(), false)
        }
        Resume::From { version, since, backfill } => (State::Resume, since, version, backfill),
        Resume::Absent { since, complete_at } => {
            known_at = Some(complete_at);
            (State::Absent, since, String::new(), false)
        }
    };
    let page = AtomicUsize::new(cluster.timing.page);
    let mut task = Watch {
        plan,
        out: Out { watch, items, budget: cluster.budget.clone() },
        status: status.clone(),
        cluster,
        since,
        cursor,
        known_at,
        proof: Proof::default(),
        page,
        streams: true,
        listed: 0,
        backfilling: None,
        backfill,
        served: None,
        is_absent: false,
        missing: None,
        list_began: false,
        backoff: Backoff::new(first, longest),
    };
    (status, async move { task.run(state).await })
}

impl Watch {
    async fn run(&mut self, mut state: State) {
        loop {
            let was_listing = match &state {
                State::List(start) => Some(start.clone()),
                _ => None,
            };
            let stop = match self.advance(state).await {
                Ok(next) => {
                    state = next;
                    continue;
                }
                Err(stop) => stop,
            };
            match self.after(stop, was_listing).await {
                Ok(next) => state = next,
                Err(Closed) => return,
            }
        }
    }

    async fn advance(&mut self, state: State) -> Result<State, Stop> {
        let Some(served) = self.served().await? else {
            return self.absent(state).await;
        };
        self.missing = None;
        match state {
            // The kind was not served at the last lookup, so all existing objects are newer, to the second.
            State::Absent => Ok(State::List(ListStart::Compare(GapStart {
                from: self.since.whole_second(),
                reason: "the kind is served now, and was not before".to_owned(),
                effect: GapEffect::Marked,
                complete_at: self.complete_at(),
                is_other_epoch: false,
            }))),
            State::List(start) => self.list(&served, start).await,
            State::Resume => self.resume(&served).await,
            State::Follow(lines, compared) => self.follow(&served, lines, compared).await,
        }
    }

    /// Returns the form in which the kind is served. The server is asked again after every error, since removing a
    /// kind ends its watches.
    async fn served(&mut self) -> Result<Option<Served>, Stop> {
        if self.served.is_none() {
            self.served = self.discovered().await?;
        }
        Ok(self.served.clone())
    }

    async fn discovered(&self) -> Result<Option<Served>, Stop> {
        let (_, client) = self.cluster.client().await;
        let served = discover(&client, &self.plan.need, self.cluster.timing.answer).await?;
        if let Some(served) = &served
            && !served.namespaced
            && self.plan.namespace.is_some()
        {
            return Err(Stop::ApiError(ApiError::Refused(format!(
                "{} has no namespaces, and is planned for one; hint: start again, and give the account rights on the whole cluster",
                self.plan.need.kind
            ))));
        }
        Ok(served)
    }

    /// Lists all existing objects, streamed if the server supports that.
    async fn list(&mut self, served: &Served, start: ListStart) -> Result<State, Stop> {
        self.backfilling = None;
        self.backfill = false;
        self.is_absent = false;
        self.listed = 0;
        self.status.set(|state| {
            state.doing = "listing";
            state.in_sync = false;
            state.gaps += u64::from(is_gap(&start));
        });
        if let ListStart::Compare(GapStart { from, reason, effect, .. }) = &start {
            let are_events_complete = *effect == GapEffect::Counted;
            warn!(watch = %self.plan.name, since = %from, why = reason, are_events_complete, "changes may have been missed: comparing with what was known");
        }
        let is_compared = start != ListStart::First;
        let began = clock::now();
        if !is_compared {
            self.since = began;
        }
        let coverage = Some(self.plan.coverage());
        self.report(SourceEvent::ListStarted { start, coverage: coverage.clone() }).await?;
        self.list_began = true;
        let streamed = if self.streams { self.streamed_list(served).await? } else { None };
        let (version, lines) = match streamed {
            Some((version, lines)) => (version, Some(Box::new(lines))),
            None => (self.paged_list(served).await?, None),
        };
        if is_compared && self.plan.need.selects() {
            self.report_outside(served).await?;
        }
        // The list includes every write that was confirmed before the list was requested.
        self.since = self.since.max(began);
        let event = SourceEvent::ListCompleted { coverage };
        self.send(WatchMessage::Event { event, version: Some(version.clone()) }).await?;
        self.cursor = version;
        self.proof = Proof::default();
        self.progressed();
        self.in_order();
        Ok(State::Follow(lines, None))
    }

    /// Lists through a watch that continues afterwards. `None` if the server does not stream lists.
    async fn streamed_list(&mut self, served: &Served) -> Result<Option<(String, Lines)>, Stop> {
        let mut parameters = self.watch_parameters();
        parameters.push(("sendInitialEvents", "true".to_owned()));
        parameters.push(("resourceVersionMatch", "NotOlderThan".to_owned()));
        let mut lines = match self.open(served, &parameters).await {
            Ok(lines) => lines,
            Err(Stop::ApiError(ApiError::Refused(why))) => {
                debug!(watch = %self.plan.name, why, "the server does not stream lists: listing in pages");
                self.streams = false;
                return Ok(None);
            }
            Err(stop) => return Err(stop),
        };
        while let Some(bytes) = lines.next(self.cluster.timing.stall).await? {
            let line = parse(&bytes)?;
            match line.kind {
                "ADDED" | "MODIFIED" => {
                    self.listed += 1;
                    let json = self.with_kind(line.object).into();
                    let seen = Seen::Snapshot;
                    self.report(SourceEvent::Object { seen, json, is_change: false }).await?;
                }
                // The object was created and deleted while the list was sent.
                "DELETED" => {
                    let head = Head::of(line.object);
                    let (seen, json) = self.ended(served, &head, line.object).await?;
                    // Not a change: the list goes on.
                    let json = json.into();
                    self.report(SourceEvent::Object { seen, json, is_change: false }).await?;
                }
                "BOOKMARK" => {
                    let head = Head::of(line.object);
                    if let Some(version) = head.version().filter(|_| head.ends_list()) {
                        return Ok(Some((version.to_owned(), lines)));
                    }
                }
                "ERROR" => return Err(wire::error(line.object).into()),
                other => debug!(watch = %self.plan.name, kind = other, "a line within a list"),
            }
        }
        // The list takes longer than a watch lasts, or the server does not know streamed lists.
        self.streams = false;
        Err(ApiError::Broken("the streamed list ended before it was whole".to_owned()).into())
    }

    /// Resumes at the version, after a check that it belongs to the revision epoch.
    async fn resume(&mut self, served: &Served) -> Result<State, Stop> {
        let compared = match self.verify(served, &self.cursor).await? {
            Ok(compared) => compared,
            Err(why) => return Err(Stop::OtherHistory(why)),
        };
        self.is_absent = false;
        if self.backfill {
            self.backfill = false;
            self.backfilling = Some(self.backfill_all(served.clone()));
        }
        Ok(State::Follow(None, compared))
    }

    pub(super) async fn open(
        &self,
        served: &Served,
        parameters: &[(&str, String)],
    ) -> Result<Lines, Stop> {
        let path = query(&self.plan.path(served, None, None), parameters);
        let (_, client) = self.cluster.client().await;
        let form = self.plan.form();
        Ok(Lines::new(api::watch(&client, &path, form, self.cluster.timing.answer).await?))
    }

    pub(super) fn watch_parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = self.plan.selection();
        parameters.push(("watch", "true".to_owned()));
        parameters.push(("allowWatchBookmarks", "true".to_owned()));
        let seconds = self.cluster.timing.watch.as_secs().max(1);
        parameters.push(("timeoutSeconds", seconds.to_string()));
        parameters
    }

    pub(super) fn with_kind(&self, object: &serde_json::value::RawValue) -> String {
        wire::with_kind(object, &self.plan.need.api_version, &self.plan.need.kind)
    }

    /// Returns the version at which all existing objects were last known. `None` if there is none.
    pub(super) fn complete_at(&self) -> Option<u64> {
        if self.cursor.is_empty() {
            return self.known_at;
        }
        // Versions that are not numbers cannot be compared: then every unknown object counts as new.
        Some(self.cursor.parse().unwrap_or(0))
    }

    /// Records that no change is missing up to a time, minus the assumed lag of the server.
    pub(super) fn certain_until(&mut self, time: Timestamp) {
        self.since = self.since.max(time.plus_millis(-BEHIND_MS));
        self.progressed();
    }

    /// Records that the watch is alive.
    pub(super) fn progressed(&self) {
        let since = self.since;
        self.status.set(|state| {
            state.last_progress = Some(clock::now());
            state.certain_until = Some(since);
        });
    }

    pub(super) async fn send(&self, message: WatchMessage) -> Result<(), Closed> {
        self.out.send(message, self.since).await
    }

    /// Sends an event that does not move the watch.
    pub(super) async fn report(&self, event: SourceEvent) -> Result<(), Closed> {
        self.send(WatchMessage::of(event)).await
    }

    pub(super) fn in_order(&self) {
        let cursor = self.cursor.clone();
        self.status.set(|state| {
            state.doing = "following";
            state.in_sync = true;
            state.error = None;
            state.cursor = Some(cursor);
        });
    }
}

fn is_gap(start: &ListStart) -> bool {
    matches!(start, ListStart::Compare(_))
}
