//! Tests of rules that take as much as they can get, a thousand events each, in the running service. Their cost to
//! the process, its journal, its log and a neighbour stays within bounds that one table states.

mod behaviours;
mod process;
mod trial;

use behaviours::{Bounds, behaviours};
use trial::{Measured, run};

/// Measures the baseline of the bounds: the same service and stream beside a rule that takes nothing.
fn baseline() -> Measured {
    run(&behaviours::nothing())
}

#[test]
#[ignore = "it measures, so it runs by itself: `cargo xtask test` does that"]
#[expect(
    clippy::print_stderr,
    reason = "the table is worth a look, also where all is within bounds"
)]
fn a_greedy_rule_costs_the_service_and_its_neighbour_no_more_than_the_table_allows() {
    let baseline = baseline();
    eprintln!("{}", Measured::header());
    eprintln!("{}", baseline.row("nothing"));
    let mut over = Vec::new();
    for behaviour in behaviours() {
        let measured = run(&behaviour);
        eprintln!("{}", measured.row(behaviour.name));
        over.extend(behaviour.bounds.exceeded(behaviour.name, &measured, &baseline));
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// Tests the judge: it finds a run that exceeds one bound, for each bound, and nothing in a run within them.
#[test]
fn each_bound_of_the_table_is_judged() {
    let baseline = Measured::default();
    let bounds = Bounds::default();
    assert_eq!(bounds.exceeded("within", &baseline, &baseline), Vec::<String>::new());
    for (number, measured) in Measured::each_over(&bounds).iter().enumerate() {
        let over = bounds.exceeded("over", measured, &baseline);
        assert_eq!(over.len(), 1, "bound {number}: {over:?}");
    }
}
