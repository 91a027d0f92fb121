//! Benchmark of the journal: verdicts committed per second, in groups of several sizes, compared with a
//! bare loop that inserts the same rows into the same tables with the same durability.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may end here")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klaxon_config::{self as config, Target};
use klaxon_core::pipeline::Output;
use klaxon_journal::{Group, Handle, Journal};
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Id, Timestamp, Verdict};
use klaxon_telemetry::metrics::Metrics;
use klaxon_test_support::values;
use rusqlite::{Connection, params};

/// Verdicts in a group, and groups in a sample.
const SIZES: [(usize, usize); 3] = [(1, 200), (32, 100), (256, 40)];
const ROUNDS: usize = 7;

fn main() {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("verdicts a commit   journal, verdicts/s   bare SQLite, verdicts/s   bare / journal");
    for (size, groups) in SIZES {
        let ours = Ours::new();
        let mut bare = Bare::new();
        let mut samples = [Vec::new(), Vec::new()];
        // The first round warms up and does not count.
        for round in 0..=ROUNDS {
            let made = groups_of(size, groups, round);
            let rows = made.iter().map(|group| group.iter().map(row).collect()).collect();
            let taken = [bare.commit(rows), ours.commit(made)];
            if round > 0 {
                samples.iter_mut().zip(taken).for_each(|(all, one)| all.push(one));
            }
        }
        let [bare, journal] = samples.map(|mut times| {
            times.sort();
            (size * groups) as f64 / times[ROUNDS / 2].as_secs_f64()
        });
        println!("{size:>17}   {journal:>19.0}   {bare:>23.0}   {:>14.2}", bare / journal);
        ours.handle.close().unwrap();
    }
}

/// The journal as the service uses it.
struct Ours {
    handle: Handle,
    _folder: tempfile::TempDir,
}

impl Ours {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets = BTreeMap::from([("out".to_owned(), Target::stdout())]);
        let retain = Duration::from_secs(7 * 86_400);
        let settings =
            config::Journal { path: None, retain, max_size: 1 << 40, max_dead_letters: 1000 };
        let metrics = Arc::new(Metrics::new("bench"));
        let journal = Journal::open(folder.path()).unwrap();
        let (handle, _) = journal.start(targets, &settings, metrics).unwrap();
        Self { handle, _folder: folder }
    }

    fn commit(&self, groups: Vec<Vec<Verdict>>) -> Duration {
        let watch = Stopwatch::start();
        for verdicts in groups {
            let output = Output { verdicts, ..Output::default() };
            self.handle.commit_and_wait(Group { output, ..Group::default() }).unwrap();
        }
        watch.elapsed()
    }
}

/// The same tables, accessed directly.
struct Bare {
    connection: Connection,
    _folder: tempfile::TempDir,
}

/// The row of a verdict, ready to be inserted.
struct Row {
    id: String,
    body: String,
    delivery: String,
    line: Vec<u8>,
}

fn row(verdict: &Verdict) -> Row {
    let line = verdict.to_line().unwrap();
    let delivery = Id::of("delivery", &[&verdict.id, &"out"]).as_str().to_owned();
    Row {
        id: verdict.id.as_str().to_owned(),
        body: line.clone(),
        delivery,
        line: line.into_bytes(),
    }
}

impl Bare {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(Journal::open(folder.path()).unwrap());
        let connection = Connection::open(Path::new(folder.path()).join("klaxon.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        Self { connection, _folder: folder }
    }

    fn commit(&mut self, groups: Vec<Vec<Row>>) -> Duration {
        let watch = Stopwatch::start();
        for rows in groups {
            let transaction = self.connection.transaction().unwrap();
            for row in &rows {
                insert(&transaction, row);
            }
            transaction.commit().unwrap();
        }
        watch.elapsed()
    }
}

fn insert(to: &Connection, row: &Row) {
    let verdict =
        "INSERT INTO verdicts (id, time, rule, code, body) VALUES (?1, 5, 'rule', 'CODE', ?2)";
    to.prepare_cached(verdict).unwrap().execute(params![row.id, row.body]).unwrap();
    let number = to.last_insert_rowid();
    let delivery = "INSERT INTO deliveries (id, verdict, target, key, body, state, made_at, hash) \
                    VALUES (?1, ?2, 'out', 'key', ?3, 'pending', 5, 1234567890123)";
    to.prepare_cached(delivery).unwrap().execute(params![row.delivery, number, row.line]).unwrap();
}

fn groups_of(size: usize, groups: usize, round: usize) -> Vec<Vec<Verdict>> {
    let first = round * groups * size;
    let group = |at: usize| (0..size).map(|n| verdict(first + at * size + n)).collect();
    (0..groups).map(group).collect()
}

fn verdict(number: usize) -> Verdict {
    let number = number as u64;
    let name = format!("shop-7d4b9c6f5-{number:06}");
    let uid = format!("24d46141-40a8-4682-9240-{number:012}");
    let object = values::object("Pod", "shop", &name, &uid);
    let event = values::event(Id::of("event", &[&number]), Timestamp::from_millis(5), object);
    let payload = format!(r#"{{"app":"shop","code":"H10","pod":"shop-{number}","restarts":3}}"#);
    Verdict {
        title: "App crashed".to_owned(),
        payload: values::payload(&payload),
        ..values::verdict(Id::of("verdict", &[&number]), event)
    }
}
