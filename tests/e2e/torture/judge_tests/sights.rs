//! Planted violations of rules' sights: changes lost outside of gaps, counts, ends.

use serde_json::json;

use super::Run;

#[test]
#[should_panic(expected = "Pod/default/pod-0 8 (150 to 151) was lost outside of every gap")]
fn a_state_that_nobody_saw_outside_of_gaps() {
    let mut run = Run::whole();
    run.gaps = vec![("Pod", 100, 149), ("Event", 100, 400)];
    run.judge();
}

#[test]
#[should_panic(expected = "the final state of Pod/default/pod-0, 9, was not seen")]
fn a_final_state_that_nobody_saw_though_within_a_gap() {
    let mut run = Run::whole();
    for rule in ["witness", "counter", "slow"] {
        run.never(&format!("{rule} u0 9 modified"));
    }
    run.judge();
}

#[test]
#[should_panic(expected = "Event/default/event-1 10 (350 to 351) was lost outside of every gap")]
fn a_kubernetes_event_that_ends_in_a_break_of_which_there_is_no_record() {
    let mut run = Run::whole();
    run.gaps.retain(|(watch, ..)| *watch == "Pod");
    run.judge();
}

#[test]
#[should_panic(expected = "Event/default/event-0 6 (60 to 61) was lost outside of every gap")]
fn a_kubernetes_event_that_is_lost_within_a_gap_of_pods() {
    let mut run = Run::whole();
    run.gaps.push(("Pod", 0, 100));
    run.never("witness e0 6 modified");
    run.judge();
}

#[test]
#[should_panic(expected = "the deltas of Event/default/event-0 are 4, and its count is 3")]
fn a_count_that_is_reported_twice() {
    let mut run = Run::whole();
    run.says("witness e0 6 modified", "delta", json!(3));
    run.judge();
}

#[test]
#[should_panic(expected = "the deltas of Event/default/event-0 are 2, and its count is 3")]
fn a_new_kubernetes_event_that_is_not_counted() {
    let mut run = Run::whole();
    run.says("witness e0 5 added", "delta", json!(0));
    run.judge();
}

#[test]
#[should_panic(expected = "the deltas of Event/default/event-1, which has ended, are 12")]
fn a_count_of_an_ended_event_that_is_too_high() {
    let mut run = Run::whole();
    run.says("witness e1 5 added", "delta", json!(12));
    run.judge();
}

#[test]
#[should_panic(expected = "seen twice: Pod/default/pod-0 9")]
fn a_state_that_is_seen_twice() {
    let mut run = Run::whole();
    run.sees("Pod/pod-0", "u0", "9 snapshot", 0);
    run.judge();
}

#[test]
#[should_panic(expected = "the end of pod f1 was told 0 times")]
fn an_end_that_nobody_tells() {
    let mut run = Run::whole();
    for rule in ["witness", "counter", "slow"] {
        run.never(&format!("{rule} f1 7 deleted"));
    }
    run.judge();
}

#[test]
#[should_panic(expected = "pod f1 was seen after its end")]
fn a_pod_that_is_seen_after_its_end() {
    let mut run = Run::whole();
    run.sees("Pod/fuse-1", "f1", "8 modified", 0);
    run.judge();
}
