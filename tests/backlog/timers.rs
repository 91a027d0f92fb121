//! Tests of the timers of a lagging rule.

use super::history::{Happens, inputs};
use super::run::{Run, first_difference};
use klaxon_core::pipeline::Pace;
use klaxon_model::RuleId;

#[test]
fn a_timer_that_fired_and_is_set_anew_before_its_answer_outlasts_a_restart() {
    // The pod's timers a and b are due at the same time, and the answer to a sets b again.
    let mut history = vec![Happens::Wait(0); 24];
    history.extend([Happens::Put(0), Happens::Put(0), Happens::Wait(5000), Happens::Put(1)]);
    let calls = inputs(&history);
    let last = calls.last().unwrap().0;
    let mut in_step = Run::new(false);
    calls.iter().for_each(|(at, input)| in_step.feed(*at, input));
    let expected = in_step.end(last);
    let woken = |timer: &str| expected["left"].iter().filter(|line| line.contains(timer)).count();
    assert_eq!((woken("Timer a pod-0"), woken("Timer b pod-0")), (1, 2), "{expected:#?}");

    for asked in 1..4 {
        let mut run = Run::new(true);
        for (at, input) in &calls[..2] {
            run.feed(*at, input);
        }
        run.pipeline.set_pace(RuleId(0), Pace::Hold);
        run.feed(calls[2].0, &calls[2].1);
        run.pipeline.set_pace(RuleId(0), Pace::Ask(asked));
        run.restart();
        // Unanswered timers are still there after another restart.
        run.restart();
        assert_eq!(first_difference(&expected, &run.end(last)), None, "{asked} asked");
    }
}
