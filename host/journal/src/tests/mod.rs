//! The journal on a real file.

mod cluster;
mod damage;
mod deliveries;
mod faults;
mod permissions;
mod quota;
mod writer;

use klaxon_test_support::values;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Cursor, Group, Handle, Journal, JournalError, Outbox, Progress};
use klaxon_config::{self as config, Target};
use klaxon_core::pipeline::Output;
use klaxon_model::clock::Stopwatch;
use klaxon_model::{
    Backfill, BacklogEntry, Id, Identity, Meta, Object, PersistedMembership, PersistedObject,
    PersistedState, PersistedTimer, Slot, SlotKind, StoreOp, Subject, Timestamp, Verdict, Write,
};
use klaxon_telemetry::metrics::Metrics;

/// The time limit of a test's waits; it only ends a hang and is not a bound on performance.
const PATIENCE: Duration = Duration::from_secs(180);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn targets() -> BTreeMap<String, Target> {
    BTreeMap::from([("out".to_owned(), Target::stdout())])
}

fn settings() -> config::Journal {
    config::Journal { path: None, retain: WEEK, max_size: 1 << 40, max_dead_letters: 1000 }
}

fn start(folder: &std::path::Path) -> Handle {
    start_with(folder, targets(), &settings())
}

fn start_with(
    folder: &std::path::Path,
    targets: BTreeMap<String, Target>,
    settings: &config::Journal,
) -> Handle {
    let metrics = Arc::new(Metrics::new("test"));
    Journal::open(folder).unwrap().start(targets, settings, metrics).unwrap().0
}

fn outbox(folder: &std::path::Path) -> Outbox {
    Outbox::open(&folder.join(super::FILE), "out").unwrap()
}

fn slot() -> Slot {
    Slot { rule: "rule".into(), partition: "p".into() }
}

fn object(uid: &str) -> Arc<Object> {
    let identity = Identity {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: "a".to_owned(),
        name: "web".to_owned(),
        uid: uid.to_owned(),
    };
    let meta = Meta { identity, resource_version: "7".to_owned(), ..Meta::default() };
    Arc::new(Object { meta, subject: Subject::Pod(klaxon_model::Pod::default()), document: None })
}

fn persisted_object(uid: &str, form: Option<Arc<Object>>) -> PersistedObject {
    PersistedObject {
        uid: uid.into(),
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: "a".into(),
        name: "web".into(),
        version: "7".into(),
        digest: u64::MAX - 3,
        count: 2,
        life: 3,
        memberships: vec![PersistedMembership {
            rule: "rule".into(),
            interest: "pods".to_owned(),
            partition: uid.into(),
        }],
        form,
    }
}

fn verdict(number: u64) -> Verdict {
    let object = (*object("u")).clone();
    let event = values::event(Id::of("s", &[&number]), Timestamp::from_millis(5), object);
    values::verdict(Id::of("verdict", &[&number]), event)
}

fn group(keep: Vec<StoreOp>, verdicts: Vec<Verdict>, progress: Vec<Progress>) -> Group {
    let output = Output { ops: keep, verdicts, ..Output::default() };
    Group { output, progress, clock: Some(Timestamp::from_millis(99)) }
}

fn progress(cursor: Cursor) -> Progress {
    let since = Timestamp::from_millis(50);
    Progress { watch: "Pod".into(), digest: "d".to_owned(), cursor, since }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let backfill = Backfill {
        rule: "rule".into(),
        scope: "Pod".into(),
        digest: Id::of("d", &[]),
        number: 2,
        complete: true,
    };
    let timer = PersistedTimer {
        slot: slot(),
        key: "later".to_owned(),
        due: Timestamp::from_millis(1000),
        payload: "p".to_owned(),
        set_by: Id::of("s", &[&1u64]),
        interest: "pods".to_owned(),
        object: object("u"),
    };
    let put = |key: &str, expires_at| Write::Put {
        key: key.to_owned(),
        value: "v".to_owned(),
        expires_at,
    };
    let handle = start(folder.path());
    let keep = vec![
        StoreOp::Object(Box::new(persisted_object("u", Some(object("u"))))),
        StoreOp::Object(Box::new(persisted_object("w", None))),
        StoreOp::Object(Box::new(persisted_object("gone", None))),
        StoreOp::NoObject("gone".into()),
        StoreOp::State(
            slot(),
            SlotKind::Object,
            1,
            vec![put("a", None), put("b", Some(Timestamp::from_millis(7)))],
            Timestamp::default(),
        ),
        StoreOp::State(
            slot(),
            SlotKind::Object,
            1,
            vec![Write::Remove { key: "a".to_owned() }],
            Timestamp::default(),
        ),
        StoreOp::Timer(Box::new(timer.clone())),
        StoreOp::Expiry(slot(), Some(Timestamp::from_millis(8))),
        StoreOp::Backfilled(backfill.clone()),
        StoreOp::RevisionEpoch(4),
    ];
    handle
        .commit_and_wait(group(keep, vec![], vec![progress(Cursor::At("41".to_owned()))]))
        .unwrap();
    handle.close().unwrap();

    let journal = Journal::open(folder.path()).unwrap();
    assert!(!journal.is_new());
    let loaded = journal.load().unwrap();
    let objects = loaded.persisted.objects;
    // The form is read on demand.
    assert_eq!(objects, [persisted_object("u", None), persisted_object("w", None)]);
    let mut forms = journal.forms().unwrap();
    assert_eq!(forms("u"), Some((*object("u")).clone()));
    assert_eq!((forms("w"), forms("nobody")), (None, None));
    assert_eq!(loaded.persisted.timers, [timer]);
    let state = PersistedState {
        slot: slot(),
        kind: Some(SlotKind::Object),
        version: 1,
        key: "b".to_owned(),
        value: "v".to_owned(),
        expires_at: Some(Timestamp::from_millis(7)),
    };
    assert_eq!(loaded.persisted.state, [state]);
    assert_eq!(loaded.persisted.expiries, [(slot(), Timestamp::from_millis(8))]);
    assert_eq!(loaded.persisted.backfills, [backfill]);
    assert_eq!(
        (loaded.persisted.history, loaded.persisted.now),
        (4, Some(Timestamp::from_millis(99)))
    );
    assert_eq!(loaded.watches["Pod"].cursor.as_deref(), Some("41"));
}

#[test]
fn a_list_under_way_is_remembered_with_the_time_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    let at = |since, cursor| Progress { since: Timestamp::from_millis(since), ..progress(cursor) };
    let cursor = Cursor::At("41".to_owned());
    handle.commit(group(vec![], vec![], vec![at(50, cursor)])).unwrap();
    handle.commit(group(vec![], vec![], vec![at(80, Cursor::Listing)])).unwrap();
    handle.close().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let watch = journal.load().unwrap().watches["Pod"].clone();
    assert!(watch.listing);
    assert_eq!(watch.since, Timestamp::from_millis(50));
}

#[test]
fn a_second_process_a_newer_file_and_a_damaged_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let second = Journal::open(folder.path());
    assert!(matches!(second.err(), Some(JournalError::Locked { .. })));
    drop(journal);
    let file = folder.path().join(super::FILE);
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Journal::open(folder.path()).err(), Some(JournalError::TooNew { .. })));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(4096).for_each(|byte| *byte = 0xa5);
    std::fs::write(&file, bytes).unwrap();
    let damaged = Journal::open(folder.path()).err();
    assert!(matches!(damaged, Some(JournalError::Damaged(_))), "{damaged:?}");
}

#[test]
fn state_is_kept_for_each_version_and_goes_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let put = |version: u32, value: &str| {
        let (key, value) = ("k".to_owned(), value.to_owned());
        let write = Write::Put { key, value, expires_at: None };
        StoreOp::State(slot(), SlotKind::Shared, version, vec![write], Timestamp::default())
    };
    let stored = || -> Vec<(u32, String)> {
        let state = Journal::open(folder.path()).unwrap().load().unwrap().persisted.state;
        state.into_iter().map(|one| (one.version, one.value)).collect()
    };
    let run = |keep: Vec<StoreOp>| {
        let handle = start(folder.path());
        handle.commit_and_wait(group(keep, vec![], vec![])).unwrap();
        handle.close().unwrap();
        stored()
    };
    let entry = |version: u32, value: &str| (version, value.to_owned());
    assert_eq!(run(vec![put(1, "old")]), [entry(1, "old")]);
    assert_eq!(run(vec![put(2, "new")]), [entry(1, "old"), entry(2, "new")]);
    let remove = Write::Remove { key: "k".to_owned() };
    let remove = StoreOp::State(slot(), SlotKind::Shared, 2, vec![remove], Timestamp::default());
    assert_eq!(run(vec![remove]), [entry(1, "old")]);
    assert_eq!(run(vec![put(2, "new"), StoreOp::NoState(slot())]), []);
}

#[test]
fn what_is_parked_comes_back_in_order_until_it_is_not_parked_any_longer() {
    let folder = tempfile::tempdir().unwrap();
    let backlog = |number: i64, entry: &[u8]| BacklogEntry {
        number,
        rule: "rule".into(),
        time: Timestamp::from_millis(5),
        entry: entry.to_vec(),
    };
    let keep = |number, entry| StoreOp::Backlog(Box::new(backlog(number, entry)));
    let handle = start(folder.path());
    let changes = vec![keep(3, b"c"), keep(1, b"a"), keep(2, b"b"), keep(1, b"A")];
    handle.commit_and_wait(group(changes, vec![], vec![])).unwrap();
    handle.commit_and_wait(group(vec![StoreOp::NoBacklog(2)], vec![], vec![])).unwrap();
    handle.close().unwrap();
    let loaded = Journal::open(folder.path()).unwrap().load().unwrap();
    assert_eq!(loaded.persisted.backlog, [backlog(1, b"A"), backlog(3, b"c")]);
}

/// Makes a verdict that takes 1.5 kB with its delivery.
fn long(number: u64) -> Verdict {
    Verdict { title: "x".repeat(500), ..verdict(number) }
}

/// Commits more than fits into a small journal.
fn fill(handle: Handle) -> std::thread::JoinHandle<Result<(), JournalError>> {
    commit_each(handle, 600)
}

/// Commits `count` verdicts, one after the other, on a thread.
fn commit_each(handle: Handle, count: u64) -> std::thread::JoinHandle<Result<(), JournalError>> {
    std::thread::spawn(move || {
        (0..count).try_for_each(|n| handle.commit_and_wait(group(vec![], vec![long(n)], vec![])))
    })
}

/// Waits until the journal is full, which shows in no new deliveries for a while. Returns the number pending.
fn until_full(outbox: &Outbox) -> i64 {
    let (since, mut before) = (Stopwatch::start(), 0);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let count = i64::try_from(outbox.count().unwrap()).unwrap();
        if count == before && count > 0 {
            return count;
        }
        before = count;
        assert!(since.elapsed() < PATIENCE);
    }
}
