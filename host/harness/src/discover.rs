//! Discovery of test files and of the module of each.

use std::fs;
use std::path::{Path, PathBuf};

use klaxon_build::{RuleFolder, Toolchain};

use super::suite::ENDINGS;

/// Error that prevents running tests.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A given path cannot be read.
    #[error("{path}: {why}; hint: check the path")]
    Path {
        /// The path as given.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// There is no test file below a given path.
    #[error("no test was found below {path}; hint: test files end in .test.yaml")]
    NoTest {
        /// The path as given.
        path: PathBuf,
    },
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] klaxon_engine::EngineError),
}

/// Returns the test files below paths, in the order of the paths, then by name. A file given as a path is
/// taken with any name. Hidden folders and those of builds (`target`, `node_modules`) are skipped.
///
/// # Errors
/// If a path does not exist, cannot be read, or has no test file.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, TestError> {
    let mut found = Vec::new();
    for path in paths {
        // Links are followed, as mounted ConfigMaps consist of them.
        let walk = walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
        let walk = walk.filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let is_build = name == "target" || name == "node_modules";
            entry.depth() == 0 || !(is_build || name.len() > 1 && name.starts_with('.'))
        });
        let before = found.len();
        for entry in walk {
            let entry = entry.map_err(|error| TestError::Path {
                path: path.clone(),
                why: error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
            })?;
            let name = entry.file_name().to_string_lossy();
            let is_test = ENDINGS.iter().any(|ending| name.ends_with(ending));
            if entry.file_type().is_file() && (is_test || entry.depth() == 0) {
                let path = entry.into_path();
                found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
            }
        }
        if found.len() == before {
            return Err(TestError::NoTest { path: path.clone() });
        }
    }
    // The same file under two names would write one snapshot twice.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    Ok(found)
}

/// Returns the module that a test file's `rule` refers to. A folder with a crate is built if it changed.
///
/// # Errors
/// If there is no module, or it cannot be built, with a hint.
pub fn module(rule: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, String> {
    if rule.is_file() {
        return Ok(rule.to_owned());
    }
    if !rule.is_dir() {
        return Err(format!(
            "rule: there is no {}; hint: name the rule's folder or its .wasm",
            rule.display()
        ));
    }
    if rule.join("Cargo.toml").is_file() {
        return built(rule, say).map_err(|error| format!("rule: {error}"));
    }
    let modules = fs::read_dir(rule).map_err(|error| format!("{}: {error}", rule.display()))?;
    let modules = modules.flatten().map(|entry| entry.path());
    let modules: Vec<PathBuf> =
        modules.filter(|path| path.extension().is_some_and(|end| end == "wasm")).collect();
    match modules.as_slice() {
        [module] => Ok(module.clone()),
        [] => Err(format!(
            "rule: {} has neither a Cargo.toml nor a .wasm; hint: build the rule, or name its .wasm",
            rule.display()
        )),
        _ => Err(format!(
            "rule: {} has {} modules; hint: name the one that is meant",
            rule.display(),
            modules.len()
        )),
    }
}

fn built(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, klaxon_build::Error> {
    let folder = RuleFolder::at(folder)?;
    if folder.is_fresh() {
        return Ok(folder.module());
    }
    say(&format!("building rule {}", folder.name()));
    folder.build(&Toolchain::find(say)?)
}
