//! Tests of `inhibited_by`.

use super::plan::{Table, incidents};
use super::*;

fn nodes() -> Vec<Inhibitor> {
    vec![inhibitor("nodes/NotReady", Equal::Object)]
}

fn play(policy: Policy) -> Play {
    Play::new(&[("nodes", Policy::default()), ("web", policy)])
}

impl Play {
    fn node(&mut self, at: i64, node: &str, status: Status, name: &'static str, comes: &[&str]) {
        let verdict = verdict(name, &format!("nodes/NotReady {node}"), status, second(at));
        self.say(about(verdict, &format!("Node/{node}")), name, comes);
    }
}

#[test]
fn pods_of_a_node_wait_for_it_and_those_still_firing_come_in_order() {
    let mut play = play(inhibited_by(nodes()));
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(1, "web/R14 b", "first", &[]);
    play.fires(2, "web/R14 a", "second", &[]);
    play.fires(3, "web/R14 c", "third", &[]);
    let elsewhere = verdict("elsewhere", "web/R14 d", Status::Firing, second(3));
    play.say(about(elsewhere, "Pod/d on n2"), "elsewhere", &["elsewhere"]);
    assert_eq!(play.waiting(), 3);
    play.ends(4, "web/R14 a", "over", &["-second inhibited", "-over inhibited"]);
    play.node(5, "n1", Status::Resolved, "up", &["up", "first", "third"]);
    assert_eq!(play.waiting(), 0);
    play.ends(6, "web/R14 b", "end", &["end"]);
}

#[test]
fn of_one_incident_the_last_firing_waits_in_the_place_of_the_first() {
    let mut play = play(inhibited_by(nodes()));
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(1, "web/R14 a", "a", &[]);
    play.fires(2, "web/R14 b", "b", &[]);
    play.fires(3, "web/R14 a", "a2", &["-a inhibited"]);
    play.node(5, "n1", Status::Resolved, "up", &["up", "a2", "b"]);
}

#[test]
fn what_was_said_before_is_resolved_while_the_inhibitor_fires() {
    let mut play = play(inhibited_by(nodes()));
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.node(1, "n1", Status::Firing, "down", &["down"]);
    play.fires(2, "web/R14 a", "a2", &[]);
    play.ends(3, "web/R14 a", "over", &["over", "-a2 inhibited"]);
    play.node(4, "n1", Status::Resolved, "up", &["up"]);
}

#[test]
fn what_is_no_news_does_not_wait() {
    let mut play = play(Policy { inhibited_by: nodes(), ..pair() });
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.node(1, "n1", Status::Firing, "down", &["down"]);
    play.fires(2, "web/R14 a", "a2", &["-a2 pair"]);
    play.node(4, "n1", Status::Resolved, "up", &["up"]);
}

#[test]
fn it_waits_no_longer_than_for() {
    let mut entry = nodes();
    entry[0].at_most = seconds(60);
    let mut play = play(inhibited_by(entry));
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(10, "web/R14 a", "a", &[]);
    play.fires(40, "web/R14 a", "a2", &["-a inhibited"]);
    assert_eq!(play.incidents.next_due(), Some(second(70)));
    play.passes_until(69, &[]);
    play.passes_until(70, &["a2"]);
    play.fires(80, "web/R14 a", "it has waited", &["it has waited"]);
    play.ends(90, "web/R14 a", "over", &["over"]);
    play.fires(91, "web/R14 a", "anew", &[]);
    play.fires(95, "web/R14 b", "b", &[]);
    play.passes_until(154, &["anew"]);
    play.passes_until(155, &["b"]);
}

#[test]
fn several_inhibitors_must_all_be_over() {
    let mut play = play(inhibited_by(vec![
        inhibitor("nodes/NotReady", Equal::Object),
        inhibitor("web/Frozen", Equal::Namespace),
    ]));
    play.fires(0, "web/Frozen z", "frozen", &["frozen"]);
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(1, "web/R14 a", "a", &[]);
    play.fires(1, "web/Frozen y", "the node holds it", &[]);
    play.node(2, "n1", Status::Resolved, "up", &["up", "the node holds it"]);
    play.ends(3, "web/Frozen z", "thawed", &["thawed"]);
    play.ends(4, "web/Frozen y", "thawed too", &["thawed too", "a"]);
}

#[test]
fn an_inhibitor_that_is_forgotten_lets_go() {
    let watched = Policy { forget: seconds(1000), ..Policy::default() };
    let mut play = Play::new(&[("nodes", watched), ("web", inhibited_by(nodes()))]);
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(1, "web/R14 a", "a", &[]);
    play.passes_until(1000, &["a"]);
}

#[test]
fn an_inhibitor_that_came_later_holds_what_comes_after_it() {
    let mut play = play(inhibited_by(nodes()));
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.node(1, "n1", Status::Firing, "down", &["down"]);
    play.fires(1, "web/R14 b", "b", &[]);
}

#[test]
fn a_chain_of_inhibitors_holds_to_its_end() {
    let chain = vec![inhibitor("cluster/Down", Equal::Cluster)];
    let mut play = Play::new(&[
        ("cluster", Policy::default()),
        ("nodes", inhibited_by(chain)),
        ("web", inhibited_by(nodes())),
    ]);
    play.fires(0, "cluster/Down c", "all", &["all"]);
    play.node(1, "n1", Status::Firing, "down", &[]);
    play.fires(2, "web/R14 a", "a", &[]);
    play.ends(3, "cluster/Down c", "back", &["back", "down"]);
    play.node(4, "n1", Status::Resolved, "up", &["up", "a"]);
}

#[test]
fn what_is_let_go_meets_the_throttle() {
    let policy = Policy { inhibited_by: nodes(), ..throttle(1, 60, false) };
    let mut play = play(policy);
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(1, "web/R14 a", "a", &[]);
    play.fires(1, "web/R14 b", "b", &[]);
    play.node(2, "n1", Status::Resolved, "up", &["up", "a", "-b throttled"]);
}

fn a_minute() -> Vec<Inhibitor> {
    vec![Inhibitor { at_most: seconds(60), ..inhibitor("nodes/NotReady", Equal::Object) }]
}

#[test]
fn what_was_let_go_may_be_held_anew_for_as_long() {
    let mut play = play(inhibited_by(a_minute()));
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(10, "web/R14 a", "a", &[]);
    play.node(20, "n1", Status::Resolved, "up", &["up", "a"]);
    play.node(30, "n1", Status::Firing, "down again", &["down again"]);
    play.fires(40, "web/R14 a", "a2", &[]);
    play.passes_until(99, &[]);
    play.passes_until(100, &["a2"]);
}

#[test]
fn what_was_replaced_by_no_news_waits_no_longer() {
    let mut play = play(Policy { inhibited_by: a_minute(), ..pair() });
    let fires = |play: &mut Play, at, severity, name: &'static str, comes: &[&str]| {
        let verdict = verdict(name, "web/R14 a", Status::Firing, second(at));
        play.say(Verdict { severity, ..verdict }, name, comes);
    };
    fires(&mut play, 0, Severity::Warning, "a", &["a"]);
    play.node(1, "n1", Status::Firing, "down", &["down"]);
    fires(&mut play, 10, Severity::Critical, "worse", &[]);
    fires(&mut play, 20, Severity::Warning, "as before", &["-worse inhibited", "-as before pair"]);
    fires(&mut play, 40, Severity::Critical, "worse again", &[]);
    play.passes_until(99, &[]);
    play.passes_until(100, &["worse again"]);
}

#[test]
fn while_a_rule_is_not_in_sync_nothing_of_it_is_let_go() {
    let mut entry = nodes();
    entry[0].at_most = seconds(60);
    let settings = Policy { inhibited_by: entry, forget: seconds(500), ..Policy::default() };
    let mut play = play(settings);
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(10, "web/R14 a", "a", &[]);
    play.fires(11, "web/R14 b", "b", &[]);
    let elsewhere = verdict("c", "web/R14 c", Status::Firing, second(12));
    play.say(about(elsewhere, "Pod/c on n2"), "c", &["c"]);
    play.incidents.set_suspended(1, true);
    play.incidents.begin_suspensions(second(12));
    // A suspended firing is not released by its timeout, by the end of the inhibition or by its age.
    play.passes_until(100, &[]);
    play.node(110, "n1", Status::Resolved, "up", &["up"]);
    play.passes_until(600, &[]);
    assert_eq!((play.waiting(), play.open()), (2, 3));
    play.ends(601, "web/R14 a", "over", &["-a inhibited", "-over inhibited"]);
    play.ends(602, "web/R14 c", "c over", &["c over"]);
    play.incidents.set_suspended(1, false);
    play.passes_until(603, &["b"]);
    assert_eq!(play.open(), 1);
    // `b` was delivered at second 602, the last time given before, and is forgotten 500 seconds later.
    play.passes_until(1101, &[]);
    assert_eq!(play.open(), 1);
    play.passes_until(1102, &[]);
    assert_eq!(play.open(), 0);
}

#[test]
fn what_was_refused_of_a_verdict_that_waits_comes_with_it_also_after_a_restart() {
    let (name, why) = (Some("bus".to_owned()), "no such target".to_owned());
    let refused = vec![Refused { kind: "named".to_owned(), name, why, writes_to: None }];
    for is_restarted in [false, true] {
        let mut play = play(inhibited_by(nodes()));
        play.node(0, "n1", Status::Firing, "down", &["down"]);
        let one = verdict("a", "web/R14 a", Status::Firing, second(1));
        play.say(Verdict { refused: refused.clone(), ..one }, "a", &[]);
        if is_restarted {
            let mut table = Table::default();
            table.write(play.incidents.take_changes());
            let policies =
                [("nodes".into(), Policy::default()), ("web".into(), inhibited_by(nodes()))];
            play.incidents = incidents(&policies);
            play.incidents.restore(table.read());
        }
        let up = verdict("up", "nodes/NotReady n1", Status::Resolved, second(2));
        let decision = play.incidents.decide(about(up, "Node/n1"));
        let found: Vec<_> =
            decision.verdicts.iter().map(|one| (&*one.title, &one.refused)).collect();
        assert_eq!(found, [("up", &Vec::new()), ("a", &refused)]);
    }
}

#[test]
fn a_rule_that_never_comes_in_sync_is_held_for_ten_minutes() {
    let mut entry = nodes();
    entry[0].at_most = seconds(60);
    let mut play = play(inhibited_by(entry));
    play.node(0, "n1", Status::Firing, "down", &["down"]);
    play.fires(10, "web/R14 a", "a", &[]);
    // After a restart, hours later.
    play.incidents.set_suspended(1, true);
    play.incidents.begin_suspensions(second(10_000));
    play.passes_until(10_000, &[]);
    play.passes_until(10_599, &[]);
    play.passes_until(10_600, &["a"]);
    assert_eq!(play.waiting(), 0);
}
