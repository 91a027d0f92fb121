//! Invariants of every rule on every stream: the mode of a run does not change the rule's answers.

use std::fmt;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use serde::Serialize;

use super::rule::{Input, Mode, Ran, RuleError, RuleUnderTest};
use super::strategies::{self, Shape};

/// Hint for every kind of difference.
const MEND: &str = "an instance may be thrown away between any two calls, and any events may share \
    one; hint: keep what must last in `cx.state()`, and let no answer depend on the order of a \
    HashMap or HashSet (use BTreeMap, BTreeSet)";

/// Time after the last event of a generated history, so that timers fire.
const ADVANCE_MS: i64 = 120_000;

/// Different answers of two modes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Mode of the second run; the first run had [`Mode::Reused`].
    pub mode: Mode,
    /// The first line of the output that differs, counted from 1.
    pub line: usize,
    /// That line in the reference; empty if the reference is shorter.
    pub reference: String,
    /// That line in the other run; empty if the other output is shorter.
    pub other: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = self.reference.chars().zip(self.other.chars());
        let same = same.take_while(|(a, b)| a == b).count();
        writeln!(f, "the rule answers differently with {}:", self.mode.as_str())?;
        writeln!(f, "  {}: {}", Mode::Reused.as_str(), excerpt(&self.reference, same))?;
        writeln!(f, "  {}: {}", self.mode.as_str(), excerpt(&self.other, same))?;
        write!(f, "{MEND}")
    }
}

/// Returns the text around a character.
fn excerpt(line: &str, around: usize) -> String {
    const BEFORE: usize = 60;
    const AFTER: usize = 100;
    if line.is_empty() {
        return "nothing".to_owned();
    }
    let start = around.saturating_sub(BEFORE);
    let part: String = line.chars().skip(start).take(around - start + AFTER).collect();
    let left = if start > 0 { "…" } else { "" };
    let right = if line.chars().count() > around + AFTER { "…" } else { "" };
    format!("{left}{part}{right}")
}

/// Reason why the invariants do not hold or could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Two modes gave different answers.
    #[error("{0}")]
    Differs(Difference),
    /// The rule could not be run.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

/// Runs a rule over streams in every mode (twice in the first) and returns the result, if it is the same in
/// all. The result may contain failures: see `output.failures`. `output.costs` has the cost of each event and
/// the memory to which the one instance for all events had grown by then.
///
/// # Errors
/// The first difference, or the reason why the rule could not be run.
pub fn check(rule: &RuleUnderTest, input: &Input) -> Result<Ran, Broken> {
    let mut reference = rule.run(input, Mode::Reused)?;
    let lines = lines(&reference);
    for mode in Mode::ALL {
        let ran = rule.run(input, mode)?;
        if let Some(difference) = compare(mode, &lines, &self::lines(&ran)) {
            return Err(Broken::Differs(difference));
        }
        if mode == Mode::ReusedSingles {
            reference.output.costs = ran.output.costs;
        }
    }
    Ok(reference)
}

/// Generates histories of the objects that a rule is interested in, and checks on each that the rule's
/// answers do not depend on the mode ([`check`]) and that it answers every event. A failing history is
/// shrunk.
///
/// # Errors
/// The smallest history that fails, as a stream that can be saved, with the reason; or that the rule is
/// interested only in kinds that cannot be generated.
pub fn hold(rule: &RuleUnderTest, histories: u32) -> Result<(), String> {
    let Some(shape) = Shape::of(rule.manifest()) else {
        return Err("the rule is interested in no kind of object that can be made; hint: check \
                    recorded streams of it"
            .to_owned());
    };
    let config = Config { cases: histories, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategies::history(shape), |stream| {
        let input = Input { streams: vec![stream], advance_ms: ADVANCE_MS, ..Input::default() };
        let ran = check(rule, &input).map_err(|error| TestCaseError::fail(error.to_string()))?;
        match ran.output.failures.first() {
            None => Ok(()),
            Some(first) => {
                let (kind, why) = (first.failure.kind.as_str(), &first.failure.message);
                Err(TestCaseError::fail(format!("{kind}: {why}")))
            }
        }
    });
    outcome.map_err(|error| match error {
        TestError::Abort(why) => format!("no history could be made: {why}"),
        TestError::Fail(why, stream) => {
            let text = stream.text.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            format!("{why}\non this stream:\n{text}")
        }
    })
}

/// Returns the parts of a result that must not depend on the mode.
fn lines(ran: &Ran) -> Vec<String> {
    let output = &ran.output;
    let json =
        |line: Result<String, serde_json::Error>| line.unwrap_or_else(|error| error.to_string());
    let verdicts = output.verdicts.iter().map(|one| json(serde_json::to_string(one)));
    let failures = output.failures.iter().map(|one| json(serde_json::to_string(one)));
    let refusals = output.refusals.iter().map(|one| json(serde_json::to_string(one)));
    let counts = std::iter::once(json(serde_json::to_string(&ran.summary.counts)));
    let state = ran
        .state
        .iter()
        .map(|(partition, key, value)| format!("state of {partition:?}: {key:?} is {value:?}"));
    verdicts.chain(failures).chain(refusals).chain(counts).chain(state).collect()
}

fn compare(mode: Mode, reference: &[String], other: &[String]) -> Option<Difference> {
    let most = reference.len().max(other.len());
    let at = (0..most).find(|at| reference.get(*at) != other.get(*at))?;
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
    Some(Difference { mode, line: at + 1, reference: line(reference), other: line(other) })
}
