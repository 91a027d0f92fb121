//! A suite: the tests of a file, read and checked.

mod file;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::expect::Expected;
use super::rule::Input;
use crate::yaml::FileErrors;

pub(crate) use file::schema;
pub(super) use file::{Entry, ObjectEntry, ObjectParts, SeverityEntry, StatusEntry};

/// How test files end.
pub(super) const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];

/// The tests of one file.
#[derive(Debug)]
pub(super) struct Suite {
    /// The rule's folder or module.
    pub(super) rule: PathBuf,
    /// What the rule is configured with, unless a case says otherwise.
    pub(super) settings: Value,
    /// In the order of the file.
    pub(super) cases: Vec<Case>,
    /// Partitions that the file gives state to.
    pub(super) partitions: Vec<String>,
    /// The share of declared codes that must be said, in percent.
    pub(super) coverage: Option<u8>,
}

/// One test.
#[derive(Debug)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// Its line in the file.
    pub(super) line: usize,
    /// Its own settings.
    pub(super) settings: Option<Value>,
    /// Whether it begins with state of its own rather than the file's.
    pub(super) has_own_state: bool,
    /// What the rule is fed.
    pub(super) input: Input,
    /// What the rule must say.
    pub(super) expectation: Expectation,
    /// What an event may cost.
    pub(super) limits: CaseLimits,
}

/// What a rule must say; at least one of these is there.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    /// All verdicts.
    pub(super) all: Option<All>,
    /// Verdicts that are among those said, in this order.
    pub(super) any: Option<Vec<Expected>>,
    /// How many of each code are said.
    pub(super) count: Option<BTreeMap<String, u64>>,
}

/// All verdicts of a case.
#[derive(Debug)]
pub(super) enum All {
    /// These, in this order.
    Listed(Vec<Expected>),
    /// Those of the reviewed file.
    Snapshot(PathBuf),
}

/// What the dearest event of a case may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CaseLimits {
    /// Fuel.
    pub(super) fuel: Option<u64>,
    /// Bytes of linear memory.
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

    /// The snapshots that its cases have.
    pub(super) fn snapshots(&self) -> Vec<&Path> {
        let all = self.cases.iter().filter_map(|case| case.expectation.all.as_ref());
        all.filter_map(|all| match all {
            All::Snapshot(path) => Some(path.as_path()),
            All::Listed(_) => None,
        })
        .collect()
    }

    /// The file's name without its ending.
    pub(super) fn stem(path: &Path) -> String {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let endings = ENDINGS.iter().chain(&[".yaml", ".yml"]);
        let stem = endings.into_iter().find_map(|ending| name.strip_suffix(ending));
        stem.unwrap_or(&name).to_owned()
    }
}
