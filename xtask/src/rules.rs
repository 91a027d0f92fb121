//! `cargo xtask rules`: builds every rule of the workspace as a component.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use klaxon_build::{RuleFolder, Toolchain};

use crate::workspace::root;

/// The folder of the rules that are shipped.
const SHIPPED: &str = "rules";
/// The folder of the rules that only tests use.
const OF_TESTS: &str = "tests/rules";

/// Builds all rules and returns the paths of their components.
pub(crate) fn build_all() -> Result<Vec<PathBuf>> {
    build(&[SHIPPED, OF_TESTS])
}

/// Builds the rules that are shipped and returns the paths of their components.
pub(crate) fn build_shipped() -> Result<Vec<PathBuf>> {
    build(&[SHIPPED])
}

fn build(folders: &[&str]) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find(&mut |what| eprintln!("{what}"))?;
    let mut built = Vec::new();
    for rule in rules(folders)? {
        let path = rule.build(&toolchain)?;
        let size = fs::metadata(&path).with_context(|| path.display().to_string())?.len();
        println!("{} ({} KiB)", path.display(), size / 1024);
        built.push(path);
    }
    Ok(built)
}

/// Returns every rule of these folders, sorted by name.
fn rules(folders: &[&str]) -> Result<Vec<RuleFolder>> {
    let mut found = Vec::new();
    for folder in folders {
        let folder = root().join(folder);
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let folder = entry?.path();
            if folder.join("Cargo.toml").exists() {
                found.push(RuleFolder::at(&folder)?);
            }
        }
    }
    found.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(found)
}
