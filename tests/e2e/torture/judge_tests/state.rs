//! Planted violations of a rule's state and timers.

use serde_json::json;

use super::Run;

#[test]
#[should_panic(expected = "counter counted 5 events, and the witness saw 6")]
fn a_number_that_was_lost() {
    let mut run = Run::whole();
    run.never("counter f0 3 added");
    run.judge();
}

#[test]
#[should_panic(expected = "slow, lane-0, state version 1: number 7")]
fn a_number_that_is_missing() {
    let mut run = Run::whole();
    // The state advanced twice, and the verdicts once.
    run.says("slow u0 9 modified", "n", json!(7));
    run.judge();
}

#[test]
#[should_panic(expected = "counter, lane-0, state version 1: number 4")]
fn a_number_that_is_there_twice() {
    let mut run = Run::whole();
    // The state was that of the event before.
    run.says("counter u0 9 modified", "n", json!(4));
    run.judge();
}

#[test]
#[should_panic(expected = "counter, lane-0, state version 1: number 5 after \"u0 2 modified\"")]
fn a_number_that_knows_another_before_it() {
    let mut run = Run::whole();
    run.says("counter u0 9 modified", "previous", json!("u0 2 modified"));
    run.judge();
}

#[test]
#[should_panic(expected = "counter, lane-0, state version 2: number 4")]
fn another_version_of_the_state_that_does_not_begin_anew() {
    let mut run = Run::whole();
    run.says("counter f1 4 added", "n", json!(4));
    run.judge();
}

#[test]
#[should_panic(expected = "the fuse of f0 burnt down 2 times")]
fn a_fuse_that_burns_down_twice() {
    let mut run = Run::whole();
    run.burns_down("f0", "burnt once more", 95);
    run.judge();
}

#[test]
#[should_panic(expected = "pod f1 was gone at 70, and its fuse burnt down at 80")]
fn a_fuse_that_burns_down_after_its_pod_was_gone() {
    let mut run = Run::whole();
    run.burns_down("f1", "burnt too late", 80);
    run.judge();
}

#[test]
#[should_panic(expected = "the fuse of f0 burnt down, and nobody said so")]
fn a_fuse_that_nobody_reports() {
    let mut run = Run::whole();
    run.never("fuse burnt");
    run.judge();
}

#[test]
#[should_panic(expected = "no fuse was cut while it burnt")]
fn a_run_in_which_no_fuse_was_cut_shows_nothing() {
    let mut run = Run::whole();
    run.deeds.cuts.clear();
    run.judge();
}
