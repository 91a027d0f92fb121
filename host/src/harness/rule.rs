//! A rule under test: loaded once, run over streams in every way that a host may run it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::Value;

use super::replay::{Replay, ReplayError, Summary};
use crate::engine::{
    Engine, EngineError, LoadError, LoadErrorKind, LoadedRule, Options, RuleIndex, RuleSpec,
    Sandbox, read_module,
};
use crate::model::{
    Capability, Limits, Manifest, Narrowing, Origin, Slot, StateKeeper, Timestamp, Write,
};
use crate::pipeline::{Output, Pipeline};
use crate::policy::{RulePolicy, Targets};
use crate::recording::{StreamError, StreamFile};
use crate::route::{InterestError, Need, Router};

use super::state::WatchedState;

/// Events of one batch: as many as a round of the pipeline has at most, and more.
const WHOLE: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// How much more time code may take that counts fuel.
const SLOWER: u32 = 10;

/// How instances and batches are used. A rule must answer the same in every way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One instance for all, many events in a call.
    Reused,
    /// One instance for all, one event in a call.
    ReusedSingles,
    /// An instance for each call, many events in a call.
    Fresh,
    /// An instance for each event.
    FreshSingles,
}

impl Mode {
    /// Each of them; the first is the reference.
    pub const ALL: [Self; 4] = [Self::Reused, Self::ReusedSingles, Self::Fresh, Self::FreshSingles];

    fn options(self) -> Options {
        let is_single = matches!(self, Self::ReusedSingles | Self::FreshSingles);
        Options {
            workers: NonZeroUsize::MIN,
            batch: if is_single { NonZeroUsize::MIN } else { WHOLE },
            fresh_instances: matches!(self, Self::Fresh | Self::FreshSingles),
            cache: None,
            measure: is_single,
            ..Options::default()
        }
    }

    /// In words, after "with".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reused => "one instance and whole batches",
            Self::ReusedSingles => "one instance and one event a call",
            Self::Fresh => "a new instance for each batch",
            Self::FreshSingles => "a new instance for each event",
        }
    }
}

/// Where the rules of a process are compiled: once for running, and once more, when it is asked for,
/// for counting fuel.
pub struct Sandboxes {
    cache: Option<PathBuf>,
    running: Arc<Sandbox>,
    counting: OnceLock<Arc<Sandbox>>,
}

impl Sandboxes {
    /// Compiled code is kept in a folder, or nowhere.
    ///
    /// # Errors
    /// Where the folder is not safe, or a thread cannot be started.
    pub fn start(cache: Option<PathBuf>) -> Result<Arc<Self>, EngineError> {
        let running = Sandbox::start(cache.as_deref())?;
        Ok(Arc::new(Self { cache, running, counting: OnceLock::new() }))
    }

    fn counting(&self) -> Result<Arc<Sandbox>, EngineError> {
        if let Some(sandbox) = self.counting.get() {
            return Ok(sandbox.clone());
        }
        let sandbox = Sandbox::counting_fuel(self.cache.as_deref())?;
        // Another thread may have been first; then its sandbox is the one that is kept.
        Ok(self.counting.get_or_init(|| sandbox).clone())
    }
}

/// Why a rule cannot be tested.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Its module cannot be read.
    #[error("{path}: {source}; hint: build the rule with `klaxon rule build`, or check the path")]
    File {
        /// The module's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be loaded.
    #[error("{origin}: {what}")]
    Load {
        /// The module's file.
        origin: PathBuf,
        /// Why.
        what: LoadErrorKind,
    },
    /// One of its interests cannot be used.
    #[error(transparent)]
    Interest(#[from] InterestError),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl From<LoadError> for RuleError {
    fn from(error: LoadError) -> Self {
        Self::Load { origin: error.origin, what: error.what }
    }
}

/// What a run is fed.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Recorded streams, merged by time.
    pub streams: Vec<StreamFile>,
    /// How long after the last event timers may still fire, in milliseconds.
    pub advance_ms: i64,
    /// State to begin with: partition, key, value.
    pub state: Vec<(String, String, String)>,
}

/// All that came of a run.
#[derive(Debug)]
pub struct Ran {
    /// What was decided.
    pub output: Output,
    /// In numbers.
    pub summary: Summary,
    /// Partitions whose state the rule looked at.
    pub partitions: BTreeSet<Arc<str>>,
    /// The state that is left: partition, key, value.
    pub state: Vec<(Arc<str>, String, String)>,
}

/// A rule that was loaded with its settings.
#[derive(Clone)]
pub struct RuleUnderTest {
    sandboxes: Arc<Sandboxes>,
    spec: RuleSpec,
    loaded: Arc<LoadedRule>,
}

impl RuleUnderTest {
    /// Loads a module with settings. It may keep state and write to the log.
    ///
    /// # Errors
    /// Where the module or its settings are not in order.
    pub fn load(
        sandboxes: &Arc<Sandboxes>,
        module: &Path,
        settings: Value,
    ) -> Result<Self, RuleError> {
        Self::load_spec(sandboxes, Self::spec(module, settings)?)
    }

    /// What a module says of itself, whatever settings it wants.
    ///
    /// # Errors
    /// Where the module is not in order.
    pub fn describe(sandboxes: &Arc<Sandboxes>, module: &Path) -> Result<Manifest, RuleError> {
        Ok(sandboxes.running.describe(&Self::spec(module, Value::Null)?)?)
    }

    fn spec(module: &Path, settings: Value) -> Result<RuleSpec, RuleError> {
        let limits = Limits::default();
        let bytes = read_module(module, &limits)
            .map_err(|source| RuleError::File { path: module.to_owned(), source })?;
        let name =
            module.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into());
        let grants = BTreeSet::from(Capability::ALL);
        Ok(RuleSpec { name, origin: module.to_owned(), bytes, settings, limits, grants })
    }

    fn load_spec(sandboxes: &Arc<Sandboxes>, spec: RuleSpec) -> Result<Self, RuleError> {
        let loaded = sandboxes.running.load(RuleIndex(0), spec.clone())?;
        Ok(Self { sandboxes: sandboxes.clone(), spec, loaded })
    }

    /// The same rule with other settings.
    ///
    /// # Errors
    /// Where the rule refuses them.
    pub fn with_settings(&self, settings: Value) -> Result<Self, RuleError> {
        Self::load_spec(&self.sandboxes, RuleSpec { settings, ..self.spec.clone() })
    }

    /// What must be watched for it.
    ///
    /// # Errors
    /// Where one of its interests cannot be used.
    pub fn needs(&self) -> Result<Vec<Need>, InterestError> {
        let origin = Origin { cluster: String::new(), source: String::new() };
        let mut router = Router::new(origin);
        router.add_rule(
            self.manifest().name.as_str().into(),
            self.manifest(),
            &Narrowing::new(),
        )?;
        Ok(router.needs())
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// The loaded rule.
    pub fn loaded(&self) -> &LoadedRule {
        &self.loaded
    }

    pub(super) fn shared(&self) -> Arc<LoadedRule> {
        self.loaded.clone()
    }

    /// Its module's file.
    pub fn module(&self) -> &Path {
        &self.spec.origin
    }

    /// What it is configured with.
    pub fn settings(&self) -> &Value {
        &self.spec.settings
    }

    /// Its module.
    pub fn bytes(&self) -> &[u8] {
        &self.spec.bytes
    }

    /// Runs streams through the rule, from the beginning, in one way.
    ///
    /// # Errors
    /// Where a stream cannot be read, or a thread cannot be started.
    pub fn run(&self, input: &Input, mode: Mode) -> Result<Ran, RuleError> {
        self.run_on(&self.sandboxes.running, self.loaded.clone(), input, mode)
    }

    /// Runs streams through the rule in code that counts fuel: `output.costs` of what comes back says
    /// what each event cost, with an instance of its own.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn measure(&self, input: &Input) -> Result<Ran, RuleError> {
        let sandbox = self.sandboxes.counting()?;
        // Counting makes code slower, and the dearest event must not be the one that runs out of time.
        let cpu = self.spec.limits.cpu.saturating_mul(SLOWER);
        let cpu_per_event = self.spec.limits.cpu_per_event.saturating_mul(SLOWER);
        let limits = Limits { cpu, cpu_per_event, ..self.spec.limits.clone() };
        let loaded = sandbox.load(RuleIndex(0), RuleSpec { limits, ..self.spec.clone() })?;
        self.run_on(&sandbox, loaded, input, Mode::FreshSingles)
    }

    fn run_on(
        &self,
        sandbox: &Arc<Sandbox>,
        loaded: Arc<LoadedRule>,
        input: &Input,
        mode: Mode,
    ) -> Result<Ran, RuleError> {
        let engine = Engine::on(sandbox.clone(), mode.options())?;
        let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
        let state = Arc::new(WatchedState::default());
        self.begin_with(&state, input);
        let mut pipeline = Pipeline::new(engine, origin, state.clone());
        let policy = RulePolicy {
            rule: loaded.name.clone(),
            version: loaded.manifest.version.as_str().into(),
            routed: Vec::new(),
            named: Vec::new(),
            targets: Targets::Any,
        };
        pipeline.add_rule(loaded, policy, &Narrowing::new())?;
        let mut output = Output::default();
        let replay = Replay { streams: input.streams.clone(), advance_ms: input.advance_ms };
        let outcome = replay.run(&mut pipeline, |more| {
            output.append(more);
            Ok::<_, std::convert::Infallible>(())
        });
        match outcome {
            Ok(summary) => {
                let partitions = state.partitions();
                Ok(Ran { output, summary, partitions, state: state.left() })
            }
            Err(ReplayError::Stream(error)) => Err(error.into()),
            Err(ReplayError::Sink(never)) => match never {},
        }
    }

    fn begin_with(&self, state: &WatchedState, input: &Input) {
        for (partition, key, value) in &input.state {
            let slot =
                Slot { rule: self.loaded.name.clone(), partition: partition.as_str().into() };
            let write = Write::Put { key: key.clone(), value: value.clone(), expires_at: None };
            state.commit(&slot, vec![write], Timestamp::from_millis(i64::MIN));
        }
    }
}
