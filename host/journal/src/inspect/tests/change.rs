//! Changes by an operator.

use super::{Opened, empty, furnished};
use super::{ids, silent, target};
use crate::inspect::{
    self, Doomed, InspectError, Resend, Resent, Selection, State, remove_numbered, resend,
    resendable,
};
use klaxon_test_support::journal_file::{Sample, delivery, delivery_id, verdict, verdict_id};

fn row(sample: &Sample, number: i64) -> (i64, String, String, i64, Option<String>) {
    let select =
        "SELECT n, state, CAST(body AS TEXT), attempts, reason FROM deliveries WHERE id = ?1";
    sample
        .service()
        .query_row(select, [delivery_id(number)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .unwrap()
}

fn dead(count: i64) -> Sample {
    let sample = empty();
    let mut to = sample.service();
    let batch = to.transaction().unwrap();
    for number in 1..=count {
        let verdict = verdict(&batch, number);
        delivery(&batch, number, verdict, "notify", "dead");
    }
    batch.commit().unwrap();
    sample
}

#[test]
fn a_dead_letter_goes_to_the_end_of_the_outbox_with_its_id_and_body() {
    let sample = furnished();
    let done = resend(&mut sample.editor(), &ids(&["d00001"]), &mut silent()).unwrap();
    assert_eq!(done, Resent { letters: 1, refusals: 0 });
    let (number, state, body, attempts, _) = row(&sample, 1);
    assert_eq!((number, state.as_str(), body.as_str(), attempts), (6, "pending", "{\"n\":1}", 0));
    let cleared = "deliveries WHERE n = 6 AND since IS NULL AND next_at IS NULL \
                   AND settled_at IS NULL";
    assert_eq!(sample.count(cleared), 1);
    // Its number is never reused, even after its row is removed.
    sample.service().execute("DELETE FROM deliveries WHERE n = 6", []).unwrap();
    delivery(&sample.service(), 9, 1, "notify", "dead");
    assert_eq!(row(&sample, 9).0, 7);
    resend(&mut sample.editor(), &ids(&["d00009"]), &mut silent()).unwrap();
    assert_eq!(row(&sample, 9).0, 8);
}

#[test]
fn a_retried_letter_tells_of_the_attempts_before() {
    let sample = furnished();
    resend(&mut sample.editor(), &ids(&["d00001"]), &mut silent()).unwrap();
    let shown = inspect::show(&sample.reader(), "d00001").unwrap();
    let delivery = &shown.deliveries[0].delivery;
    let reason = delivery.reason.as_deref().unwrap();
    assert!(reason.starts_with("retried at 2"), "{reason}");
    let before = ", after 3 attempts since 2026-11-20T10:00:00.001Z: 404 Not Found";
    assert!(reason.ends_with(before), "{reason}");
    assert_eq!(delivery.response.as_deref(), Some("no such\u{1b}[31m hook"));
}

#[test]
fn numbers_that_are_gone_are_not_taken_again() {
    let sample = dead(3);
    // The sequence is 3, and the rows with the highest numbers are removed.
    sample.service().execute("DELETE FROM deliveries WHERE n > 1", []).unwrap();
    resend(&mut sample.editor(), &Selection::default(), &mut silent()).unwrap();
    assert_eq!(row(&sample, 1).0, 4);
}

#[test]
fn letters_to_a_disabled_target_stay_until_it_is_enabled() {
    let sample = furnished();
    let all = Selection::default();
    let found = resendable(&sample.reader(), &all).unwrap();
    let counts = |name: &str| vec![(name.to_owned(), 1)];
    let expected =
        Resend { letters: counts("notify"), disabled: counts("oncall"), refusals: counts("bus") };
    assert_eq!(found, expected);
    let done = resend(&mut sample.editor(), &all, &mut silent()).unwrap();
    assert_eq!(done, Resent { letters: 1, refusals: 1 });
    assert_eq!(row(&sample, 2).1, "dead");
    assert_eq!(sample.count("refusals WHERE retry = 1"), 1);
    let enabled = inspect::enable(&mut sample.editor(), "oncall").unwrap();
    assert_eq!((enabled.dead, enabled.reason.as_str()), (1, "410 Gone"));
    let fault = inspect::enable(&mut sample.editor(), "oncall").unwrap_err().to_string();
    assert_eq!(fault, "target oncall is not disabled; no target is");
    let done = resend(&mut sample.editor(), &target("oncall"), &mut silent()).unwrap();
    assert_eq!(done, Resent { letters: 1, refusals: 0 });
}

#[test]
fn a_verdict_stands_for_its_dead_letters_and_refusals_alone() {
    let sample = furnished();
    let done = resend(&mut sample.editor(), &ids(&["a00001", "a00004"]), &mut silent()).unwrap();
    assert_eq!(done, Resent { letters: 1, refusals: 1 });
    let fault = resend(&mut sample.editor(), &ids(&["d00004"]), &mut silent()).unwrap_err();
    assert!(matches!(fault, InspectError::WrongState { state: "sent", .. }), "{fault}");
    assert_eq!(verdict_id(4).len(), 32);
}

#[test]
fn ten_thousand_letters_go_in_short_transactions() {
    let sample = dead(10_000);
    let mut steps = Vec::new();
    let all = Selection::default();
    let done = resend(&mut sample.editor(), &all, &mut |count| steps.push(count)).unwrap();
    assert_eq!(done.letters, 10_000);
    assert_eq!(steps, (1..=10).map(|output| output * 1000).collect::<Vec<u64>>());
    assert_eq!(sample.count("deliveries WHERE state = 'pending' AND n > 10000"), 10_000);
    assert_eq!(row(&sample, 10_000).0, 20_000);
    assert!(inspect::check(&sample.reader()).unwrap().problems.is_empty());
}

#[test]
fn letters_that_die_again_at_once_are_not_sent_for_ever() {
    let sample = dead(2500);
    let service = sample.service();
    let all = Selection::default();
    let done = resend(&mut sample.editor(), &all, &mut |_| {
        service
            .execute(
                "UPDATE deliveries SET state = 'dead', settled_at = 1 WHERE state = 'pending'",
                [],
            )
            .unwrap();
    });
    assert_eq!(done.unwrap().letters, 2500);
}

#[test]
fn large_bodies_make_shorter_transactions() {
    let sample = dead(3);
    sample.service().execute("UPDATE deliveries SET body = zeroblob(5000000)", []).unwrap();
    let mut steps = Vec::new();
    let all = Selection::default();
    resend(&mut sample.editor(), &all, &mut |count| steps.push(count)).unwrap();
    assert_eq!(steps, [1, 2, 3]);
}

#[test]
fn what_is_dropped_is_gone_and_its_verdict_stays() {
    let sample = furnished();
    let all = Selection::default();
    let found = inspect::removal(&sample.reader(), &all, State::Dead).unwrap();
    assert_eq!(found.letters, [("notify".to_owned(), 1), ("oncall".to_owned(), 1)]);
    let removed = inspect::remove(&mut sample.editor(), &all, State::Dead, &mut silent()).unwrap();
    assert_eq!((removed, sample.count("deliveries"), sample.count("verdicts")), (2, 3, 5));
    let pending = target("notify");
    let removed =
        inspect::remove(&mut sample.editor(), &pending, State::Pending, &mut silent()).unwrap();
    assert_eq!((removed, sample.count("deliveries")), (1, 2));
}

#[test]
fn quarantined_events_are_dropped_by_number_all_or_none() {
    let sample = furnished();
    let fault = remove_numbered(&mut sample.editor(), Doomed::Quarantine, &[1, 99]).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "there is no quarantined event 99; hint: see `klaxon journal ls`"
    );
    assert_eq!(sample.count("quarantine"), 4);
    remove_numbered(&mut sample.editor(), Doomed::Quarantine, &[1, 2]).unwrap();
    remove_numbered(&mut sample.editor(), Doomed::Refusals, &[1]).unwrap();
    assert_eq!((sample.count("quarantine"), sample.count("refusals")), (2, 0));
}
