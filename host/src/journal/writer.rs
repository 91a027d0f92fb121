//! The one thread that writes: it gathers what waits into one transaction, for an fsync costs more
//! than a thousand rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};

use super::checkpoint::Log;
use super::handle::{Commit, Handle, Outcome, State};
use super::outgoing::Outgoing;
use super::room::{Changes, Rooms};
use super::sweep::{Removed, Retention, Swept, make_room, sweep};
use super::{Journal, JournalError, rows};
use crate::config::{self, Target};
use crate::model::clock::{self, ClockStep, Stopwatch};
use crate::telemetry::metrics::Metrics;

/// Groups that wait for the writer; beyond that whoever decides waits.
const QUEUE: usize = 64;
/// Outcomes of deliveries that wait for the writer.
const OUTCOMES: usize = 1024;
/// Most orders of one transaction.
const TOGETHER: usize = 256;
/// Pages that are there for outcomes and removals alone, at least.
const RESERVE: u64 = 256;
/// How long a full disk is left alone before the next attempt.
const FULL_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody else has written.
const LOOK: Duration = Duration::from_secs(1);
/// How often what waits is counted at most, for that reads every row of it.
const COUNT: Duration = Duration::from_secs(5);
/// How often what is settled and old is removed.
const SWEEP: Duration = Duration::from_secs(60);

struct Writer {
    connection: Connection,
    log: Log,
    targets: BTreeMap<String, Target>,
    bells: BTreeMap<String, Arc<Notify>>,
    retention: Retention,
    commits: mpsc::Receiver<Commit>,
    outcomes: mpsc::Receiver<Outcome>,
    state: Arc<State>,
    metrics: Arc<Metrics>,
    /// Grows when another process has written.
    version: i64,
    /// Refusals may be asked for again.
    looks_again: bool,
    /// What waits must be counted anew, and when it was last.
    needs_count: bool,
    counted: Stopwatch,
    /// Most pages of the file.
    pages: u64,
    _lock: File,
}

/// What goes into one transaction.
#[derive(Default)]
struct Batch {
    commits: Vec<Commit>,
    outcomes: Vec<Outcome>,
    /// Somebody may have asked for what was refused.
    is_look: bool,
    /// The machine's clock was set.
    clock_steps: Vec<ClockStep>,
}

/// What a transaction has done.
#[derive(Default)]
struct Written {
    changes: Changes,
    /// How many deliveries waited for each target that was disabled.
    disabled: Vec<u64>,
    /// There were more refusals than are looked at together.
    has_more_asked: bool,
}

pub(super) fn start(
    journal: Journal,
    targets: BTreeMap<String, Target>,
    bells: BTreeMap<String, Arc<Notify>>,
    settings: &config::Journal,
    metrics: Arc<Metrics>,
) -> Result<Handle, JournalError> {
    let (commits, commits_in) = mpsc::channel(QUEUE);
    let (outcomes, outcomes_in) = mpsc::channel(OUTCOMES);
    let Journal { mut connection, lock, .. } = journal;
    let log = Log::of(&mut connection)?;
    let pages = pages_of(&connection, settings.max_size)?;
    limit(&connection, pages)?;
    let rooms = Rooms::of(&targets);
    for (target, deliveries) in rooms.count(&connection)? {
        warn!(
            target,
            deliveries,
            "deliveries wait for a target that is not configured any longer; mend: configure it, or `klaxon journal drop --pending --target {target}`"
        );
    }
    let state = Arc::new(State {
        fault: Mutex::new(None),
        thread: Mutex::new(None),
        gives_up: AtomicBool::new(false),
        rooms,
        pulse: Arc::default(),
    });
    let retention = Retention {
        millis: i64::try_from(settings.retain.as_millis()).unwrap_or(i64::MAX),
        dead_letters: settings.max_dead_letters,
    };
    let version = data_version(&connection)?;
    let mut writer = Writer {
        connection,
        log,
        targets,
        bells,
        retention,
        commits: commits_in,
        outcomes: outcomes_in,
        state: state.clone(),
        metrics,
        version,
        looks_again: true,
        needs_count: false,
        counted: Stopwatch::start(),
        pages,
        _lock: lock,
    };
    let ended = |fault: std::io::Error| JournalError::Ended(fault.to_string());
    // Only to wait for whichever order comes first.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(ended)?;
    let thread = std::thread::Builder::new()
        .name("klaxon-journal".to_owned())
        .spawn(move || writer.run(&runtime))
        .map_err(ended)?;
    *state.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(Handle { commits, outcomes, state })
}

/// How many pages a size is.
fn pages_of(connection: &Connection, max_size: u64) -> Result<u64, JournalError> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(max_size / page.unsigned_abs().max(1))
}

/// Sets how large the file may grow; beyond that it is as with a full disk.
fn limit(connection: &Connection, pages: u64) -> Result<(), JournalError> {
    // SQLite takes no more, and answers with what it took.
    let pages = pages.clamp(1, u64::from(u32::MAX) - 2);
    connection.pragma_update_and_check(None, "max_page_count", pages.cast_signed(), |_| Ok(()))?;
    Ok(())
}

fn data_version(connection: &Connection) -> Result<i64, JournalError> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

impl Writer {
    fn run(&mut self, runtime: &tokio::runtime::Runtime) {
        let mut swept: Option<(Stopwatch, Duration)> = None;
        while let Some(batch) = self.gather(runtime) {
            let written = self.look().and_then(|()| self.write(batch));
            if let Err(fault) = written.and_then(|()| self.fold_in()) {
                return self.end(fault);
            }
            if swept.is_none_or(|(last, pause)| last.elapsed() >= pause) {
                match self.sweep() {
                    Ok(has_more) => {
                        let pause = if has_more { LOOK } else { SWEEP };
                        swept = Some((Stopwatch::start(), pause));
                    }
                    Err(fault) if is_waited_for(&fault) => {
                        warn!(%fault, "old rows of the journal could not be removed yet");
                        swept = Some((Stopwatch::start(), SWEEP));
                    }
                    Err(fault) => return self.end(fault),
                }
            }
        }
        let folded = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
        match folded.map_err(JournalError::from) {
            Ok(()) => {}
            Err(fault) if is_waited_for(&fault) => {
                info!(%fault, "the journal's log was not folded in; the next start does it");
            }
            Err(fault) => self.end(fault),
        }
    }

    fn fold_in(&self) -> Result<(), JournalError> {
        self.folded(self.log.fold_in(&self.connection))
    }

    /// What stands in the way of it now may not the next time; the log is as good until then.
    fn folded(&self, folded: Result<(), JournalError>) -> Result<(), JournalError> {
        match folded {
            Err(fault) if is_waited_for(&fault) => Ok(()),
            folded => folded,
        }
    }

    /// Says why it ends. Waiters see that their senders are gone.
    fn end(&self, fault: JournalError) {
        error!(%fault, "the journal cannot be written: nothing more is taken in");
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Looks whether somebody else has written: an operator, with `klaxon journal`.
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

    /// Waits for an order, or until it is time to look, and takes what else is there; none when nobody
    /// can give orders any longer.
    fn gather(&mut self, runtime: &tokio::runtime::Runtime) -> Option<Batch> {
        let mut batch = Batch::default();
        self.state.pulse.idle();
        let is_over = runtime.block_on(async {
            tokio::select! {
                commit = self.commits.recv() => match commit {
                    Some(commit) => batch.commits.push(commit),
                    // Nothing more is decided; what came of deliveries may still be on its way.
                    None => match self.outcomes.recv().await {
                        Some(outcome) => batch.outcomes.push(outcome),
                        None => return true,
                    },
                },
                Some(outcome) = self.outcomes.recv() => batch.outcomes.push(outcome),
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
                "the machine's clock was set by more than an hour: time goes on evenly here until both agree; mend: if the clock is right now and was behind before, start again"
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

    /// Writes what belongs together; while there is no room it waits, and with it whoever decides. What
    /// comes of deliveries passes, for that makes room.
    fn write(&mut self, mut batch: Batch) -> Result<(), JournalError> {
        let mut is_full = false;
        while !batch.is_empty() {
            let fault = match self.transaction(&batch) {
                Ok(written) => {
                    self.done(std::mem::take(&mut batch), &written);
                    continue;
                }
                Err(fault) => fault,
            };
            if !is_waited_for(&fault) || self.state.gives_up.load(Ordering::Relaxed) {
                return Err(fault);
            }
            if !is_full && is_disk_full(&fault) {
                error!(
                    "the journal has no room, by journal.max_size or on its disk: intake waits until there is"
                );
            } else if !is_full {
                error!(%fault, "another program writes to the journal and does not end: intake waits for it");
            }
            is_full = true;
            self.find_room(&mut batch)?;
            // The log has no bound but this, and begins anew in its place once it is folded in.
            self.folded(self.log.fold_in_now(&self.connection))?;
        }
        if is_full {
            info!("the journal has room again: intake goes on");
        }
        Ok(())
    }

    /// Looks for room: what came of deliveries is written by itself, then what was sent goes, and at
    /// last the oldest of what was given up. For that there are some pages more than for the rest.
    fn find_room(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        self.state.pulse.waits("waiting for room, by journal.max_size or on its disk, or for another program that writes");
        self.gather_outcomes(batch);
        limit(&self.connection, self.pages.saturating_add((self.pages / 100).max(RESERVE)))?;
        let mut outcomes = std::mem::take(&mut batch.outcomes);
        // Those that free something come first.
        outcomes.sort_by_key(|outcome| !outcome.frees());
        let before = outcomes.len();
        batch.outcomes = self.write_what_fits(outcomes)?;
        let has_settled = batch.outcomes.len() < before;
        let removed = match make_room(&mut self.connection) {
            Ok(removed) => removed,
            Err(fault) if is_waited_for(&fault) => Removed::default(),
            Err(fault) => return Err(fault),
        };
        limit(&self.connection, self.pages)?;
        if removed.sent > 0 {
            warn!(
                rows = removed.sent,
                "the journal has no room: what was sent is not kept as long as it should be"
            );
        }
        if removed.dead > 0 {
            error!(
                rows = removed.dead,
                "the journal has no room: the oldest dead letters and quarantined events are removed"
            );
        }
        if !has_settled && removed == Removed::default() {
            std::thread::sleep(FULL_WAIT);
        }
        Ok(())
    }

    /// Writes outcomes, as many together as there is room for. Returns those that found none.
    fn write_what_fits(&mut self, outcomes: Vec<Outcome>) -> Result<Vec<Outcome>, JournalError> {
        let mut parts = vec![outcomes];
        let mut left = Vec::new();
        while let Some(outcomes) = parts.pop() {
            let mut alone = Batch { outcomes, ..Batch::default() };
            match self.transaction(&alone) {
                Ok(written) => self.done(alone, &written),
                Err(fault) if !is_waited_for(&fault) => return Err(fault),
                Err(_) if alone.outcomes.len() <= 1 => left.append(&mut alone.outcomes),
                Err(_) => {
                    let later = alone.outcomes.split_off(alone.outcomes.len() / 2);
                    parts.extend([later, alone.outcomes]);
                }
            }
        }
        Ok(left)
    }

    fn transaction(&mut self, batch: &Batch) -> Result<Written, JournalError> {
        let mut written = Written::default();
        if batch.is_empty() {
            return Ok(written);
        }
        let began = Stopwatch::start();
        self.state.pulse.works("writing");
        // From the beginning for writing: an operator's command that writes is waited for, which SQLite does
        // not do for a reader that becomes a writer.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut out = Outgoing {
            to: &transaction,
            targets: &self.targets,
            rooms: &self.state.rooms,
            changes: &mut written.changes,
            now: clock::now(),
        };
        for outcome in &batch.outcomes {
            match outcome {
                Outcome::Settled(settled) => out.settle(settled)?,
                Outcome::Disable(target, why, _) => {
                    written.disabled.push(out.disable(target, why)?);
                }
            }
        }
        for commit in &batch.commits {
            rows::write(&mut out, &commit.group)?;
        }
        if batch.is_look {
            written.has_more_asked = out.asked_again()?;
        }
        for step in &batch.clock_steps {
            out.clock_step(step)?;
        }
        transaction.commit()?;
        self.metrics.commit(batch.len(), began.elapsed().as_secs_f64());
        Ok(written)
    }

    /// Tells whoever waits that it is on disk.
    fn done(&mut self, batch: Batch, written: &Written) {
        self.state.rooms.apply(&written.changes);
        self.looks_again |= written.has_more_asked;
        for commit in batch.commits {
            if let Some(done) = commit.done {
                // Whoever waited may have been told to stop.
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
        for (name, refused) in written.changes.targets() {
            self.metrics.delivery(name, "dead", refused);
            if refused > 0 {
                warn!(
                    target = name,
                    deliveries = refused,
                    "dead letters: the target's queue is full, or it is disabled"
                );
            }
            if let Some(bell) = self.bells.get(name) {
                bell.notify_one();
            }
            if let Some(room) = self.state.rooms.get(name) {
                let (bytes, count) = room.waiting();
                self.metrics.target_queue(name, count, bytes);
            }
        }
    }

    /// Removes what is settled and old. Returns whether there is more of it.
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
        let page: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        self.metrics.journal_bytes((pages - free).saturating_mul(page));
        for (name, room) in self.state.rooms.iter() {
            let (bytes, count) = room.waiting();
            self.metrics.target_queue(name, count, bytes);
        }
        Ok(has_more)
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

/// Whether it may end by itself: a full disk, or another program that writes.
fn is_waited_for(fault: &JournalError) -> bool {
    let JournalError::Sqlite(sqlite) = fault else { return is_disk_full(fault) };
    let code = sqlite.sqlite_error_code();
    is_disk_full(fault) || matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_disk_full(fault: &JournalError) -> bool {
    match fault {
        JournalError::Sqlite(fault) => fault.sqlite_error_code() == Some(ErrorCode::DiskFull),
        // The index of the log could not grow.
        JournalError::Disk(fault) => fault
            .sqlite_error()
            .is_some_and(|fault| fault.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE),
        _ => false,
    }
}
