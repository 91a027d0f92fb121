//! Watches: the initial state, then each change, and bookmarks.

use std::time::Duration;

use tokio::sync::{mpsc, watch::Receiver};
use tokio::time::{Instant, sleep_until};

use super::Call;
use super::answer::{Answer, Open, Refusal, streamed};
use super::lines::{Lines, Over};
use super::object::{Body, Shape, Spoil, Version};
use super::pages::present;
use super::select::Filter;
use super::store::{Change, Next, Position, Registered, Store};

/// Refuses a list or watch for a version that does not exist yet.
pub(super) fn too_large(wanted: u64, present: u64) -> Refusal {
    let message = format!("Too large resource version: {wanted}, current: {present}");
    Refusal::new(504, "Timeout", &message).cause("ResourceVersionTooLarge").retry_after(1)
}

/// The start of a watch.
struct Opening {
    position: Position,
    /// Objects that are shown as ADDED before anything else.
    initial: Vec<Version>,
    /// Revision of a bookmark after `initial` that marks the end of the initial events.
    mark: Option<u64>,
    /// Bookmarks below this revision are not sent.
    after: u64,
}

enum Begin {
    Goes(Opening),
    TooOld(Refusal),
}

struct Watch {
    call: Call,
    shape: Shape,
    filter: Filter,
    lines: Lines,
    changed: Receiver<()>,
    position: Position,
    after: u64,
    next_bookmark: Option<Instant>,
    bookmark_due: bool,
    end: Option<Instant>,
    spoil: Option<Spoil>,
    /// `true` if the watch is served by a lagging cache.
    lags: bool,
}

/// Answers a watch.
pub(super) async fn watch(call: Call, served: Registered) -> Answer {
    let filter = Filter::new(call.asked.namespace(), &call.asked.query);
    let filter = filter.map_err(|fault| Refusal::bad_request(&fault))?;
    let begin = begin(&call, &served, &filter, &call.shared.store())?;
    let (out, receiver) = mpsc::channel(16);
    let open = Open::new(&call.shared.watches);
    let mut lines = Lines::new(out, call.fault.clone(), call.connection.clone());
    tokio::spawn(async move {
        if lines.begin().await.is_err() {
            return;
        }
        match begin {
            // The client sees the end even if it did not read the error.
            Begin::TooOld(refusal) => _ = lines.error(&refusal).await,
            Begin::Goes(opening) => Watch::run(call, &served, filter, lines, opening).await,
        }
    });
    streamed(receiver, Some(open))
}

fn begin(
    call: &Call,
    served: &Registered,
    filter: &Filter,
    store: &Store,
) -> Result<Begin, Refusal> {
    let asked = &call.asked;
    let version = match asked.param("resourceVersion") {
        "" => None,
        text => Some(text.parse::<u64>().map_err(|_| {
            // A real server answers like this: without a reason, and not with 400.
            Refusal::new(500, "", &format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
        })?),
    };
    let streaming = !asked.param("sendInitialEvents").is_empty();
    let matching = asked.param("resourceVersionMatch");
    if streaming && !call.shared.settings().streaming_lists {
        let fault = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless \
                     the WatchList feature gate is enabled";
        return Err(Refusal::invalid(fault));
    }
    if streaming && matching != "NotOlderThan" {
        let fault = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
                     resourceVersionMatch to NotOlderThan";
        return Err(Refusal::invalid(fault));
    }
    if !streaming && !matching.is_empty() {
        let fault = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch \
                     unless sendInitialEvents is provided";
        return Err(Refusal::invalid(fault));
    }
    let now = store.revision;
    let everything = match streaming {
        true => asked.flag("sendInitialEvents"),
        false => matches!(version, None | Some(0)),
    };
    if everything {
        if let Some(wanted) = version.filter(|wanted| *wanted > now) {
            return Err(too_large(wanted, now));
        }
        let mark = asked.flag("allowWatchBookmarks") && (streaming || version.is_none());
        return Ok(Begin::Goes(Opening {
            position: store.position(served.table, now),
            initial: present(store, served.table, filter),
            mark: mark.then_some(now),
            after: now,
        }));
    }
    let after = version.unwrap_or(now);
    let floor = store.table(served.table).floor;
    if after < floor {
        let message = match served.kind.cached {
            true => format!("too old resource version: {after} ({floor})"),
            false => "The resourceVersion for the provided watch is too old.".to_owned(),
        };
        return Ok(Begin::TooOld(Refusal::new(410, "Expired", &message)));
    }
    let position = store.position(served.table, after);
    Ok(Begin::Goes(Opening { position, initial: Vec::new(), mark: None, after }))
}

impl Watch {
    async fn run(call: Call, served: &Registered, filter: Filter, lines: Lines, opening: Opening) {
        let seconds = call.asked.param("timeoutSeconds").parse::<u64>().ok();
        let bookmarks = served.kind.cached && call.asked.flag("allowWatchBookmarks");
        let first = call.shared.settings().first_bookmark;
        let mut watch = Self {
            shape: Shape::new(&served.kind, &call.asked.accept),
            filter,
            lines,
            changed: call.shared.changed.subscribe(),
            position: opening.position,
            after: opening.after,
            next_bookmark: bookmarks.then(|| Instant::now() + first),
            bookmark_due: false,
            end: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            spoil: Spoil::of(call.fault.as_ref()),
            lags: served.kind.cached && call.shared.next_watch_lags(),
            call,
        };
        // The only error is that the watch is over.
        _ = watch.all(opening.initial, opening.mark).await;
    }

    async fn all(&mut self, initial: Vec<Version>, mark: Option<u64>) -> Result<(), Over> {
        for version in initial {
            self.event("ADDED", &version.body, version.revision).await?;
        }
        if let Some(revision) = mark {
            self.lines.line(&self.shape.bookmark(revision, true)).await?;
        }
        loop {
            self.lines.flush().await?;
            self.changed.borrow_and_update();
            match self.next() {
                None => return Err(self.lines.cut().await),
                Some(Next::Ended) => return Ok(()),
                Some(Next::Changes(changes)) => {
                    for change in changes {
                        self.change(&change).await?;
                    }
                    if self.end.is_some_and(|end| end <= Instant::now()) {
                        return self.lines.flush().await;
                    }
                }
                Some(Next::Idle(revision, _)) if self.bookmark_due => {
                    self.bookmark_due = false;
                    if revision >= self.after {
                        self.lines.line(&self.shape.bookmark(revision, false)).await?;
                    }
                }
                Some(Next::Idle(_, later)) => tokio::select! {
                    () = at(later) => {}
                    woken = self.changed.changed() => woken.map_err(|_| Over)?,
                    () = at(self.next_bookmark) => {
                        self.bookmark_due = true;
                        let every = self.call.shared.settings().bookmark_every;
                        self.next_bookmark = Some(Instant::now() + every);
                    }
                    () = at(self.end) => return Ok(()),
                    () = self.lines.closed() => return Err(Over),
                },
            }
        }
    }

    /// Returns the next step. `None` if the server was restarted after the connection was made.
    fn next(&mut self) -> Option<Next> {
        let store = self.call.shared.store();
        let current = self.call.shared.is_current(&self.call.connection);
        let lag = if self.lags { self.call.shared.settings().lag } else { Duration::ZERO };
        current.then(|| store.next(&mut self.position, lag))
    }

    /// Sends a change. Under a selector, an object that leaves it is DELETED with its old state and the new
    /// version, and one that enters it (again) is ADDED.
    async fn change(&mut self, change: &Change) -> Result<(), Over> {
        let selected = |body: &&std::sync::Arc<Body>| self.filter.matches(body);
        let old = change.old.as_ref().filter(selected);
        let new = change.new.as_ref().filter(selected);
        match (old, new) {
            (None, None) => Ok(()),
            (None, Some(new)) => self.event("ADDED", new, change.revision).await,
            (Some(_), Some(new)) => self.event("MODIFIED", new, change.revision).await,
            (Some(old), None) => self.event("DELETED", old, change.revision).await,
        }
    }

    async fn event(&mut self, kind: &str, body: &Body, revision: u64) -> Result<(), Over> {
        let object = match self.spoil.take() {
            Some(spoil) => self.shape.spoiled(body, revision, spoil),
            None => self.shape.object(body, revision),
        };
        self.lines.line(&format!(r#"{{"type":"{kind}","object":{object}}}"#)).await
    }
}

/// Completes at a moment, or never for `None`.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
