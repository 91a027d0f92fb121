//! Rows that are found, and requests that are refused.

use super::{Opened, empty, furnished};
use crate::inspect::{
    self, BacklogRow, DeliveryRow, Filter, GapRow, InspectError, Letter, QuarantineRow, Reader,
    RefusalRow, State, StateRow, TimerRow, VerdictRow, WatchRow, page,
};
use klaxon_model::Timestamp;
use klaxon_test_support::journal_file::{TEN, delivery, verdict, verdict_id};

fn of(filter: Filter) -> Vec<String> {
    let sample = furnished();
    let page = page::<DeliveryRow>(&sample.reader(), &filter, 100).unwrap();
    page.rows.into_iter().map(|row| row.key).collect()
}

#[test]
fn filters_name_rows_and_the_newest_come_first() {
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    assert_eq!(of(none()), ["web-5", "web-4", "web-3", "web-2", "web-1"]);
    assert_eq!(of(Filter { target: text("oncall"), ..none() }), ["web-2"]);
    assert_eq!(of(Filter { state: Some(State::Sent), ..none() }), ["web-4"]);
    assert_eq!(of(Filter { key: text("web-3"), ..none() }), ["web-3"]);
    assert!(of(Filter { rule: text("other"), ..none() }).is_empty());
    assert_eq!(of(Filter { code: text("R14"), ..none() }).len(), 5);
    // The pending delivery was made at 10:00:00.003, the others were settled a second later.
    let second = Some(Timestamp::from_millis(TEN + 1000));
    assert_eq!(of(Filter { until: second, ..none() }), ["web-3"]);
    assert_eq!(of(Filter { since: second, ..none() }).len(), 4);
}

#[test]
fn deliveries_have_the_status_and_object_of_their_verdict_if_it_can_be_read() {
    let listed = |body: &str| {
        let sample = furnished();
        sample.service().execute("UPDATE verdicts SET body = ?1 WHERE n = 2", [body]).unwrap();
        let dead = Filter { state: Some(State::Dead), ..Filter::default() };
        let rows = page::<DeliveryRow>(&sample.reader(), &dead, 9).unwrap().rows;
        let row = rows.into_iter().next().unwrap();
        (row.status, row.object)
    };
    let firing = || Some("firing".to_owned());
    let node = r#"{"status":"firing","object":{"kind":"Node","namespace":"","name":"n1"}}"#;
    assert_eq!(listed(node), (firing(), "Node/n1".to_owned()));
    let null = r#"{"status":null,"object":{"kind":"Pod","namespace":null,"name":"web"}}"#;
    assert_eq!(listed(null), (None, "Pod/web".to_owned()));
    assert_eq!(listed(r#"{"status":"firing","object":null}"#), (firing(), String::new()));
    for unreadable in ["{}", "null", "{", ""] {
        assert_eq!(listed(unreadable), (None, String::new()), "{unreadable}");
    }
}

#[test]
fn a_page_says_how_many_more_there_are() {
    let sample = furnished();
    let found = page::<VerdictRow>(&sample.reader(), &Filter::default(), 2).unwrap();
    assert_eq!((found.rows.len(), found.more), (2, 3));
    let key = Filter { key: Some("web-4".to_owned()), ..Filter::default() };
    let found = page::<VerdictRow>(&sample.reader(), &key, 1).unwrap();
    assert_eq!((found.rows[0].id.clone(), found.more), (verdict_id(4), 0));
}

#[test]
fn every_kind_can_be_listed() {
    let sample = furnished();
    let reader = sample.reader();
    let every = Filter::default();
    assert_eq!(page::<GapRow>(&reader, &every, 9).unwrap().rows.len(), 1);
    assert_eq!(page::<QuarantineRow>(&reader, &every, 9).unwrap().rows.len(), 4);
    assert_eq!(page::<BacklogRow>(&reader, &every, 9).unwrap().rows.len(), 1);
    assert_eq!(page::<WatchRow>(&reader, &every, 9).unwrap().rows.len(), 1);
    assert_eq!(page::<RefusalRow>(&reader, &every, 9).unwrap().rows.len(), 1);
    assert_eq!(page::<TimerRow>(&reader, &every, 9).unwrap().rows.len(), 1);
    assert_eq!(page::<StateRow>(&reader, &every, 9).unwrap().rows.len(), 1);
    let code = Filter { code: Some("R14".to_owned()), ..every };
    let fault = page::<GapRow>(&reader, &code, 9).unwrap_err().to_string();
    assert_eq!(fault, "gaps cannot be chosen by --code; hint: use --since, --until");
}

#[test]
fn an_export_hands_over_every_row_once_and_in_order() {
    let sample = empty();
    let mut to = sample.service();
    let batch = to.transaction().unwrap();
    for number in 1..=2500 {
        let verdict = verdict(&batch, number);
        delivery(&batch, number, verdict, "notify", "sent");
    }
    batch.commit().unwrap();
    let service = sample.service();
    let mut numbers = Vec::new();
    inspect::each(&sample.reader(), &Filter::default(), |letter: Letter| {
        if numbers.is_empty() {
            // A delivery that is made after the beginning is not exported.
            delivery(&service, 2501, 1, "notify", "sent");
        }
        numbers.push(letter.delivery.number);
        Ok::<(), InspectError>(())
    })
    .unwrap();
    assert_eq!(numbers, (1..=2500).collect::<Vec<i64>>());
}

#[test]
fn an_id_is_found_by_its_beginning_and_what_is_ambiguous_is_told() {
    let sample = furnished();
    let reader = sample.reader();
    let shown = inspect::show(&reader, "A00001").unwrap();
    assert_eq!((shown.deliveries.len(), shown.refusals.len()), (1, 1));
    let shown = inspect::show(&reader, "d00002").unwrap();
    assert_eq!(shown.verdict.id, verdict_id(2));
    assert_eq!((shown.deliveries.len(), shown.refusals.len()), (1, 0));
    assert!(matches!(inspect::show(&reader, "a0000"), Err(InspectError::NoId { .. })));
    assert!(matches!(inspect::show(&reader, "xyzxyz"), Err(InspectError::NoId { .. })));
    assert!(matches!(inspect::show(&reader, "ffffff"), Err(InspectError::UnknownId { .. })));
    verdict(&sample.service(), 0x10);
    sample
        .service()
        .execute("UPDATE verdicts SET id = 'a00001' || substr(id, 7, 25) || 'f' WHERE n = 6", [])
        .unwrap();
    // The reader opened the closed journal without locks, and then a service opened it.
    assert!(matches!(inspect::show(&reader, "a00002"), Err(InspectError::Disturbed)));
    let reader = sample.reader();
    let fault = inspect::show(&reader, "a00001").unwrap_err().to_string();
    let (first, second) = (verdict_id(1), format!("a00001{}f", "0".repeat(25)));
    assert_eq!(
        fault,
        format!(
            "a00001 begins several ids; hint: write one of them out:\n  \
             {first} verdict: akkeris R14\n  {second} verdict: akkeris R14"
        )
    );
    inspect::show(&reader, &verdict_id(1)).unwrap();
}

#[test]
fn a_gap_and_a_quarantined_event_are_shown_by_number() {
    let sample = furnished();
    let reader = sample.reader();
    assert_eq!(inspect::gap(&reader, 1).unwrap().now.unwrap().name, "pods");
    assert_eq!(inspect::quarantined(&reader, 2).unwrap().row.rule.as_deref(), Some("akkeris"));
    let fault = inspect::gap(&reader, 7).unwrap_err().to_string();
    assert_eq!(fault, "there is no gap 7; hint: see `klaxon journal ls`");
}

#[test]
fn a_missing_journal_is_not_made_and_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(InspectError::Missing { .. })));
    assert!(matches!(inspect::Editor::open(folder.path()), Err(InspectError::Missing { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let sample = furnished();
    let open = |version: i64| {
        sample.service().pragma_update(None, "user_version", version).unwrap();
        (Reader::open(sample.folder()).err().unwrap(), inspect::Editor::open(sample.folder()).err())
    };
    assert!(matches!(open(1), (InspectError::Older { .. }, Some(InspectError::Older { .. }))));
    assert!(matches!(open(99), (InspectError::Newer { .. }, Some(InspectError::Newer { .. }))));
}

#[test]
fn who_looks_into_a_closed_journal_leaves_no_file() {
    let sample = furnished();
    assert_eq!(sample.files(), ["klaxon.db"]);
    let before = std::fs::read(sample.folder().join("klaxon.db")).unwrap();
    let reader = sample.reader();
    inspect::overview(&reader).unwrap();
    assert!(inspect::check(&reader).unwrap().problems.is_empty());
    assert_eq!(sample.files(), ["klaxon.db"]);
    assert_eq!(std::fs::read(sample.folder().join("klaxon.db")).unwrap(), before);
}

#[test]
fn counting_reads_indexes_and_no_body() {
    let sample = furnished();
    let plan = |sql: &str| -> String {
        let connection = sample.service();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = explain.query_map([], |row| row.get::<_, String>(3)).unwrap();
        rows.map(|row| row.unwrap()).collect::<Vec<String>>().join("; ")
    };
    let settled = plan(
        "SELECT target, state, count(*) FROM deliveries WHERE state <> 'pending' GROUP BY target, state",
    );
    assert!(settled.contains("USING COVERING INDEX deliveries_settled"), "{settled}");
    let dead = plan("SELECT d.n FROM deliveries d WHERE d.state = 'dead' AND d.n > 3 ORDER BY d.n");
    assert!(dead.contains("deliveries_dead"), "{dead}");
}
