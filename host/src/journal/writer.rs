//! The one thread that writes: it gathers what waits into one transaction, for an fsync costs more
//! than a thousand rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use super::rows::{self, Group};
use super::{Journal, JournalError};
use crate::config::Target;
use crate::model::clock::{self, Stopwatch};

/// Orders that wait for the writer; beyond that whoever decides waits.
const QUEUE: usize = 64;
/// Most orders of one transaction.
const TOGETHER: usize = 64;
/// How long a full disk is left alone before the next attempt.
const FULL_WAIT: Duration = Duration::from_secs(1);
/// How often what is settled and old is removed.
const SWEEP: Duration = Duration::from_secs(60);
/// Most rows that one sweep removes, so that it holds nobody up.
const SWEEP_ROWS: i64 = 10_000;

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery's number.
    pub number: i64,
    /// Why it was given up; none: the receiver has it.
    pub dead: Option<String>,
}

enum Order {
    Commit(Box<Group>, Option<oneshot::Sender<()>>),
    Settle(Settled),
}

/// Gives orders to the writer.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    state: Arc<State>,
}

struct State {
    /// Why the writer has ended.
    fault: Mutex<Option<JournalError>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// A full disk is not waited for any longer.
    gives_up: AtomicBool,
}

impl Handle {
    /// From now on a full disk is an error: there is no time to wait for room.
    pub fn give_up(&self) {
        self.state.gives_up.store(true, Ordering::Relaxed);
    }

    /// Hands over a group; waits while the writer is far behind. It is on disk when a later
    /// [`Handle::commit_and_wait`] returns. To be called from threads that may block.
    ///
    /// # Errors
    /// Why the writer has ended.
    pub fn commit(&self, group: Group) -> Result<(), JournalError> {
        let order = Order::Commit(Box::new(group), None);
        self.orders.blocking_send(order).map_err(|_| self.fault())
    }

    /// Hands over a group and waits until it is on disk, and all before it.
    ///
    /// # Errors
    /// Why the writer has ended.
    pub fn commit_and_wait(&self, group: Group) -> Result<(), JournalError> {
        let (done, is_done) = oneshot::channel();
        let order = Order::Commit(Box::new(group), Some(done));
        self.orders.blocking_send(order).map_err(|_| self.fault())?;
        is_done.blocking_recv().map_err(|_| self.fault())
    }

    /// Records what came of a delivery.
    ///
    /// # Errors
    /// Why the writer has ended.
    pub async fn settle(&self, settled: Settled) -> Result<(), JournalError> {
        self.orders.send(Order::Settle(settled)).await.map_err(|_| self.fault())
    }

    fn fault(&self) -> JournalError {
        let fault = self.state.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone().unwrap_or_else(|| JournalError::Ended("without a reason".to_owned()))
    }

    /// Ends the writer when all its orders are done; every other handle must be gone.
    ///
    /// # Errors
    /// Why it ended early.
    pub fn close(self) -> Result<(), JournalError> {
        let state = self.state.clone();
        drop(self.orders);
        let thread = state.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(JournalError::Ended("its thread panicked".to_owned()));
        }
        let fault = state.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fault.map_or(Ok(()), Err)
    }
}

struct Writer {
    connection: Connection,
    targets: BTreeMap<String, Target>,
    bells: BTreeMap<String, Arc<Notify>>,
    retain: Duration,
    state: Arc<State>,
    _lock: File,
}

pub(super) fn start(
    journal: Journal,
    targets: BTreeMap<String, Target>,
    bells: BTreeMap<String, Arc<Notify>>,
    retain: Duration,
) -> Result<Handle, JournalError> {
    let (orders, inbox) = mpsc::channel(QUEUE);
    let state = Arc::new(State {
        fault: Mutex::new(None),
        thread: Mutex::new(None),
        gives_up: AtomicBool::new(false),
    });
    let Journal { connection, lock, .. } = journal;
    let mut writer =
        Writer { connection, targets, bells, retain, state: state.clone(), _lock: lock };
    let thread = std::thread::Builder::new()
        .name("klaxon-journal".to_owned())
        .spawn(move || writer.run(inbox))
        .map_err(|fault| JournalError::Ended(fault.to_string()))?;
    *state.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(Handle { orders, state })
}

impl Writer {
    fn run(&mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut swept: Option<Stopwatch> = None;
        while let Some(first) = inbox.blocking_recv() {
            let mut orders = vec![first];
            while orders.len() < TOGETHER
                && let Ok(order) = inbox.try_recv()
            {
                orders.push(order);
            }
            if let Err(fault) = self.commit(orders) {
                error!(%fault, "the journal cannot be written: nothing more is taken in");
                *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                // Waiters see that their senders are gone.
                return;
            }
            if swept.is_none_or(|last| last.elapsed() >= SWEEP) {
                if let Err(fault) = self.sweep() {
                    warn!(%fault, "old rows of the journal could not be removed");
                }
                swept = Some(Stopwatch::start());
            }
        }
        if let Err(fault) = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            info!(%fault, "the journal's log was not folded in; the next start does it");
        }
    }

    /// Commits orders together; while the disk is full they wait, and with them everyone before.
    fn commit(&mut self, orders: Vec<Order>) -> Result<(), JournalError> {
        let mut is_full = false;
        let fed = loop {
            match self.transaction(&orders) {
                Ok(fed) => break fed,
                Err(JournalError::Sqlite(fault))
                    if is_disk_full(&fault) && !self.state.gives_up.load(Ordering::Relaxed) =>
                {
                    if !is_full {
                        error!("the journal's disk is full: intake waits until there is room");
                    }
                    is_full = true;
                    std::thread::sleep(FULL_WAIT);
                }
                Err(fault) => return Err(fault),
            }
        };
        if is_full {
            info!("the journal's disk has room again: intake goes on");
        }
        for order in orders {
            if let Order::Commit(_, Some(done)) = order {
                // Whoever waited may have been told to stop.
                done.send(()).unwrap_or_default();
            }
        }
        for bell in fed.iter().filter_map(|name| self.bells.get(name)) {
            bell.notify_one();
        }
        Ok(())
    }

    fn transaction(&mut self, orders: &[Order]) -> Result<Vec<String>, JournalError> {
        let now = clock::now();
        let transaction = self.connection.transaction()?;
        let mut fed = Vec::new();
        for order in orders {
            match order {
                Order::Commit(group, _) => {
                    fed.extend(rows::write(&transaction, &self.targets, group, now)?);
                }
                Order::Settle(Settled { number, dead }) => {
                    let state = if dead.is_some() { "dead" } else { "sent" };
                    transaction
                        .prepare_cached(
                            "UPDATE deliveries SET state = ?2, settled_at = ?3, reason = ?4 \
                             WHERE n = ?1",
                        )?
                        .execute(params![number, state, now.as_millis(), dead])?;
                }
            }
        }
        transaction.commit()?;
        Ok(fed)
    }

    /// Removes what is settled and older than it is kept for.
    fn sweep(&mut self) -> Result<(), JournalError> {
        let retain = i64::try_from(self.retain.as_millis()).unwrap_or(i64::MAX);
        let end = clock::now().as_millis().saturating_sub(retain);
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
             WHERE state <> 'pending' AND settled_at < ?1 LIMIT ?2)",
            params![end, SWEEP_ROWS],
        )?;
        transaction.execute(
            "DELETE FROM verdicts WHERE n IN (SELECT n FROM verdicts v WHERE v.time < ?1 \
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n) LIMIT ?2)",
            params![end, SWEEP_ROWS],
        )?;
        transaction.execute("DELETE FROM quarantine WHERE time < ?1", [end])?;
        transaction.execute("DELETE FROM gaps WHERE until < ?1", [end])?;
        transaction.commit()?;
        Ok(())
    }
}

fn is_disk_full(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error_code() == Some(ErrorCode::DiskFull)
}
