//! The journal's facts about its cluster, and the completeness of its watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{group, progress, settings, targets, verdict};
use crate::{Cursor, Fact, Journal, Progress, SavedWatch};
use klaxon_model::StoreOp;
use klaxon_telemetry::metrics::Metrics;

#[test]
fn a_verdict_whose_id_is_there_already_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let journal = Journal::open(folder.path()).unwrap();
    let (handle, _) = journal.start(targets(), &settings(), metrics.clone()).unwrap();
    for numbers in [vec![1], vec![1, 2], vec![2]] {
        let verdicts = numbers.into_iter().map(verdict).collect();
        handle.commit_and_wait(group(Vec::new(), verdicts, Vec::new())).unwrap();
    }
    handle.close().unwrap();
    let text = metrics.encode().unwrap();
    assert!(text.contains("klaxon_verdicts_repeated_total{rule=\"rule\"} 2"), "{text}");
}

/// Returns the watch as it is loaded after each of these steps.
fn saved(steps: &[(&str, Cursor)]) -> Vec<SavedWatch> {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (digest, cursor) in steps {
        let journal = Journal::open(folder.path()).unwrap();
        let metrics = Arc::new(Metrics::new("test"));
        let (handle, _) = journal.start(BTreeMap::new(), &settings(), metrics).unwrap();
        let progress = Progress { digest: (*digest).to_owned(), ..progress(cursor.clone()) };
        handle.commit_and_wait(group(Vec::new(), Vec::new(), vec![progress])).unwrap();
        handle.close().unwrap();
        let loaded = Journal::open(folder.path()).unwrap().load().unwrap();
        all.push(loaded.watches.get("Pod").unwrap().clone());
    }
    all
}

#[test]
fn up_to_where_all_was_known_outlives_lists_and_absence_but_no_other_selection() {
    let at = |version: &str| Cursor::At(version.to_owned());
    let complete = |steps: &[(&str, Cursor)]| {
        saved(steps).into_iter().map(|watch| watch.complete_at).collect::<Vec<_>>()
    };
    let some = |version: &str| Some(version.to_owned());
    assert_eq!(
        complete(&[
            ("d", Cursor::Listing),
            ("d", at("7")),
            ("d", Cursor::Listing),
            ("d", Cursor::Absent),
            ("d", Cursor::Listing),
            ("d", at("9")),
            ("d", Cursor::Absent),
        ]),
        [None, None, some("7"), some("7"), some("7"), None, some("9")]
    );
    // Twice, as when a crash interrupts the list.
    assert_eq!(
        complete(&[("d", at("7")), ("other", Cursor::Listing), ("other", Cursor::Listing)]),
        [None, None, None]
    );
    assert_eq!(complete(&[("d", Cursor::Absent)]), [some("0")], "it was never there");
}

#[test]
fn the_cluster_and_the_number_of_comparisons_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.fact(Fact::ClusterUid).unwrap(), None);
    journal.set_fact(Fact::ClusterUid, "first").unwrap();
    journal.set_fact(Fact::ClusterUid, "second").unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let (handle, _) = journal.start(targets(), &settings(), metrics).unwrap();
    handle.commit_and_wait(group(vec![StoreOp::Comparison(4)], Vec::new(), Vec::new())).unwrap();
    handle.close().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.fact(Fact::ClusterUid).unwrap().as_deref(), Some("second"));
    assert_eq!(journal.fact(Fact::Server).unwrap(), None);
    assert_eq!(journal.load().unwrap().persisted.comparisons, 4);
}
