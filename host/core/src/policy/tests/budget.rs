//! Budgets for writes to the cluster.

use std::collections::HashMap;

use proptest::prelude::*;

use super::plan::{Table, incidents};
use super::*;
use crate::policy::rate_limit::budget::{Budgets, Over};
use klaxon_config::Budget;

fn of(burst: u32, per_ms: u64) -> Budgets {
    Budgets::new(Budget { burst, per: Duration::from_millis(per_ms) })
}

fn over(next: i64, is_first: bool) -> Result<(), Over> {
    Err(Over { next: second(next), is_first })
}

#[test]
fn a_burst_then_one_in_a_time() {
    let mut budgets = of(2, 10_000);
    assert_eq!(budgets.take("a", second(100)), Ok(()));
    assert_eq!(budgets.take("a", second(101)), Ok(()));
    assert_eq!(budgets.take("a", second(102)), over(110, true));
    assert_eq!(budgets.take("a", second(103)), over(110, false));
    assert_eq!(budgets.take("b", second(103)), Ok(()));
    assert_eq!(budgets.take("a", second(110)), Ok(()));
    assert_eq!(budgets.take("a", second(111)), over(120, true));
    assert_eq!(budgets.take("a", second(500)), Ok(()));
    assert_eq!(budgets.take("a", second(500)), Ok(()));
    assert!(budgets.take("a", second(500)).is_err());
}

#[test]
fn nothing_may_be_written_without_a_burst() {
    let mut budgets = of(0, 1000);
    assert!(budgets.take("a", second(0)).is_err());
    assert_eq!(budgets.len(), 0);
}

#[test]
fn full_buckets_are_not_kept() {
    let mut budgets = of(1, 1000);
    for number in 0..100_000i64 {
        let now = Timestamp::from_millis(number * 10);
        budgets.take(&number.to_string(), now).unwrap();
        assert!(budgets.len() <= 2048);
    }
}

#[test]
fn of_too_many_objects_at_once_nothing_is_written() {
    let mut budgets = of(1, 1000);
    let taken = (0..200_000).filter(|number| budgets.take(&number.to_string(), second(1)).is_ok());
    assert_eq!(taken.count(), 100_000);
    assert_eq!(budgets.take("later", second(3)), Ok(()));
    assert_eq!(budgets.len(), 1);
}

proptest! {
    /// Compares the budget with a plain token bucket that counts its tokens.
    #[test]
    fn it_is_a_token_bucket(
        burst in 1u32..5,
        per_ms in 1u64..50,
        steps in proptest::collection::vec((0i64..60, 0usize..3), 0..200),
    ) {
        let mut budgets = of(burst, per_ms);
        let per_ms = i64::try_from(per_ms).unwrap();
        let full = i64::from(burst) * per_ms;
        let mut levels: HashMap<usize, (i64, i64)> = HashMap::new();
        let mut now = 0;
        for (after, object) in steps {
            now += after;
            let (level, at) = levels.entry(object).or_insert((full, now));
            *level = full.min(*level + (now - *at));
            *at = now;
            let may = *level >= per_ms;
            if may {
                *level -= per_ms;
            }
            let found = budgets.take(&object.to_string(), Timestamp::from_millis(now));
            match found {
                Ok(()) => prop_assert!(may),
                Err(over) => {
                    prop_assert!(!may);
                    prop_assert_eq!(over.next.as_millis(), now + per_ms - *level);
                }
            }
        }
    }
}

/// Returns a verdict that writes a Kubernetes Event about an object, and names a target in addition.
fn writes(name: &str, object: &str, at: i64) -> Verdict {
    let refused = |kind: &str, name: Option<&str>, object: Option<&str>| Refused {
        kind: kind.to_owned(),
        name: name.map(str::to_owned),
        why: "not granted".to_owned(),
        writes_to: object.map(str::to_owned),
    };
    let refused =
        vec![refused("kubernetes-event", None, Some(object)), refused("named", Some("bus"), None)];
    Verdict { refused, ..verdict(name, "web/R14 a", Status::Firing, second(at)) }
}

/// Returns the kinds of refused targets of each verdict, and the writes over the budget.
fn spent(decision: &Decision) -> Vec<String> {
    let left =
        decision.verdicts.iter().flat_map(|one| one.refused.iter().map(|one| one.kind.clone()));
    let over = decision.over_budget.iter().map(|one| format!("-{} {}", one.target, one.object));
    left.chain(over).collect()
}

#[test]
fn a_policy_without_limits_limits_no_writes() {
    let mut now = incidents(&[("web".into(), Policy::unlimited())]);
    for number in 0..100_000 {
        let object = format!("Pod/{}", number % 20_000);
        let decision = now.decide(writes(&number.to_string(), &object, 0));
        assert_eq!(spent(&decision), ["kubernetes-event", "named"], "{number}");
    }
}

#[test]
fn what_passes_is_held_to_the_budget_of_its_rule_and_object_also_over_a_restart() {
    let budget = Budget { burst: 2, per: seconds(60) };
    // A suppressed verdict takes no token.
    let policies =
        [("web".into(), Policy { repeat: Some(seconds(5)), budget, ..Policy::default() })];
    let mut now = incidents(&policies);
    let mut table = Table::default();
    let plan = [
        (0, "Pod/a", vec!["kubernetes-event", "named"]),
        (1, "Pod/a", vec![]),
        (5, "Pod/a", vec!["kubernetes-event", "named"]),
        (10, "Pod/a", vec!["named", "-kubernetes-event Pod/a"]),
        (15, "Pod/b", vec!["kubernetes-event", "named"]),
        (59, "Pod/a", vec!["named", "-kubernetes-event Pod/a"]),
        (64, "Pod/a", vec!["kubernetes-event", "named"]),
        (69, "Pod/a", vec!["named", "-kubernetes-event Pod/a"]),
    ];
    for (at, object, expected) in plan {
        let decision = now.decide(writes("one", object, at));
        assert_eq!(spent(&decision), expected, "at {at}");
        table.write(now.take_changes());
        now = incidents(&policies);
        now.not_before(second(at));
        now.restore(table.read());
    }
    // There is a budget by default.
    let mut now = incidents(&[("web".into(), Policy::default())]);
    let over = (0..40).map(|_| now.decide(writes("one", "Pod/a", 0)).over_budget.len());
    assert_eq!(over.sum::<usize>(), 15);
}

#[test]
fn a_smaller_budget_counts_at_once() {
    let (mut generous, mut mean) = (of(25, 3_600_000), of(3, 1000));
    (0..25).for_each(|_| generous.take("a", second(0)).unwrap());
    assert!(generous.take("a", second(0)).is_err());
    mean.keep();
    mean.restore("a".to_owned(), second(25 * 3600), second(10));
    assert_eq!(mean.take_changed(), [("a".to_owned(), Some(second(13)))]);
    assert_eq!(mean.take("a", second(10)), over(11, true));
    assert_eq!(mean.take("a", second(11)), Ok(()));
    // The bucket refills while no token is taken.
    assert!((0..3).all(|_| mean.take("a", second(20)).is_ok()));
}

#[test]
fn buckets_that_are_full_are_dropped_with_time_however_few() {
    let mut budgets = of(2, 1000);
    (0..100).for_each(|number| budgets.take(&number.to_string(), second(1)).unwrap());
    budgets.take("later", second(10)).unwrap();
    assert_eq!(budgets.len(), 1);
}

#[test]
fn what_passes_is_charged_when_it_passes_whatever_the_clock_was_told_before() {
    let budget = Budget { burst: 1, per: seconds(3600) };
    let policies = [("web".into(), Policy { budget, ..Policy::default() })];
    // Verdicts of a lagging rule; the clock was advanced by nothing else, or by another rule.
    for is_told in [false, true] {
        let mut now = incidents(&policies);
        now.not_before(second(50_000));
        if is_told {
            now.advance_to(second(50_000));
        }
        let over = (0..5).map(|at| now.decide(writes("one", "Pod/a", at * 3600)).over_budget.len());
        assert_eq!(over.sum::<usize>(), 4);
    }
    let mut now = incidents(&policies);
    now.advance_to(second(50_000));
    let over = (0..5).map(|at| now.decide(writes("one", "Pod/a", at * 3600)).over_budget.len());
    assert_eq!(over.sum::<usize>(), 4);
}
