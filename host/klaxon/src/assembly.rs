//! Creation of a pipeline from configured rules: the one place that connects the engine with the pipeline of the
//! service.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use klaxon_config as config;
use klaxon_core::pipeline::{MemoryState, Pipeline, PipelineRule};
use klaxon_core::policy::{UnknownCode, check_codes};
use klaxon_core::route::{InterestError, Router};
use klaxon_core::verdict::{Targets, VerdictBuilder};
use klaxon_engine::{Engine, EngineError, LoadError, Options, RuleSpec, read_module};
use klaxon_model::{Capability, Origin, RuleId, RuleInfo};

/// The error of creating a pipeline.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The file of a module cannot be read.
    #[error("rule {rule}: {path}: {source}; hint: build the rule, or check the path")]
    File {
        /// The rule's configured name.
        rule: String,
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A rule cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A policy names a code that its rule does not declare.
    #[error(transparent)]
    Code(#[from] UnknownCode),
    /// An interest of a rule cannot be used.
    #[error("rule {rule}: {source}")]
    Interest {
        /// The rule's configured name.
        rule: String,
        /// The cause.
        source: InterestError,
    },
}

/// Loads rules, in order, into a new pipeline that stores their state in memory.
///
/// # Errors
/// Returns the error of the first rule that cannot be loaded.
pub fn assemble(
    rules: &[config::Rule],
    targets: Targets,
    origin: Origin,
    options: Options,
) -> Result<Pipeline, AssembleError> {
    assemble_with(rules, targets, origin, options, Arc::new(MemoryState::default()))
}

/// Loads rules like [`assemble`], with the rules' state provided by the caller.
///
/// # Errors
/// Returns the errors of [`assemble`].
pub fn assemble_with(
    rules: &[config::Rule],
    targets: Targets,
    origin: Origin,
    options: Options,
    state: Arc<MemoryState>,
) -> Result<Pipeline, AssembleError> {
    let mut engine = Engine::start(options)?;
    let mut loaded = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        loaded.push(load(&mut engine, RuleId(index), rule)?);
    }
    check_policies(rules, &loaded)?;
    let parts = rules.iter().zip(loaded).map(|(rule, info)| PipelineRule {
        verdicts: VerdictBuilder {
            rule: info.name.clone(),
            version: info.manifest.version.as_str().into(),
            routed: rule.targets.clone(),
            named: rule.nameable.clone(),
            targets: targets.clone(),
        },
        info,
        policy: rule.policy.clone(),
        narrowing: rule.narrowing.clone(),
    });
    Pipeline::new(engine, origin, state, parts.collect())
        .map_err(|(id, source)| AssembleError::Interest { rule: rules[id.0].name.clone(), source })
}

/// Checks that the codes that policies name are declared. `loaded` has the descriptions of the rules.
///
/// # Errors
/// The first code that is not declared.
pub fn check_policies(rules: &[config::Rule], loaded: &[Arc<RuleInfo>]) -> Result<(), UnknownCode> {
    let codes = |name: &str| {
        let rule = loaded.iter().find(|rule| *rule.name == *name)?;
        Some(rule.manifest.codes.iter().map(|code| code.name.as_str()).collect())
    };
    rules.iter().try_for_each(|rule| check_codes(&rule.name, &rule.policy, codes))
}

/// Loads one rule and checks its interests. The codes of its policy are left to [`check_policies`].
///
/// # Errors
/// Returns the errors of [`assemble`].
pub fn check_rule(rule: &config::Rule, options: Options) -> Result<Arc<RuleInfo>, AssembleError> {
    let info = load(&mut Engine::start(options)?, RuleId(0), rule)?;
    let mut router = Router::new(Origin { cluster: String::new(), source: String::new() });
    let added = router.add_rule(info.name.clone(), &info.manifest, &rule.narrowing);
    added.map_err(|source| AssembleError::Interest { rule: rule.name.clone(), source })?;
    Ok(info)
}

/// Loads a rule from its module's file.
fn load(
    engine: &mut Engine,
    id: RuleId,
    rule: &config::Rule,
) -> Result<Arc<RuleInfo>, AssembleError> {
    let bytes = read_module(&rule.module, &rule.limits).map_err(|source| AssembleError::File {
        rule: rule.name.clone(),
        path: rule.module.clone(),
        source,
    })?;
    let mut grants = BTreeSet::from([Capability::Log]);
    if rule.state_granted {
        grants.insert(Capability::State);
    }
    let spec = RuleSpec {
        name: rule.name.clone(),
        origin: rule.module.clone(),
        bytes,
        settings: rule.settings.clone(),
        limits: rule.limits.clone(),
        grants,
    };
    Ok(engine.load(id, spec)?)
}
