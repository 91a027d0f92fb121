//! What a scraper sees.

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
    metrics.verdicts("akkeris", "R14", 1);
    metrics.failure("a \"b\"\n", "trap");
    metrics.parked("akkeris", 3, 900, 1.5);
    metrics.parked_skipped("akkeris");
    metrics.rule_out_of_service("akkeris", true);
    metrics.wakes(4, 1);
    let expected = r#"# HELP klaxon_build The version that runs.
# TYPE klaxon_build info
klaxon_build_info{version="1.2.3"} 1
# HELP klaxon_watch_events Watch events received.
# TYPE klaxon_watch_events counter
klaxon_watch_events_total{watch="pods"} 3
# HELP klaxon_watch_restarts Watches that had to be opened again.
# TYPE klaxon_watch_restarts counter
klaxon_watch_restarts_total{watch="pods",reason="stalled"} 1
# HELP klaxon_watch_gaps Spans that are not provably complete.
# TYPE klaxon_watch_gaps counter
klaxon_watch_gaps_total{watch="pods"} 1
# HELP klaxon_watch_last_event_timestamp_seconds When the last watch event came.
# TYPE klaxon_watch_last_event_timestamp_seconds gauge
klaxon_watch_last_event_timestamp_seconds{watch="pods"} 1700000000.25
# HELP klaxon_watch_last_progress_timestamp_seconds When the watch last proved that it is alive: an event, a bookmark, a list or its regular end.
# TYPE klaxon_watch_last_progress_timestamp_seconds gauge
klaxon_watch_last_progress_timestamp_seconds{watch="pods"} 1700000001.0
# HELP klaxon_watch_lag_seconds How long ago the last moment was at which nothing was missing.
# TYPE klaxon_watch_lag_seconds gauge
klaxon_watch_lag_seconds{watch="pods"} 0.5
# HELP klaxon_watch_in_sync 1 if the first list is committed and the watch follows, else 0.
# TYPE klaxon_watch_in_sync gauge
klaxon_watch_in_sync{watch="pods"} 1
# HELP klaxon_objects_known Objects that the journal knows.
# TYPE klaxon_objects_known gauge
klaxon_objects_known 12
# HELP klaxon_verdicts Verdicts of a rule.
# TYPE klaxon_verdicts counter
klaxon_verdicts_total{rule="akkeris",code="R14"} 1
# HELP klaxon_failures Calls of a rule that failed.
# TYPE klaxon_failures counter
klaxon_failures_total{rule="a \"b\"\n",kind="trap"} 1
# HELP klaxon_parked_events Events that wait for a rule that is behind.
# TYPE klaxon_parked_events gauge
klaxon_parked_events{rule="akkeris"} 3
# HELP klaxon_parked_bytes Bytes of what waits for a rule that is behind.
# TYPE klaxon_parked_bytes gauge
klaxon_parked_bytes{rule="akkeris"} 900
# HELP klaxon_parked_skipped Events that a rule was not asked about.
# TYPE klaxon_parked_skipped counter
klaxon_parked_skipped_total{rule="akkeris"} 1
# HELP klaxon_rule_behind_seconds Age of the oldest event that waits for a rule, 0 where none does.
# TYPE klaxon_rule_behind_seconds gauge
klaxon_rule_behind_seconds{rule="akkeris"} 1.5
# HELP klaxon_rule_out_of_service 1 while a rule that failed too often is not asked, else 0.
# TYPE klaxon_rule_out_of_service gauge
klaxon_rule_out_of_service{rule="akkeris"} 1
# HELP klaxon_pending_wakes Timers that are set.
# TYPE klaxon_pending_wakes gauge
klaxon_pending_wakes 4
# HELP klaxon_held_wakes Timers that do not fire: a watch is not in sync, or their rule is behind.
# TYPE klaxon_held_wakes gauge
klaxon_held_wakes 1
# EOF
"#;
    assert_eq!(metrics.encode().unwrap(), expected);
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
