//! Planted violations of deliveries: lost, given up, sent twice, out of order.

use serde_json::json;

use super::{Came, Run};

#[test]
fn a_delivery_may_come_again_as_it_was() {
    let mut run = Run::whole();
    run.received.push(run.received[0].clone());
    run.judge();
}

#[test]
#[should_panic(expected = "was sent and never received")]
fn a_delivery_that_never_came() {
    let mut run = Run::whole();
    run.received.remove(run.place("slow u0 2 modified"));
    run.judge();
}

#[test]
#[should_panic(expected = "came with another body than the journal's")]
fn another_body_than_the_journals() {
    let mut run = Run::whole();
    let place = run.place("witness u0 2 modified");
    run.received[place].body.push(' ');
    run.judge();
}

#[test]
#[should_panic(expected = "went elsewhere: to slow")]
fn a_delivery_at_another_target() {
    let mut run = Run::whole();
    let place = run.place("counter u0 2 modified");
    "slow".clone_into(&mut run.received[place].path);
    run.judge();
}

#[test]
#[should_panic(expected = "the same id with another body")]
fn one_id_with_two_bodies() {
    let mut run = Run::whole();
    let Came { id, path, body } = run.received[0].clone();
    run.received.push(Came { id, path, body: format!("{body} ") });
    run.judge();
}

#[test]
#[should_panic(expected = "received and not in the journal: out of nowhere")]
fn an_id_that_the_journal_does_not_know() {
    let mut run = Run::whole();
    let mut came = run.received[run.place("fuse burnt")].clone();
    "out of nowhere".clone_into(&mut came.id);
    run.received.push(came);
    run.judge();
}

#[test]
#[should_panic(expected = "two deliveries of the verdict of fuse burnt to fuse")]
fn two_deliveries_of_one_verdict() {
    let mut run = Run::whole();
    let mut came = run.received[run.place("fuse burnt")].clone();
    "another delivery".clone_into(&mut came.id);
    run.received.push(came);
    run.judge();
}

#[test]
#[should_panic(expected = "two ids for one event: fuse burnt")]
fn two_ids_for_one_event() {
    let mut run = Run::whole();
    let mut twice = run.said("fuse burnt").clone();
    "fuse burnt again".clone_into(&mut twice.id);
    run.say(twice);
    run.judge();
}

#[test]
#[should_panic(expected = "two ids for one event: mover ALARM default/of u0 u0 2 added")]
fn two_ids_for_one_event_at_two_targets() {
    let mut run = Run::whole();
    let mut twice = run.said("mover ALARM u0 2 added").clone();
    "once more".clone_into(&mut twice.id);
    twice.target = "here";
    run.say(twice);
    run.judge();
}

#[test]
#[should_panic(expected = "slow u0 2 modified for slow was never received")]
fn a_delivery_that_waits() {
    let mut run = Run::whole();
    run.received.remove(run.place("slow u0 2 modified"));
    run.said("slow u0 2 modified").state = "pending";
    run.judge();
}

#[test]
#[should_panic(expected = "slow u0 2 modified for slow still waits")]
fn a_delivery_that_was_received_and_still_waits() {
    let mut run = Run::whole();
    run.said("slow u0 2 modified").state = "pending";
    run.judge();
}

#[test]
#[should_panic(expected = "slow u0 2 modified for slow was given up: status 500")]
fn a_delivery_that_was_given_up_where_none_should_be() {
    let mut run = Run::whole();
    run.gives_up("slow u0 2 modified");
    run.judge();
}

#[test]
#[should_panic(expected = "is neither received nor a dead letter: it was removed while it waited")]
fn a_delivery_that_was_removed_while_it_waited() {
    let mut run = Run::whole();
    run.received.remove(run.place("doomed ALARM f1 4 added"));
    run.said("doomed ALARM f1 4 added").state = "pending";
    run.judge_after("DELETE FROM deliveries WHERE id = 'doomed ALARM f1 4 added'");
}

#[test]
#[should_panic(
    expected = "doomed: ALARM default/of f1 f1 4 added is neither received nor a dead letter"
)]
fn a_delivery_that_nobody_ever_read() {
    let mut run = Run::whole();
    run.never("doomed ALARM f1 4 added");
    run.judge();
}

#[test]
#[should_panic(expected = "is a dead letter of doomed without a reason")]
fn a_dead_letter_without_a_reason() {
    let mut run = Run::whole();
    run.said("doomed ALARM u0 9 modified").reason = None;
    run.judge();
}

#[test]
#[should_panic(expected = "no delivery was given up, so dead letters were not tested")]
fn a_run_without_dead_letters_shows_nothing() {
    let mut run = Run::whole();
    let said = run.said("doomed ALARM u0 9 modified");
    (said.state, said.reason) = ("sent", None);
    let came = Came { id: said.id.clone(), path: "doomed".to_owned(), body: said.body() };
    run.received.push(came);
    run.judge();
}

#[test]
fn what_a_dead_receiver_does_not_take_may_be_a_dead_letter() {
    let mut run = Run::whole();
    let said = run.said("void ALARM u0 2 added");
    (said.state, said.reason) = ("dead", Some("its queue is full"));
    run.judge_after("DELETE FROM deliveries WHERE id = 'void ALARM u0 2 added'");
}

#[test]
#[should_panic(
    expected = "void: ALARM default/of u0 u0 2 added neither waits nor is a dead letter"
)]
fn a_delivery_for_a_dead_receiver_that_is_lost() {
    let mut run = Run::whole();
    run.never("void ALARM u0 2 added");
    run.judge();
}

#[test]
#[should_panic(expected = "was received where nothing is taken")]
fn a_delivery_that_a_dead_receiver_took() {
    let mut run = Run::whole();
    let said = run.said("void ALARM u0 2 added");
    let came = Came { id: said.id.clone(), path: "void".to_owned(), body: said.body() };
    run.received.push(came);
    run.judge();
}

#[test]
#[should_panic(
    expected = "mover: ALARM default/of f1 f1 4 added was not received at either of its targets"
)]
fn a_delivery_that_is_lost_when_its_target_changes() {
    let mut run = Run::whole();
    run.never("mover ALARM f1 4 added");
    run.judge();
}

#[test]
#[should_panic(expected = "mover: ALARM default/of f1 f1 5 modified was not said by alarm")]
fn a_delivery_that_another_rule_of_the_module_did_not_make() {
    let mut run = Run::whole();
    run.says("mover ALARM f1 4 added", "version", json!("5"));
    run.says("mover ALARM f1 4 added", "change", json!("modified"));
    run.judge();
}

#[test]
#[should_panic(expected = "counter u0 9 modified came before what was decided before it")]
fn deliveries_of_one_key_out_of_order() {
    let mut run = Run::whole();
    let late = run.received.remove(run.place("counter u0 9 modified"));
    run.received.insert(run.place("counter f1 7 deleted"), late);
    run.judge();
}
