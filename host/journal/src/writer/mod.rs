//! The one thread that writes: it gathers waiting orders into one transaction, because an fsync costs more than
//! a thousand rows.
//!
//! - `commit`: writes the gathered orders, in parts if they do not fit together;
//! - `obstacle`: obstacles that pass, such as a full disk;
//! - this file: the loop that gathers, writes, sweeps and reports.

mod commit;
mod obstacle;
mod seam;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::budget::Budget;
use super::checkpoint::Log;
use super::handle::{Commit, Handle, Outcome, State};
use super::quarantine::Share;
use super::quota::{Changes, Rooms};
use super::retention::{Retention, Swept, sweep};
use super::{Journal, JournalError};
use klaxon_config::{self as config, Target};
use klaxon_model::clock::{self, ClockStep, Stopwatch};
use klaxon_telemetry::metrics::Metrics;
use obstacle::Obstacle;
pub(super) use seam::Seam;

/// The most groups that wait for the writer; beyond it the pipeline waits.
const QUEUE: usize = 64;
/// The most outcomes of deliveries that wait for the writer.
const OUTCOMES: usize = 1024;
/// The most outcomes of one transaction.
const TOGETHER: usize = 256;
/// The most bytes of groups that wait for the writer or are being written.
const BYTES: u64 = 64 << 20;
/// The time that SQLite itself waits for another program's lock. After it the writer logs the obstacle and
/// takes in outcomes and the shutdown.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// The number of pages at which the log is checkpointed while there is no space.
const SMALL_LOG: i32 = 64;
/// The interval of checking if another process has written.
const LOOK: Duration = Duration::from_secs(1);
/// The least interval of counting pending deliveries, which reads all their rows.
const COUNT: Duration = Duration::from_secs(5);
/// The interval of removing settled and old rows.
const SWEEP: Duration = Duration::from_secs(60);

struct Writer {
    connection: Connection,
    log: Log,
    /// Waits for the first of several kinds of orders.
    runtime: tokio::runtime::Runtime,
    seam: Seam,
    /// The time after which groups are retried after an obstacle.
    pause: Duration,
    targets: BTreeMap<String, Target>,
    wakers: BTreeMap<String, Arc<Notify>>,
    retention: Retention,
    /// The most that is quarantined per rule.
    quarantine: Share,
    commits: mpsc::Receiver<Commit>,
    outcomes: mpsc::Receiver<Outcome>,
    state: Arc<State>,
    metrics: Arc<Metrics>,
    /// SQLite's `data_version`, which changes when another process has written.
    version: i64,
    /// The rules whose full quarantine was logged.
    trimmed: BTreeSet<String>,
    /// `true` if an operator may have retried refusals.
    looks_again: bool,
    /// `true` if pending deliveries must be counted again; `counted` is the time of the last count.
    needs_count: bool,
    counted: Stopwatch,
    /// The most pages of the file.
    pages: u64,
    /// Orders that were not written because of an error.
    unwritten: Vec<Batch>,
    _lock: File,
}

/// The orders of one transaction.
#[derive(Default)]
struct Batch {
    commits: Vec<Commit>,
    outcomes: Vec<Outcome>,
    /// `true` to look for refusals that an operator retries.
    is_look: bool,
    /// Steps of the machine's clock.
    clock_steps: Vec<ClockStep>,
}

/// The result of a transaction.
#[derive(Default)]
struct Written {
    changes: Changes,
    /// The number of pending deliveries of each target that was disabled.
    disabled: Vec<u64>,
    /// `true` if more refusals are to be retried than one transaction takes.
    has_more_asked: bool,
}

pub(super) fn start(
    journal: Journal,
    targets: BTreeMap<String, Target>,
    wakers: BTreeMap<String, Arc<Notify>>,
    settings: &config::Journal,
    metrics: Arc<Metrics>,
) -> Result<Handle, JournalError> {
    let (commits, commits_in) = mpsc::channel(QUEUE);
    let (outcomes, outcomes_in) = mpsc::channel(OUTCOMES);
    let Journal { mut connection, lock, seam, pause, .. } = journal;
    connection.busy_timeout(LOCK_WAIT)?;
    let log = Log::of(&mut connection)?;
    let pages = pages_of(&connection, settings.max_size)?;
    limit(&connection, pages)?;
    let rooms = Rooms::of(&targets);
    for (target, deliveries) in rooms.count(&connection)? {
        warn!(
            target,
            deliveries,
            "deliveries wait for a target that is not configured any longer; hint: configure it, or `klaxon journal drop --pending --target {target}`"
        );
    }
    let state = Arc::new(State {
        error: Mutex::new(None),
        thread: Mutex::new(None),
        pending: Mutex::default(),
        gives_up: CancellationToken::new(),
        rooms,
        pulse: Arc::default(),
        budget: Budget::new(BYTES),
    });
    let retention = Retention {
        millis: i64::try_from(settings.retain.as_millis()).unwrap_or(i64::MAX),
        dead_letters: settings.max_dead_letters,
    };
    let version = data_version(&connection)?;
    let ended = |error: std::io::Error| JournalError::Ended(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(ended)?;
    let mut writer = Writer {
        connection,
        log,
        runtime,
        seam,
        pause,
        targets,
        wakers,
        retention,
        quarantine: Share::of(settings.max_size),
        commits: commits_in,
        outcomes: outcomes_in,
        state: state.clone(),
        metrics,
        version,
        trimmed: BTreeSet::new(),
        looks_again: true,
        needs_count: false,
        counted: Stopwatch::start(),
        pages,
        unwritten: Vec::new(),
        _lock: lock,
    };
    let thread = std::thread::Builder::new()
        .name("klaxon-journal".to_owned())
        .spawn(move || writer.run())
        .map_err(ended)?;
    *state.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(Handle { commits, outcomes, state })
}

/// Returns the number of pending deliveries of each target.
fn pending(connection: &Connection) -> Result<BTreeMap<String, u64>, JournalError> {
    let mut select = connection.prepare(
        "SELECT target, count(*) FROM deliveries WHERE state = 'pending' GROUP BY target",
    )?;
    let rows = select.query_map([], |row| {
        let count: i64 = row.get(1)?;
        Ok((row.get(0)?, count.unsigned_abs()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the number of pages of a size.
fn pages_of(connection: &Connection, max_size: u64) -> Result<u64, JournalError> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(max_size / page.unsigned_abs().max(1))
}

/// Sets the most pages of the file; beyond it SQLite reports a full disk.
fn limit(connection: &Connection, pages: u64) -> Result<(), JournalError> {
    // SQLite accepts at most this value, and returns the value in effect.
    let pages = pages.clamp(1, u64::from(u32::MAX) - 2);
    connection.pragma_update_and_check(None, "max_page_count", pages.cast_signed(), |_| Ok(()))?;
    Ok(())
}

fn data_version(connection: &Connection) -> Result<i64, JournalError> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

impl Writer {
    fn run(&mut self) {
        let mut swept: Option<(Stopwatch, Duration)> = None;
        while let Some(batch) = self.gather() {
            self.state.pulse.works("looking whether another program has written");
            // The batch is dropped after the cause is recorded, or waiting callers would see no cause.
            if let Err(error) = self.look() {
                self.end(error);
                drop(batch);
                return;
            }
            if let Err(error) = self.write(batch).and_then(|()| self.fold_in()) {
                return self.end(error);
            }
            if swept.is_none_or(|(last, pause)| last.elapsed() >= pause) {
                match self.sweep() {
                    Ok(has_more) => {
                        let pause = if has_more { LOOK } else { SWEEP };
                        swept = Some((Stopwatch::start(), pause));
                    }
                    Err(error) if Obstacle::of(&error).is_some() => {
                        warn!(%error, "old rows of the journal could not be removed yet");
                        swept = Some((Stopwatch::start(), SWEEP));
                    }
                    Err(error) => return self.end(error),
                }
            }
        }
        match pending(&self.connection) {
            Ok(pending) => {
                *self.state.pending.lock().unwrap_or_else(PoisonError::into_inner) = pending;
            }
            Err(error) => warn!(%error, "the pending deliveries could not be counted"),
        }
        let folded = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
        match folded.map_err(JournalError::from) {
            Ok(()) => {}
            Err(error) if Obstacle::of(&error).is_some() => {
                info!(%error, "the journal's log was not folded in; the next start does it");
            }
            Err(error) => self.end(error),
        }
    }

    fn fold_in(&self) -> Result<(), JournalError> {
        self.folded(self.log.fold_in(&self.connection))
    }

    /// Ignores obstacles: the next checkpoint may succeed, and the log is valid until then.
    fn folded(&self, folded: Result<(), JournalError>) -> Result<(), JournalError> {
        match folded {
            Err(error) if Obstacle::of(&error).is_some() => Ok(()),
            folded => folded,
        }
    }

    /// Logs and records the cause of the writer's end. Waiting callers see that their channels are closed.
    fn end(&self, error: JournalError) {
        error!(%error, "the journal cannot be written: nothing more is taken in");
        *self.state.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Checks if another process has written: an operator, with `klaxon journal`.
    fn look(&mut self) -> Result<(), JournalError> {
        let version = data_version(&self.connection)?;
        if version != self.version {
            self.version = version;
            self.needs_count = true;
            self.looks_again = true;
        }
        if self.needs_count && self.counted.elapsed() >= COUNT {
            self.state.rooms.count(&self.connection)?;
            self.needs_count = false;
            self.counted = Stopwatch::start();
        }
        if !std::mem::take(&mut self.looks_again) {
            return Ok(());
        }
        self.write(Batch { is_look: true, ..Batch::default() })
    }

    /// Waits for an order, or until the next check, and takes the other waiting orders; `None` when all handles
    /// are dropped.
    fn gather(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        self.state.pulse.idle();
        let Self { runtime, commits, outcomes, .. } = self;
        let is_over = runtime.block_on(async {
            tokio::select! {
                commit = commits.recv() => match commit {
                    Some(commit) => batch.commits.push(commit),
                    // No more groups will come; outcomes may still come.
                    None => match outcomes.recv().await {
                        Some(outcome) => batch.outcomes.push(outcome),
                        None => return true,
                    },
                },
                Some(outcome) = outcomes.recv() => batch.outcomes.push(outcome),
                () = tokio::time::sleep(LOOK) => {}
            }
            false
        });
        if is_over {
            return None;
        }
        batch.clock_steps = clock::take_steps();
        for step in &batch.clock_steps {
            warn!(
                expected = %step.expected, clock = %step.wall,
                "the machine's clock was set by more than an hour: time goes on evenly here; a clock that is ahead is followed when it has proved right for ten minutes"
            );
        }
        while batch.commits.len() < QUEUE
            && let Ok(commit) = self.commits.try_recv()
        {
            batch.commits.push(commit);
        }
        self.gather_outcomes(&mut batch);
        Some(batch)
    }

    fn gather_outcomes(&mut self, batch: &mut Batch) {
        while batch.outcomes.len() < TOGETHER
            && let Ok(outcome) = self.outcomes.try_recv()
        {
            batch.outcomes.push(outcome);
        }
    }

    /// Reports a written batch to its waiting callers, to the metrics and to the targets' queues.
    fn done(&mut self, batch: Batch, written: &Written) {
        self.state.rooms.apply(&written.changes);
        self.looks_again |= written.has_more_asked;
        for commit in batch.commits {
            if let Some(done) = commit.done {
                // The caller may have stopped waiting because of a shutdown.
                done.send(()).unwrap_or_default();
            }
        }
        let disables = batch.outcomes.into_iter().filter_map(|outcome| match outcome {
            Outcome::Disable(_, _, done) => Some(done),
            Outcome::Settled(_) => None,
        });
        for (done, count) in disables.zip(&written.disabled) {
            done.send(*count).unwrap_or_default();
        }
        for (rule, count) in written.changes.repeated() {
            if self.metrics.repeated(rule, count) {
                warn!(
                    rule,
                    count,
                    "verdicts ignored: their ids were recorded before (said once, then counted in klaxon_verdicts_repeated_total)"
                );
            }
        }
        for (rule, removed) in written.changes.quarantine() {
            self.metrics.quarantine_removed(rule, removed);
            if self.trimmed.insert(rule.to_owned()) {
                warn!(
                    rule,
                    removed,
                    "the rule has more quarantined events than it may keep: from now on its oldest are removed, counted in klaxon_quarantine_removed_total; hint: correct the rule, or `klaxon journal export quarantine` them"
                );
            }
        }
        for (name, refused) in written.changes.targets() {
            self.metrics.delivery(name, "dead", refused);
            if refused > 0 {
                warn!(
                    target = name,
                    deliveries = refused,
                    "dead letters: the target's queue is full, or it is disabled"
                );
            }
            if let Some(waker) = self.wakers.get(name) {
                waker.notify_one();
            }
            if let Some(room) = self.state.rooms.get(name) {
                let (bytes, count) = room.waiting();
                self.metrics.target_queue(name, count, bytes);
            }
        }
    }

    /// Removes settled and old rows. Returns `true` if there may be more of them.
    fn sweep(&mut self) -> Result<bool, JournalError> {
        self.state.pulse.works("removing what is old");
        let Swept { too_many, has_more } =
            sweep(&mut self.connection, self.retention, clock::now())?;
        if too_many > 0 {
            error!(
                removed = too_many,
                most = self.retention.dead_letters,
                "the oldest dead letters were removed, for there are more than journal.max_dead_letters"
            );
        }
        let pages: i64 =
            self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let free: i64 =
            self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let page = self.page_size()?.cast_signed();
        self.metrics.journal_bytes((pages - free).saturating_mul(page));
        for (name, room) in self.state.rooms.iter() {
            let (bytes, count) = room.waiting();
            self.metrics.target_queue(name, count, bytes);
        }
        Ok(has_more)
    }

    fn page_size(&self) -> Result<u64, JournalError> {
        let page: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(page.unsigned_abs())
    }
}

impl Batch {
    fn len(&self) -> usize {
        self.commits.len() + self.outcomes.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0 && !self.is_look && self.clock_steps.is_empty()
    }
}
