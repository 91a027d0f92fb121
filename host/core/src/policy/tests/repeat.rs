//! Tests of `repeat` and `pair`.

use super::*;

#[test]
fn without_a_policy_everything_passes_and_nothing_is_remembered() {
    let mut play = Play::new(&[("web", Policy::default())]);
    play.fires(0, "web/R14 a", "one", &["one"]);
    play.fires(0, "web/R14 a", "again", &["again"]);
    play.ends(1, "web/R14 b", "over", &["over"]);
    play.fires(
        1,
        "other/X a",
        "of a rule that it was not told of",
        &["of a rule that it was not told of"],
    );
    assert_eq!((play.open(), play.incidents.next_due()), (0, None));
    assert!(play.incidents.take_changes().is_empty());
}

#[test]
fn a_firing_is_repeated_after_the_interval_only() {
    let policy = Policy { repeat: Some(seconds(60)), ..Policy::default() };
    let mut play = Play::new(&[("web", policy)]);
    play.fires(0, "web/R14 a", "one", &["one"]);
    play.fires(30, "web/R14 a", "early", &["-early repeat"]);
    play.fires(30, "web/R14 b", "another key", &["another key"]);
    play.fires(30, "web/H10 a", "another code", &["another code"]);
    play.fires(60, "web/R14 a", "late", &["late"]);
    play.fires(100, "web/R14 a", "counted from the last", &["-counted from the last repeat"]);
    play.ends(101, "web/R14 a", "over", &["over"]);
    play.fires(102, "web/R14 a", "a new incident", &["a new incident"]);
    play.ends(103, "web/R14 z", "without pair it passes", &["without pair it passes"]);
    assert_eq!(play.suppressed(Reason::Repeat), 2);
}

#[test]
fn another_severity_is_news_up_and_down() {
    let policy = Policy { repeat: Some(seconds(60)), pair: true, ..Policy::default() };
    let mut play = Play::new(&[("web", policy)]);
    let mut fires = |at, name: &'static str, severity, comes: &[&str]| {
        let verdict = verdict(name, "web/R14 a", Status::Firing, second(at));
        play.say(Verdict { severity, ..verdict }, name, comes);
    };
    fires(0, "one", Severity::Warning, &["one"]);
    fires(1, "up", Severity::Critical, &["up"]);
    fires(2, "same", Severity::Critical, &["-same repeat"]);
    fires(3, "down", Severity::Warning, &["down"]);
}

#[test]
fn pairs_are_one_firing_and_one_resolved() {
    let mut play = Play::new(&[("web", pair())]);
    play.ends(0, "web/R14 a", "nobody heard", &["-nobody heard pair"]);
    play.fires(1, "web/R14 a", "one", &["one"]);
    play.fires(9999, "web/R14 a", "again", &["-again pair"]);
    play.ends(10_000, "web/R14 a", "over", &["over"]);
    play.ends(10_001, "web/R14 a", "over again", &["-over again pair"]);
    play.fires(10_002, "web/R14 a", "anew", &["anew"]);
    assert_eq!((play.open(), play.suppressed(Reason::Pair)), (1, 3));
}

#[test]
fn with_both_a_firing_is_repeated_and_paired() {
    let policy = Policy { repeat: Some(seconds(60)), ..pair() };
    let mut play = Play::new(&[("web", policy)]);
    play.fires(0, "web/R14 a", "one", &["one"]);
    play.fires(60, "web/R14 a", "two", &["two"]);
    play.ends(61, "web/R14 a", "over", &["over"]);
    play.ends(62, "web/R14 a", "twice", &["-twice pair"]);
}

#[test]
fn an_incident_that_nothing_touches_is_forgotten() {
    let policy = Policy { forget: seconds(100), ..pair() };
    let mut play = Play::new(&[("web", policy)]);
    play.fires(0, "web/R14 a", "one", &["one"]);
    play.fires(50, "web/R14 a", "again", &["-again pair"]);
    play.passes_until(149, &[]);
    assert_eq!(play.open(), 1);
    play.passes_until(150, &[]);
    assert_eq!(play.open(), 0);
    play.ends(151, "web/R14 a", "over", &["-over pair"]);
    assert_eq!(play.incidents.tally().forgotten.values().sum::<u64>(), 1);
}
