//! Runs test files in parallel and reports them in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use serde::Serialize;

use super::case::{self, CaseReport, FailureKind};
use super::coverage::Coverage;
use super::discover::{self, TestError};
use super::rule::{RuleUnderTest, Sandboxes};
use super::snapshot::{self, Update};
use super::suite::Suite;

/// Options of a test run.
#[derive(Debug, Clone)]
pub struct TestOptions {
    /// Test files, and folders with test files.
    pub paths: Vec<PathBuf>,
    /// Text that `path: name` of a case must contain.
    pub filter: Option<String>,
    /// Required coverage of the declared codes in each file, in percent; overrides the file's own.
    pub coverage: Option<u8>,
    /// Handling of snapshots that differ.
    pub update: Update,
    /// Number of files that run in parallel.
    pub jobs: NonZeroUsize,
    /// Folder for compiled code; `None` disables the cache.
    pub cache: Option<PathBuf>,
}

/// Result of one file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// Name and version of the rule; empty if it was not loaded.
    pub rule: String,
    /// An error of the file as a whole; in most cases none of its tests was run then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CaseError>,
    /// Results of the cases, in the order of the file.
    pub cases: Vec<CaseReport>,
    /// Number of cases that the filter excluded.
    pub left_out: usize,
    /// Coverage of codes; `None` if the filter excluded a case or nothing was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Snapshots of this file that no case uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<PathBuf>,
}

/// An error of a file as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct CaseError {
    /// The message, with a hint.
    pub message: String,
    /// `true` if the error is in the file rather than in its rule.
    pub is_in_file: bool,
}

/// Result of all files.
#[derive(Debug, Default, Serialize)]
pub struct TestReport {
    /// Results of the files, in the order of the paths.
    pub files: Vec<FileReport>,
}

impl FileReport {
    /// Returns `true` if the file has no error, its cases passed and its coverage suffices.
    pub fn passed(&self) -> bool {
        let covered = self.coverage.as_ref().is_none_or(Coverage::suffices);
        self.error.is_none() && covered && self.cases.iter().all(CaseReport::passed)
    }
}

impl TestReport {
    /// Returns all cases that were run.
    pub fn cases(&self) -> impl Iterator<Item = &CaseReport> {
        self.files.iter().flat_map(|file| &file.cases)
    }

    /// Returns the number of cases that passed.
    pub fn passed(&self) -> usize {
        self.cases().filter(|case| case.passed()).count()
    }

    /// Returns the number of cases that failed.
    pub fn failed(&self) -> usize {
        self.cases().filter(|case| !case.passed()).count()
    }

    /// Returns `true` if a rule, a stream or a file could not be used.
    pub fn could_not_run(&self) -> bool {
        let of_file = |file: &FileReport| file.error.as_ref().is_some_and(|one| !one.is_in_file);
        let mut failures = self.cases().flat_map(|case| &case.failures);
        self.files.iter().any(of_file)
            || failures.any(|failure| failure.kind == FailureKind::CouldNotRun)
    }
}

/// Runs tests. `say` receives messages about builds; `done` receives each file in order, as soon as all files
/// before it are done.
///
/// # Errors
/// If a path cannot be read or the engine cannot start. An error in a file or rule is part of the report.
pub fn run_tests(
    options: &TestOptions,
    say: &mut dyn FnMut(&str),
    mut done: impl FnMut(&FileReport),
) -> Result<TestReport, TestError> {
    let files = discover::files(&options.paths)?;
    let sandboxes = Sandboxes::start(options.cache.clone())?;
    let work: Vec<Work> = files.into_iter().map(|path| Work::prepare(path, say)).collect();
    let next = AtomicUsize::new(0);
    let jobs = options.jobs.get().min(work.len()).max(1);
    let (to, from) = sync_channel(jobs);
    let mut report = TestReport::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (to, next, work, sandboxes) = (to.clone(), &next, &work, &sandboxes);
            scope.spawn(move || {
                while let Some((place, work)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    work.get(place).map(|work| (place, work))
                } {
                    // Sending fails only if the process is ending.
                    drop(to.send((place, work.run(sandboxes, options))));
                }
            });
        }
        drop(to);
        let mut waiting = BTreeMap::new();
        for (place, file) in from {
            waiting.insert(place, file);
            while let Some(file) = waiting.remove(&report.files.len()) {
                done(&file);
                report.files.push(file);
            }
        }
    });
    Ok(report)
}

/// Returns an error if no case read some state of the file: it was given to a partition that does not exist.
fn unread(suite: &Suite, cases: &[CaseReport]) -> Option<CaseError> {
    let is_read = |name: &&String| cases.iter().any(|case| case.partitions.contains(name));
    let unread = suite.partitions.iter().find(|name| !is_read(name))?;
    let message = format!(
        "state: no test read what is given to partition {unread:?}; hint: a pod's partition is its uid, \
         a node's `Node/<name>`"
    );
    Some(CaseError { message, is_in_file: true })
}

/// A file with its rule built, or the reason why it cannot be run.
struct Work {
    path: PathBuf,
    ready: Result<(Suite, PathBuf), CaseError>,
}

impl Work {
    fn prepare(path: PathBuf, say: &mut dyn FnMut(&str)) -> Self {
        let ready = Suite::read(&path)
            .map_err(|errors| CaseError { message: errors.to_string(), is_in_file: true })
            .and_then(|suite| match discover::module(&suite.rule, say) {
                Ok(module) => Ok((suite, module)),
                Err(why) => Err(CaseError {
                    message: format!("{}: {why}", path.display()),
                    is_in_file: false,
                }),
            });
        Self { path, ready }
    }

    fn run(&self, sandboxes: &std::sync::Arc<Sandboxes>, options: &TestOptions) -> FileReport {
        let mut report = FileReport {
            path: self.path.clone(),
            rule: String::new(),
            error: None,
            cases: Vec::new(),
            left_out: 0,
            coverage: None,
            unused: Vec::new(),
        };
        let (suite, module) = match &self.ready {
            Ok(ready) => ready,
            Err(error) => return FileReport { error: Some(error.clone()), ..report },
        };
        let rule = match RuleUnderTest::load(sandboxes, module, suite.settings.clone()) {
            Ok(rule) => rule,
            Err(error) => {
                let message = format!("{}: {error}", self.path.display());
                return FileReport {
                    error: Some(CaseError { message, is_in_file: false }),
                    ..report
                };
            }
        };
        let manifest = rule.manifest();
        report.rule = format!("{} {}", manifest.name, manifest.version);
        for case in &suite.cases {
            let full = format!("{}: {}", self.path.display(), case.name);
            if options.filter.as_ref().is_some_and(|filter| !full.contains(filter)) {
                report.left_out += 1;
                continue;
            }
            report.cases.push(case::run(&self.path, &rule, case, options.update));
        }
        if report.left_out == 0 {
            let passed = report.cases.iter().filter(|case| case.passed());
            let said: BTreeSet<&str> =
                passed.flat_map(|case| case.covered.iter().map(String::as_str)).collect();
            let wanted = options.coverage.or(suite.coverage);
            report.coverage = Some(Coverage::of(manifest, &said, wanted));
            report.error = unread(suite, &report.cases);
            report.unused =
                snapshot::unused(&self.path, &Suite::stem(&self.path), suite.snapshots());
            if options.update == Update::Accept {
                report.unused.retain(|path| std::fs::remove_file(path).is_err());
            }
        }
        report
    }
}
