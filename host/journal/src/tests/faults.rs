//! Errors of SQLite at every point, with rows of every kind in the journal.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::ffi::{SQLITE_BUSY, SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMSIZE};

use super::{group, outbox, settings, targets, verdict};
use crate::writer::Seam;
use crate::{FILE, Group, Handle, Journal, JournalError, Outbox, Settled, SettledAs};
use klaxon_core::pipeline::{Output, QuarantinedObject};
use klaxon_model::Timestamp;
use klaxon_model::clock::{self, Stopwatch};
use klaxon_telemetry::metrics::Metrics;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Busy,
    Full,
    NoIndex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Sent,
    Dead,
    Failed,
}

#[derive(Debug, Clone)]
enum Op {
    /// Commits this number of verdicts together.
    Commit(u64),
    /// Quarantines an object that cannot be decoded.
    Quarantine,
    /// Settles the oldest pending delivery.
    Settle(As),
    /// Makes the next attempts to write fail.
    Fail(Vec<Fault>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let fault = prop_oneof![Just(Fault::Busy), Just(Fault::Full), Just(Fault::NoIndex)];
    let settled = prop_oneof![Just(As::Sent), Just(As::Dead), Just(As::Failed)];
    let op = prop_oneof![
        3 => (1..4u64).prop_map(Op::Commit),
        1 => Just(Op::Quarantine),
        4 => settled.prop_map(Op::Settle),
        2 => prop::collection::vec(fault, 1..4).prop_map(Op::Fail),
    ];
    prop::collection::vec(op, 1..25)
}

/// The number of rows in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rows {
    pending: i64,
    sent: i64,
    dead: i64,
    quarantined: i64,
}

struct World {
    handle: Handle,
    outbox: Outbox,
    seam: Seam,
    reader: Connection,
    /// The expected rows if none were removed.
    model: Rows,
    verdicts: u64,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(folder: &Path) -> Self {
        let mut journal = Journal::open(folder).unwrap();
        journal.pause = Duration::from_millis(1);
        let seam = journal.seam.clone();
        let metrics = Arc::new(Metrics::new("test"));
        let (handle, _) = journal.start(targets(), &settings(), metrics).unwrap();
        Self {
            handle,
            outbox: outbox(folder),
            seam,
            reader: Connection::open(folder.join(FILE)).unwrap(),
            model: Rows::default(),
            verdicts: 0,
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        }
    }

    fn rows(&self) -> Rows {
        let count = |select: &str| self.reader.query_row(select, [], |row| row.get(0)).unwrap();
        let of = |state: &str| {
            count(&format!("SELECT count(*) FROM deliveries WHERE state = '{state}'"))
        };
        Rows {
            pending: of("pending"),
            sent: of("sent"),
            dead: of("dead"),
            quarantined: count("SELECT count(*) FROM quarantine"),
        }
    }

    fn commit(&mut self, count: u64) -> Result<(), JournalError> {
        let verdicts = (self.verdicts..self.verdicts + count).map(verdict).collect();
        self.verdicts += count;
        self.handle.commit_and_wait(group(vec![], verdicts, vec![]))?;
        self.model.pending += count.cast_signed();
        Ok(())
    }

    fn quarantine(&mut self) {
        let object = QuarantinedObject {
            time: clock::now(),
            scope: "pods".to_owned(),
            reason: "no name".to_owned(),
            json: "{}".to_owned(),
        };
        let output = Output { quarantine: vec![object], ..Output::default() };
        let group = Group { output, progress: Vec::new(), clock: None };
        self.handle.commit_and_wait(group).unwrap();
        self.model.quarantined += 1;
    }

    fn settle(&mut self, as_what: As) {
        let Some(first) = self.outbox.next(0, 1).unwrap().into_iter().next() else { return };
        let attempts = first.attempts + 1;
        let what = match as_what {
            As::Sent => SettledAs::Sent,
            As::Dead => SettledAs::Dead { why: "404".to_owned(), response: None },
            As::Failed => SettledAs::Failed {
                since: Timestamp::from_millis(5),
                next_at: Timestamp::from_millis(9),
                why: "500".to_owned(),
                response: None,
            },
        };
        let settled = Settled { number: first.number, attempts, as_what: what };
        self.runtime.block_on(self.handle.settle(settled)).unwrap();
        let since = Stopwatch::start();
        let is_stored = || {
            let now = self.outbox.next(0, 1).unwrap().into_iter().next();
            now.is_none_or(|now| now.number != first.number || now.attempts == attempts)
        };
        while !is_stored() {
            assert!(since.elapsed() < Duration::from_secs(60), "the outcome is not stored");
            std::thread::yield_now();
        }
        match as_what {
            As::Sent => {
                (self.model.pending, self.model.sent) =
                    (self.model.pending - 1, self.model.sent + 1)
            }
            As::Dead => {
                (self.model.pending, self.model.dead) =
                    (self.model.pending - 1, self.model.dead + 1)
            }
            As::Failed => {}
        }
    }

    /// Checks the rows after a step, and takes over the removals into the model.
    fn judge(&mut self, may_remove: bool, was_sent: bool) -> Result<(), TestCaseError> {
        let rows = self.rows();
        prop_assert_eq!(rows.pending, self.model.pending, "what waits is never lost");
        if !may_remove {
            prop_assert_eq!(rows, self.model, "nothing is removed but for a full disk");
        }
        let given_up = rows.dead < self.model.dead || rows.quarantined < self.model.quarantined;
        if given_up {
            // The outcome of this step may have been stored after the removal.
            let late = i64::from(was_sent);
            prop_assert!(rows.sent <= late, "what was sent goes before what was given up");
        }
        self.model = rows;
        Ok(())
    }
}

fn holds(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let mut may_remove = false;
    for op in ops {
        let was_sent = matches!(op, Op::Settle(As::Sent));
        match op {
            Op::Commit(count) => world.commit(count).unwrap(),
            Op::Quarantine => world.quarantine(),
            Op::Settle(as_what) => world.settle(as_what),
            Op::Fail(faults) => {
                may_remove |= faults.contains(&Fault::Full);
                world.seam.inject(faults.into_iter().map(|fault| match fault {
                    Fault::Busy => SQLITE_BUSY,
                    Fault::Full => SQLITE_FULL,
                    Fault::NoIndex => SQLITE_IOERR_SHMSIZE,
                }));
                continue;
            }
        }
        world.judge(may_remove, was_sent)?;
        may_remove &= world.seam.has_more();
    }
    // An error of the disk ends the writer, and removes no rows.
    world.seam.clear();
    world.commit(1).unwrap();
    world.judge(may_remove, false)?;
    world.seam.inject([SQLITE_IOERR_FSYNC]);
    let fault = world.commit(1).unwrap_err();
    prop_assert!(matches!(fault, JournalError::Disk(_)), "{}", fault);
    let before = world.model;
    let after = world.rows();
    prop_assert_eq!(after, before);
    let ended = world.handle.close().unwrap_err().to_string();
    prop_assert_eq!(ended, fault.to_string());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn only_a_full_disk_removes_rows_in_the_documented_order_and_nothing_pending_is_lost(ops in ops()) {
        holds(ops)?;
    }
}
