//! Tests of the bounds of the policy's state.

use super::*;

fn waiting_for_ever() -> Policy {
    inhibited_by(vec![inhibitor("web/All", Equal::Cluster)])
}

#[test]
fn what_finds_no_room_to_wait_passes_and_is_counted() {
    let mut play = Play::new(&[("web", waiting_for_ever())]);
    play.incidents.bounds.pending = 1;
    play.fires(0, "web/All z", "all", &["all"]);
    play.fires(1, "web/R14 a", "a", &[]);
    play.fires(2, "web/R14 b", "b", &["b"]);
    play.fires(3, "web/R14 a", "in its own place", &["-a inhibited"]);
    assert_eq!(play.incidents.tally().no_room.values().sum::<u64>(), 1);
    play.ends(4, "web/All z", "over", &["over", "in its own place"]);
}

#[test]
fn payloads_that_wait_have_a_bound_too() {
    let mut play = Play::new(&[("web", waiting_for_ever())]);
    play.incidents.bounds.pending_bytes = 40;
    play.fires(0, "web/All z", "all", &["all"]);
    play.fires(1, "web/R14 a", "a", &[]);
    play.fires(2, "web/R14 b", "a long title that fills it", &["a long title that fills it"]);
}

#[test]
fn the_incident_that_was_touched_first_gives_way() {
    let mut play = Play::new(&[("web", pair())]);
    play.incidents.bounds.open = 2;
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.fires(1, "web/R14 b", "b", &["b"]);
    play.fires(2, "web/R14 a", "a2", &["-a2 pair"]);
    play.fires(3, "web/R14 c", "c", &["c"]);
    play.ends(4, "web/R14 a", "a over", &["a over"]);
    play.ends(5, "web/R14 b", "b over", &["-b over pair"]);
    assert_eq!(play.incidents.tally().forgotten.values().sum::<u64>(), 1);
}

#[test]
fn a_verdict_that_waits_is_not_lost_when_its_incident_gives_way() {
    let mut play = Play::new(&[("web", waiting_for_ever())]);
    play.incidents.bounds.open = 2;
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.fires(1, "web/All z", "all", &["all"]);
    play.fires(2, "web/R14 a", "a2", &[]);
    play.fires(3, "web/All z", "still", &["still"]);
    play.fires(4, "web/R14 b", "b", &["a2"]);
    assert_eq!((play.open(), play.waiting()), (2, 1));
}
