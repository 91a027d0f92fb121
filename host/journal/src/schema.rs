//! The tables and their migrations, which go forward only.

use rusqlite::Connection;

use super::JournalError;

/// The migrations. Each makes the next version of the schema; `PRAGMA user_version` is the number of those
/// applied. Times are milliseconds since the Unix epoch.
const MIGRATIONS: [&str; 6] = ["
CREATE TABLE meta (
  key TEXT PRIMARY KEY,           -- journal, history, clock, comparisons, cluster, server
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE watches (
  name TEXT PRIMARY KEY,          -- such as pods or deployments.apps in a
  digest TEXT NOT NULL,           -- of what it selects: with another one its cursor says nothing
  cursor TEXT,                    -- resource version; null before the first list, or not served
  since INTEGER NOT NULL,         -- when it was in order last
  listing INTEGER NOT NULL        -- 1 while a list is not complete
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
  uid TEXT PRIMARY KEY,
  api_version TEXT NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  digest INTEGER NOT NULL,        -- hash of the version's JSON
  count INTEGER NOT NULL,         -- of a Kubernetes Event
  memberships TEXT NOT NULL,      -- JSON: [rule, interest, partition] of each rule that it matches
  form BLOB                       -- last known form as JSON, zstd, where something needs it
) STRICT, WITHOUT ROWID;

CREATE TABLE introduced (
  rule TEXT NOT NULL,
  watch TEXT NOT NULL,
  digest TEXT NOT NULL,           -- of the rule's settings and interests
  number INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  PRIMARY KEY (rule, watch)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
  rule TEXT NOT NULL,
  partition TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (rule, partition, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE expiries (
  rule TEXT NOT NULL,
  partition TEXT NOT NULL,
  at INTEGER NOT NULL,            -- then all state of the partition goes
  PRIMARY KEY (rule, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE wakes (
  rule TEXT NOT NULL,
  partition TEXT NOT NULL,
  key TEXT NOT NULL,
  due INTEGER NOT NULL,
  payload TEXT NOT NULL,
  set_by TEXT NOT NULL,           -- id of the event
  interest TEXT NOT NULL,
  uid TEXT NOT NULL,              -- the object, whose form is in objects while it exists
  identity TEXT NOT NULL,         -- JSON
  PRIMARY KEY (rule, partition, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdicts (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  time INTEGER NOT NULL,
  rule TEXT NOT NULL,
  code TEXT NOT NULL,
  body TEXT NOT NULL              -- JSON
) STRICT;

CREATE TABLE deliveries (
  n INTEGER PRIMARY KEY AUTOINCREMENT,  -- whoever delivers reads on from the last: none comes twice
  id TEXT NOT NULL UNIQUE,
  verdict INTEGER NOT NULL REFERENCES verdicts (n),
  target TEXT NOT NULL,
  key TEXT NOT NULL,              -- deliveries of one rule and key keep their order
  body BLOB NOT NULL,             -- what is sent, at each attempt the same
  delta INTEGER,                  -- of a Kubernetes Event
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
  made_at INTEGER NOT NULL,
  settled_at INTEGER,
  reason TEXT                     -- of a dead letter
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (target, n) WHERE state = 'pending';
CREATE INDEX deliveries_settled ON deliveries (settled_at) WHERE state <> 'pending';
CREATE INDEX deliveries_verdict ON deliveries (verdict);

CREATE TABLE gaps (
  n INTEGER PRIMARY KEY,
  watch TEXT NOT NULL,
  kinds TEXT NOT NULL,            -- separated by commas
  namespace TEXT,                 -- null: all
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;

CREATE TABLE quarantine (
  n INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  rule TEXT,                      -- null: an object that could not be read
  scope TEXT NOT NULL,            -- the watch, or the event's id
  reason TEXT NOT NULL,
  input TEXT NOT NULL             -- the object as it came, or the event's object as it was read
) STRICT;
", "
CREATE TABLE deliveries_2 (
  n INTEGER PRIMARY KEY AUTOINCREMENT,  -- whoever delivers reads on from the last: none comes twice
  id TEXT NOT NULL UNIQUE,
  verdict INTEGER NOT NULL REFERENCES verdicts (n),
  target TEXT NOT NULL,
  key TEXT NOT NULL,              -- deliveries of one rule and key keep their order
  body BLOB NOT NULL,             -- what is sent, at each attempt the same
  delta INTEGER,                  -- of a Kubernetes Event
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead', 'superseded')),
  made_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  since INTEGER,                  -- the first attempt: retries end so long after it
  next_at INTEGER,                -- when it will be tried next, for people: a restart tries at once
  settled_at INTEGER,
  reason TEXT,                    -- of the last failure
  response TEXT,                  -- the beginning of what the receiver said last
  hash INTEGER,                   -- of id and body: a damaged one is not sent
  address TEXT                    -- where within the target, such as a subject
) STRICT;
INSERT INTO deliveries_2 (n, id, verdict, target, key, body, delta, state, made_at, settled_at, reason)
  SELECT n, id, verdict, target, key, body, delta, state, made_at, settled_at, reason FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_2 RENAME TO deliveries;
CREATE INDEX deliveries_pending ON deliveries (target, n) WHERE state = 'pending';
CREATE INDEX deliveries_key ON deliveries (target, key, n) WHERE state = 'pending';
-- Who counts deliveries by target and state reads this index and no body.
CREATE INDEX deliveries_settled ON deliveries (settled_at, target, state) WHERE state <> 'pending';
CREATE INDEX deliveries_dead ON deliveries (n) WHERE state = 'dead';
CREATE INDEX deliveries_dead_key ON deliveries (target, key) WHERE state = 'dead';
CREATE INDEX deliveries_verdict ON deliveries (verdict);

CREATE INDEX verdicts_time ON verdicts (time);

CREATE TABLE targets (
  name TEXT PRIMARY KEY,
  disabled_at INTEGER NOT NULL,   -- its deliveries become dead letters until it is enabled
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refusals (
  n INTEGER PRIMARY KEY,
  verdict INTEGER NOT NULL REFERENCES verdicts (n),
  target TEXT NOT NULL,           -- as the rule named it
  time INTEGER NOT NULL,
  reason TEXT NOT NULL,
  retry INTEGER NOT NULL DEFAULT 0  -- 1: an operator asks for it again
) STRICT;
CREATE INDEX refusals_verdict ON refusals (verdict);
CREATE INDEX refusals_retry ON refusals (n) WHERE retry = 1;

CREATE TABLE state_2 (
  rule TEXT NOT NULL,
  version INTEGER NOT NULL,       -- the rule's state version: an older rule finds its own
  partition TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (rule, version, partition, key)
) STRICT, WITHOUT ROWID;
INSERT INTO state_2 SELECT rule, 0, partition, key, value, expires_at FROM state;
DROP TABLE state;
ALTER TABLE state_2 RENAME TO state;

CREATE TABLE parked (
  n INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which the rule will be asked
  rule TEXT NOT NULL,
  time INTEGER NOT NULL,
  event BLOB NOT NULL             -- JSON, zstd
) STRICT;
CREATE INDEX parked_rule ON parked (rule, n);

CREATE TABLE clock_steps (
  n INTEGER PRIMARY KEY,
  expected INTEGER NOT NULL,      -- what time it would have been
  wall INTEGER NOT NULL           -- what the machine said
) STRICT;

CREATE TABLE incidents (
  rule TEXT NOT NULL,
  code TEXT NOT NULL,
  key TEXT NOT NULL,
  record TEXT NOT NULL,           -- JSON: what the policy must remember of it
  PRIMARY KEY (rule, code, key)
) STRICT, WITHOUT ROWID;
", "
-- 1: the partition is shared by many objects; 0: it is one object's own; null: written before this was kept
ALTER TABLE state ADD COLUMN shared INTEGER;
", "
-- The comparison that found the object again after it was told to be gone; 0: none did. It is part of
-- the ids of what is seen of the object from then on.
ALTER TABLE objects ADD COLUMN life INTEGER NOT NULL DEFAULT 0;
-- Where a watch has no cursor: the resource version at which all that existed was known last.
ALTER TABLE watches ADD COLUMN complete_at TEXT;
", "
ALTER TABLE deliveries ADD COLUMN rule TEXT NOT NULL DEFAULT '';
-- Bytes of the journal that it takes: its row, its part of the indexes and its share of the verdict.
ALTER TABLE deliveries ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET
  rule = coalesce((SELECT rule FROM verdicts v WHERE v.n = deliveries.verdict), ''),
  cost = 700 + length(body) + 2 * length(key) + coalesce((
    SELECT length(v.body) / (SELECT count(*) FROM deliveries d WHERE d.verdict = v.n)
    FROM verdicts v WHERE v.n = deliveries.verdict), 0);
DROP INDEX deliveries_pending;
-- Quotas are counted from this index alone, without reading a body.
CREATE INDEX deliveries_pending ON deliveries (target, n, rule, cost) WHERE state = 'pending';
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (n, target, rule, cost) WHERE state = 'dead';

CREATE INDEX quarantine_rule ON quarantine
  (rule, n, length(CAST(input AS BLOB)) + length(CAST(reason AS BLOB)));

-- 1 where the rule gave the target's name; 0 where target is only the kind of what was refused.
ALTER TABLE refusals ADD COLUMN by_name INTEGER NOT NULL DEFAULT 1;
", "
-- The terms of the documentation.
ALTER TABLE wakes RENAME TO timers;
ALTER TABLE introduced RENAME TO backfills;
ALTER TABLE parked RENAME TO backlog;
DROP INDEX parked_rule;
CREATE INDEX backlog_rule ON backlog (rule, n);
"];

/// The version of the schema that this program writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Creates the tables, or migrates an older file.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), JournalError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > MIGRATIONS.len() {
        return Err(JournalError::TooNew { version, known: MIGRATIONS.len() });
    }
    for (number, migration) in (1i64..).zip(MIGRATIONS).skip(applied) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
