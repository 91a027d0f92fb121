//! Budgets for writes to the cluster.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::policy::{Budget, Budgets};

fn rule(name: &str) -> Arc<str> {
    name.into()
}

#[test]
fn a_burst_then_one_in_a_time() {
    let mut budgets = Budgets::new(Budget { burst: 2, per_ms: 10_000 });
    let web = rule("web");
    assert_eq!(budgets.take(&web, "a", second(100)), Ok(()));
    assert_eq!(budgets.take(&web, "a", second(101)), Ok(()));
    assert_eq!(budgets.take(&web, "a", second(102)), Err(second(110)));
    assert_eq!(budgets.take(&web, "b", second(102)), Ok(()));
    assert_eq!(budgets.take(&rule("other"), "a", second(102)), Ok(()));
    assert_eq!(budgets.take(&web, "a", second(110)), Ok(()));
    assert_eq!(budgets.take(&web, "a", second(111)), Err(second(120)));
    assert_eq!(budgets.take(&web, "a", second(500)), Ok(()));
    assert_eq!(budgets.take(&web, "a", second(500)), Ok(()));
    assert!(budgets.take(&web, "a", second(500)).is_err());
}

#[test]
fn nothing_may_be_written_without_a_burst() {
    let mut budgets = Budgets::new(Budget { burst: 0, per_ms: 1000 });
    assert!(budgets.take(&rule("web"), "a", second(0)).is_err());
    assert!(budgets.is_empty());
}

#[test]
fn full_buckets_are_not_kept() {
    let mut budgets = Budgets::new(Budget { burst: 1, per_ms: 1000 });
    let web = rule("web");
    for number in 0..100_000i64 {
        let now = Timestamp::from_millis(number * 10);
        budgets.take(&web, &number.to_string(), now).unwrap();
        assert!(budgets.len() <= 2048);
    }
}

proptest! {
    /// The plain form of the same: tokens that are counted.
    #[test]
    fn it_is_a_token_bucket(
        burst in 1u32..5,
        per_ms in 1i64..50,
        steps in proptest::collection::vec((0i64..60, 0usize..3), 0..200),
    ) {
        let mut budgets = Budgets::new(Budget { burst, per_ms });
        let web = rule("web");
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
            let found = budgets.take(&web, &object.to_string(), Timestamp::from_millis(now));
            match found {
                Ok(()) => prop_assert!(may),
                Err(when) => {
                    prop_assert!(!may);
                    prop_assert_eq!(when.as_millis(), now + per_ms - *level);
                }
            }
        }
    }
}
