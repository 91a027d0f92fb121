//! Tests of the state over a restart.

use proptest::prelude::*;

use super::plan::*;
use super::*;
use klaxon_model::{PersistedIncident, StoreOp};

fn text(decision: &Decision) -> (Vec<String>, Vec<String>) {
    let verdicts = decision.verdicts.iter().map(|verdict| verdict.to_line().unwrap());
    let suppressed = decision.suppressed.iter().map(|one| serde_json::to_string(one).unwrap());
    (verdicts.collect(), suppressed.collect())
}

fn restored(policies: &[(Arc<str>, Policy)], rows: Vec<PersistedIncident>) -> Incidents {
    let mut incidents = incidents(policies);
    incidents.restore(rows);
    incidents
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_restart_at_any_point_changes_nothing(
        policies in any_policies(),
        play in any_play(),
        cuts in proptest::collection::vec(proptest::bool::weighted(0.2), 120),
        suspensions in proptest::collection::vec(proptest::option::weighted(0.2, (0usize..3, any::<bool>())), 120),
    ) {
        let mut through = incidents(&policies);
        let mut cut = incidents(&policies);
        let (mut table, mut cut_table) = (Table::default(), Table::default());
        let mut suspended = [false; 3];
        for ((one, is_cut), suspension) in verdicts(&play).into_iter().zip(cuts).zip(suspensions) {
            if let Some((rule, is_suspended)) = suspension {
                suspended[rule] = is_suspended;
            }
            if is_cut {
                cut = incidents(&policies);
                cut.not_before(through.now);
                cut.restore(cut_table.read());
                // A restart begins another suspension.
                (0..3).for_each(|rule| through.set_suspended(rule, false));
                // With the same settings nothing has to be changed.
                prop_assert!(cut.take_changes().is_empty());
            }
            for (rule, is_suspended) in suspended.into_iter().enumerate() {
                through.set_suspended(rule, is_suspended);
                cut.set_suspended(rule, is_suspended);
            }
            through.begin_suspensions(one.time);
            cut.begin_suspensions(one.time);
            prop_assert_eq!(through.next_due(), cut.next_due());
            let decision = through.decide(one.clone());
            prop_assert_eq!(text(&decision), text(&cut.decide(one)));
            table.write(through.take_changes());
            cut_table.write(cut.take_changes());
            prop_assert_eq!(&table, &cut_table);
            prop_assert!(through.sizes().eq(cut.sizes()));
        }
        for rule in 0..3 {
            through.set_suspended(rule, false);
            cut.set_suspended(rule, false);
        }
        let end = second(1_000_000_000);
        prop_assert_eq!(text(&through.advance_to(end)), text(&cut.advance_to(end)));
        table.write(through.take_changes());
        prop_assert_eq!(table.rows(), 0, "something is remembered for ever");
    }

    #[test]
    fn other_settings_lose_nothing_that_waits(
        policies in any_policies(),
        others in any_policies(),
        play in any_play(),
    ) {
        let mut before = incidents(&policies);
        let mut table = Table::default();
        let mut open = 0;
        for one in verdicts(&play) {
            let decision = before.decide(one);
            open += 1;
            open -= decision.verdicts.iter().filter(|one| one.code != "digest").count();
            open -= decision.suppressed.len();
            table.write(before.take_changes());
        }
        let mut after = restored(&others, table.read());
        let decision = after.advance_to(second(1_000_000_000));
        let delivered = decision.verdicts.iter().filter(|one| one.code != "digest").count();
        prop_assert_eq!(delivered + decision.suppressed.len(), open);
        table.write(after.take_changes());
        prop_assert_eq!(table.rows(), 0);
    }
}

/// Returns persisted rows with a pending verdict, inhibited by a node.
fn waiting() -> Vec<PersistedIncident> {
    let entry = inhibitor("nodes/NotReady", Equal::Cluster);
    let mut play = Play::new(&[("nodes", Policy::default()), ("web", inhibited_by(vec![entry]))]);
    play.fires(0, "nodes/NotReady n1", "down", &["down"]);
    play.fires(1, "web/R14 a", "a", &[]);
    let changes = play.incidents.take_changes().into_iter();
    let rows = changes.filter_map(|change| match change {
        StoreOp::Incident(row) => Some(*row),
        _ => None,
    });
    rows.collect()
}

#[test]
fn without_the_policy_what_waits_is_due_and_the_rest_is_forgotten() {
    let none: Vec<(Arc<str>, Policy)> =
        ["nodes", "web"].map(|rule| (rule.into(), Policy::default())).to_vec();
    let mut incidents = restored(&none, waiting());
    assert_eq!(incidents.next_due(), Some(second(1)));
    let decision = incidents.advance_to(second(100));
    assert_eq!(decision.verdicts.iter().map(|one| &*one.title).collect::<Vec<_>>(), ["a"]);
    let gone = incidents.take_changes();
    assert!(gone.iter().all(|change| matches!(change, StoreOp::NoIncident(..))), "{gone:?}");
    assert_eq!(gone.len(), 2);
    assert_eq!(incidents.next_due(), None);
}

#[test]
fn what_is_kept_of_rules_that_are_gone_stays() {
    let mut incidents = restored(&[("other".into(), pair())], waiting());
    assert_eq!((incidents.next_due(), incidents.take_changes()), (None, Vec::new()));
}

#[test]
fn a_row_says_what_an_operator_wants_to_know() {
    let rows = waiting();
    let mut row = serde_json::to_value(&rows[1].record).unwrap();
    let pending = row["incident"]["held"]["verdict"].take();
    assert_eq!((&*rows[1].rule, &*rows[1].code, &*rows[1].key), ("web", "R14", "a"));
    assert_eq!(pending["payload"], serde_json::json!({"of": "a"}));
    assert_eq!(
        row.to_string(),
        r#"{"incident":{"held":{"order":0,"until":"1970-01-01T01:00:01.000Z","verdict":null},"inhibited_since":"1970-01-01T00:00:01.000Z","place":{"namespace":"shop","node":"n1","object":"uid-a"},"since":"1970-01-01T00:00:01.000Z","touched":"1970-01-01T00:00:01.000Z"}}"#
    );
}
