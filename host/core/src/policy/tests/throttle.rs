//! Tests of `throttle` and its digest.

use super::*;

#[test]
fn what_is_too_much_is_told_at_the_end_of_the_window() {
    let mut play = Play::new(&[("web", throttle(2, 60, true))]);
    play.fires(10, "web/R14 a", "a", &["a"]);
    play.fires(11, "web/R14 b", "b", &["b"]);
    play.fires(12, "web/R14 c", "c", &["-c throttled"]);
    let worse = verdict("d", "web/H10 d", Status::Firing, second(13));
    let targets = vec!["oncall".to_owned(), "notify".to_owned()];
    play.say(Verdict { severity: Severity::Critical, targets, ..worse }, "d", &["-d throttled"]);
    assert_eq!(play.incidents.next_due(), Some(second(70)));

    let decision = play.incidents.advance_to(second(500));
    let [digest] = decision.verdicts.as_slice() else { panic!("no digest") };
    let since = second(10).as_millis().cast_unsigned();
    assert_eq!(digest.id, Id::of("digest", &[&"c", &"web", &since]));
    assert_eq!(digest.time, second(70));
    assert_eq!((digest.code.as_str(), digest.key.as_str()), ("digest", "digest"));
    assert_eq!((digest.severity, digest.status), (Severity::Critical, Status::Firing));
    assert_eq!(digest.targets, ["notify", "oncall"]);
    assert_eq!(digest.title, "2 verdicts were suppressed");
    assert_eq!(
        digest.payload.get(),
        r#"{"suppressed":2,"codes":{"H10":1,"R14":1},"keys":["c","d"],"since":"1970-01-01T00:00:10.000Z","until":"1970-01-01T00:01:10.000Z"}"#
    );
    assert_eq!(play.incidents.next_due().map(|due| due > second(500)), Some(true));
}

#[test]
fn the_end_of_a_window_belongs_to_the_next() {
    let mut play = Play::new(&[("web", throttle(1, 60, false))]);
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.fires(59, "web/R14 b", "b", &["-b throttled"]);
    play.fires(60, "web/R14 c", "c", &["c"]);
    play.fires(61, "web/R14 d", "d", &["-d throttled"]);
    assert_eq!(play.suppressed(Reason::Throttled), 2);
}

#[test]
fn whoever_heard_that_it_fires_hears_that_it_is_over() {
    let mut play = Play::new(&[("web", throttle(2, 60, false))]);
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.fires(0, "web/R14 b", "b", &["b"]);
    play.fires(1, "web/R14 c", "c", &["-c throttled"]);
    play.ends(2, "web/R14 a", "a over", &["a over"]);
    play.ends(2, "web/R14 b", "b over", &["b over"]);
    play.ends(2, "web/R14 c", "c over", &["-c over throttled"]);
    play.ends(60, "web/R14 z", "alone", &["alone"]);
}

#[test]
fn a_firing_that_was_throttled_is_news_later() {
    let policy = Policy { pair: true, ..throttle(1, 60, false) };
    let mut play = Play::new(&[("web", policy)]);
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.fires(1, "web/R14 b", "b", &["-b throttled"]);
    play.fires(61, "web/R14 b", "b2", &["b2"]);
    play.ends(62, "web/R14 b", "over", &["over"]);
}

#[test]
fn a_digest_names_ten_keys() {
    let mut play = Play::new(&[("web", throttle(1, 60, true))]);
    play.fires(0, "web/R14 a", "a", &["a"]);
    for number in 0..30 {
        let about = format!("web/R14 key-{}", number / 2);
        let verdict = verdict(&format!("v{number}"), &about, Status::Firing, second(1));
        assert!(play.incidents.decide(verdict).verdicts.is_empty());
    }
    let decision = play.incidents.advance_to(second(60));
    let payload: serde_json::Value =
        serde_json::from_str(decision.verdicts[0].payload.get()).unwrap();
    assert_eq!(payload["suppressed"], 30);
    assert_eq!(payload["keys"].as_array().unwrap().len(), 10);
    assert_eq!(payload["keys"][9], "key-9");
}

#[test]
fn the_digest_comes_before_the_verdict_that_ends_the_wait_for_it() {
    let mut play = Play::new(&[("web", throttle(1, 60, true))]);
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.fires(1, "web/R14 b", "b", &["-b throttled"]);
    play.fires(60, "web/R14 c", "c", &["1 verdict was suppressed", "c"]);
}

#[test]
fn a_rule_that_is_behind_delivers_no_more_than_it_may() {
    let mut play = Play::new(&[("web", throttle(1, 60, false))]);
    play.passes_until(600, &[]);
    // The verdict's time is ten minutes ago; it is delivered now.
    play.fires(0, "web/R14 a", "a", &["a"]);
    play.passes_until(630, &[]);
    play.fires(0, "web/R14 b", "b", &["-b throttled"]);
    play.fires(70, "web/R14 c", "c", &["-c throttled"]);
    play.passes_until(660, &[]);
    play.fires(71, "web/R14 d", "d", &["d"]);
}
