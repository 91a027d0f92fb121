//! Tests of a full backlog whose events may be skipped: the oldest are skipped, and nothing else is lost
//! or grows.

use std::collections::BTreeMap;

use klaxon_core::pipeline::Pace;
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Change, RuleId};
use proptest::prelude::*;

use super::history::{Happens, Input, happens, inputs};
use super::run::{Asked, PATIENCE, Run, Schedule, schedule};

/// Capacity for a few events, in bytes.
const ROOM: usize = 2000;
/// An upper bound for the size of one event, in bytes.
const ONE_EVENT: usize = 1000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn without_room_each_event_is_answered_or_skipped_and_what_waits_is_bounded(
        history in proptest::collection::vec(happens(), 1..80),
        orders in proptest::collection::vec((any::<prop::sample::Index>(), schedule()), 1..20),
        on_threads in any::<bool>(),
    ) {
        let calls = inputs(&history);
        prop_assume!(!calls.is_empty());
        let last = calls.last().unwrap().0;
        let mut in_step = Run::new(false);
        calls.iter().for_each(|(at, input)| in_step.feed(*at, input));
        in_step.drain(last);
        let (all, _) = in_step.answered_and_skipped();

        let mut run = Run::with_room(true, Some(ROOM));
        if on_threads {
            run = run.on_threads();
        }
        let mut in_gap = false;
        for (place, (at, input)) in calls.iter().enumerate() {
            in_gap = matches!(input, Input::Gap) || in_gap && !matches!(input, Input::GapEnd);
            run.feed(*at, input);
            for (_, order) in orders.iter().filter(|(at, _)| at.index(calls.len()) == place) {
                // On a thread the rule is called anyway.
                if !(on_threads && matches!(order, Schedule::Ask(..))) {
                    run.obey(order, !in_gap);
                }
            }
            run.pipeline.flush();
            // Intake would wait for the events being evaluated.
            let since = Stopwatch::start();
            while on_threads && run.pipeline.is_full() {
                assert!(since.elapsed() < PATIENCE, "there is no room again");
                run.pump();
                std::thread::yield_now();
            }
            for backlog in run.pipeline.status().backlogs {
                // Events being evaluated are counted in addition.
                let most = (ROOM + ONE_EVENT) * (1 + usize::from(on_threads));
                prop_assert!(backlog.bytes < most, "{} bytes", backlog.bytes);
            }
        }
        run.drain(last);
        let (answered, skipped) = run.answered_and_skipped();
        prop_assert_eq!(answered.union(&skipped).cloned().collect::<Asked>(), all);
        prop_assert_eq!(run.pipeline.status().counts.pending_timers, 0);
        let (folder, handle) = run.journal.take().unwrap();
        handle.close().unwrap();
        let journal = rusqlite::Connection::open(folder.path().join("klaxon.db")).unwrap();
        let left = |table: &str| -> i64 {
            let count = format!("SELECT count(*) FROM {table}");
            journal.query_row(&count, [], |row| row.get(0)).unwrap()
        };
        prop_assert_eq!((left("backlog"), left("timers")), (0, 0));
    }
}

#[test]
fn without_room_a_rule_still_comes_to_the_newest_state_of_each_object_and_to_its_end() {
    // The pods 0 to 3 change in turns, and 2 is deleted; pod 0 has one more event at the very beginning.
    let mut history = vec![Happens::Put(0)];
    history.extend((0..100).flat_map(|_| (0..4).map(Happens::Put)));
    history.push(Happens::Delete(2));
    let calls = inputs(&history);
    let mut run = Run::with_room(true, Some(4 * ONE_EVENT));
    run.pipeline.set_pace(RuleId(0), Pace::Hold);
    calls.iter().for_each(|(at, input)| run.feed(*at, input));
    run.commit();
    run.restart();
    run.drain(calls.last().unwrap().0);
    let (answered, skipped) = run.answered_and_skipped();
    assert!(skipped.len() > 350, "{} skipped", skipped.len());
    assert!(answered.iter().filter(|(rule, _)| rule == "left").count() < 50);
    let mut last = BTreeMap::new();
    for verdict in run.came.verdicts.iter().filter(|one| &*one.rule == "left") {
        let event = verdict.event.as_ref().unwrap();
        if event.change != Change::Timer {
            let version = event.object.meta.resource_version.to_string();
            last.insert(event.object.meta.identity.name.clone(), (event.change, version));
        }
    }
    let expected = [
        ("pod-0", (Change::Modified, "408")),
        ("pod-1", (Change::Modified, "409")),
        ("pod-2", (Change::Deleted, "412")),
        ("pod-3", (Change::Modified, "411")),
    ];
    let last: Vec<_> =
        last.iter().map(|(pod, (change, at))| (pod.as_str(), (*change, at.as_str()))).collect();
    assert_eq!(last, expected);
}

#[test]
fn a_timer_that_fires_among_skipped_events_carries_the_newest_state_of_its_object() {
    // The pod's first version sets a timer, which is due after the next two and before the last.
    let history = [
        Happens::Put(0),
        Happens::Wait(500),
        Happens::Put(0),
        Happens::Put(0),
        Happens::Wait(5000),
        Happens::Put(0),
    ];
    let calls = inputs(&history);
    let mut run = Run::with_room(true, Some(ONE_EVENT));
    run.feed(calls[0].0, &calls[0].1);
    run.pipeline.set_pace(RuleId(0), Pace::Hold);
    calls[1..].iter().for_each(|(at, input)| run.feed(*at, input));
    run.commit();
    let skipped = run.came.failures.iter().filter(|one| &*one.rule == "left").count();
    assert_eq!(skipped, 2);
    run.restart();
    run.drain(calls.last().unwrap().0);
    let verdicts = run.came.verdicts.iter().filter(|one| &*one.rule == "left");
    let verdicts: Vec<&str> = verdicts.map(|one| one.payload.get()).collect();
    assert!(verdicts.iter().any(|one| one.contains("Timer b pod-0@14")), "{verdicts:#?}");
}

#[test]
fn what_comes_and_goes_unseen_by_a_rule_takes_no_more_room_than_there_is() {
    let mut run = Run::with_room(true, Some(ROOM));
    run.pipeline.set_pace(RuleId(0), Pace::Hold);
    let history: Vec<Happens> = (0..4000)
        .map(|at| if at % 2 == 0 { Happens::Put(0) } else { Happens::Delete(0) })
        .collect();
    let calls = inputs(&history);
    for (at, input) in &calls {
        run.feed(*at, input);
        let backlog = run.pipeline.status().backlogs;
        assert!(backlog[0].bytes < ROOM + ONE_EVENT, "{} bytes", backlog[0].bytes);
    }
    run.commit();
    let (_, skipped) = run.answered_and_skipped();
    assert!(skipped.len() > calls.len() / 2);
    run.restart();
    run.drain(calls.last().unwrap().0);
    // The newest events are left, and no state outlives its object.
    let verdict = run.came.verdicts.iter().rfind(|one| &*one.rule == "left").unwrap();
    assert_eq!(verdict.event.as_ref().unwrap().object.meta.resource_version.to_string(), "4010");
    assert_eq!(run.state.entries(), []);
}

#[test]
fn a_timer_that_was_due_before_its_object_went_is_skipped_with_it_and_not_in_silence() {
    // The pod's timer was due before the deletion, or it was not.
    for (wait, skipped) in [(5000, 1), (0, 0)] {
        let mut history = vec![Happens::Wait(0); 4];
        history.extend([Happens::Put(0), Happens::Wait(wait), Happens::Delete(0)]);
        history.extend((1..21).map(Happens::Put));
        let calls = inputs(&history);
        let mut run = Run::with_room(true, Some(ROOM));
        run.feed(calls[0].0, &calls[0].1);
        run.pipeline.flush();
        assert_eq!(run.pipeline.status().counts.pending_timers, 2, "one of each rule");
        run.pipeline.set_pace(RuleId(0), Pace::Hold);
        calls[1..].iter().for_each(|(at, input)| run.feed(*at, input));
        run.commit();
        let timers = run.came.failures.iter().filter(|one| one.change == "timer");
        assert_eq!(timers.count(), skipped, "after {wait} ms");
        assert!(run.came.failures.iter().any(|one| one.change == "deleted"));
    }
}

#[test]
fn what_is_skipped_after_a_restart_takes_no_timer_with_it() {
    // The timer b fired and was set again by the answer to a (see `timers`), and is in the backlog.
    let mut history = vec![Happens::Wait(0); 24];
    history.extend([Happens::Put(0), Happens::Put(0), Happens::Wait(5000), Happens::Put(1)]);
    let calls = inputs(&history);
    let mut run = Run::new(true);
    for (at, input) in &calls[..2] {
        run.feed(*at, input);
    }
    run.pipeline.set_pace(RuleId(0), Pace::Hold);
    run.feed(calls[2].0, &calls[2].1);
    run.pipeline.set_pace(RuleId(0), Pace::Ask(1));
    // The capacity is smaller than before.
    run.room = Some(10);
    run.restart();
    run.commit();
    let skipped = run.came.failures.iter().map(|one| one.change).collect::<Vec<_>>();
    assert_eq!(skipped, ["timer", "added"]);
    run.restart();
    run.drain(calls[2].0);
    let verdicts = run.came.verdicts.iter().filter(|one| &*one.rule == "left");
    let woken = verdicts.filter(|one| one.payload.get().contains("Timer b pod-0"));
    assert_eq!(woken.count(), 1, "as it was set anew");
}

#[test]
fn forms_of_objects_that_are_gone_are_not_kept_for_a_rule_that_is_always_behind() {
    // Of five events, the first sets a timer on a pod that the second deletes.
    let five =
        [Happens::Put(0), Happens::Delete(0), Happens::Put(1), Happens::Put(1), Happens::Put(1)];
    let mut history = vec![Happens::Wait(0); 2];
    (0..60).for_each(|_| history.extend(five.clone()));
    let calls = inputs(&history);
    let mut run = Run::new(true);
    run.pipeline.set_pace(RuleId(0), Pace::Hold);
    for fives in calls.chunks(5) {
        fives.iter().for_each(|(at, input)| run.feed(*at, input));
        if fives[0].0 > calls[10].0 {
            run.pipeline.set_pace(RuleId(0), Pace::Ask(5));
        }
    }
    run.commit();
    assert!(run.pipeline.status().backlogs[0].events > 5, "it is behind");
    let (folder, handle) = run.journal.take().unwrap();
    handle.close().unwrap();
    let journal = rusqlite::Connection::open(folder.path().join("klaxon.db")).unwrap();
    let rows: i64 =
        journal.query_row("SELECT count(*) FROM backlog", [], |row| row.get(0)).unwrap();
    assert!(rows < 40, "{rows} rows");
}
