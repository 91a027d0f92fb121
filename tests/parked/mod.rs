//! Whether and when a rule falls behind changes nothing of what it says, keeps and asks for.

mod history;
mod room;
mod run;
mod timers;

use std::sync::Arc;

use klaxon::model::{KeptState, Slot};
use klaxon::pipeline::{Kept, MemoryState};
use proptest::prelude::*;

use history::{Input, happens, inputs};
use run::{Run, first_difference, schedule, start};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_says_the_same_whether_or_not_it_was_ever_behind(
        history in proptest::collection::vec(happens(), 1..60),
        orders in proptest::collection::vec((any::<prop::sample::Index>(), schedule()), 1..20),
    ) {
        let calls = inputs(&history);
        prop_assume!(!calls.is_empty());
        let last = calls.last().unwrap().0;
        let mut in_step = Run::new(false);
        for (at, input) in &calls {
            in_step.feed(*at, input);
        }
        let expected = in_step.end(last);
        for with_journal in [false, true] {
            let mut run = Run::new(with_journal);
            let mut in_gap = false;
            for (place, (at, input)) in calls.iter().enumerate() {
                in_gap = matches!(input, Input::Gap) || in_gap && !matches!(input, Input::GapEnd);
                run.feed(*at, input);
                for (_, order) in orders.iter().filter(|(at, _)| at.index(calls.len()) == place) {
                    run.obey(order, !in_gap);
                }
            }
            let difference = first_difference(&expected, &run.end(last));
            prop_assert_eq!(difference, None, "with a journal: {}", with_journal);
        }
        let mut live = Run::live();
        for (at, input) in &calls {
            live.feed(*at, input);
        }
        prop_assert_eq!(first_difference(&expected, &live.end(last)), None, "on threads");
    }
}

#[test]
fn each_state_version_of_a_rule_finds_its_own() {
    let state = Arc::new(MemoryState::default());
    let mut pipeline = start(&state, None);
    let slot = Slot { rule: "left".into(), partition: "a".into() };
    let entry = |version: u32, value: &str| KeptState {
        slot: slot.clone(),
        version,
        key: "k".to_owned(),
        value: value.to_owned(),
        expires_at: None,
    };
    // The rule that is loaded has state version 1.
    let kept = Kept { state: vec![entry(1, "own"), entry(2, "newer")], ..Kept::default() };
    pipeline.restore(kept, &state);
    assert_eq!(state.entries(), [(slot, "k".to_owned(), "own".to_owned())]);
}
