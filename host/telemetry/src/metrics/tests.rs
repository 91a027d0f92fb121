//! The metrics as a scraper reads them.

use super::*;

#[test]
fn every_metric_has_its_name_labels_and_kind() {
    let metrics = Metrics::new("1.2.3");
    metrics.watch_events("pods", 3);
    metrics.watch_restart("pods", "stalled");
    metrics.watch_gap("pods");
    metrics.watch_last_event("pods", 1_700_000_000.25);
    metrics.watch_last_progress("pods", 1_700_000_001.0);
    metrics.watch_lag("pods", 0.5);
    metrics.watch_in_sync("pods", true);
    metrics.objects_known(12);
    metrics.unreadable("pods");
    metrics.lease_contended(true);
    metrics.verdicts("akkeris", "R14", 1);
    assert!(metrics.repeated("akkeris", 1), "the first");
    assert!(!metrics.repeated("akkeris", 1));
    metrics.failure("a \"b\"\n", "trap");
    metrics.backlog("akkeris", 3, 900, 1.5);
    metrics.backlog_skipped("akkeris");
    metrics.rule_out_of_service("akkeris", true);
    metrics.timers(4, 1);
    metrics.rule_limited("akkeris", "log", 7);
    metrics.rule_usage("akkeris", 1024, 512);
    metrics.log_dropped(3);
    metrics.refusal("akkeris", "apply");
    metrics.suppressed("akkeris", "repeat");
    metrics.over_budget("akkeris", "apply");
    metrics.incidents("akkeris", 5, 2);
    metrics.delivery("notify", "sent", 2);
    metrics.attempt("notify", "delivered", 0.003);
    metrics.target_queue("notify", 4, 4096);
    metrics.target_pace("notify", 8, true);
    metrics.target_disabled("notify", false);
    metrics.commit(32, 0.005);
    metrics.journal_bytes(1 << 20);
    metrics.journal_removed("given_up", 500);
    metrics.quarantine_removed("akkeris", 3);
    insta::assert_snapshot!(metrics.encode().unwrap());
}

#[test]
fn a_watch_that_is_no_more_is_not_shown_as_late() {
    let metrics = Metrics::new("1");
    metrics.watch_in_sync("pods", true);
    metrics.watch_last_progress("pods", 1.0);
    metrics.forget_watch("pods");
    let text = metrics.encode().unwrap();
    assert!(!text.contains("watch=\"pods\""), "{text}");
}
