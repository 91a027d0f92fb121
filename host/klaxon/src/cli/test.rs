//! `klaxon test`.
#![expect(clippy::print_stderr, reason = "progress is for who ran it")]

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::fail;
use super::{CacheArguments, Exit, OutputFormat};
use klaxon_harness::report::{Text, junit};
use klaxon_harness::{FileReport, TestError, TestOptions, TestReport, Update, run_tests};

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Test files (*.test.yaml), and folders to look for them in
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only tests with this in "path: name"
    #[arg(long, value_name = "TEXT", conflicts_with = "coverage")]
    filter: Option<String>,
    /// Show which codes no test says; with a number, require this share of them in each file
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true,
          default_missing_value = "show", value_parser = coverage)]
    coverage: Option<Coverage>,
    /// Write snapshots: as they are, or beside the reviewed ones for `cargo insta review`
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true,
          default_missing_value = "accept", value_enum)]
    update: Option<UpdateArgument>,
    /// Also write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Format of the report, on stdout
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    /// Test files that are run at once [default: one per core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    cache: CacheArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UpdateArgument {
    /// The verdicts are right as they are
    Accept,
    /// Into `.snap.new`, to be looked at first
    Review,
}

#[derive(Debug, Clone, Copy)]
enum Coverage {
    Show,
    Require(u8),
}

fn coverage(text: &str) -> Result<Coverage, String> {
    if text == "show" {
        return Ok(Coverage::Show);
    }
    let number = text.trim_end_matches('%').parse().ok().filter(|number| *number <= 100);
    number.map(Coverage::Require).ok_or_else(|| "write a share such as 100%".to_owned())
}

pub(super) fn test(arguments: TestArguments) -> Exit {
    let options = TestOptions {
        paths: arguments.paths.clone(),
        filter: arguments.filter.clone(),
        coverage: match arguments.coverage {
            Some(Coverage::Require(share)) => Some(share),
            _ => None,
        },
        update: match arguments.update {
            None => Update::No,
            Some(UpdateArgument::Accept) => Update::Accept,
            Some(UpdateArgument::Review) => Update::Review,
        },
        jobs: arguments.jobs.unwrap_or_else(super::cores),
        cache: arguments.cache.directory(),
    };
    let text = Text { colour: colour(), coverage: arguments.coverage.is_some() };
    let is_text = arguments.output == OutputFormat::Text;
    let done = |file: &FileReport| {
        if is_text {
            super::print(&text.file(file));
        }
    };
    let report = match run_tests(&options, &mut |what| eprintln!("{what}"), done) {
        Ok(report) => report,
        Err(error @ TestError::NoTest { .. }) => return fail(Exit::Failure, &error),
        Err(error) => return fail(Exit::CouldNotRun, &error),
    };
    if let Err(error) = write(&report, &arguments, &text) {
        return fail(Exit::CouldNotRun, &error);
    }
    judge(&report, &arguments)
}

/// Returns `true` if stdout is a terminal and `NO_COLOR` is not set (no-color.org).
fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

fn write(report: &TestReport, arguments: &TestArguments, text: &Text) -> Result<(), String> {
    match arguments.output {
        OutputFormat::Text => super::print(&format!("{}\n", text.summary(report))),
        OutputFormat::Json => {
            super::print(&format!(
                "{}\n",
                serde_json::to_string(report).map_err(|error| error.to_string())?
            ));
        }
    }
    if let Some(path) = &arguments.junit {
        std::fs::write(path, junit(report)?)
            .map_err(|error| format!("{}: {error}; hint: check --junit", path.display()))?;
    }
    Ok(())
}

fn judge(report: &TestReport, arguments: &TestArguments) -> Exit {
    if report.could_not_run() {
        return Exit::CouldNotRun;
    }
    if report.files.iter().all(|file| file.cases.is_empty() && file.error.is_none()) {
        let filter = arguments.filter.as_deref().unwrap_or_default();
        let why =
            format!("no test has {filter:?} in its name; hint: see the names without --filter");
        return fail(Exit::Failure, &why);
    }
    if report.files.iter().all(FileReport::passed) { Exit::Success } else { Exit::Failure }
}
