//! One watch, from its saved version through every fault: a task that ends with the pipeline.
//!
//! ```text
//!            ┌────────── absent ◄─── the kind is not served
//!            ▼                ▲
//!  start ──► list ──► follow ─┤
//!     │       ▲          │    │ connection lost
//!     └► resume ◄────────┼────┘
//!             ▲          │
//!             └─ expired ┘ (lists again, as a gap)
//! ```

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::api::{self, Fault};
use super::item::{self, Head, Line};
use super::lines::Lines;
use super::plan::{Served, WatchPlan, discover, query};
use super::status::WatchStatus;
use super::{Closed, Cluster, Item, Out, What};
use crate::backoff::Backoff;
use crate::model::clock;
use crate::model::{Seen, Timestamp};
use crate::pipeline::ListStart;
use crate::route::Telling;

/// As often in a row a kind must be missing before it is believed to be gone.
const BELIEVED: u32 = 2;
/// By how much an API server may be behind what it has confirmed.
const BEHIND_MS: i64 = 2000;

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// With a list.
    List(ListStart),
    /// At a saved version, which was right at a time.
    From {
        /// The version.
        version: String,
        /// When it was right.
        since: Timestamp,
        /// New rules are to be given what exists.
        introduce: bool,
    },
    /// With a look whether the kind is served by now: it was not, until a time.
    Absent {
        /// The time.
        since: Timestamp,
    },
}

/// Why a step ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something stands in the way.
    Fault(Fault),
    /// What was known is of another history.
    OtherHistory(String),
    /// The pipeline has ended.
    Closed,
}

/// Keeps one watch.
pub(super) struct Watch {
    pub(super) cluster: Arc<Cluster>,
    pub(super) plan: WatchPlan,
    pub(super) out: Out,
    status: Arc<WatchStatus>,
    /// When it was certain last that nothing is missing.
    since: Timestamp,
    /// The version to go on from.
    cursor: String,
    /// Whether the server streams lists.
    streams: bool,
    /// Objects of the present list that were sent.
    pub(super) listed: u64,
    /// The list for new rules, under way.
    introducing: Option<AbortOnDropHandle<()>>,
    /// New rules are to be given what exists.
    introduce: bool,
    /// The pipeline knows that the kind is not served.
    is_absent: bool,
    /// How often in a row the kind was not served.
    missing: u32,
    /// The pipeline knows that the present list has begun.
    list_began: bool,
    backoff: Backoff,
}

enum State {
    /// The kind is not served; the version when it was looked for last.
    Absent,
    /// Goes on from the version, once it is known to be of this history.
    Resume,
    List(ListStart),
    /// Follows: in a new request, or in one that has just streamed a list. What was compared before
    /// it went on is over at a version.
    Follow(Option<Box<Lines>>, Option<u64>),
}

/// Starts a watch; `watch` is its place among the plans. It ends when nobody takes its items.
pub fn start(
    cluster: Arc<Cluster>,
    plan: WatchPlan,
    watch: usize,
    items: mpsc::Sender<Item>,
    resume: Resume,
) -> (Arc<WatchStatus>, tokio::task::JoinHandle<()>) {
    let status = Arc::new(WatchStatus::new(&plan.name));
    let (first, longest) = cluster.timing.waits;
    let (state, since, cursor, introduce) = match resume {
        Resume::List(start) => {
            let since = match &start {
                ListStart::Compare { from, .. } => *from,
                ListStart::First => clock::now(),
            };
            (State::List(start), since, String::new(), false)
        }
        Resume::From { version, since, introduce } => (State::Resume, since, version, introduce),
        Resume::Absent { since } => (State::Absent, since, String::new(), false),
    };
    let mut task = Watch {
        cluster,
        plan,
        out: Out { watch, items },
        status: status.clone(),
        since,
        cursor,
        streams: true,
        listed: 0,
        introducing: None,
        introduce,
        is_absent: false,
        missing: 0,
        list_began: false,
        backoff: Backoff::new(first, longest),
    };
    let handle = tokio::spawn(async move { task.run(state).await });
    (status, handle)
}

impl Watch {
    async fn run(&mut self, mut state: State) {
        loop {
            let was_listing = match &state {
                State::List(start) => Some(start.clone()),
                _ => None,
            };
            let stop = match self.step(state).await {
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

    async fn step(&mut self, state: State) -> Result<State, Stop> {
        let Some(served) = self.served().await? else {
            return self.absent(state).await;
        };
        self.missing = 0;
        match state {
            // It was not there when it was looked for last: what exists is newer, to the second.
            State::Absent => Ok(State::List(ListStart::Compare {
                from: self.since.whole_second(),
                reason: "the kind is served now, and was not before".to_owned(),
                telling: Telling::Gap,
                is_other_history: false,
            })),
            State::List(start) => self.list(&served, start).await,
            State::Resume => self.resume(&served).await,
            State::Follow(lines, compared) => self.follow(&served, lines, compared).await,
        }
    }

    async fn served(&self) -> Result<Option<Served>, Stop> {
        let (_, client) = self.cluster.client().await;
        let served = discover(&client, &self.plan.need, self.cluster.timing.answer).await?;
        if let Some(served) = &served
            && !served.namespaced
            && self.plan.namespace.is_some()
        {
            return Err(Stop::Fault(Fault::Refused(format!(
                "{} has no namespaces, and is planned for one; mend: start again, and give the account rights on the whole cluster",
                self.plan.need.kind
            ))));
        }
        Ok(served)
    }

    /// The kind is not served: whatever was known of it is gone. Looks again later.
    async fn absent(&mut self, state: State) -> Result<State, Stop> {
        let now = clock::now();
        self.missing += 1;
        if !self.is_absent && self.missing < BELIEVED {
            // A proxy in between may have said so.
            self.wait(None).await;
            return Ok(state);
        }
        if !self.is_absent {
            self.is_absent = true;
            self.cursor.clear();
            let before = match state {
                State::Absent | State::List(ListStart::First) => None,
                _ => Some(self.gap("the kind is not served any longer".to_owned(), false)),
            };
            info!(watch = %self.plan.name, "the kind is not served: waiting for it");
            self.introducing = None;
            self.send(What::Absent(before)).await?;
            self.status.set(|state| {
                state.doing = "not served";
                state.in_sync = true;
                state.fault = None;
                state.cursor = None;
            });
        }
        let poll = self.cluster.timing.poll.mul_f64(rand::rng().random_range(0.75..=1.0));
        tokio::time::sleep(poll).await;
        self.certain_until(now);
        Ok(State::Absent)
    }

    /// Lists all that exists: streamed where the server does that.
    async fn list(&mut self, served: &Served, start: ListStart) -> Result<State, Stop> {
        self.introducing = None;
        self.introduce = false;
        self.is_absent = false;
        self.listed = 0;
        self.status.set(|state| {
            state.doing = "listing";
            state.in_sync = false;
            state.gaps += u64::from(is_gap(&start));
        });
        if let ListStart::Compare { from, reason, telling: Telling::Gap, .. } = &start {
            warn!(watch = %self.plan.name, since = %from, why = reason, "changes may have been missed: comparing with what was known");
        }
        let is_compared = start != ListStart::First;
        let began = clock::now();
        if !is_compared {
            self.since = began;
        }
        self.send(What::ListBegins(start)).await?;
        self.list_began = true;
        let streamed = if self.streams { self.streamed_list(served).await? } else { None };
        let (version, lines) = match streamed {
            Some((version, lines)) => (version, Some(Box::new(lines))),
            None => (self.paged_list(served).await?, None),
        };
        if is_compared && self.plan.need.selects() {
            self.tell_outside(served).await?;
        }
        self.send(What::ListEnds(version.clone())).await?;
        self.cursor = version;
        self.certain_until(began);
        self.in_order();
        Ok(State::Follow(lines, None))
    }

    /// A list by a watch that goes on afterwards; none where the server does not do that.
    async fn streamed_list(&mut self, served: &Served) -> Result<Option<(String, Lines)>, Stop> {
        let mut parameters = self.watch_parameters();
        parameters.push(("sendInitialEvents", "true".to_owned()));
        parameters.push(("resourceVersionMatch", "NotOlderThan".to_owned()));
        let mut lines = match self.open(served, &parameters).await {
            Ok(lines) => lines,
            Err(Stop::Fault(Fault::Refused(why))) => {
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
                    let json = self.with_kind(line.object);
                    self.send(What::Listed(json)).await?;
                }
                // It came and went while the list was made.
                "DELETED" => {
                    let head = Head::of(line.object)?;
                    let (seen, json) = self.ended(served, &head, line.object).await?;
                    let (is_added, version) = (false, None);
                    self.send(What::Event { seen, is_added, json, version }).await?;
                }
                "BOOKMARK" => {
                    let head = Head::of(line.object)?;
                    if let Some(version) = head.version().filter(|_| head.ends_list()) {
                        return Ok(Some((version.to_owned(), lines)));
                    }
                }
                "ERROR" => return Err(item::error(line.object).into()),
                other => debug!(watch = %self.plan.name, kind = other, "a line within a list"),
            }
        }
        // It takes longer than a watch lasts, or the server does not know of streamed lists.
        self.streams = false;
        Err(Fault::Broken("the streamed list ended before it was whole".to_owned()).into())
    }

    /// Goes on from the version, once it is known to belong to this history.
    async fn resume(&mut self, served: &Served) -> Result<State, Stop> {
        let compared = match self.verify(served, &self.cursor).await? {
            Ok(compared) => compared,
            Err(why) => return Err(Stop::OtherHistory(why)),
        };
        self.is_absent = false;
        if self.introduce {
            self.introduce = false;
            self.introducing = Some(self.introduce_all(served.clone()));
        }
        Ok(State::Follow(None, compared))
    }

    /// Follows changes until the watch ends: as it should after its time, or earlier.
    async fn follow(
        &mut self,
        served: &Served,
        lines: Option<Box<Lines>>,
        mut compared: Option<u64>,
    ) -> Result<State, Stop> {
        let mut lines = match lines {
            Some(lines) => *lines,
            None => {
                let mut parameters = self.watch_parameters();
                parameters.push(("resourceVersion", self.cursor.clone()));
                let lines = self.open(served, &parameters).await?;
                // Else only what has happened meanwhile makes it so.
                if compared.is_none() {
                    self.send(What::Resumed).await?;
                    self.in_order();
                }
                lines
            }
        };
        while let Some(bytes) = lines.next(self.cluster.timing.stall).await? {
            self.certain_until(lines.drained_at());
            self.take(served, &bytes).await?;
            self.backoff.reset();
            if let Some(version) = compared
                && self.cursor.parse::<u64>().is_ok_and(|cursor| cursor >= version)
            {
                compared = None;
                self.caught_up().await?;
                self.in_order();
            }
        }
        // A server that ends a watch before its time is going away, and what comes back may be
        // another one.
        let time = self.cluster.timing.watch;
        if lines.age() + Duration::from_secs(2).min(time / 4) >= time {
            self.certain_until(lines.drained_at());
            self.send(What::Progress(None)).await?;
            return Ok(State::Follow(None, compared));
        }
        Err(Fault::Broken("the server ended the watch".to_owned()).into())
    }

    /// Takes one line of a watch.
    async fn take(&mut self, served: &Served, bytes: &[u8]) -> Result<(), Stop> {
        let line = parse(bytes)?;
        match line.kind {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let head = Head::of(line.object)?;
                let version = head.version().map(str::to_owned);
                let (seen, json) = if line.kind == "DELETED" {
                    self.ended(served, &head, line.object).await?
                } else {
                    (Seen::Present, self.with_kind(line.object))
                };
                self.send(What::Event {
                    seen,
                    is_added: line.kind == "ADDED",
                    json,
                    version: version.clone(),
                })
                .await?;
                if let Some(version) = version {
                    self.cursor = version;
                }
                let (now, cursor) = (clock::now(), self.cursor.clone());
                self.status.set(|state| {
                    state.events += 1;
                    state.last_event = Some(now);
                    state.cursor = Some(cursor);
                });
            }
            "BOOKMARK" => {
                if let Some(version) = Head::of(line.object)?.version() {
                    version.clone_into(&mut self.cursor);
                    self.send(What::Progress(Some(version.to_owned()))).await?;
                }
            }
            "ERROR" => return Err(item::error(line.object).into()),
            other => debug!(watch = %self.plan.name, kind = other, "a line of an unknown kind"),
        }
        Ok(())
    }

    /// An object that a selector no longer selects looks deleted: whether it is, only asking tells.
    async fn ended(
        &self,
        served: &Served,
        head: &Head,
        object: &serde_json::value::RawValue,
    ) -> Result<(Seen, String), Stop> {
        let name = head.metadata.name.as_deref();
        // The end of a Kubernetes Event is no news, however it came.
        if !self.plan.need.selects() || self.plan.is_of_events() || name.is_none() {
            return Ok((Seen::Deleted, self.with_kind(object)));
        }
        let path = self.plan.path(served, head.metadata.namespace.as_deref(), name);
        let (_, client) = self.cluster.client().await;
        match api::get(&client, &path, self.plan.form(), self.cluster.timing.answer).await {
            Ok(bytes) => {
                let found: &serde_json::value::RawValue = serde_json::from_slice(&bytes)
                    .map_err(|fault| Fault::Broken(format!("{path}: no JSON: {fault}")))?;
                if Head::of(found)?.uid() == head.uid() {
                    return Ok((Seen::Outside, self.with_kind(found)));
                }
                Ok((Seen::Deleted, self.with_kind(object)))
            }
            Err(Fault::NotServed(_)) => Ok((Seen::Deleted, self.with_kind(object))),
            Err(fault) => Err(fault.into()),
        }
    }

    /// What to do after something went wrong; waits as long as is due.
    async fn after(&mut self, stop: Stop, was_listing: Option<ListStart>) -> Result<State, Closed> {
        let fault = match stop {
            Stop::Closed => return Err(Closed),
            Stop::OtherHistory(why) => {
                self.note("other_history", &why);
                self.send(What::Lost).await?;
                self.wait(None).await;
                self.list_began = false;
                return Ok(State::List(self.gap(why, true)));
            }
            Stop::Fault(fault) => fault,
        };
        self.note(fault.label(), &fault.to_string());
        let asked = match &fault {
            Fault::Throttled { after, .. } => *after,
            _ => None,
        };
        if matches!(fault, Fault::Unauthorized(_)) {
            let (number, _) = self.cluster.client().await;
            if let Err(why) = self.cluster.renew(number).await {
                warn!(watch = %self.plan.name, why, "the credentials cannot be renewed");
            }
        }
        if self.is_absent {
            self.wait(asked).await;
            return Ok(State::Absent);
        }
        let next = match (was_listing, fault) {
            // What was sent of the first list is known, and may have vanished before the next.
            (Some(ListStart::First), fault) if self.listed > 0 => {
                State::List(self.gap(format!("the first list broke off: {fault}"), false))
            }
            // The same comparison, from the beginning.
            (Some(ListStart::Compare { from, reason, telling, is_other_history }), _) => {
                // What outlived the break so far may not have outlived this.
                let telling = match telling {
                    Telling::Gap => Telling::Gap,
                    Telling::Quiet => self.telling(from, is_other_history),
                };
                // Another history is counted once.
                let is_other_history = is_other_history && !self.list_began;
                State::List(ListStart::Compare { from, reason, telling, is_other_history })
            }
            (Some(ListStart::First), _) => State::List(ListStart::First),
            (None, Fault::Expired(why)) => {
                self.send(What::Lost).await?;
                State::List(self.gap(why, false))
            }
            (None, _) => {
                self.send(What::Lost).await?;
                State::Resume
            }
        };
        self.wait(asked).await;
        self.list_began = false;
        // Without a version there is nothing to go on from.
        if matches!(next, State::Resume) && self.cursor.is_empty() {
            return Ok(State::Absent);
        }
        Ok(next)
    }

    async fn wait(&mut self, asked: Option<Duration>) {
        let wait = self.backoff.next(asked);
        self.status.set(|state| state.doing = "waiting");
        tokio::time::sleep(wait).await;
    }

    /// A list that is compared with what was known when the watch was in order last.
    fn gap(&self, reason: String, is_other_history: bool) -> ListStart {
        ListStart::Compare {
            from: self.since,
            reason,
            telling: self.telling(self.since, is_other_history),
            is_other_history,
        }
    }

    /// Kubernetes Events outlive a short break, and count their repeats: nothing is missed in it.
    fn telling(&self, from: Timestamp, is_other_history: bool) -> Telling {
        let blind = clock::now().millis_since(from);
        let ttl = i64::try_from(self.cluster.event_ttl.as_millis()).unwrap_or(i64::MAX);
        let outlives = self.plan.is_of_events() && (0..ttl).contains(&blind);
        if outlives && !is_other_history { Telling::Quiet } else { Telling::Gap }
    }

    async fn open(&self, served: &Served, parameters: &[(&str, String)]) -> Result<Lines, Stop> {
        let path = query(&self.plan.path(served, None, None), parameters);
        let (_, client) = self.cluster.client().await;
        let form = self.plan.form();
        Ok(Lines::new(api::watch(&client, &path, form, self.cluster.timing.answer).await?))
    }

    fn watch_parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = self.plan.selection();
        parameters.push(("watch", "true".to_owned()));
        parameters.push(("allowWatchBookmarks", "true".to_owned()));
        let seconds = self.cluster.timing.watch.as_secs().max(1);
        parameters.push(("timeoutSeconds", seconds.to_string()));
        parameters
    }

    fn with_kind(&self, object: &serde_json::value::RawValue) -> String {
        item::with_kind(object, &self.plan.need.api_version, &self.plan.need.kind)
    }

    /// Lists all that exists for rules that are new, beside the watch.
    fn introduce_all(&self, served: Served) -> AbortOnDropHandle<()> {
        let lister = Watch {
            cluster: self.cluster.clone(),
            plan: self.plan.clone(),
            out: self.out.clone(),
            status: self.status.clone(),
            since: self.since,
            cursor: String::new(),
            streams: false,
            listed: 0,
            introducing: None,
            introduce: false,
            is_absent: false,
            missing: 0,
            list_began: false,
            backoff: self.backoff.clone(),
        };
        AbortOnDropHandle::new(tokio::spawn(lister.introduce_to_new_rules(served)))
    }

    async fn introduce_to_new_rules(mut self, served: Served) {
        loop {
            match self.introduce_pages(&served).await {
                Ok(()) => return,
                Err(Stop::Fault(fault)) => {
                    warn!(watch = %self.plan.name, %fault, "new rules do not have all that exists yet");
                    tokio::time::sleep(self.backoff.next(None)).await;
                }
                Err(_) => return,
            }
        }
    }

    /// Nothing is missing up to a time. The server itself may be a little behind.
    fn certain_until(&mut self, time: Timestamp) {
        self.since = self.since.max(time.plus_millis(-BEHIND_MS));
        self.status.set(|state| state.last_progress = Some(clock::now()));
    }

    pub(super) async fn send(&self, what: What) -> Result<(), Closed> {
        self.out.send(what, self.since).await
    }

    fn in_order(&self) {
        let cursor = self.cursor.clone();
        self.status.set(|state| {
            state.doing = "following";
            state.in_sync = true;
            state.fault = None;
            state.cursor = Some(cursor);
        });
    }

    fn note(&self, label: &'static str, why: &str) {
        match label {
            "broken" | "throttled" | "expired" => {
                info!(watch = %self.plan.name, why, "the watch was interrupted");
            }
            _ => warn!(watch = %self.plan.name, why, "the watch was interrupted"),
        }
        self.status.set(|state| {
            *state.restarts.entry(label).or_default() += 1;
            state.in_sync = false;
            state.fault = Some(why.to_owned());
        });
    }
}

fn is_gap(start: &ListStart) -> bool {
    matches!(start, ListStart::Compare { telling: Telling::Gap, .. })
}

fn parse(bytes: &[u8]) -> Result<Line<'_>, Fault> {
    serde_json::from_slice(bytes).map_err(|fault| {
        let text = String::from_utf8_lossy(bytes);
        let begin: String = text.chars().take(80).collect();
        Fault::Broken(format!("a line of the watch cannot be read ({fault}): {begin}"))
    })
}
