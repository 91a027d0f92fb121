//! Runs rules: WebAssembly components behind limits, on plain threads.
//!
//! A rule's events go to worker `hash(rule, partition) mod N`, in batches, each worker with an
//! instance of its own per rule. Answers come back in the order of the events. What a rule does
//! wrong costs only itself: see [`batch`] for how the one event behind a trap is found.

mod abi;
mod answer;
mod batch;
mod breaker;
mod cache;
mod deadline;
mod dedicated;
mod diagnose;
mod direct;
mod imports;
mod instance;
mod limits;
mod load;
mod sandbox;
mod settings;
mod store_data;
mod trap;
mod weight;
mod worker;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::model::{Event, Failure, Outcome, StateView, Write};

pub use answer::MAX_TIMERS;
pub use breaker::{Breaker, Ruling};
pub use cache::default_directory as default_cache_directory;
pub use dedicated::Dedicated;
pub use direct::Caller;
pub use imports::log::{Level, Line};
pub use load::{LoadError, LoadErrorKind, LoadedRule, RuleIndex, RuleSpec, read_module};
pub use sandbox::Sandbox;
pub use worker::Waker;
use worker::{Job, WORKER_ENDED, Worker};

/// How an engine runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that run rules.
    pub workers: NonZeroUsize,
    /// Most events of one call.
    pub batch: NonZeroUsize,
    /// Throw an instance away after each call, to find rules that rely on their memory.
    pub fresh_instances: bool,
    /// Where compiled code is kept; none: nowhere.
    pub cache: Option<PathBuf>,
    /// Tell what each event cost that had a call to itself.
    pub measure: bool,
    /// Panics to make, for tests.
    pub panics: PanicsForTests,
}

/// So many panics are made where workers begin with a job, before any other job is done.
#[derive(Debug, Clone, Default)]
pub struct PanicsForTests(Arc<AtomicU32>);

impl PanicsForTests {
    /// Makes so many.
    pub fn times(times: u32) -> Self {
        Self(Arc::new(times.into()))
    }

    fn strike(&self) {
        let left =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "a test asked for this panic");
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            batch: NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN),
            fresh_instances: false,
            cache: None,
            measure: false,
            panics: PanicsForTests::default(),
        }
    }
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses its configuration.
    #[error("the WebAssembly engine cannot start: {0}")]
    Wasm(String),
    /// The cache folder is not safe or not usable.
    #[error("compiled code cannot be stored in {path}: {why}; hint: {hint}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// One event for one rule.
#[derive(Debug, Clone)]
pub struct Task {
    /// The rule.
    pub rule: Arc<LoadedRule>,
    /// The event.
    pub event: Arc<Event>,
}

/// What a rule answered to one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The outcome, checked against the manifest; or why there is none.
    pub outcome: Result<Outcome, Failure>,
    /// What the event wrote to its partition's state, in order; empty where there is no outcome.
    pub writes: Vec<Write>,
    /// What the rule wrote to the log.
    pub log: Vec<Line>,
    /// What the event cost, where it had a call to itself.
    pub cost: Option<Cost>,
}

/// What one call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Fuel, where the sandbox counts it.
    pub fuel: Option<u64>,
    /// Bytes of linear memory that the instance has grown to.
    pub memory: usize,
}

/// The engine and its threads. Dropping it ends them.
pub struct Engine {
    options: Options,
    workers: Vec<Worker>,
    patience: Option<Duration>,
    // Dropped last: calls under way need its clock to end.
    sandbox: Arc<Sandbox>,
}

impl Engine {
    /// Starts the engine's threads, on a sandbox of its own.
    ///
    /// # Errors
    /// Where the cache folder is not safe, or a thread cannot be started.
    pub fn start(options: Options) -> Result<Self, EngineError> {
        let sandbox = Sandbox::start(options.cache.as_deref())?;
        Self::on(sandbox, options)
    }

    /// Starts the engine's threads, on a sandbox that others may share.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn on(sandbox: Arc<Sandbox>, options: Options) -> Result<Self, EngineError> {
        let workers = (0..options.workers.get())
            .map(|number| Worker::start(&format!("klaxon-rules-{number}"), &options))
            .collect::<Result<_, _>>()
            .map_err(EngineError::Thread)?;
        Ok(Self { options, workers, patience: None, sandbox })
    }

    /// Loads a rule into the sandbox; see [`Sandbox::load`].
    ///
    /// # Errors
    /// What is wrong with the module, its manifest or its settings, and how to correct it.
    pub fn load(&self, index: RuleIndex, spec: RuleSpec) -> Result<Arc<LoadedRule>, LoadError> {
        self.sandbox.load(index, spec)
    }

    /// From now on a rule that keeps a worker longer than this gets no further call in the round.
    pub fn be_patient_for(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    /// A thread for one rule, beside the workers: what it does holds up nobody.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn dedicated(
        &self,
        rule: &Arc<LoadedRule>,
        waker: Option<Waker>,
    ) -> Result<Dedicated, EngineError> {
        let sandbox = self.sandbox.clone();
        Dedicated::start(rule, &self.options, self.patience, waker, sandbox)
            .map_err(EngineError::Thread)
    }

    /// Evaluates events and returns their answers in the same order. Each rule reads the committed
    /// state and what earlier events of the call wrote.
    ///
    /// Events of one (rule, partition) are evaluated in the order given; how many workers there are
    /// and how events fall into batches changes no answer. There is none where the engine lost its patience
    /// with the rule ([`Engine::be_patient_for`]); then there may be answers to later events of other
    /// partitions of the rule.
    ///
    /// # Panics
    /// Where a worker panicked twice on the same events: no answer would be the rule's.
    pub fn evaluate(&self, state: &Arc<dyn StateView>, tasks: &[Task]) -> Vec<Option<Answer>> {
        let mut jobs: Vec<Vec<Job>> = self.workers.iter().map(|_| Vec::new()).collect();
        for (position, task) in tasks.iter().enumerate() {
            let Some(jobs) = jobs.get_mut(self.worker_of(task)) else {
                continue;
            };
            let job = match jobs.iter_mut().position(|job| job.rule.index == task.rule.index) {
                Some(at) => jobs.get_mut(at),
                None => {
                    let rule = task.rule.clone();
                    jobs.push(Job::new(rule, state.clone(), self.patience, None));
                    jobs.last_mut()
                }
            };
            if let Some(job) = job {
                job.push(position, task.event.clone());
            }
        }
        let expected = jobs.iter().map(Vec::len).sum::<usize>();
        let (reply, replies) = sync_channel(expected.max(1));
        for (worker, jobs) in self.workers.iter().zip(jobs) {
            if !jobs.is_empty() {
                worker.send(jobs, reply.clone());
            }
        }
        drop(reply);
        let mut answers: Vec<Option<Answer>> = tasks.iter().map(|_| None).collect();
        let mut missing = tasks.len();
        for reply in replies {
            let reply = reply.unwrap_or_else(|panicked| panic!("{panicked}"));
            missing = missing.saturating_sub(reply.len());
            for (position, answer) in reply {
                if let Some(place) = answers.get_mut(position) {
                    *place = answer;
                }
            }
        }
        assert!(missing == 0, "{WORKER_ENDED}");
        answers
    }

    fn worker_of(&self, task: &Task) -> usize {
        let workers = self.options.workers.get();
        if workers == 1 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (task.rule.index, &task.event.partition).hash(&mut hasher);
        usize::try_from(hasher.finish() % workers as u64).unwrap_or(0)
    }
}
