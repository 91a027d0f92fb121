//! Judges the journal that a power loss left, against the verdicts and deliveries of the whole run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use klaxon_journal::{Journal, inspect};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::trace::{Call, Deed, Trace};

const LOG: &str = "klaxon.db-wal";
const FRAME_HEADER: usize = 24;
/// Digits of an id.
const ID: usize = 32;

/// One delivery of the whole run, and the moments of its writing, sync and sending in the trace.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: String,
    body: Vec<u8>,
    /// Start of the write of the delivery to the log, in the commit that counts.
    pub(super) written: Option<usize>,
    /// Return of a sync of the log that began after the whole commit was written.
    pub(super) on_disk: Option<usize>,
    /// Start of the first call that may have sent it.
    pub(super) sent: Option<usize>,
}

/// The whole run, as in its final journal.
#[derive(Clone)]
pub(super) struct Truth {
    pub(super) deliveries: Vec<Delivery>,
    verdicts: Vec<(String, String)>,
    /// Versions of all pods that were seen.
    versions: HashSet<u64>,
}

fn open(folder: &Path) -> Result<Connection, String> {
    let path = folder.join("klaxon.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|fault| fault.to_string())
}

/// Returns all rows of a query.
fn rows<T>(
    connection: &Connection,
    select: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, String> {
    let mut statement = connection.prepare(select).map_err(|fault| fault.to_string())?;
    let rows = statement.query_map([], read).map_err(|fault| fault.to_string())?;
    rows.collect::<Result<_, _>>().map_err(|fault| fault.to_string())
}

fn deliveries(connection: &Connection) -> Result<Vec<(String, Vec<u8>, String)>, String> {
    let select = "SELECT id, body, state FROM deliveries ORDER BY n";
    rows(connection, select, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

fn verdicts(connection: &Connection) -> Result<Vec<(String, String)>, String> {
    rows(connection, "SELECT id, body FROM verdicts ORDER BY n", |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

fn bodies(verdicts: &[(String, String)]) -> Vec<Value> {
    verdicts.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
}

/// Returns the versions of the pods that the witness saw, according to the verdicts' bodies.
fn versions(bodies: &[Value]) -> HashSet<u64> {
    bodies
        .iter()
        .filter(|body| body["rule"] == "witness")
        .map(|body| body["payload"]["version"].as_str().unwrap().parse().unwrap())
        .collect()
}

impl Truth {
    /// Reads the journal of the whole run, and finds its deliveries in the trace.
    pub(super) fn of(folder: &Path, trace: &Trace) -> Self {
        let connection = open(folder).unwrap();
        let verdicts = verdicts(&connection).unwrap();
        let versions = versions(&bodies(&verdicts));
        let deliveries = deliveries(&connection)
            .unwrap()
            .into_iter()
            .map(|(id, body, _)| Delivery { id, body, written: None, on_disk: None, sent: None });
        let mut truth = Self { deliveries: deliveries.collect(), verdicts, versions };
        truth.find_moments(trace);
        truth
    }

    /// Compares with the receiver's requests: each delivery came with the same body, and nothing else came.
    pub(super) fn compare_with(&self, requests: &[wiremock::Request]) {
        let bodies: HashMap<&str, &[u8]> =
            self.deliveries.iter().map(|one| (one.id.as_str(), one.body.as_slice())).collect();
        let mut came = HashSet::new();
        for request in requests {
            let id = request.headers["webhook-id"].to_str().unwrap();
            assert_eq!(bodies.get(id), Some(&request.body.as_slice()), "{id}");
            came.insert(id);
        }
        assert_eq!(came.len(), bodies.len(), "all of them");
    }

    /// Finds when each delivery was written, committed and sent.
    pub(super) fn find_moments(&mut self, trace: &Trace) {
        let numbers: HashMap<&[u8], usize> =
            self.deliveries.iter().enumerate().map(|(n, one)| (one.id.as_bytes(), n)).collect();
        let mut found = vec![(None, None, None); numbers.len()];
        let mut log = Log::default();
        let mut ends = trace.ends.iter().copied().peekable();
        for call in &trace.calls {
            while ends.next_if(|end| *end < call.begun).is_some() {
                log.forget_unfinished();
            }
            match &call.deed {
                Deed::Write { name, data, .. } if name == LOG => {
                    let ids = ids(data).filter_map(|id| numbers.get(id).copied());
                    let new = ids.filter(|n| found[*n].0.is_none()).collect();
                    for (n, begun) in log.write(call, data, new) {
                        found[n].0.get_or_insert(begun);
                    }
                }
                Deed::Sync(name) if name == LOG => {
                    for n in log.sync(call) {
                        found[n].1 = Some(call.ended);
                    }
                }
                Deed::Send(data) => {
                    for n in ids(data).filter_map(|id| numbers.get(id)) {
                        found[*n].2.get_or_insert(call.begun);
                    }
                }
                _ => {}
            }
        }
        for (one, (written, on_disk, sent)) in self.deliveries.iter_mut().zip(found) {
            (one.written, one.on_disk, one.sent) = (written, on_disk, sent);
        }
    }
}

/// The log, as far as it is known to be on the disk. A frame is written in two calls: its header, which marks the
/// end of a commit, then its page.
#[derive(Default)]
struct Log {
    is_commit: bool,
    /// Deliveries in frames of an incomplete commit, and when they were written.
    unfinished: Vec<(usize, usize)>,
    /// Deliveries in complete commits, and when the last frame was written.
    unsynced: Vec<(usize, usize)>,
}

impl Log {
    /// Returns the deliveries of the commit that this call completes, and when they were written.
    fn write(&mut self, call: &Call, data: &[u8], new: Vec<usize>) -> Vec<(usize, usize)> {
        if data.len() == FRAME_HEADER {
            self.is_commit = data[4..8] != [0; 4];
            return Vec::new();
        }
        self.unfinished.extend(new.into_iter().map(|n| (n, call.begun)));
        if !std::mem::take(&mut self.is_commit) {
            return Vec::new();
        }
        let whole = std::mem::take(&mut self.unfinished);
        self.unsynced.extend(whole.iter().map(|(n, _)| (*n, call.ended)));
        whole
    }

    /// Returns the deliveries that are on the disk after this call.
    fn sync(&mut self, call: &Call) -> Vec<usize> {
        let is_synced = |one: &mut (usize, usize)| one.1 < call.begun;
        self.unsynced.extract_if(.., is_synced).map(|(n, _)| n).collect()
    }

    /// Ends a run. A commit that the run did not complete is never valid.
    fn forget_unfinished(&mut self) {
        self.is_commit = false;
        self.unfinished.clear();
    }
}

/// Returns every run of 32 hexadecimal digits.
fn ids(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut digits = 0;
    data.iter().enumerate().filter_map(move |(at, byte)| {
        digits = if byte.is_ascii_hexdigit() { digits + 1 } else { 0 };
        (digits >= ID).then(|| &data[at + 1 - ID..=at])
    })
}

/// Opens the journal in a folder like a start after a power loss. Returns an error that describes the first
/// problem.
pub(super) fn judge(folder: &Path, truth: &Truth, at: usize) -> Result<(), String> {
    let journal = Journal::open(folder).map_err(|fault| format!("open: {fault}"))?;
    journal.load().map_err(|fault| format!("load: {fault}"))?;
    drop(journal);
    let reader = inspect::Reader::open(folder).map_err(|fault| format!("read: {fault}"))?;
    let check = inspect::check(&reader).map_err(|fault| format!("check: {fault}"))?;
    if !check.problems.is_empty() {
        return Err(format!("check: {:?}", check.problems));
    }
    drop(reader);
    let connection = open(folder)?;
    judge_deliveries(&connection, truth, at)?;
    let verdicts = verdicts(&connection)?;
    if truth.verdicts.get(..verdicts.len()) != Some(&verdicts) {
        return Err("the verdicts are not the first ones of the run".to_owned());
    }
    let bodies = bodies(&verdicts);
    judge_lanes(&connection, &bodies)?;
    judge_cursor(&connection, &bodies, truth)
}

/// Checks that the deliveries are the first ones of the run, and include all that were committed or sent.
fn judge_deliveries(connection: &Connection, truth: &Truth, at: usize) -> Result<(), String> {
    let deliveries = deliveries(connection)?;
    let is_by = |moment: Option<usize>| moment.is_some_and(|moment| moment <= at);
    for (n, one) in truth.deliveries.iter().enumerate() {
        let Some((id, body, state)) = deliveries.get(n) else {
            if is_by(one.on_disk) || is_by(one.sent) {
                let what = if is_by(one.sent) { "sent" } else { "committed" };
                return Err(format!("delivery {} was {what} and is not there", one.id));
            }
            continue;
        };
        if (id, body) != (&one.id, &one.body) {
            return Err(format!("delivery {} is another one, or has another body", one.id));
        }
        if state == "sent" && !is_by(one.sent) {
            return Err(format!("delivery {id} counts as sent before it was"));
        }
    }
    if deliveries.len() > truth.deliveries.len() {
        return Err("there are deliveries that the run did not have".to_owned());
    }
    Ok(())
}

/// Checks that the state of each lane is that of its last verdict, and that its verdicts are numbered without a
/// break.
fn judge_lanes(connection: &Connection, bodies: &[Value]) -> Result<(), String> {
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for body in bodies {
        if body["rule"] == "counter" {
            let payload = &body["payload"];
            let lane = payload["lane"].as_str().unwrap();
            let n = counted.entry(lane.to_owned()).or_default();
            *n += 1;
            if payload["n"] != *n {
                return Err(format!("lane {lane} is at {n} and says {}", payload["n"]));
            }
        }
    }
    let select = "SELECT value FROM state WHERE rule = 'counter'";
    let values: Vec<String> = rows(connection, select, |row| row.get(0))?;
    let state: BTreeMap<String, u64> = values
        .iter()
        .map(|value| {
            let value: Value = serde_json::from_str(value).unwrap();
            (value["lane"].as_str().unwrap().to_owned(), value["n"].as_u64().unwrap())
        })
        .collect();
    if state != counted {
        return Err(format!("the state is {state:?}, the verdicts say {counted:?}"));
    }
    Ok(())
}

/// Checks that the decided pods are exactly those that the watch's cursor has passed.
fn judge_cursor(connection: &Connection, bodies: &[Value], truth: &Truth) -> Result<(), String> {
    let select = "SELECT cursor FROM watches WHERE name = 'Pod' AND listing = 0";
    let cursors: Vec<Option<String>> = rows(connection, select, |row| row.get(0))?;
    let cursor = cursors.into_iter().flatten().next();
    let cursor: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
    let decided = versions(bodies);
    let passed: HashSet<u64> =
        truth.versions.iter().copied().filter(|one| *one <= cursor).collect();
    if decided != passed {
        let mut odd: Vec<&u64> = decided.symmetric_difference(&passed).collect();
        odd.sort();
        return Err(format!("the watch is at {cursor}, which does not fit the pods at {odd:?}"));
    }
    Ok(())
}
