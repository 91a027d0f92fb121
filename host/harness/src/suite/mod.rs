//! A suite: the tests of a file, read and checked.

mod file;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::expect::Expected;
use super::rule::Input;
use klaxon_yaml::FileErrors;

pub(crate) use file::schema;
pub(super) use file::{Entry, ObjectEntry, ObjectParts, SeverityEntry, StatusEntry};

/// Suffixes of test files.
pub(super) const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];

/// The tests of one file.
#[derive(Debug)]
pub(super) struct Suite {
    /// The rule's folder or module.
    pub(super) rule: PathBuf,
    /// Settings of the rule, unless a case has its own.
    pub(super) settings: Value,
    /// Cases in the order of the file.
    pub(super) cases: Vec<Case>,
    /// Partitions whose state the file sets.
    pub(super) partitions: Vec<String>,
    /// Required coverage of the declared codes, in percent.
    pub(super) coverage: Option<u8>,
}

/// One test.
#[derive(Debug)]
pub(super) struct Case {
    /// Name of the test.
    pub(super) name: String,
    /// Line in the file.
    pub(super) line: usize,
    /// The test's own settings.
    pub(super) settings: Option<Value>,
    /// `true` if the test begins with its own state instead of the file's.
    pub(super) has_own_state: bool,
    /// Input of the rule.
    pub(super) input: Input,
    /// Expected verdicts.
    pub(super) expectation: Expectation,
    /// Maximum cost of an event.
    pub(super) limits: CaseLimits,
}

/// Expected verdicts; at least one field is set.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    /// The complete list of verdicts.
    pub(super) all: Option<All>,
    /// Verdicts that must be among the emitted ones, in this order.
    pub(super) any: Option<Vec<Expected>>,
    /// Number of verdicts per code.
    pub(super) count: Option<BTreeMap<String, u64>>,
}

/// The complete verdicts of a case.
#[derive(Debug)]
pub(super) enum All {
    /// These verdicts, in this order.
    Listed(Vec<Expected>),
    /// The verdicts of a reviewed file.
    Snapshot(PathBuf),
}

/// Maximum cost of the most expensive event of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CaseLimits {
    /// Fuel of the event.
    pub(super) fuel: Option<u64>,
    /// Linear memory of the instance, in bytes.
    pub(super) memory: Option<usize>,
}

impl Suite {
    /// Reads a test file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// All errors, each with its line and a hint.
    pub(super) fn read(path: &Path) -> Result<Self, FileErrors> {
        read::read(path)
    }

    /// Returns the snapshots of the cases.
    pub(super) fn snapshots(&self) -> Vec<&Path> {
        let all = self.cases.iter().filter_map(|case| case.expectation.all.as_ref());
        all.filter_map(|all| match all {
            All::Snapshot(path) => Some(path.as_path()),
            All::Listed(_) => None,
        })
        .collect()
    }

    /// Returns the file's name without its suffix.
    pub(super) fn stem(path: &Path) -> String {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let endings = ENDINGS.iter().chain(&[".yaml", ".yml"]);
        let stem = endings.into_iter().find_map(|ending| name.strip_suffix(ending));
        stem.unwrap_or(&name).to_owned()
    }
}
