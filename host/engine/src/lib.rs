//! Runs rules: WebAssembly components behind limits, on plain threads.
//!
//! An event goes to worker `hash(rule, partition) mod N`, in batches. Each worker has its own instance of
//! each rule. Answers are returned in the order of the events. A rule's error affects only that rule: see
//! [`batch`] for how the one event that causes a trap is found.

mod abi;
mod answer;
mod batch;
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
mod worker;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use klaxon_model::{Answer, Dedicated, Evaluate, RuleId, RuleInfo, StateView, Task, Waker};

pub use cache::default_directory as default_cache_directory;
use dedicated::DedicatedThread;
pub use direct::Caller;
pub use load::{LoadError, LoadErrorKind, LoadedRule, RuleSpec, read_module};
pub use sandbox::Sandbox;
use worker::{Job, WORKER_ENDED, Worker};

/// Options of an [`Engine`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of threads that run rules.
    pub workers: NonZeroUsize,
    /// Maximum number of events per call.
    pub batch: NonZeroUsize,
    /// Discards an instance after each call, to find rules that rely on their memory.
    pub fresh_instances: bool,
    /// Folder for compiled code; `None` disables the cache.
    pub cache: Option<PathBuf>,
    /// Reports the cost of each event that had a call to itself.
    pub measure: bool,
    /// Panics to raise, for tests.
    pub panics: PanicsForTests,
}

/// Number of panics still to be raised: a worker panics at the start of a job, before any other work.
#[derive(Debug, Clone, Default)]
pub struct PanicsForTests(Arc<AtomicU32>);

impl PanicsForTests {
    /// Raises `times` panics.
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

/// Reason why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime rejects its configuration.
    #[error("the WebAssembly engine cannot start: {0}")]
    Wasm(String),
    /// The cache folder is not safe or not usable.
    #[error("compiled code cannot be stored in {path}: {why}; hint: {hint}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// The problem.
        why: String,
        /// The remedy, as a hint to the operator.
        hint: &'static str,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// The engine and its threads. Dropping it stops the threads.
pub struct Engine {
    options: Options,
    /// The rules that it evaluates.
    rules: HashMap<RuleId, Arc<LoadedRule>>,
    workers: Vec<Worker>,
    patience: Option<Duration>,
    // Dropped last: a call in progress is interrupted by the sandbox's ticker.
    sandbox: Arc<Sandbox>,
}

impl Engine {
    /// Starts the engine's threads with its own [`Sandbox`].
    ///
    /// # Errors
    /// If the cache folder is not safe, or a thread cannot be started.
    pub fn start(options: Options) -> Result<Self, EngineError> {
        let sandbox = Sandbox::start(options.cache.as_deref())?;
        Self::on(sandbox, options)
    }

    /// Starts the engine's threads with a [`Sandbox`] that other engines may share.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn on(sandbox: Arc<Sandbox>, options: Options) -> Result<Self, EngineError> {
        let workers = (0..options.workers.get())
            .map(|number| Worker::start(&format!("klaxon-rules-{number}"), &options))
            .collect::<Result<_, _>>()
            .map_err(EngineError::Thread)?;
        Ok(Self { options, rules: HashMap::new(), workers, patience: None, sandbox })
    }

    /// Loads a rule into the sandbox (see [`Sandbox::load`]) and adds it to the engine.
    ///
    /// # Errors
    /// A [`LoadError`] if the module, its manifest or its settings are wrong, with a hint.
    pub fn load(&mut self, id: RuleId, spec: RuleSpec) -> Result<Arc<RuleInfo>, LoadError> {
        let loaded = self.sandbox.load(id, spec)?;
        let info = loaded.info().clone();
        self.add(loaded);
        Ok(info)
    }

    /// Adds a rule that was loaded into the engine's sandbox.
    pub fn add(&mut self, rule: Arc<LoadedRule>) {
        self.rules.insert(rule.id, rule);
    }

    /// Returns a rule of the engine.
    ///
    /// # Panics
    /// If the rule was not added: an event without an answer would be lost.
    fn rule(&self, id: RuleId) -> &Arc<LoadedRule> {
        self.rules.get(&id).expect("every task is for a rule that was added")
    }

    fn worker_of(&self, task: &Task) -> usize {
        let workers = self.options.workers.get();
        if workers == 1 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (task.rule, &task.event.partition).hash(&mut hasher);
        usize::try_from(hasher.finish() % workers as u64).unwrap_or(0)
    }
}

impl Evaluate for Engine {
    /// Evaluates events of one (rule, partition) in the given order; neither the number of workers nor the batch size
    /// changes an answer.
    ///
    /// # Panics
    /// If a worker panicked twice on the same events: then no answer would come from the rule.
    fn evaluate(&self, state: &Arc<dyn StateView>, tasks: &[Task]) -> Vec<Option<Answer>> {
        let mut jobs: Vec<Vec<Job>> = self.workers.iter().map(|_| Vec::new()).collect();
        for (position, task) in tasks.iter().enumerate() {
            let Some(jobs) = jobs.get_mut(self.worker_of(task)) else {
                continue;
            };
            let job = match jobs.iter_mut().position(|job| job.rule.id == task.rule) {
                Some(at) => jobs.get_mut(at),
                None => {
                    let rule = self.rule(task.rule).clone();
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

    fn limit_time(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    fn dedicated(&self, rule: RuleId, waker: Option<Waker>) -> std::io::Result<Box<dyn Dedicated>> {
        let (rule, sandbox) = (self.rule(rule), self.sandbox.clone());
        let thread = DedicatedThread::start(rule, &self.options, self.patience, waker, sandbox)?;
        Ok(Box::new(thread))
    }
}
