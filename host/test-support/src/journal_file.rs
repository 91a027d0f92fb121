//! Journals for tests: a real file with the real tables, and rows with fixed ids and times.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use tempfile::TempDir;

/// The name of the journal's file.
const FILE: &str = "klaxon.db";

/// 2026-11-20T10:00:00Z in milliseconds.
pub const TEN: i64 = 1_795_168_800_000;

/// Creates an empty journal in a folder. Its schema belongs to the journal, which this crate does not know.
pub type Create = fn(&Path);

/// A journal in a temporary folder.
pub struct Sample(TempDir);

impl Sample {
    /// Makes a journal that `create` has made empty.
    pub fn new(create: Create) -> Self {
        let sample = Self(tempfile::tempdir().unwrap());
        create(sample.folder());
        sample
            .service()
            .execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('journal', 'j'), ('sum', '0')",
                [],
            )
            .unwrap();
        sample
    }

    /// Returns the folder of the journal.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Opens a connection with the settings of the service's.
    pub fn service(&self) -> Connection {
        let connection = Connection::open(self.folder().join(FILE)).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection
    }

    /// Returns the number of rows of a table, with an optional condition.
    pub fn count(&self, from: &str) -> i64 {
        let select = format!("SELECT count(*) FROM {from}");
        self.service().query_row(&select, [], |row| row.get(0)).unwrap()
    }

    /// Returns the names of the files in the folder, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Returns the id of a verdict.
pub fn verdict_id(number: i64) -> String {
    format!("a{number:05x}{}", "0".repeat(26))
}

/// Returns the id of a delivery.
pub fn delivery_id(number: i64) -> String {
    format!("d{number:05x}{}", "0".repeat(26))
}

/// Inserts a verdict and returns its row.
pub fn verdict(to: &Connection, number: i64) -> i64 {
    let (id, time) = (verdict_id(number), TEN + number);
    let body = format!(
        "{{\"id\":\"{id}\",\"rule\":\"akkeris\",\"code\":\"R14\",\"severity\":\"error\",\
         \"status\":\"firing\",\"key\":\"web-{number}\",\"object\":{{\"kind\":\"Pod\",\
         \"namespace\":\"a\",\"name\":\"web\"}},\"payload\":{{\n\"n\":{number}}}}}"
    );
    to.execute(
        "INSERT INTO verdicts (id, time, rule, code, body) VALUES (?1, ?2, 'akkeris', 'R14', ?3)",
        params![id, time, body],
    )
    .unwrap();
    to.last_insert_rowid()
}

/// Inserts a delivery of a verdict; a settled one was settled one second after it was made.
pub fn delivery(to: &Connection, number: i64, verdict: i64, target: &str, state: &str) {
    let settled = (state != "pending").then_some(TEN + number + 1000);
    let reason = (state == "dead").then_some("404 Not Found");
    to.execute(
        "INSERT INTO deliveries (id, verdict, target, key, body, state, made_at, attempts, since, \
         settled_at, reason, response) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 3, ?7, ?8, ?9, 'no such\u{1b}[31m hook')",
        params![
            delivery_id(number),
            verdict,
            target,
            format!("web-{number}"),
            format!("{{\"n\":{number}}}").into_bytes(),
            state,
            TEN + number,
            settled,
            reason
        ],
    )
    .unwrap();
}

/// Makes a journal with rows of every kind.
pub fn furnished(create: Create) -> Sample {
    let sample = Sample::new(create);
    let to = sample.service();
    let states = ["dead", "dead", "pending", "sent", "superseded"];
    for (number, state) in (1..).zip(states) {
        let verdict = verdict(&to, number);
        delivery(&to, number, verdict, if number == 2 { "oncall" } else { "notify" }, state);
    }
    to.execute_batch(&format!(
        "INSERT INTO targets VALUES ('oncall', {TEN}, '410 Gone');
         INSERT INTO refusals (verdict, target, time, reason) VALUES (1, 'bus', {TEN}, 'no such target');
         INSERT INTO gaps (watch, kinds, since, until, reason)
           VALUES ('pods', 'Pod', {TEN}, {TEN} + 60000, 'the version is too old');
         INSERT INTO quarantine (time, rule, scope, reason, input) VALUES
           ({TEN}, NULL, 'pods', 'metadata has no name', '{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{}}}}'),
           ({TEN}, 'akkeris', 'e1', 'trap', '{{\"meta\":{{}},\"document\":{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"web\"}}}}}}'),
           ({TEN}, 'akkeris', 'e2', 'trap', '{{\"meta\":{{}},\"document\":null}}'),
           ({TEN}, NULL, 'pods', 'no JSON', '{{broken');
         INSERT INTO watches (name, digest, cursor, since, listing) VALUES ('pods', 'd', '4711', {TEN}, 0);
         INSERT INTO timers VALUES ('akkeris', 'p', 'k', {TEN}, 'later', 'e1', 'pods', 'u', '{{\"name\":\"web\"}}');
         INSERT INTO state (rule, version, partition, key, value, expires_at) VALUES ('akkeris', 1, 'p', 'k', 'v', NULL);
         INSERT INTO incidents VALUES ('akkeris', 'R14', 'k', '{{}}');"
    ))
    .unwrap();
    let event = zstd::encode_all(&b"{}"[..], 1).unwrap();
    to.execute(
        "INSERT INTO backlog (rule, time, event) VALUES ('akkeris', ?1, ?2)",
        params![TEN, event],
    )
    .unwrap();
    sample
}
