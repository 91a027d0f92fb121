//! Deliveries in the journal.

use std::time::Duration;

use super::{
    PATIENCE, commit_each, fill, group, long, outbox, settings, start, start_with, targets,
    until_full, verdict,
};
use crate::{Group, Handle, Settled, SettledAs};
use klaxon_config::{self as config, Target, WhenFull};
use klaxon_core::pipeline::{Output, QuarantinedObject};
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Id, Refused, Timestamp, Verdict};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn settle(handle: &Handle, number: i64, as_what: SettledAs) {
    run(handle.settle(Settled { number, attempts: 1, as_what })).unwrap();
}

fn about(number: u64, key: &str) -> Verdict {
    Verdict { key: key.to_owned(), ..verdict(number) }
}

/// Returns `state reason` of each delivery.
fn states(folder: &std::path::Path) -> Vec<String> {
    let connection = super::super::reader(&folder.join(super::super::FILE)).unwrap();
    let mut select = connection
        .prepare("SELECT state || coalesce(' ' || reason, '') FROM deliveries ORDER BY n")
        .unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_equal_verdict_is_delivered_once_and_what_is_settled_is_not_delivered_again() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    let verdicts = vec![verdict(1), verdict(2), verdict(1)];
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    handle.commit_and_wait(group(vec![], vec![verdict(2), verdict(3)], vec![])).unwrap();
    let outbox = outbox(folder.path());
    let pending = outbox.next(0, 10).unwrap();
    assert_eq!(pending.len(), 3);
    assert_eq!(outbox.next(pending[0].number, 1).unwrap()[0].number, pending[1].number);
    let dead = SettledAs::Dead { why: "status 400".to_owned(), response: Some("no".to_owned()) };
    settle(&handle, pending[0].number, SettledAs::Sent);
    settle(&handle, pending[1].number, dead);
    handle.close().unwrap();
    let left = outbox.next(0, 10).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0], pending[2]);
    let of = |number: i64| outbox.bodies(&[number]).unwrap().remove(&number).map(Option::unwrap);
    assert!(of(pending[1].number).is_none(), "it waits no longer");
    assert!(of(pending[2].number).unwrap().body.ends_with(b"\n"));
}

#[test]
fn an_odd_status_in_a_stored_verdict_holds_up_no_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    handle.commit_and_wait(group(vec![], vec![verdict(1)], vec![])).unwrap();
    handle.close().unwrap();
    let journal = rusqlite::Connection::open(folder.path().join(super::super::FILE)).unwrap();
    let outbox = outbox(folder.path());
    let number = outbox.next(0, 1).unwrap()[0].number;
    for (body, status) in [("{\"status\":5}", "5"), ("{\"status\":null}", ""), ("{broken", "")] {
        journal.execute("UPDATE verdicts SET body = ?1", [body]).unwrap();
        let delivery = outbox.bodies(&[number]).unwrap().remove(&number).flatten().unwrap();
        assert_eq!(delivery.status, status, "{body}");
    }
}

#[test]
fn what_is_old_and_settled_goes_and_what_waits_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at_once = config::Journal { retain: Duration::ZERO, ..settings() };
    let begin = || start_with(folder.path(), targets(), &at_once);
    let handle = begin();
    handle.commit_and_wait(group(vec![], vec![verdict(1), verdict(2)], vec![])).unwrap();
    let outbox = outbox(folder.path());
    let first = outbox.next(0, 1).unwrap()[0].number;
    settle(&handle, first, SettledAs::Sent);
    handle.close().unwrap();
    // A sweep comes with the first commit of a run.
    let handle = begin();
    handle.commit_and_wait(group(vec![], vec![], vec![])).unwrap();
    // Numbers are never reused: a target's queue reads on from its last number.
    let second = outbox.next(0, 1).unwrap()[0].number;
    settle(&handle, second, SettledAs::Sent);
    handle.close().unwrap();
    let handle = begin();
    handle.commit_and_wait(group(vec![], vec![], vec![])).unwrap();
    handle.commit_and_wait(group(vec![], vec![verdict(3)], vec![])).unwrap();
    assert!(outbox.next(second, 1).unwrap()[0].number > second);
    handle.close().unwrap();
    let connection = super::super::reader(&folder.path().join(super::super::FILE)).unwrap();
    let count = |table: &str| -> i64 {
        let select = format!("SELECT count(*) FROM {table}");
        connection.query_row(&select, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("verdicts"), count("deliveries")), (1, 1));
}

#[test]
fn a_failed_attempt_is_remembered_with_its_first_time() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    handle.commit_and_wait(group(vec![], vec![verdict(1)], vec![])).unwrap();
    let outbox = outbox(folder.path());
    let number = outbox.next(0, 1).unwrap()[0].number;
    let failed = SettledAs::Failed {
        since: Timestamp::from_millis(5),
        next_at: Timestamp::from_millis(9),
        why: "status 500".to_owned(),
        response: None,
    };
    settle(&handle, number, failed);
    handle.close().unwrap();
    let waiting = outbox.next(0, 1).unwrap().remove(0);
    assert_eq!((waiting.attempts, waiting.since), (1, Some(Timestamp::from_millis(5))));
}

#[test]
fn the_next_of_a_key_is_found_among_those_that_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    let verdicts = ["a", "b", "a", "a", "b"].iter().zip(1..).map(|(key, n)| about(n, key));
    handle.commit_and_wait(group(vec![], verdicts.collect(), vec![])).unwrap();
    handle.close().unwrap();
    let outbox = outbox(folder.path());
    let all: Vec<i64> = outbox.next(0, 9).unwrap().iter().map(|one| one.number).collect();
    let of = |key, from, to| {
        let found = outbox.next_of("rule", key, from, to).unwrap();
        found.map(|(waiting, behind)| (waiting.number, behind))
    };
    assert_eq!(of("a", all[1], all[4]), Some((all[2], Some(all[3]))));
    assert_eq!(of("a", all[1], all[2]), Some((all[2], None)), "the rest was not read yet");
    assert_eq!(of("b", all[2], all[3]), None);
}

#[test]
fn where_only_the_newest_matters_it_takes_the_place_of_those_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut newest = targets();
    newest.get_mut("out").unwrap().coalesce = true;
    let handle = start_with(folder.path(), newest, &settings());
    let verdicts = vec![about(1, "a"), about(2, "b"), about(3, "a")];
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    assert_eq!(states(folder.path()), ["superseded", "pending", "pending"]);
    // The first delivery of the other key becomes a dead letter, which cannot be retried once there is a newer
    // one.
    let second = outbox(folder.path()).next(0, 1).unwrap()[0].number;
    let dead = SettledAs::Dead { why: "status 400".to_owned(), response: None };
    settle(&handle, second, dead);
    handle.commit_and_wait(group(vec![], vec![about(4, "b")], vec![])).unwrap();
    let died = "superseded status 400";
    assert_eq!(states(folder.path()), ["superseded", died, "pending", "pending"]);
    // The delivery was under way when it was superseded, and is recorded as sent.
    settle(&handle, second - 1, SettledAs::Sent);
    handle.close().unwrap();
    assert_eq!(states(folder.path()), ["sent", died, "pending", "pending"]);
}

#[test]
fn what_was_refused_is_kept_and_made_when_it_is_asked_for_and_its_target_exists() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |target: &str| Refused {
        kind: "named".to_owned(),
        name: Some(target.to_owned()),
        why: "there is no such target".to_owned(),
        writes_to: None,
    };
    let refused = vec![refusal("later"), refusal("never"), refusal("later")];
    let quiet = Verdict { targets: Vec::new(), refused, ..verdict(1) };
    let handle = start(folder.path());
    handle.commit_and_wait(group(vec![], vec![quiet], vec![])).unwrap();
    handle.close().unwrap();
    assert!(states(folder.path()).is_empty());

    // The operator retries one refusal while the service is down, configures the other target, and retries that
    // refusal while the service runs.
    let other = rusqlite::Connection::open(folder.path().join(super::super::FILE)).unwrap();
    let ask = "UPDATE refusals SET retry = 1 WHERE target = ?1";
    other.execute(ask, ["never"]).unwrap();
    let mut both = targets();
    both.insert("later".to_owned(), Target::stdout());
    let handle = start_with(folder.path(), both, &settings());
    other.execute(ask, ["later"]).unwrap();
    let since = Stopwatch::start();
    while states(folder.path()).is_empty() {
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    handle.close().unwrap();
    let row = |select: &str| -> String { other.query_row(select, [], |row| row.get(0)).unwrap() };
    assert_eq!(row("SELECT target FROM deliveries"), "later");
    let id = Id::of("delivery", &[&verdict(1).id, &"later"]);
    assert_eq!(row("SELECT id FROM deliveries"), id.as_str());
    let left = row("SELECT target || retry || reason FROM refusals");
    assert!(left.starts_with("never0there is still no target"), "{left}");
}

#[test]
fn extension_whose_kind_is_called_like_a_target_is_not_sent_to_it() {
    let folder = tempfile::tempdir().unwrap();
    // The kind of an extension is a text of the rule's choice.
    let refused = Refused {
        kind: "out".to_owned(),
        name: None,
        why: "there is no such extension".to_owned(),
        writes_to: None,
    };
    let quiet = Verdict { targets: Vec::new(), refused: vec![refused], ..verdict(1) };
    let handle = start(folder.path());
    handle.commit_and_wait(group(vec![], vec![quiet], vec![])).unwrap();
    let other = rusqlite::Connection::open(folder.path().join(super::super::FILE)).unwrap();
    other.execute("UPDATE refusals SET retry = 1", []).unwrap();
    let asked = || -> i64 {
        other.query_row("SELECT sum(retry) FROM refusals", [], |row| row.get(0)).unwrap()
    };
    let since = Stopwatch::start();
    while asked() > 0 {
        assert!(since.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    handle.close().unwrap();
    assert!(states(folder.path()).is_empty(), "it went to the target of that name");
}

#[test]
fn what_was_refused_is_made_only_for_a_rule_that_lists_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Refused {
        kind: "named".to_owned(),
        name: Some("out".to_owned()),
        why: "not listed".to_owned(),
        writes_to: None,
    };
    let quiet = Verdict { targets: Vec::new(), refused: vec![refused], ..verdict(1) };
    let rule = quiet.rule.to_string();
    let listed_by = |rules: &[&str]| {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let out = Target { rules: Some(rules), ..Target::stdout() };
        std::collections::BTreeMap::from([("out".to_owned(), out)])
    };
    let handle = start_with(folder.path(), listed_by(&["another"]), &settings());
    handle.commit_and_wait(group(vec![], vec![quiet], vec![])).unwrap();
    let other = rusqlite::Connection::open(folder.path().join(super::super::FILE)).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    let ask = "UPDATE refusals SET retry = 1";
    let reason = || -> String {
        let select = "SELECT group_concat(reason) FROM refusals";
        other
            .query_row(select, [], |row| row.get::<_, Option<String>>(0))
            .unwrap()
            .unwrap_or_default()
    };
    let wait = |is_so: &dyn Fn() -> bool| {
        let since = Stopwatch::start();
        while !is_so() {
            assert!(since.elapsed() < Duration::from_secs(60), "{}", reason());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    other.execute(ask, []).unwrap();
    wait(&|| reason().contains("still may not send to target \"out\""));
    assert!(states(folder.path()).is_empty());
    handle.close().unwrap();
    let handle = start_with(folder.path(), listed_by(&["another", rule.as_str()]), &settings());
    other.execute(ask, []).unwrap();
    wait(&|| states(folder.path()) == ["pending"]);
    handle.close().unwrap();
}

fn with_room(most: u64, when_full: WhenFull) -> std::collections::BTreeMap<String, Target> {
    let mut targets = targets();
    let out = targets.get_mut("out").unwrap();
    (out.max_queue, out.when_full) = (most, when_full);
    targets
}

#[test]
fn what_finds_no_room_in_the_queue_is_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_with(folder.path(), with_room(10, WhenFull::DeadLetter), &settings());
    handle.commit_and_wait(group(vec![], vec![verdict(1), verdict(2)], vec![])).unwrap();
    let dead = "dead the target's queue is full (max_queue)";
    assert_eq!(states(folder.path()), ["pending", dead], "one is let in, however large");
    assert_eq!(handle.refused("out"), 1);
    let outbox = outbox(folder.path());
    settle(&handle, outbox.next(0, 1).unwrap()[0].number, SettledAs::Sent);
    handle.commit_and_wait(group(vec![], vec![], vec![])).unwrap();
    handle.commit_and_wait(group(vec![], vec![verdict(3)], vec![])).unwrap();
    handle.close().unwrap();
    assert_eq!(states(folder.path()), ["sent", dead, "pending"]);
}

#[test]
fn in_a_full_queue_the_newest_of_a_key_takes_the_place_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut newest = with_room(10, WhenFull::DeadLetter);
    newest.get_mut("out").unwrap().coalesce = true;
    let handle = start_with(folder.path(), newest, &settings());
    handle.commit_and_wait(group(vec![], vec![about(1, "a")], vec![])).unwrap();
    handle.commit_and_wait(group(vec![], vec![about(2, "a")], vec![])).unwrap();
    handle.close().unwrap();
    assert_eq!(states(folder.path()), ["superseded", "pending"]);
}

#[test]
fn a_receiver_that_is_gone_stops_nobody_however_much_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Journal { max_size: 500 << 10, ..settings() };
    let handle = start_with(folder.path(), targets(), &small);
    run(handle.disable("out".to_owned(), "410".to_owned())).unwrap();
    let filling = commit_each(handle.clone(), 1000);
    let since = Stopwatch::start();
    while !filling.is_finished() {
        assert!(since.elapsed() < PATIENCE, "the dead letters hold it up");
        std::thread::sleep(Duration::from_millis(5));
    }
    filling.join().unwrap().unwrap();
    handle.close().unwrap();
    assert!(!states(folder.path()).is_empty());
}

#[test]
fn what_fails_at_the_last_page_holds_up_no_other_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Journal { max_size: 400 << 10, ..settings() };
    let handle = start_with(folder.path(), targets(), &small);
    let filling = fill(handle.clone());
    let (outbox, since) = (outbox(folder.path()), Stopwatch::start());
    let mut last = 0;
    while !filling.is_finished() || outbox.count().unwrap() > 0 {
        for (place, waiting) in outbox.next(last, 64).unwrap().iter().enumerate() {
            let failed = SettledAs::Failed {
                since: Timestamp::from_millis(5),
                next_at: Timestamp::from_millis(9),
                why: "y".repeat(900),
                response: Some("z".repeat(1000)),
            };
            if place % 2 == 0 {
                settle(&handle, waiting.number, failed);
            }
            settle(&handle, waiting.number, SettledAs::Sent);
            last = waiting.number;
        }
        assert!(since.elapsed() < PATIENCE, "it is stuck");
        std::thread::sleep(Duration::from_millis(5));
    }
    filling.join().unwrap().unwrap();
    handle.close().unwrap();
}

#[test]
fn where_the_operator_said_so_intake_waits_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_with(folder.path(), with_room(10, WhenFull::Block), &settings());
    handle.commit_and_wait(group(vec![], vec![verdict(1)], vec![])).unwrap();
    let second = handle.clone();
    let waiting =
        std::thread::spawn(move || second.commit_and_wait(group(vec![], vec![verdict(2)], vec![])));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(states(folder.path()), ["pending"], "the second waits");
    // A group with progress of watches only is not blocked.
    handle.commit_and_wait(group(vec![], vec![], vec![])).unwrap();
    settle(&handle, outbox(folder.path()).next(0, 1).unwrap()[0].number, SettledAs::Sent);
    waiting.join().unwrap().unwrap();
    assert_eq!(states(folder.path()), ["sent", "pending"]);
    // Without time to wait, the group is committed, and nothing is lost.
    handle.give_up();
    handle.commit_and_wait(group(vec![], vec![verdict(3)], vec![])).unwrap();
    handle.close().unwrap();
    assert_eq!(states(folder.path()), ["sent", "pending", "pending"]);
}

#[test]
fn for_a_disabled_target_everything_is_a_dead_letter_until_it_is_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    handle.commit_and_wait(group(vec![], vec![verdict(1), verdict(2)], vec![])).unwrap();
    assert_eq!(run(handle.disable("out".to_owned(), "410".to_owned())).unwrap(), 2);
    handle.commit_and_wait(group(vec![], vec![verdict(3)], vec![])).unwrap();
    let outbox = outbox(folder.path());
    assert_eq!(outbox.disabled().unwrap().as_deref(), Some("410"));
    assert_eq!(outbox.count().unwrap(), 0);
    // Deletes the row from another process, as an operator does.
    let other = rusqlite::Connection::open(folder.path().join(super::super::FILE)).unwrap();
    other.execute("DELETE FROM targets", []).unwrap();
    handle.commit_and_wait(group(vec![], vec![verdict(4)], vec![])).unwrap();
    handle.close().unwrap();
    let dead = "dead the target is disabled: 410";
    assert_eq!(states(folder.path()), [dead, dead, dead, "pending"]);
}

#[test]
fn at_its_largest_what_was_sent_goes_and_then_intake_waits() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Journal { max_size: 400 << 10, ..settings() };
    let handle = start_with(folder.path(), targets(), &small);
    let outbox = outbox(folder.path());
    // Far more than fits, but all of them are sent.
    let mut last = 0;
    for n in 0..1000 {
        handle.commit_and_wait(group(vec![], vec![long(n)], vec![])).unwrap();
        last = outbox.next(last, 1).unwrap()[0].number;
        settle(&handle, last, SettledAs::Sent);
    }
    let size = std::fs::metadata(folder.path().join(super::super::FILE)).unwrap().len();
    assert!(size <= 400 << 10, "{size}");
    handle.close().unwrap();
    assert_eq!(outbox.count().unwrap(), 0);
}

#[test]
fn with_no_room_at_all_intake_waits_for_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Journal { max_size: 400 << 10, ..settings() };
    let handle = start_with(folder.path(), targets(), &small);
    let filling = fill(handle.clone());
    let outbox = outbox(folder.path());
    let since = Stopwatch::start();
    assert!(until_full(&outbox) < 600, "all of it found room");
    let mut last = 0;
    while last == 0 || !filling.is_finished() || outbox.count().unwrap() > 0 {
        for waiting in outbox.next(last, 64).unwrap() {
            settle(&handle, waiting.number, SettledAs::Sent);
            last = waiting.number;
        }
        assert!(since.elapsed() < PATIENCE, "it is stuck");
        std::thread::sleep(Duration::from_millis(5));
    }
    filling.join().unwrap().unwrap();
    handle.close().unwrap();
}

#[test]
fn what_events_of_an_old_recording_left_ages_by_the_event_clock() {
    let folder = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(86_400);
    let a_day = config::Journal { retain: day, ..settings() };
    let millis = i64::try_from(day.as_millis()).unwrap();
    let group = |time: i64, quarantine: &[i64]| {
        let quarantined = |time: &i64| QuarantinedObject {
            time: Timestamp::from_millis(*time),
            scope: "pods".to_owned(),
            reason: "it cannot be decoded".to_owned(),
            json: "{}".to_owned(),
        };
        let quarantine = quarantine.iter().map(quarantined).collect();
        let output = Output { quarantine, ..Output::default() };
        Group { output, progress: Vec::new(), clock: Some(Timestamp::from_millis(time)) }
    };
    let left = |group: Group| {
        let handle = start_with(folder.path(), targets(), &a_day);
        handle.commit_and_wait(group).unwrap();
        handle.close().unwrap();
        let connection = super::super::reader(&folder.path().join(super::super::FILE)).unwrap();
        let select = "SELECT count(*) FROM quarantine";
        connection.query_row(select, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(left(group(1000, &[500, 1000])), 2, "both are younger than a day in the recording");
    assert_eq!(left(group(millis + 700, &[])), 1, "the first is older than a day now");
}
