//! The interface between the pipeline and whatever evaluates rules: tasks, answers, and the trait [`Evaluate`]. The
//! engine implements it with WebAssembly; tests of the pipeline implement it with closures.

use std::sync::Arc;
use std::time::Duration;

use super::{Event, Failure, Outcome, RuleId, StateView, Write};

/// One event for one rule.
#[derive(Debug, Clone)]
pub struct Task {
    /// The rule.
    pub rule: RuleId,
    /// The event.
    pub event: Arc<Event>,
}

/// A rule's answer to one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The outcome, checked against the manifest, or the reason why there is none.
    pub outcome: Result<Outcome, Failure>,
    /// Writes of the event to its partition's state, in order; empty if there is no outcome.
    pub writes: Vec<Write>,
    /// Lines that the rule wrote to the log.
    pub log: Vec<Line>,
    /// Cost of the event; `None` unless it is measured and the event had a call to itself.
    pub cost: Option<Cost>,
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self { outcome: Err(failure), writes: Vec::new(), log: Vec::new(), cost: None }
    }
}

/// Cost of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Fuel used; `None` unless the sandbox counts fuel.
    pub fuel: Option<u64>,
    /// Size of the instance's linear memory, in bytes.
    pub memory: usize,
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// A log line that a rule wrote about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Severity of the line.
    pub level: Level,
    /// Text of at most 4 KiB.
    pub text: String,
}

/// Notifies the thread that waits for answers.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Evaluates events by rules.
pub trait Evaluate: Send {
    /// Evaluates events and returns their answers in the same order. Each rule reads the committed state and the
    /// writes of earlier events of the same call.
    ///
    /// An answer is `None` if the rule exceeded the time limit ([`Evaluate::limit_time`]); later events of other
    /// partitions of the rule may still have answers.
    fn evaluate(&self, state: &Arc<dyn StateView>, tasks: &[Task]) -> Vec<Option<Answer>>;

    /// Limits the time that one rule may occupy a worker in a call of [`Evaluate::evaluate`]: after it, the rule gets
    /// no further call.
    fn limit_time(&mut self, patience: Duration);

    /// Starts a thread for one rule, beside the workers, so that the rule delays no other rule.
    ///
    /// # Errors
    /// If the thread cannot be started.
    fn dedicated(&self, rule: RuleId, waker: Option<Waker>) -> std::io::Result<Box<dyn Dedicated>>;
}

/// A rule on its own thread. Dropping it stops the thread after the call in progress.
pub trait Dedicated: Send {
    /// Returns `true` while an answer is outstanding.
    fn is_asked(&self) -> bool;

    /// Asks the rule about events, in order. Must not be called while an answer is outstanding.
    fn ask(&mut self, state: &Arc<dyn StateView>, events: Vec<Arc<Event>>);

    /// Returns the answers, in order, once they are available. The first event always has an answer; the last
    /// events may have none.
    fn answers(&mut self) -> Option<Vec<Option<Answer>>>;
}
