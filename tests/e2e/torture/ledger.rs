//! A ledger of all rows that the journal ever held. It reads during the run, because rows are removed between
//! kills.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use klaxon_model::clock;
use rusqlite::{Connection, OpenFlags, Row};

use super::record::{Alarm, Verdict};
use crate::observation::Gap;

/// Pause between two readings.
const PAUSE: Duration = Duration::from_millis(250);
/// Overlap of the readings of settled rows, which are committed a moment after the time that they carry.
const BACK_MS: i64 = 10_000;
/// Longest time for which another program may lock the journal.
const BUSY: Duration = Duration::from_secs(60);

/// Everything that was ever read.
#[derive(Default)]
pub(super) struct Ledger {
    /// Deliveries by their number, in the order in which they were decided.
    pub(super) deliveries: BTreeMap<i64, Entry>,
    pub(super) gaps: BTreeSet<Gap>,
    pub(super) quarantined: BTreeSet<String>,
    pub(super) refused: BTreeSet<String>,
    /// Periods in which rows may have come and gone unread.
    pub(super) unread: Vec<(i64, i64)>,
    last_read: Option<i64>,
}

/// A delivery.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) target: String,
    pub(super) rule: String,
    pub(super) key: String,
    pub(super) body: u64,
    pub(super) made_at: i64,
    pub(super) state: State,
    pub(super) said: Said,
}

/// The decision that is delivered.
pub(super) struct Said {
    pub(super) code: String,
    pub(super) status: String,
    pub(super) alarm: Option<Alarm>,
}

/// The last known state of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Sent,
    /// Dead letter, with the reason.
    Dead(String),
    /// Removed after it was pending at the last reading.
    Removed,
}

impl Entry {
    /// Returns the hash that stands for a body.
    pub(super) fn hash(body: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        hasher.finish()
    }
}

impl Ledger {
    /// Reads rows that are new or have changed since the last reading. `retain` is the least time for which settled
    /// rows are retained: readings that are further apart may have missed some.
    pub(super) fn read(&mut self, journal: &Path, retain: Duration) {
        let Ok(connection) = open(journal) else { return };
        let now = clock::now().as_millis();
        if !has_tables(&connection) {
            return;
        }
        let before = self.last_read.unwrap_or(now);
        if now - before > i64::try_from(retain.as_millis()).unwrap() - 1000 {
            self.unread.push((before, now));
        }
        self.read_new(&connection);
        self.read_settled(&connection, before - BACK_MS);
        let gaps = all(&connection, "SELECT watch, since, until FROM gaps", |row| {
            Ok(Gap { watch: row.get(0)?, since: row.get(1)?, until: row.get(2)? })
        });
        self.gaps.extend(gaps);
        let text = |row: &Row<'_>| row.get::<_, String>(0);
        let quarantined = "SELECT coalesce(rule, '-') || ': ' || reason FROM quarantine";
        self.quarantined.extend(all(&connection, quarantined, text));
        let refused = "SELECT target || ': ' || reason FROM refusals";
        self.refused.extend(all(&connection, refused, text));
        self.last_read = Some(now);
    }

    fn read_new(&mut self, connection: &Connection) {
        let last = self.deliveries.last_key_value().map_or(0, |(number, _)| *number);
        let select = format!(
            "SELECT d.n, d.id, d.target, v.rule, d.key, d.body, d.made_at, d.state, d.reason, v.body \
             FROM deliveries d JOIN verdicts v ON v.n = d.verdict WHERE d.n > {last} ORDER BY d.n"
        );
        let rows = all(connection, &select, |row| {
            let body: Vec<u8> = row.get(5)?;
            let verdict: String = row.get(9)?;
            let verdict: Verdict = serde_json::from_str(&verdict).unwrap();
            let entry = Entry {
                id: row.get(1)?,
                target: row.get(2)?,
                rule: row.get(3)?,
                key: row.get(4)?,
                body: Entry::hash(&body),
                made_at: row.get(6)?,
                state: state(row, 7)?,
                said: Said { alarm: verdict.alarm(), code: verdict.code, status: verdict.status },
            };
            Ok((row.get::<_, i64>(0)?, entry))
        });
        self.deliveries.extend(rows);
    }

    fn read_settled(&mut self, connection: &Connection, since: i64) {
        let select = format!(
            "SELECT n, state, reason FROM deliveries WHERE state <> 'pending' AND settled_at >= {since}"
        );
        for (number, state) in all(connection, &select, |row| Ok((row.get(0)?, state(row, 1)?))) {
            if let Some(entry) = self.deliveries.get_mut(&number) {
                entry.state = state;
            }
        }
    }

    /// Reads for the last time, after the service has ended, and finds out which deliveries are still there.
    pub(super) fn finish(&mut self, journal: &Path, retain: Duration) {
        self.read(journal, retain);
        let connection = open(journal).unwrap();
        let select = "SELECT n FROM deliveries WHERE state = 'pending'";
        let there: HashSet<i64> = all(&connection, select, |row| row.get(0)).into_iter().collect();
        for (number, entry) in &mut self.deliveries {
            if entry.state == State::Pending && !there.contains(number) {
                entry.state = State::Removed;
            }
        }
    }

    /// Returns `true` for a moment at which rows may have come and gone unread.
    pub(super) fn is_unread(&self, at: i64) -> bool {
        self.unread.iter().any(|(from, to)| (*from..=*to).contains(&at))
    }

    /// Returns the deliveries by id.
    pub(super) fn by_id(&self) -> HashMap<&str, &Entry> {
        self.deliveries.values().map(|entry| (entry.id.as_str(), entry)).collect()
    }
}

/// Returns the state in a column, with the reason in the next.
fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let reason: Option<String> = row.get(column + 1)?;
    let state: String = row.get(column)?;
    Ok(match state.as_str() {
        "sent" => State::Sent,
        "dead" => State::Dead(reason.unwrap_or_default()),
        "pending" => State::Pending,
        other => panic!("a delivery is {other}, and nothing here coalesces"),
    })
}

/// Removes the free pages of a journal that no service uses. Returns the remaining size in bytes.
pub(super) fn shrink(journal: &Path) -> u64 {
    let connection = Connection::open(journal).unwrap();
    connection.busy_timeout(BUSY).unwrap();
    connection.execute_batch("VACUUM").unwrap();
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    (pragma("page_count").unwrap() * pragma("page_size").unwrap()).unsigned_abs()
}

fn open(journal: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Returns `true` if the journal has its tables; one that is being made does not have them yet.
fn has_tables(connection: &Connection) -> bool {
    let select = "SELECT count(*) FROM sqlite_master WHERE name = 'refusals'";
    connection.query_row(select, [], |row| row.get::<_, i64>(0)).is_ok_and(|count| count == 1)
}

fn all<T>(
    connection: &Connection,
    select: &str,
    of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = connection.prepare(select).unwrap();
    statement.query_map([], of).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A thread that reads during the run.
pub(super) struct Reader {
    ledger: Arc<Mutex<Ledger>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    journal: PathBuf,
    retain: Duration,
}

impl Reader {
    pub(super) fn start(journal: PathBuf, retain: Duration) -> Self {
        let (ledger, is_over) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let (ledger, is_over, journal) = (ledger.clone(), is_over.clone(), journal.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    ledger.lock().unwrap().read(&journal, retain);
                    std::thread::sleep(PAUSE);
                }
            })
        };
        Self { ledger, is_over, thread: Some(thread), journal, retain }
    }

    /// Reads once, while the service is down.
    pub(super) fn read(&self) {
        self.ledger.lock().unwrap().read(&self.journal, self.retain);
    }

    /// Returns the whole ledger after the service has ended.
    pub(super) fn finish(mut self) -> Ledger {
        self.end();
        let mut ledger = std::mem::take(&mut *self.ledger.lock().unwrap());
        ledger.finish(&self.journal, self.retain);
        ledger
    }

    fn end(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
