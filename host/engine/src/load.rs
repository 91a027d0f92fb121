//! Loading: from the bytes of a file to a rule that can run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wasmparser::Parser;
use wasmtime::component::Component;

use super::abi::Loaded;
use super::instance::Code;
use super::sandbox::Sandbox;
use super::trap::failure_in;
use super::{diagnose, instance, settings};
use klaxon_model::{
    Capability, Failure, FailureKind, Limits, Manifest, RuleId, RuleInfo, beginning, cut,
};

/// Maximum number of functions of a module. An interpreter has some 30,000, and each is compiled at load.
const MOST_FUNCTIONS: usize = 200_000;
/// Maximum size of a manifest, in bytes.
const MOST_MANIFEST: usize = 1 << 20;
/// Maximum number of codes of a manifest.
const MOST_CODES: usize = 1000;
/// Maximum number of interests of a manifest, and of schedules.
const MOST_INTERESTS: usize = 64;
/// Maximum number of fields of an interest, and of annotations.
const MOST_FIELDS: usize = 64;
/// Maximum number of namespaces of an interest.
const MOST_NAMESPACES: usize = 1000;
/// Maximum size of a name in a manifest, in bytes: the name is in every verdict, metric and log line.
const MOST_NAME: usize = 200;

/// A rule to load.
#[derive(Debug, Clone)]
pub struct RuleSpec {
    /// Configured name of the rule.
    pub name: String,
    /// Origin of the bytes, for errors.
    pub origin: PathBuf,
    /// A component, or a core module with embedded bindings.
    pub bytes: Vec<u8>,
    /// Settings of the rule, as JSON.
    pub settings: Value,
    /// Limits of the rule.
    pub limits: Limits,
    /// Capabilities that the operator grants.
    pub grants: BTreeSet<Capability>,
}

/// A rule that was compiled, described itself and accepted its settings: its description and its code.
pub struct LoadedRule {
    info: Arc<RuleInfo>,
    pub(super) compiled: Arc<Compiled>,
}

/// The result of compiling a file; independent of settings and grants.
pub(super) struct Compiled {
    pub(super) component: Loaded,
    pub(super) code: Code,
    capabilities: BTreeSet<Capability>,
    manifest: Manifest,
}

impl LoadedRule {
    /// Returns the description of the rule, for stages that do not run it.
    pub fn info(&self) -> &Arc<RuleInfo> {
        &self.info
    }
}

impl std::ops::Deref for LoadedRule {
    type Target = RuleInfo;

    fn deref(&self) -> &RuleInfo {
        &self.info
    }
}

impl std::fmt::Debug for LoadedRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedRule").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Error of loading a rule.
#[derive(Debug, thiserror::Error)]
#[error("rule {rule}: {origin}: {what}")]
pub struct LoadError {
    /// The rule's configured name.
    pub rule: String,
    /// The file.
    pub origin: PathBuf,
    /// The problem, with a hint.
    pub what: LoadErrorKind,
}

/// The bytes at the beginning of a WebAssembly file.
const MAGIC: &[u8] = b"\0asm";

/// Kind of problem with a rule.
#[derive(Debug, thiserror::Error)]
pub enum LoadErrorKind {
    /// The module is larger than its limit.
    #[error(
        "the module has more than {limit} bytes, its limit; hint: build it without debug information, or raise `limits.module`"
    )]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The module has more functions than are compiled.
    #[error("the module has {0} functions, and may have {MOST_FUNCTIONS}; hint: link less into it")]
    TooManyFunctions(usize),
    /// The bytes are not WebAssembly.
    #[error(
        "this is no WebAssembly module ({0}); hint: name the .wasm that `klaxon rule build` makes, or the rule's folder"
    )]
    NoWasm(String),
    /// The bytes are truncated or damaged WebAssembly.
    #[error("this is no complete WebAssembly module: {0}; hint: build the rule again")]
    NotWasm(String),
    /// A core module without bindings, or with bindings that do not fit it.
    #[error("the module cannot be made a component: {0}")]
    NotAComponent(String),
    /// The `rule` interface is not exported.
    #[error(
        "the module does not export klaxon:rule/rule@0.1.0 (it exports {}); hint: export a rule with the SDK, in Rust \
         with `klaxon_sdk::export!(MyRule);`, for one of the worlds pure-rule and stateful-rule",
        if .0.is_empty() { "nothing" } else { .0 }
    )]
    NotARule(String),
    /// A core module does not have the `rule` interface.
    #[error(
        "this is a core module without the interface of a rule, and no component; hint: build it with `klaxon rule \
         build`"
    )]
    CoreModule,
    /// An import that the sandbox does not provide.
    #[error("{0}")]
    ForeignImport(String),
    /// An import that the operator did not grant.
    #[error("the rule imports {0}, which is not granted; hint: grant it under `grants.{0}`")]
    NotGranted(&'static str),
    /// An import that the manifest does not declare.
    #[error(
        "the rule imports {0}, but its manifest does not declare that capability; hint: declare it \
         in `describe`"
    )]
    Undeclared(&'static str),
    /// Compilation failed.
    #[error("the module cannot be compiled: {0}")]
    Compile(String),
    /// The rule failed in `describe`.
    #[error("the rule failed in `describe`: {0}")]
    Describe(String),
    /// The manifest contradicts itself.
    #[error("the manifest is wrong: {0}")]
    Manifest(String),
    /// The settings do not match the rule's schema, or the rule rejects them: a JSON Pointer (RFC 6901;
    /// empty: the whole document) and the reason.
    #[error("the settings are wrong at {0:?}: {1}")]
    Settings(String, String),
    /// The rule failed in `configure`.
    #[error("the rule failed in `configure`: {0}")]
    Configure(String),
}

/// Reads a module's file, up to one byte more than `limits.module`, so that [`Sandbox::load`] reports a
/// larger file as too large.
///
/// # Errors
/// If the file cannot be read.
pub fn read_module(path: &Path, limits: &Limits) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let most = u64::try_from(limits.module).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn describe(sandbox: &Sandbox, spec: &RuleSpec) -> Result<Manifest, LoadError> {
    let compiled = sandbox.compiled(&digest(spec), || compile(sandbox, spec));
    compiled.map(|compiled| compiled.manifest.clone()).map_err(|what| error(spec, what))
}

fn digest(spec: &RuleSpec) -> String {
    blake3::hash(&spec.bytes).to_hex().to_string()
}

fn error(spec: &RuleSpec, what: LoadErrorKind) -> LoadError {
    LoadError { rule: spec.name.clone(), origin: spec.origin.clone(), what }
}

pub(super) fn load(sandbox: &Sandbox, id: RuleId, spec: RuleSpec) -> Result<LoadedRule, LoadError> {
    let error = |what| error(&spec, what);
    let digest = digest(&spec);
    let compiled = sandbox.compiled(&digest, || compile(sandbox, &spec)).map_err(error)?;
    let Compiled { capabilities, manifest, .. } = &*compiled;
    for capability in capabilities {
        if !spec.grants.contains(capability) {
            return Err(error(LoadErrorKind::NotGranted(capability.name())));
        }
        if !manifest.capabilities.iter().any(|declared| declared == capability.name()) {
            return Err(error(LoadErrorKind::Undeclared(capability.name())));
        }
    }
    configure(&compiled, &spec).map_err(error)?;
    let info = RuleInfo {
        id,
        name: spec.name.into(),
        digest,
        manifest: manifest.clone(),
        capabilities: capabilities.clone(),
        settings: spec.settings.to_string(),
        limits: spec.limits,
    };
    Ok(LoadedRule { info: Arc::new(info), compiled })
}

fn compile(sandbox: &Sandbox, spec: &RuleSpec) -> Result<Compiled, LoadErrorKind> {
    let limit = spec.limits.module;
    if spec.bytes.len() > limit {
        return Err(LoadErrorKind::TooLarge { limit });
    }
    // Parsed completely before anything else, to tell a truncated file from a wrong one.
    let outline =
        diagnose::outline(&spec.bytes).map_err(|error| match spec.bytes.starts_with(MAGIC) {
            true => LoadErrorKind::NotWasm(error),
            false => LoadErrorKind::NoWasm(beginning(&spec.bytes)),
        })?;
    if outline.functions > MOST_FUNCTIONS {
        return Err(LoadErrorKind::TooManyFunctions(outline.functions));
    }
    if outline.memories > 1 {
        return Err(LoadErrorKind::Compile(format!(
            "a core module has {} memories, and may have one; hint: build it without multi-memory",
            outline.memories
        )));
    }
    let bytes = klaxon_build::componentize(&spec.bytes)
        .map_err(|error| LoadErrorKind::NotAComponent(explain(&spec.bytes, &error.to_string())))?;
    let outline = diagnose::outline(&bytes).map_err(LoadErrorKind::NotWasm)?;
    if let Some(foreign) = diagnose::foreign_import(&outline) {
        return Err(LoadErrorKind::ForeignImport(foreign));
    }
    if !diagnose::exports_rule(&outline) {
        return Err(match Parser::is_core_wasm(&spec.bytes) {
            true => LoadErrorKind::CoreModule,
            false => LoadErrorKind::NotARule(outline.exports.join(", ")),
        });
    }
    let capabilities = Capability::ALL
        .into_iter()
        .filter(|capability| {
            let interface = format!("klaxon:rule/{}@", capability.name());
            outline.imports.iter().any(|import| import.starts_with(&interface))
        })
        .collect();
    let failed = |error: wasmtime::Error| LoadErrorKind::Compile(format!("{error:#}"));
    let component = Component::new(&sandbox.code.wasm, &bytes).map_err(failed)?;
    let component = Loaded::link(&sandbox.code.wasm, &component).map_err(failed)?;
    let code = sandbox.code.clone();
    let manifest = manifest_of(&code, &component, &spec.limits)?;
    check_manifest(&manifest).map_err(LoadErrorKind::Manifest)?;
    Ok(Compiled { component, code, capabilities, manifest })
}

/// Returns the error for a core module that cannot be made a component. If the module imports WASI, that is
/// the error, because its hint solves the problem.
fn explain(bytes: &[u8], error: &str) -> String {
    diagnose::outline(bytes)
        .ok()
        .filter(|outline| outline.imports.iter().any(|import| import.starts_with("wasi")))
        .and_then(|outline| diagnose::foreign_import(&outline))
        .unwrap_or_else(|| error.to_owned())
}

fn manifest_of(
    code: &Code,
    component: &Loaded,
    limits: &Limits,
) -> Result<Manifest, LoadErrorKind> {
    let mut store = instance::store(code, limits);
    instance::arm(&mut store, limits, 1);
    store.set_hostcall_fuel(MOST_MANIFEST);
    let described =
        component.instantiate(&mut store).and_then(|mut guest| guest.describe(&mut store));
    described.map_err(|error| match failure_in(&store, &error) {
        Failure { kind: FailureKind::AnswerTooLarge, .. } => LoadErrorKind::Manifest(format!(
            "it is larger than {MOST_MANIFEST} bytes; hint: describe less"
        )),
        failure => LoadErrorKind::Describe(failure.message),
    })
}

fn configure(compiled: &Compiled, spec: &RuleSpec) -> Result<(), LoadErrorKind> {
    let schema = &compiled.manifest.settings_schema;
    let errors = settings::check(schema, &spec.settings).map_err(|error| {
        LoadErrorKind::Manifest(format!("its settings schema is no JSON Schema: {error}"))
    })?;
    if let Some((path, message)) = errors.into_iter().next() {
        return Err(LoadErrorKind::Settings(path, message));
    }
    let mut store = instance::store(&compiled.code, &spec.limits);
    instance::arm(&mut store, &spec.limits, 1);
    let configured = compiled
        .component
        .instantiate(&mut store)
        .and_then(|mut guest| guest.configure(&mut store, &spec.settings.to_string()));
    match configured {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(LoadErrorKind::Settings(cut(problem.path), cut(problem.message))),
        Err(error) => Err(LoadErrorKind::Configure(failure_in(&store, &error).message)),
    }
}

/// Checks a manifest for contradictions and exceeded limits.
fn check_manifest(manifest: &Manifest) -> Result<(), String> {
    check_counts(manifest)?;
    let unique = |what: &str, names: Vec<&str>| {
        let mut seen = BTreeSet::new();
        match names.iter().find(|name| !seen.insert(**name)) {
            Some(twice) => Err(format!("{what} {twice:?} is declared twice")),
            None => Ok(()),
        }
    };
    if manifest.codes.iter().any(|code| code.name.is_empty()) {
        return Err("a code has no name".to_owned());
    }
    unique("code", manifest.codes.iter().map(|code| code.name.as_str()).collect())?;
    unique("interest", manifest.interests.iter().map(|interest| interest.name.as_str()).collect())?;
    for interest in &manifest.interests {
        if interest.api_version.is_empty() || interest.kind.is_empty() {
            return Err(format!("interest {:?} names no api version or no kind", interest.name));
        }
    }
    Ok(())
}

/// Rejects a manifest that exceeds the host's limits: each item costs something for every event or every
/// object.
fn check_counts(manifest: &Manifest) -> Result<(), String> {
    let within = |what: &str, count: usize, most: usize| match count > most {
        true => Err(format!("it has {count} {what}, and may have {most}; hint: declare fewer")),
        false => Ok(()),
    };
    within("codes", manifest.codes.len(), MOST_CODES)?;
    within("interests", manifest.interests.len(), MOST_INTERESTS)?;
    within("schedules", manifest.schedules.len(), MOST_INTERESTS)?;
    let names = [("the name", &manifest.name), ("the version", &manifest.version)].into_iter();
    let names = names
        .chain(manifest.codes.iter().map(|code| ("the name of a code", &code.name)))
        .chain(manifest.interests.iter().map(|one| ("the name of an interest", &one.name)));
    for (what, name) in names {
        if name.len() > MOST_NAME {
            let bytes = name.len();
            return Err(format!(
                "{what} has {bytes} bytes, and may have {MOST_NAME}; hint: shorten it"
            ));
        }
    }
    for interest in &manifest.interests {
        let of = |what: &str| format!("{what} in interest {:?}", interest.name);
        within(&of("fields"), interest.fields.len(), MOST_FIELDS)?;
        within(&of("annotations"), interest.annotations.len(), MOST_FIELDS)?;
        within(&of("namespaces"), interest.namespaces.len(), MOST_NAMESPACES)?;
    }
    Ok(())
}
