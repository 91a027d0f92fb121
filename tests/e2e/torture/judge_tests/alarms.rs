//! Planted violations of the policy, and of the final belief of receivers.

use serde_json::json;

use super::{Came, Run, State};

const LAST: State = State {
    code: "ALARM",
    uid: "u0",
    state: "12 modified",
    status: "firing",
    severity: "critical",
};

#[test]
#[should_panic(expected = "paired: ALARM f1 was resolved, and nobody heard it fire")]
fn an_end_without_its_firing() {
    let mut run = Run::whole();
    run.never("paired ALARM f1 4 added");
    run.judge();
}

#[test]
#[should_panic(expected = "paired: ALARM f1 was resolved, and nobody heard it fire")]
fn an_end_before_its_firing() {
    let mut run = Run::whole();
    let late = run.received.remove(run.place("paired ALARM f1 4 added"));
    let place = run.place("paired ALARM f1 7 deleted");
    run.received.insert(place + 1, late);
    run.judge();
}

#[test]
#[should_panic(expected = "paired: ALARM u0 fired twice with severity critical")]
fn a_firing_that_is_no_news() {
    let mut run = Run::whole();
    run.changes("paired ALARM u0 2 added", |said| said.severity = "critical");
    run.judge();
}

#[test]
#[should_panic(expected = "guarded: ALARM u0 fired again within the time of repeat")]
fn a_firing_within_the_time_of_repeat() {
    let mut run = Run::whole();
    run.changes("guarded ALARM u0 2 added", |said| said.severity = "critical");
    run.judge();
}

#[test]
#[should_panic(
    expected = "throttled: {\"ALARM\": 3, \"GUARD\": 2} were delivered or in a digest, of {\"ALARM\": 4, \"GUARD\": 2}"
)]
fn a_throttled_verdict_that_is_in_no_digest() {
    let mut run = Run::whole();
    run.never("throttled ALARM f1 7 deleted");
    run.judge();
}

#[test]
#[should_panic(expected = "a digest reports 2 of {\"ALARM\": 1}")]
fn a_digest_that_contradicts_itself() {
    let mut run = Run::whole();
    run.says("digest", "suppressed", json!(2));
    run.judge();
}

#[test]
#[should_panic(expected = "nothing was throttled, so digests were not tested")]
fn a_run_without_a_digest_shows_nothing() {
    let mut run = Run::whole();
    run.never("digest");
    let state = State { state: "9 modified", ..LAST };
    let said = run.of("throttled", state);
    run.say(said);
    run.judge();
}

#[test]
#[should_panic(expected = "guarded: f1 fired while a guard fired")]
fn a_firing_that_should_have_been_inhibited() {
    let mut run = Run::whole();
    let place = run.said.iter().position(|said| said.id == "guarded GUARD g0 8 left").unwrap();
    let early = run.of("guarded", State { uid: "f1", state: "4 added", severity: "error", ..LAST });
    let over = State { uid: "f1", state: "7 deleted", status: "resolved", ..LAST };
    let over = run.of("guarded", over);
    run.received.push(Came {
        id: early.id.clone(),
        path: "guarded".to_owned(),
        body: early.body(),
    });
    run.received.push(Came { id: over.id.clone(), path: "guarded".to_owned(), body: over.body() });
    run.said.splice(place..place, [early, over]);
    run.judge();
}

#[test]
#[should_panic(expected = "alarm said last that u0 is resolved, and it fires")]
fn a_receiver_that_believes_it_is_over() {
    let mut run = Run::whole();
    run.alarm(State { status: "resolved", state: "12 left", ..LAST }, &["guest"]);
    run.judge();
}

#[test]
#[should_panic(expected = "alarm said last that f1 fires, and it does not")]
fn a_receiver_that_never_heard_the_end() {
    let mut run = Run::whole();
    run.never_alarmed("ALARM f1 7 deleted");
    run.judge();
}

#[test]
#[should_panic(expected = "throttled said last that f1 fires, and it does not")]
fn an_end_that_was_throttled_though_its_firing_was_heard() {
    let mut run = Run::whole();
    run.never("throttled ALARM f1 7 deleted");
    run.says("digest", "suppressed", json!(2));
    run.says("digest", "codes", json!({"ALARM": 2}));
    run.judge();
}

#[test]
#[should_panic(expected = "guarded never said that u0 fires, which does")]
fn a_firing_that_an_inhibitor_never_let_go() {
    let mut run = Run::whole();
    run.never("guarded ALARM u0 2 added");
    run.never("guarded ALARM u0 9 modified");
    run.judge();
}

#[test]
#[should_panic(expected = "paired said last that u0 is error, and it is critical")]
fn a_severity_that_nobody_heard() {
    let mut run = Run::whole();
    run.never("paired ALARM u0 9 modified");
    run.judge();
}

#[test]
#[should_panic(expected = "guest said last nothing of u0, which fires as 9")]
fn a_rule_that_is_back_and_does_not_learn_what_exists() {
    let mut run = Run::whole();
    run.never("guest ALARM u0 2 added");
    run.never("guest ALARM u0 9 modified");
    run.judge();
}

#[test]
#[should_panic(expected = "guest said last 2 of u0, which fires as 9")]
fn a_rule_that_is_back_and_knows_only_an_old_state() {
    let mut run = Run::whole();
    run.never("guest ALARM u0 9 modified");
    run.judge();
}

#[test]
#[should_panic(
    expected = "the witness said last that Widget/default/widget-0 has ended, and it exists"
)]
fn an_object_that_is_back_and_of_which_nobody_hears() {
    let mut run = Run::whole();
    run.sees("Widget/widget-0", "w0", "1 deleted", 0);
    run.judge();
}

#[test]
fn an_object_that_is_back_in_the_same_version() {
    let mut run = Run::whole();
    run.sees("Widget/widget-0", "w0", "1 deleted", 0);
    run.reports_again("w0");
    run.judge();
}

#[test]
#[should_panic(expected = "the witness never said that Widget w1 has ended")]
fn an_object_whose_end_nobody_hears_of() {
    let mut run = Run::whole();
    run.sees("Widget/widget-1", "w1", "1 added", 0);
    run.judge();
}
