//! The start of the service: loads the rules, and opens, checks and reads the journal. This may take long; probes are
//! answered meanwhile.

use std::path::Path;
use std::sync::Arc;

use super::RunError;
use super::health::Vitals;
use crate::assembly::assemble_with;
use klaxon_config::{Config, Source};
use klaxon_core::pipeline::{MemoryState, Pipeline};
use klaxon_core::verdict::Targets;
use klaxon_engine::Options;
use klaxon_journal::{Journal, Loaded};
use klaxon_model::Origin;

/// A service that is ready to run.
pub(super) struct Started {
    pub(super) config: Config,
    pub(super) source: Source,
    pub(super) pipeline: Pipeline,
    pub(super) state: Arc<MemoryState>,
    pub(super) journal: Journal,
    /// The state that the last run left.
    pub(super) loaded: Loaded,
}

/// Performs the start. Must be called on a thread that may block.
pub(super) fn start(
    config: Config,
    source: Source,
    options: Options,
    folder: &Path,
    vitals: &Vitals,
) -> Result<Started, RunError> {
    vitals.phase(Some("starting: loading the rules"));
    let origin = Origin { cluster: config.cluster.clone(), source: source.name.clone() };
    let targets = Targets::Configured(Arc::new(config.targets.keys().cloned().collect()));
    let state = Arc::new(MemoryState::default());
    let pipeline = assemble_with(&config.rules, targets, origin, options, state.clone())?;
    vitals.phase(Some("starting: checking the journal"));
    let journal = Journal::open(folder)?;
    vitals.phase(Some("starting: reading the journal"));
    let loaded = journal.load()?;
    Ok(Started { config, source, pipeline, state, journal, loaded })
}
