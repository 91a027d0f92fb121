//! A rule under test: loaded once, run over streams in every mode.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::Value;

use super::replay::{Replay, ReplayError, Summary};
use klaxon_config::Policy;
use klaxon_core::pipeline::{Output, Pipeline, PipelineRule};
use klaxon_core::route::{InterestError, Need, Router};
use klaxon_core::verdict::{Targets, VerdictBuilder};
use klaxon_engine::{
    Engine, EngineError, LoadError, LoadErrorKind, LoadedRule, Options, RuleSpec, Sandbox,
    read_module,
};
use klaxon_model::{
    Capability, Limits, Manifest, Narrowing, Origin, RuleId, Slot, StateKeeper, Timestamp, Write,
};
use klaxon_recording::{StreamError, StreamFile};

use super::state::WatchedState;

/// Batch size of whole batches: not less than the maximum size of a pipeline round.
const WHOLE: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Factor on CPU limits for code that counts fuel.
const SLOWER: u32 = 10;

/// Use of instances and batches in a run. A rule must give the same answers in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One instance for all events, many events per call.
    Reused,
    /// One instance for all events, one event per call.
    ReusedSingles,
    /// A new instance for each call, many events per call.
    Fresh,
    /// A new instance for each event.
    FreshSingles,
}

impl Mode {
    /// All modes; the first one is the reference.
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

    /// Returns a description that follows the word "with".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reused => "one instance and whole batches",
            Self::ReusedSingles => "one instance and one event a call",
            Self::Fresh => "a new instance for each batch",
            Self::FreshSingles => "a new instance for each event",
        }
    }
}

/// The sandboxes of a process: one for running rules and, created on first use, one for counting fuel.
pub struct Sandboxes {
    cache: Option<PathBuf>,
    running: Arc<Sandbox>,
    counting: OnceLock<Arc<Sandbox>>,
}

impl Sandboxes {
    /// Starts the sandboxes; compiled code is cached in the folder `cache`, and not at all with `None`.
    ///
    /// # Errors
    /// If the folder is not safe, or a thread cannot be started.
    pub fn start(cache: Option<PathBuf>) -> Result<Arc<Self>, EngineError> {
        let running = Sandbox::start(cache.as_deref())?;
        Ok(Arc::new(Self { cache, running, counting: OnceLock::new() }))
    }

    fn counting(&self) -> Result<Arc<Sandbox>, EngineError> {
        if let Some(sandbox) = self.counting.get() {
            return Ok(sandbox.clone());
        }
        let sandbox = Sandbox::counting_fuel(self.cache.as_deref())?;
        // Another thread may have been first; then its sandbox is used.
        Ok(self.counting.get_or_init(|| sandbox).clone())
    }
}

/// Error of loading or running a rule under test.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The module cannot be read.
    #[error("{path}: {source}; hint: build the rule with `klaxon rule build`, or check the path")]
    File {
        /// The module's file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The rule cannot be loaded.
    #[error("{origin}: {what}")]
    Load {
        /// The module's file.
        origin: PathBuf,
        /// The cause.
        what: LoadErrorKind,
    },
    /// An interest of the rule cannot be used.
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

/// Input of a run.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Recorded streams, merged by time.
    pub streams: Vec<StreamFile>,
    /// Time after the last event during which timers may still fire, in milliseconds.
    pub advance_ms: i64,
    /// Initial state: partition, key, value.
    pub state: Vec<(String, String, String)>,
}

/// Result of a run.
#[derive(Debug)]
pub struct Ran {
    /// Verdicts, failures and refusals.
    pub output: Output,
    /// Counts of the run.
    pub summary: Summary,
    /// Partitions whose state the rule read.
    pub partitions: BTreeSet<Arc<str>>,
    /// Final state: partition, key, value.
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
    /// Loads a module with settings. The rule is granted every capability.
    ///
    /// # Errors
    /// If the module or its settings are wrong.
    pub fn load(
        sandboxes: &Arc<Sandboxes>,
        module: &Path,
        settings: Value,
    ) -> Result<Self, RuleError> {
        Self::load_spec(sandboxes, Self::spec(module, settings)?)
    }

    /// Returns a module's manifest without checking settings.
    ///
    /// # Errors
    /// If the module is wrong.
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
        let loaded = sandboxes.running.load(RuleId(0), spec.clone())?;
        Ok(Self { sandboxes: sandboxes.clone(), spec, loaded })
    }

    /// Returns the same rule with other settings.
    ///
    /// # Errors
    /// If the rule rejects them.
    pub fn with_settings(&self, settings: Value) -> Result<Self, RuleError> {
        Self::load_spec(&self.sandboxes, RuleSpec { settings, ..self.spec.clone() })
    }

    /// Returns the watches that the rule requires.
    ///
    /// # Errors
    /// If one of its interests cannot be used.
    pub fn needs(&self) -> Result<Vec<Need>, InterestError> {
        Self::check_interests(self.manifest())
    }

    /// Checks the interests of a manifest, and returns the watches that they require.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn check_interests(manifest: &Manifest) -> Result<Vec<Need>, InterestError> {
        let mut router = Router::new(Origin { cluster: String::new(), source: String::new() });
        router.add_rule(manifest.name.as_str().into(), manifest, &Narrowing::new())?;
        Ok(router.needs())
    }

    /// Returns the rule's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// Returns the loaded rule.
    pub fn loaded(&self) -> &LoadedRule {
        &self.loaded
    }

    pub(super) fn shared(&self) -> Arc<LoadedRule> {
        self.loaded.clone()
    }

    /// Returns the path of the module.
    pub fn module(&self) -> &Path {
        &self.spec.origin
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Value {
        &self.spec.settings
    }

    /// Returns the bytes of the module.
    pub fn bytes(&self) -> &[u8] {
        &self.spec.bytes
    }

    /// Runs streams through the rule, from the beginning, in one mode.
    ///
    /// # Errors
    /// If a stream cannot be read, or a thread cannot be started.
    pub fn run(&self, input: &Input, mode: Mode) -> Result<Ran, RuleError> {
        self.run_on(&self.sandboxes.running, self.loaded.clone(), input, mode)
    }

    /// Runs streams through the rule in code that counts fuel. `output.costs` of the result has the cost of
    /// each event, with a new instance for each.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub fn measure(&self, input: &Input) -> Result<Ran, RuleError> {
        let sandbox = self.sandboxes.counting()?;
        // Counting makes code slower, and the most expensive event must not run out of time.
        let cpu = self.spec.limits.cpu.saturating_mul(SLOWER);
        let cpu_per_event = self.spec.limits.cpu_per_event.saturating_mul(SLOWER);
        let limits = Limits { cpu, cpu_per_event, ..self.spec.limits.clone() };
        let loaded = sandbox.load(RuleId(0), RuleSpec { limits, ..self.spec.clone() })?;
        self.run_on(&sandbox, loaded, input, Mode::FreshSingles)
    }

    fn run_on(
        &self,
        sandbox: &Arc<Sandbox>,
        loaded: Arc<LoadedRule>,
        input: &Input,
        mode: Mode,
    ) -> Result<Ran, RuleError> {
        let mut engine = Engine::on(sandbox.clone(), mode.options())?;
        engine.add(loaded.clone());
        let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
        let state = Arc::new(WatchedState::default());
        self.begin_with(&state, input);
        let rule = PipelineRule {
            info: loaded.info().clone(),
            verdicts: VerdictBuilder {
                rule: loaded.name.clone(),
                version: loaded.manifest.version.as_str().into(),
                routed: Vec::new(),
                named: Vec::new(),
                targets: Targets::Any,
            },
            policy: Policy::unlimited(),
            narrowing: Narrowing::new(),
        };
        let mut pipeline =
            Pipeline::new(engine, origin, state.clone(), vec![rule]).map_err(|(_, error)| error)?;
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
