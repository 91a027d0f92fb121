//! Writing of a group as rows of the tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Transaction, params};
use serde::Serialize;

use super::deliveries::Outgoing;
use super::{JournalError, quarantine};
use klaxon_core::pipeline::{FailedEvent, Output};
use klaxon_model::{
    Backfill, FailureKind, Object, PersistedObject, PersistedTimer, Slot, SlotKind, StoreOp,
    Timestamp, Write,
};

/// The position of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// The kind is not served, so no objects exist.
    Absent,
    /// The list is not complete. Earlier known objects are in sync up to [`Progress::since`].
    Listing,
    /// All changes up to this resource version are in the group, or in an earlier one.
    At(String),
}

/// The progress of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The name of the watch.
    pub watch: Arc<str>,
    /// The digest of the watch's selection.
    pub digest: String,
    /// The position.
    pub cursor: Cursor,
    /// The last time at which the watch was in sync.
    pub since: Timestamp,
}

/// A unit of commit.
#[derive(Debug, Default)]
pub struct Group {
    /// The output of the pipeline.
    pub output: Output,
    /// The progress of the watches by then.
    pub progress: Vec<Progress>,
    /// The event clock.
    pub clock: Option<Timestamp>,
}

/// Writes a group.
pub(super) fn write(out: &mut Outgoing<'_, '_>, group: &Group) -> Result<(), JournalError> {
    let to = out.to;
    for change in &group.output.ops {
        keep(to, change)?;
    }
    for one in &group.output.verdicts {
        out.verdict(one)?;
    }
    trouble(to, &group.output)?;
    for rule in quarantining(&group.output) {
        let removed = quarantine::trim(to, rule, out.quarantine)?;
        out.changes.quarantine_removed(rule, removed);
    }
    for one in &group.progress {
        progress(to, one)?;
    }
    if let Some(clock) = group.clock {
        set_meta(to, "clock", &clock.as_millis().to_string())?;
    }
    Ok(())
}

fn set_meta(to: &Transaction<'_>, key: &str, value: &str) -> Result<(), JournalError> {
    run(to, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", params![key, value])
}

pub(super) fn run(
    to: &Transaction<'_>,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<(), JournalError> {
    to.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn keep(to: &Transaction<'_>, change: &StoreOp) -> Result<(), JournalError> {
    match change {
        StoreOp::Object(object) => keep_object(to, object),
        StoreOp::NoObject(uid) => run(to, "DELETE FROM objects WHERE uid = ?1", [&**uid]),
        StoreOp::State(slot, kind, version, writes, time) => {
            writes.iter().try_for_each(|one| state(to, slot, *kind, *version, one))?;
            run(
                to,
                "DELETE FROM state WHERE rule = ?1 AND partition = ?2 AND expires_at <= ?3",
                params![&*slot.rule, &*slot.partition, time.as_millis()],
            )
        }
        StoreOp::Backlog(backlog) => run(
            to,
            "INSERT OR REPLACE INTO backlog (n, rule, time, event) VALUES (?1, ?2, ?3, ?4)",
            params![backlog.number, &*backlog.rule, backlog.time.as_millis(), backlog.entry],
        ),
        StoreOp::NoBacklog(number) => run(to, "DELETE FROM backlog WHERE n = ?1", [number]),
        StoreOp::NoState(slot) => run(
            to,
            "DELETE FROM state WHERE rule = ?1 AND partition = ?2",
            [&*slot.rule, &*slot.partition],
        ),
        StoreOp::Timer(timer) => store_timer(to, timer),
        StoreOp::NoTimer(slot, key) => run(
            to,
            "DELETE FROM timers WHERE rule = ?1 AND partition = ?2 AND key = ?3",
            [&*slot.rule, &*slot.partition, key.as_str()],
        ),
        StoreOp::Expiry(slot, Some(at)) => run(
            to,
            "INSERT OR REPLACE INTO expiries (rule, partition, at) VALUES (?1, ?2, ?3)",
            params![&*slot.rule, &*slot.partition, at.as_millis()],
        ),
        StoreOp::Expiry(slot, None) => run(
            to,
            "DELETE FROM expiries WHERE rule = ?1 AND partition = ?2",
            [&*slot.rule, &*slot.partition],
        ),
        StoreOp::Backfilled(one) => backfilled(to, one),
        // Sets a digest that no rule has. The number stays, because the next one must be higher.
        StoreOp::NoBackfill(rule, watch) => run(
            to,
            "UPDATE backfills SET digest = printf('%032d', 0), complete = 0 \
             WHERE rule = ?1 AND watch = ?2",
            [&**rule, &**watch],
        ),
        StoreOp::NoWatch(name) => run(to, "DELETE FROM watches WHERE name = ?1", [name.as_str()]),
        StoreOp::Incident(incident) => run(
            to,
            "INSERT OR REPLACE INTO incidents (rule, code, key, record) VALUES (?1, ?2, ?3, ?4)",
            params![
                &*incident.rule,
                incident.code,
                incident.key,
                json("an incident", &incident.record)?
            ],
        ),
        StoreOp::NoIncident(rule, code, key) => run(
            to,
            "DELETE FROM incidents WHERE rule = ?1 AND code = ?2 AND key = ?3",
            [&**rule, code.as_str(), key.as_str()],
        ),
        StoreOp::RevisionEpoch(number) => set_meta(to, "history", &number.to_string()),
        StoreOp::Comparison(number) => set_meta(to, "comparisons", &number.to_string()),
    }
}

fn keep_object(to: &Transaction<'_>, object: &PersistedObject) -> Result<(), JournalError> {
    let memberships: Vec<(&str, &str, &str)> = object
        .memberships
        .iter()
        .map(|one| (&*one.rule, one.interest.as_str(), &*one.partition))
        .collect();
    let form = object.form.as_deref().map(pack).transpose()?;
    run(
        to,
        "INSERT OR REPLACE INTO objects (uid, api_version, kind, namespace, name, version, digest, \
         count, memberships, form, life) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            &*object.uid,
            &*object.api_version,
            &*object.kind,
            &*object.namespace,
            &*object.name,
            &*object.version,
            object.digest.cast_signed(),
            object.count,
            json("an object's views", &memberships)?,
            form,
            object.life,
        ],
    )
}

fn pack(object: &Object) -> Result<Vec<u8>, JournalError> {
    let text = json("an object", object)?;
    zstd::encode_all(text.as_bytes(), 1).map_err(|error| JournalError::Unwritable {
        what: "an object".to_owned(),
        why: error.to_string(),
    })
}

pub(super) fn json(what: &str, value: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value)
        .map_err(|error| JournalError::Unwritable { what: what.to_owned(), why: error.to_string() })
}

fn state(
    to: &Transaction<'_>,
    slot: &Slot,
    kind: SlotKind,
    version: u32,
    write: &Write,
) -> Result<(), JournalError> {
    let (rule, partition) = (&*slot.rule, &*slot.partition);
    match write {
        Write::Put { key, value, expires_at } => run(
            to,
            "INSERT OR REPLACE INTO state (rule, version, partition, key, value, expires_at, shared) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                rule,
                version,
                partition,
                key,
                value,
                expires_at.map(Timestamp::as_millis),
                kind == SlotKind::Shared
            ],
        ),
        Write::Remove { key } => run(
            to,
            "DELETE FROM state WHERE rule = ?1 AND version = ?2 AND partition = ?3 AND key = ?4",
            params![rule, version, partition, key],
        ),
    }
}

fn store_timer(to: &Transaction<'_>, timer: &PersistedTimer) -> Result<(), JournalError> {
    let identity = &timer.object.meta.identity;
    run(
        to,
        "INSERT OR REPLACE INTO timers (rule, partition, key, due, payload, set_by, interest, uid, \
         identity) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            &*timer.slot.rule,
            &*timer.slot.partition,
            timer.key,
            timer.due.as_millis(),
            timer.payload,
            timer.set_by.as_str(),
            timer.interest,
            &*identity.unique(),
            json("an identity", identity)?,
        ],
    )
}

fn backfilled(to: &Transaction<'_>, one: &Backfill) -> Result<(), JournalError> {
    run(
        to,
        "INSERT OR REPLACE INTO backfills (rule, watch, digest, number, complete) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            &*one.rule,
            &*one.scope,
            one.digest.as_str(),
            i64::try_from(one.number).unwrap_or(i64::MAX),
            one.complete,
        ],
    )
}

fn progress(to: &Transaction<'_>, one: &Progress) -> Result<(), JournalError> {
    let since = one.since.as_millis();
    match &one.cursor {
        Cursor::At(version) => run(
            to,
            "INSERT OR REPLACE INTO watches (name, digest, cursor, since, listing) \
             VALUES (?1, ?2, ?3, ?4, 0)",
            params![&*one.watch, one.digest, version, since],
        ),
        Cursor::Absent => run(
            to,
            "INSERT INTO watches (name, digest, cursor, since, listing, complete_at) \
             VALUES (?1, ?2, NULL, ?3, 0, '0') \
             ON CONFLICT (name) DO UPDATE SET digest = ?2, cursor = NULL, since = ?3, listing = 0, \
             complete_at = coalesce(cursor, complete_at, '0')",
            params![&*one.watch, one.digest, since],
        ),
        // `complete_at` is the version up to which the known objects were complete, for comparing them with the
        // list. With another selection they were not complete.
        Cursor::Listing => run(
            to,
            "INSERT INTO watches (name, digest, cursor, since, listing) VALUES (?1, ?2, NULL, ?3, 1) \
             ON CONFLICT (name) DO UPDATE SET listing = 1, digest = ?2, \
             cursor = CASE digest WHEN ?2 THEN cursor END, \
             complete_at = CASE digest WHEN ?2 THEN coalesce(cursor, complete_at) END",
            params![&*one.watch, one.digest, since],
        ),
    }
}

/// Writes gaps and quarantined events.
fn trouble(to: &Transaction<'_>, output: &Output) -> Result<(), JournalError> {
    for gap in &output.gaps {
        run(
            to,
            "INSERT INTO gaps (watch, kinds, namespace, since, until, reason) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                gap.scope,
                gap.kinds.join(","),
                gap.namespace,
                gap.from.as_millis(),
                gap.to.as_millis(),
                gap.reason
            ],
        )?;
    }
    let insert = "INSERT INTO quarantine (time, rule, scope, reason, input) \
                  VALUES (?1, ?2, ?3, ?4, ?5)";
    for object in &output.quarantine {
        let values = params![
            object.time.as_millis(),
            None::<&str>,
            object.scope,
            object.reason,
            object.json
        ];
        run(to, insert, values)?;
    }
    for failed in output.failures.iter().filter(|failed| failed.failure.kind.quarantines()) {
        let values = params![
            failed.time.as_millis(),
            &*failed.rule,
            failed.event.as_str(),
            failed.failure.message,
            input(failed)?
        ];
        run(to, insert, values)?;
    }
    Ok(())
}

/// Returns the rules of which an output quarantines events; `None` stands for objects that could not be
/// decoded.
fn quarantining(output: &Output) -> BTreeSet<Option<&str>> {
    let failures = output.failures.iter().filter(|failed| failed.failure.kind.quarantines());
    let mut rules: BTreeSet<Option<&str>> = failures.map(|failed| Some(&*failed.rule)).collect();
    if !output.quarantine.is_empty() {
        rules.insert(None);
    }
    rules
}

/// Returns the input to quarantine: the whole object if the rule failed on the event, only its identity if the
/// event was skipped, because skipped events may be many and tell nothing about the rule.
fn input(failed: &FailedEvent) -> Result<String, JournalError> {
    match failed.failure.kind {
        FailureKind::Skipped => json("an event's object", &failed.object),
        _ => json("an event's object", &*failed.input.object),
    }
}
