//! `klaxon rule build`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use klaxon_build::{RuleFolder, Toolchain};

use super::{grouped, say};
use crate::cli::exit::fail;
use crate::cli::{CacheArguments, Exit};
use klaxon_harness::{RuleUnderTest, Sandboxes};

#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArguments {
    /// The rule's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// File of the module [default: rules/<name>.wasm in cargo's target directory]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArguments,
}

pub(super) fn build(arguments: &BuildArguments) -> Exit {
    match run(arguments) {
        Ok(line) => {
            crate::cli::print(&format!("{line}\n"));
            Exit::Success
        }
        Err(error) => fail(Exit::CouldNotRun, &error),
    }
}

fn run(arguments: &BuildArguments) -> Result<String, String> {
    let folder = RuleFolder::at(&arguments.folder).map_err(|error| error.to_string())?;
    let toolchain = Toolchain::find(&mut say).map_err(|error| error.to_string())?;
    let mut built = folder.build(&toolchain).map_err(|error| error.to_string())?;
    if let Some(out) = &arguments.out {
        fs::copy(&built, out).map_err(|error| format!("{}: {error}", out.display()))?;
        built.clone_from(out);
    }
    let size = fs::metadata(&built).map_or(0, |file| file.len());
    let rule = describe(&built, &arguments.cache)?;
    let kib = grouped(size / 1024);
    Ok(format!("built {rule} into {} ({kib} KiB)", built.display()))
}

/// Returns the rule's name and version. A module that does not answer `describe` is not a rule, even if it compiles, and
/// a rule whose interests cannot be used runs nowhere.
fn describe(module: &Path, cache: &CacheArguments) -> Result<String, String> {
    let sandboxes = Sandboxes::start(cache.directory()).map_err(|error| error.to_string())?;
    let manifest =
        RuleUnderTest::describe(&sandboxes, module).map_err(|error| error.to_string())?;
    RuleUnderTest::check_interests(&manifest)
        .map_err(|error| format!("{}: {error}", module.display()))?;
    Ok(format!("{} {}", manifest.name, manifest.version))
}
